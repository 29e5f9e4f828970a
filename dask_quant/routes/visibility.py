"""Whether the workers of a cluster see the files of a job, which is asked before it begins.

A worker with a disk of its own finds no images, or worse, writes its part of an output where nobody
looks for it.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dask_quant.errors import ClusterError
from dask_quant.sinks.atomic import report_os_errors
from dask_quant.sources.addresses import is_url
from dask_quant.sources.header import show_path
from dask_quant.sources.held import find_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dask_quant.execute import Executor

_MARK = ".dask-quant-seen-"
"""Beginning of the name of the file that workers are asked for, and which is then removed."""


class _Sight(NamedTuple):
    """What this process sees of a file or folder."""

    path: str
    """Absolute."""
    n_bytes: int | None
    """Bytes of a file; None: a folder."""


def check_inputs(executor: Executor, *sources: Any) -> None:
    """Raise `ClusterError` unless workers see files and folders as this process does. **Eager**.

    Arrays and addresses are passed over, and what is not there: what reads that tells of it.
    """
    paths = [each for each in sources if isinstance(each, (str, Path)) and not is_url(each)]
    files = [find_file(str(path)) for path in paths]
    _ask(executor, [_look(file) for file in files if os.path.exists(file)], "which is to be read")


def check_output(executor: Executor, out: Path) -> None:
    """Raise `ClusterError` unless workers see what is written where ``out`` is to be. **Eager**.

    An empty file is put beside it for a moment, and asked for.
    """
    if executor.client is None:
        return
    folder = next(each for each in out.absolute().parents if each.is_dir())
    with ExitStack() as stack:
        with report_os_errors(folder):
            mark = stack.enter_context(tempfile.NamedTemporaryFile(prefix=_MARK, dir=folder))
        _ask(executor, [_Sight(mark.name, 0)], "which was just written")


def check_folder(executor: Executor, folder: str) -> None:
    """Raise `ClusterError` unless workers see a folder that was just made. **Eager**."""
    _ask(executor, [_Sight(os.path.abspath(folder), None)], "which was just made")


def _look(path: str) -> _Sight:
    """Return what this process sees of a path that is there."""
    return _Sight(os.path.abspath(path), None if os.path.isdir(path) else os.path.getsize(path))


def _ask(executor: Executor, sights: list[_Sight], what: str) -> None:
    """Raise `ClusterError` for the first worker that does not see something."""
    found = executor.ask_hosts(partial(find_unseen, sights))
    for worker, unseen in sorted(found.items()):
        if unseen is not None:
            message = (
                f"The worker {worker} does not see {show_path(unseen)}, {what}; use a path that "
                "all workers share, or the address of an object store such as s3://bucket/."
            )
            raise ClusterError(message)


def find_unseen(sights: Iterable[_Sight]) -> str | None:
    """Return the first path that is not here what it is elsewhere, None where all are."""
    for path, n_bytes in sights:
        is_seen = os.path.isdir(path) if n_bytes is None else os.path.isfile(path)
        if not is_seen or (n_bytes is not None and os.path.getsize(path) != n_bytes):
            return path
    return None
