"""What images are, and how many colours they have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dask_quant.errors import DaskQuantError, PixelFormatError, SourceError
from dask_quant.events import Event
from dask_quant.histogram import ColorHistogram
from dask_quant.results import ImageInfo
from dask_quant.routes.common import SMALL_PIXELS, count_file_bytes, read_source
from dask_quant.sources.addresses import hide_secrets
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.image_file import count_frames, read_header, read_image
from dask_quant.sources.reading import list_any_pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask_quant.routes.common import Job
    from dask_quant.sources.discover import Discovery
    from dask_quant.sources.header import ImageHeader

    CountChunked = Callable[[str], tuple[ImageHeader, int]]


def describe_inputs(job: Job, found: Discovery, count_chunked: CountChunked) -> list[ImageInfo]:
    """Describe every image that was found. **Eager**; the only one is not excused when broken.

    ``count_chunked`` reads the header and counts the distinct colours of what is too large for
    one go.
    """
    infos: list[ImageInfo] = []
    for position, entry in enumerate(found.inputs):
        try:
            infos.append(_describe_image(job, entry.path, count_chunked))
        except (SourceError, PixelFormatError) as error:
            if len(found.inputs) == 1:
                raise
            infos.append(_describe_broken(job, entry.path, error))
        job.listener(Event("info", position + 1, len(found.inputs), "images"))
    if all(info.error for info in infos):
        message = f"None of {len(infos)} images can be read; the first: {infos[0].error}"
        raise SourceError(message)
    return infos


def _describe_image(job: Job, path: str, count_chunked: CountChunked) -> ImageInfo:
    """Return what one image is, its colours counted."""
    if is_zarr_store(path):
        header, n_colors = count_chunked(path)
        n_pages, levels = list_any_pages(path, page=job.run.page)
        return replace(_make_info(path, header, n_colors), n_pages=n_pages, levels=levels)
    source, _ = read_source(path)
    header = read_header(source, page=job.run.page)
    if header.n_pixels > SMALL_PIXELS and isinstance(source, str):
        header, n_colors = count_chunked(path)
    else:
        pixels = read_image(source, page=job.run.page, alpha=job.reads)
        n_colors = len(ColorHistogram.from_pixels(pixels))
    n_pages, levels = list_any_pages(source, page=job.run.page)
    info = _make_info(path, header, n_colors, n_frames=count_frames(source))
    return replace(info, n_pages=n_pages, levels=levels)


def _describe_broken(job: Job, path: str, error: DaskQuantError) -> ImageInfo:
    """Return what is known of an image that cannot be read."""
    try:
        header = read_header(path, page=job.run.page)
    except DaskQuantError:
        shown = hide_secrets(path)
        return ImageInfo(shown, "", "", 0, 0, 0, None, count_file_bytes(path), str(error))
    return _make_info(path, header, None, str(error))


def _make_info(
    path: str,
    header: ImageHeader,
    n_colors: int | None,
    error: str | None = None,
    *,
    n_frames: int = 1,
) -> ImageInfo:
    """Return what a header says, with the colours counted or the reason why they are not."""
    return ImageInfo(
        path=hide_secrets(path),
        format=header.format,
        mode=header.mode,
        width=header.width,
        height=header.height,
        bands=header.bands,
        n_unique_colors=n_colors,
        input_bytes=header.input_bytes,
        error=error,
        n_frames=n_frames,
        profile=header.profile,
    )
