"""What users call to see what images are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.errors import OptionError
from dask_quant.events import ignore_event
from dask_quant.fit_options import FitOptions
from dask_quant.options import join_client, make_run_options
from dask_quant.routes.choose import describe_sources
from dask_quant.routes.common import Job, check_sources, is_array

if TYPE_CHECKING:
    from distributed import Client

    from dask_quant.events import Listener
    from dask_quant.options import ClusterOptions
    from dask_quant.results import ImageInfo
    from dask_quant.routes.common import Sources


def describe_images(
    sources: Sources,
    *,
    chunks: int | tuple[int, int] | None = None,
    page: int | None = None,
    level: int = 0,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> list[ImageInfo]:
    """Say what images are and how many distinct colours each has, exactly. **Eager**.

    Parameters
    ----------
    sources : str, Path or sequence of them
        Files, folders, globs, Zarr stores, ``-`` for standard input or ``@list.txt``.
    chunks, page, level, cluster, client, listener
        As in `quantize`.

    Returns
    -------
    list of ImageInfo
        One for each image, in the order in which they were found.

    Raises
    ------
    DaskQuantError
        When an image that was given by name cannot be read, or none can.
    """
    if is_array(sources):
        message = "Got an array to describe; give paths, or count its colours with count_colors."
        raise OptionError(message)
    run = make_run_options(False, chunks, None, join_client(cluster, client), page, level)
    if run.cluster.performance_report is not None:
        message = "Got --performance-report for info; it is for jobs that write something."
        raise OptionError(message)
    return describe_sources(Job("info", FitOptions(), run, listener), check_sources(sources))
