"""Dask's own report of how a cluster was kept busy: which task ran where and when, and profiles."""

from __future__ import annotations

import html
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.errors import OptionError
from dask_quant.events import Notice
from dask_quant.sinks.atomic import check_output, write_file_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from dask_quant.events import Listener


@contextmanager
def reporting_performance(
    client: Client | None, path: Path | None, call: str, listener: Listener, *, overwrite: bool
) -> Iterator[None]:
    """Write Dask's performance report of what runs in the block, where one is asked for.

    It is written of a block that fails as well. Where the scheduler can make none, the listener
    hears so in a `Notice`: what was computed is there all the same.

    Parameters
    ----------
    client : Client or None
        The client of the cluster.
    path : Path or None
        The ``.html`` file to write; None: there is none to write.
    call : str
        What is shown as the code that ran, without secrets.
    listener : callable
        Told where there is no report.
    overwrite : bool
        Whether a file that exists may be replaced.

    Raises
    ------
    OptionError
        When there is no cluster.
    OutputError
        When the file cannot be written, or exists and may not be replaced.
    """
    if path is None:
        yield
        return
    if client is None:
        message = (
            f"Got {path.name!r} for --performance-report without a cluster; it needs --workers N, "
            "--adapt MIN:MAX, --scheduler ADDRESS or an active Client."
        )
        raise OptionError(message)
    check_output(path, overwrite=overwrite)
    from distributed import performance_report

    with tempfile.TemporaryDirectory(prefix="dask-quant-") as folder:
        made = Path(folder) / "report.html"
        report = performance_report(filename=str(made), mode="inline")  # read without a network
        client.sync(report.__aenter__)
        try:
            yield
        finally:
            _finish(client, report, call, listener)
            if made.exists():
                write_file_atomically(path, [made.read_bytes()], overwrite=overwrite)


def _finish(client: Client, report: object, call: str, listener: Listener) -> None:
    """Have Dask make the report, in its own way but for the code, which it would take from here."""
    leave = report.__aexit__  # type: ignore[attr-defined]  # distributed is not annotated
    try:
        client.sync(leave, None, None, None, code=html.escape(call))  # Dask writes it as markup
    except Exception as error:  # the scheduler is gone, or has no bokeh
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        listener(Notice(f"There is no performance report, for the scheduler made none ({reason})."))
