"""Going on with a job on one image: its state beside OUT, what is done, what has changed.

Without ``--resume`` there is no state, and what an earlier run left of one is removed.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OptionError, OutputExistsError, SourceError
from dask_quant.events import Notice
from dask_quant.flow import retell_outcome
from dask_quant.kept_outcome import OUTCOME_NAME, TALLY_NAME, find_outcome, find_tally
from dask_quant.process import peak_rss_bytes
from dask_quant.routes.common import count_file_bytes, is_array, report_one
from dask_quant.routes.job_identity import describe_job
from dask_quant.sinks.atomic import check_parent, exists_message
from dask_quant.sinks.state_folder import holds_state, open_state
from dask_quant.sources.addresses import is_url
from dask_quant.sources.discover import STDIN, is_zarr_store
from dask_quant.sources.header import show_path
from dask_quant.sources.held import parse_held
from dask_quant.sources.image_file import find_remote
from dask_quant.sources.reading import read_any_header
from dask_quant.workplace import PLACED_NAME, is_placed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.flow import ImageOutcome
    from dask_quant.results import Report
    from dask_quant.routes.common import Job
    from dask_quant.sinks.state_folder import StateFolder

STATE_SUFFIX = ".dask-quant"
"""What the name of the state of an output ends in."""

_DONE_NAME = "done.json"
"""There once the job is done: had OUT been removed since, it would be made anew."""

_MAX_NAME_BYTES = 200
"""Bytes of an output's name that go into that of its state; longer ones are cut (arbitrary)."""

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
"""Files that describe a Zarr store."""


def state_path(out: Path) -> Path:
    """Return the folder of the state of a job that writes the one output ``out``.

    Examples
    --------
    >>> state_path(Path("scans/a.png")).as_posix()
    'scans/.a.png.dask-quant'
    """
    name = os.fsencode(out.name)
    if len(name) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:16].encode()
        name = os.fsencode(os.fsdecode(name[: _MAX_NAME_BYTES - 17])) + b"-" + digest
    return out.with_name(f".{os.fsdecode(name)}{STATE_SUFFIX}")


@contextmanager
def keep_state(job: Job, source: Any, out: Path) -> Iterator[StateFolder | None]:
    """Give the state of a job on one image, which other runs are kept away from; or None.

    A run that is not to be gone on with has none, and removes what an earlier one left.

    Raises
    ------
    OptionError
        When the job cannot be gone on with.
    JobError
        When another run is at it, or the earlier one had other options or another source.
    OutputExistsError
        When an output exists that the job did not write.
    """
    path, shown = state_path(out), str(out)
    if not job.run.resume:
        if holds_state(path):
            with open_state(path, {}, shown=shown, resume=False) as state:
                state.remove()
        yield None
        return
    check_resumable(job, source)
    identity = describe_job(job) | describe_source(str(source))
    is_gone = (path / _DONE_NAME).exists() and not os.path.lexists(out)
    with open_state(path, identity, shown=shown, resume=True, overwrite=is_gone) as state:
        try:
            if state.notice is not None:
                job.listener(Notice(state.notice))
            _check_outputs(job, state, out)
            yield state
        except BaseException:
            if state.is_bare():
                state.remove()
            raise


def check_resumable(job: Job, source: Any) -> None:
    """Raise `OptionError` where a job on one image cannot be gone on with."""
    for given, name, way_out in (
        (is_array(source), "an array", "save it to a file or a Zarr store first"),
        (isinstance(source, str) and source == STDIN, "standard input", "save it to a file first"),
        (job.saved.out is not None, "save_histogram", "leave one of them out"),
    ):
        if given and job.run.resume:
            message = f"Got resume with {name}, which it does not go with; {way_out}."
            raise OptionError(message)


def describe_source(path: str) -> dict[str, Any]:
    """Return what tells whether a source is the one that a job was started with. **Eager**.

    Raises
    ------
    SourceError
        When it is gone.
    """
    held = parse_held(path)
    if held is not None:
        return describe_source(held.file) | {"source image": f"{held.name} at {held.start}"}
    if is_url(path):
        return {"source": show_path(path), **_describe_remote(path)}
    try:
        found = os.stat(path)
        told = {"source": os.path.basename(os.path.abspath(path))}
        if is_zarr_store(path):
            return told | {"source metadata": _digest_metadata(Path(path))}
    except OSError as error:
        message = f"Cannot read {show_path(path)}: {error.strerror}."
        raise SourceError(message) from error
    return told | {"source bytes": found.st_size, "source time": _show_time(found.st_mtime_ns)}


def _describe_remote(path: str) -> dict[str, Any]:
    """Return what tells a source far away from others, its address in a digest for its secrets."""
    told = {"source address": hashlib.sha256(path.encode()).hexdigest()}
    if is_zarr_store(path):
        return told
    remote = find_remote(path)
    return told | {"source bytes": remote.n_bytes, "source version": remote.version}


def _digest_metadata(store: Path) -> str:
    """Return a digest of what describes a store and its arrays, and of when that was written."""
    folders = [store, *sorted(each for each in store.iterdir() if each.is_dir())]
    found = hashlib.sha256()
    for file in (folder / name for folder in folders for name in _METADATA):
        if file.is_file():
            told = (file.relative_to(store).as_posix(), file.stat().st_mtime_ns)
            found.update(repr(told).encode() + file.read_bytes())
    return found.hexdigest()


def _show_time(nanoseconds: int) -> str:
    """Return a time in whole nanoseconds, for people."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09d} UTC"


def _list_outputs(job: Job, out: Path) -> dict[str, Path]:
    """Return the outputs of a job by their parts in it."""
    return {"out": out} | ({} if job.outline is None else {"outline": job.outline})


def _check_outputs(job: Job, state: StateFolder, out: Path) -> None:
    """Raise unless each output can be written, or was."""
    for part, path in _list_outputs(job, out).items():
        if not os.path.lexists(path):
            check_parent(path)
        elif not is_placed(state, part, path):
            raise OutputExistsError(exists_message(path))


def find_final(job: Job, state: StateFolder, out: Path) -> ImageOutcome | None:
    """Return the figures of the output that was written, None where it was not. **Eager**."""
    outcome = find_outcome(state)
    if outcome is None or not is_placed(state, "out", out):
        return None
    tally = find_tally(state)
    if tally is not None:
        outcome = retell_outcome(outcome, tally, job.fit.space)
    return replace(outcome, output_bytes=_measure(out))


def report_done(
    job: Job, state: StateFolder | None, source: Any, out: Path, n_ignored: int
) -> Report | None:
    """Return the report of a job of which all is done already, None where it is not. **Eager**."""
    outcome = None if state is None else find_final(job, state, out)
    if state is None or outcome is None:
        return None
    outputs = _list_outputs(job, out)
    if not all(is_placed(state, part, path) for part, path in outputs.items()):
        return None
    outcome = replace(outcome, output_bytes=sum(_measure(path) for path in outputs.values()))
    finish_state(state)
    n_bytes = read_any_header(source).input_bytes if is_zarr_store(source) else None
    n_bytes = count_file_bytes(str(source)) if n_bytes is None else n_bytes
    report = report_one(job, outcome, out, n_ignored, n_bytes, peak_rss_bytes())
    return replace(report, n_skipped=1)


def finish_state(state: StateFolder | None) -> None:
    """Leave of a state what tells the next run that all is done. **Eager**."""
    if state is not None and state.read_json(_DONE_NAME) is None:
        state.write_json(_DONE_NAME, True)
        state.tidy(OUTCOME_NAME, TALLY_NAME, PLACED_NAME, _DONE_NAME)


def _measure(path: Path) -> int:
    """Return the bytes of a file, or of all files of a store."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
