"""The hidden folder in which a job keeps how far it is, so that the next run can go on.

One run at a time holds its lock, which the system takes away from a process that ends, however it
ends. ``job.json`` says what the job is; it is written last of what starting does, and without it
there is nothing to go on with.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import localtime, strftime
from typing import TYPE_CHECKING, Any

from dask_quant import __version__
from dask_quant.errors import JobError, OutputError
from dask_quant.sinks.atomic import (
    check_parent,
    report_os_errors,
    sync_folder,
    write_file_atomically,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

STATE_NAME = ".dask-quant"
"""Folder of an output folder that holds the state of its job."""

MANIFEST_NAME = "manifest.jsonl"
"""File of an output folder that says what became of every image."""

LOCK_NAME = "lock"
"""File that is locked, which names who did it."""

JOB_NAME = "job.json"
"""File that says what the job is."""

_VERSION = 1
"""Version of that file."""

_PACKAGES = ("numpy", "numba", "pillow")
"""Packages whose versions bytes may depend on."""

_PARTIAL_SUFFIX = ".partial"
"""How files are named until they are whole; a run that is killed leaves some."""

_NO_LOCKS = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK})
"""What locking answers on file systems without locks: some network mounts."""

_MAX_SHOWN = 40
"""Characters of an option's value in a message (arbitrary)."""


@dataclass(frozen=True)
class StateFolder:
    """What a run has of the state of its job."""

    path: Path
    """The folder."""
    is_resumed: bool
    """Whether it holds what an earlier run of the same job left."""
    notice: str | None = None
    """A line for the user where the earlier run had other software; None otherwise."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what it is made of in another process, which may have another working folder."""
        return StateFolder, (self.path.absolute(), self.is_resumed, self.notice)

    def write_json(self, name: str, value: Any) -> None:
        """Keep a JSON-ready value, whole and on disk, or raise `OutputError`. **Eager**."""
        chunks = [json.dumps(value, indent=1).encode(), b"\n"]
        write_file_atomically(self.path / name, chunks, overwrite=True)

    def read_json(self, name: str) -> Any:
        """Return the value of a name, None where there is none or it is torn. **Eager**."""
        return parse_json(_read(self.path / name))

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep bytes, whole and on disk, or raise `OutputError`. **Eager**."""
        write_file_atomically(self.path / name, chunks, overwrite=True)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, None where there are none. **Eager**."""
        path = self.path / name
        return path.read_bytes() if _is_plain_file(path) else None

    def list_names(self) -> list[str]:
        """Return all names. **Eager**."""
        with report_os_errors(self.path):
            return os.listdir(self.path)

    def make_folder(self, name: str) -> Path:
        """Return the absolute path of a folder below this one, made unless it is there. **Eager**.

        What killed writers left in it is removed.
        """
        folder = self.path.absolute() / name
        with report_os_errors(folder):
            if folder.is_symlink() or folder.is_file():
                folder.unlink()
            folder.mkdir(exist_ok=True)
            _clear(folder, only_torn=True)
        return folder

    def discard(self, *names: str) -> None:
        """Remove files and folders in the folder, those that are there. **Eager**."""
        with report_os_errors(self.path):
            for name in names:
                _remove(self.path / name)

    def is_bare(self) -> bool:
        """Return whether there is nothing in the folder but what the job is. **Eager**."""
        return {each.name for each in self.path.iterdir()} <= {LOCK_NAME, JOB_NAME}

    def tidy(self, *keep: str) -> None:
        """Remove all but what the job is, and the files ``keep``. **Eager**."""
        with os.scandir(self.path) as entries:
            names = [each.name for each in entries]
        self.discard(*(name for name in names if name not in (LOCK_NAME, JOB_NAME, *keep)))

    def remove(self) -> None:
        """Remove the folder with all that is in it, the lock last. **Eager**."""
        with report_os_errors(self.path):
            _clear(self.path)
            (self.path / LOCK_NAME).unlink(missing_ok=True)
            self.path.rmdir()


@contextmanager
def open_state(
    path: Path,
    identity: Mapping[str, Any],
    *,
    shown: str,
    resume: bool,
    overwrite: bool = False,
    start: Callable[[], object] | None = None,
) -> Iterator[StateFolder]:
    """Make or find the state folder of a job, and keep other runs away during the block.

    **Eager.**

    Parameters
    ----------
    path : Path
        The folder; those above it are made if need be.
    identity : mapping
        What makes the job this one: names to JSON-ready values.
    shown : str
        The output as the user named it, for messages.
    resume : bool
        Whether to go on with what an earlier run left, where it left anything.
    overwrite : bool, default False
        Whether to start afresh in any case.
    start : callable, optional
        Called before a job is started afresh, when no other run can be at it: it looks whether
        that may be, and removes what else is left of an earlier one.

    Raises
    ------
    JobError
        When another run holds the folder, or the one to go on with is of another job.
    OutputError
        When the folder cannot be made or written, or is something else.
    """
    descriptor = _lock_folder(path, shown)
    try:
        data = _read(path / JOB_NAME) if resume and not overwrite else None
        earlier = parse_job(data, shown)
        if earlier is None:
            if start is not None:
                start()
            with report_os_errors(path):
                _clear(path)
            state = StateFolder(path, is_resumed=False)
            state.write_json(JOB_NAME, describe_job(identity))
        else:
            check_identity(earlier["identity"], identity, shown)
            with report_os_errors(path):
                _clear(path, only_torn=True)
            notice = compare_software(earlier.get("software"), shown)
            state = StateFolder(path, is_resumed=True, notice=notice)
        yield state
    finally:
        os.close(descriptor)


def describe_job(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the file says that says what a job is."""
    return {"version": _VERSION, "identity": dict(identity), "software": _list_software()}


def holds_state(path: Path) -> bool:
    """Return whether ``path`` is a folder that bears our marker. **Eager**."""
    with suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return any(_is_plain_file(path / name) for name in (LOCK_NAME, JOB_NAME))
    return False


def explain_taken(shown: str, *, is_ours: bool, resume: bool) -> str:
    """Return the message for an output folder that is not empty."""
    way_out = "use --overwrite to write into it"
    if resume:
        way_out = f"it holds no job to go on with; {way_out}"
    elif is_ours:
        way_out += ", or --resume to go on with the job that it holds"
    return f"{shown!r} exists and is not empty; {way_out}."


def _lock_folder(path: Path, shown: str) -> int:
    """Return the open and locked lock file of a folder, which is made if need be."""
    while True:
        _make_folder(path)
        with suppress(FileNotFoundError):  # another run has just removed the folder
            descriptor = _open_lock(path / LOCK_NAME)
            try:
                _lock(descriptor, path, shown)
                if _is_same(descriptor, path / LOCK_NAME):
                    _sign(descriptor, path)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def _make_folder(path: Path) -> None:
    """Make a folder unless it is there; raise `OutputError` when something else is."""
    check_parent(path)
    with report_os_errors(path):
        try:
            path.mkdir(parents=True)
            sync_folder(path.parent)
        except FileExistsError:
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
            if not is_folder or not (holds_state(path) or not any(path.iterdir())):
                raise OutputError(_foreign_message(path)) from None


def _foreign_message(path: Path) -> str:
    """Return the message for a place that something else has taken."""
    return (
        f"{str(path)!r} is where the state of the job is kept, and holds something else; "
        "move it away, or choose another output."
    )


def _open_lock(path: Path) -> int:
    """Open, or make, a lock file; a symlink is not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OutputError(_foreign_message(path.parent)) from None
        message = f"Cannot write {str(path)!r}: {error.strerror}."
        raise OutputError(message) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OutputError(_foreign_message(path.parent))
    return descriptor


def _lock(descriptor: int, path: Path, shown: str) -> None:
    """Lock an open file, or raise `JobError` when another run has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JobError(_locked_message(os.pread(descriptor, 4096, 0), shown)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            message = f"Cannot lock {str(path)!r}: {error.strerror}."
            raise OutputError(message) from error


def _locked_message(content: bytes, shown: str) -> str:
    """Return the message for a job that another run is at, from what that has signed."""
    try:
        owner = json.loads(content)
        who = f"process {owner['pid']} on {owner['host']} since {owner['started']}"
    except (ValueError, TypeError, KeyError):
        who = "another process"
    return f"{shown!r} is being written by {who}; wait for it, or stop it first."


def _is_same(descriptor: int, path: Path) -> bool:
    """Return whether an open file still has its name; the run before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _sign(descriptor: int, path: Path) -> None:
    """Write into the lock who holds it."""
    started = strftime("%Y-%m-%d %H:%M:%S", localtime())
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    with report_os_errors(path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)


def _clear(path: Path, *, only_torn: bool = False) -> None:
    """Remove what is in a folder but the lock, what the job is first; or torn files alone."""
    if not only_torn:
        (path / JOB_NAME).unlink(missing_ok=True)
    with os.scandir(path) as entries:
        names = [entry.name for entry in entries if entry.name != LOCK_NAME]
    for name in names:
        if not only_torn or name.endswith(_PARTIAL_SUFFIX):
            _remove(path / name)


def _remove(path: Path) -> None:
    """Remove a file, a symlink itself, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def parse_job(data: bytes | None, shown: str) -> dict[str, Any] | None:
    """Return what ``job.json`` says; None where it is missing, or torn.

    Raises
    ------
    JobError
        When another version of this package wrote it.
    """
    job = parse_json(data)
    if not isinstance(job, dict):
        return None
    if job.get("version", _VERSION) != _VERSION:
        message = (
            f"The job in {shown!r} is of another version of dask_quant; go on with that one, or "
            "start afresh with --overwrite."
        )
        raise JobError(message)
    return job if isinstance(job.get("identity"), dict) else None


def parse_json(data: bytes | None) -> Any:
    """Return the value that JSON stands for; None where there is none, or it is torn."""
    try:
        return None if data is None else json.loads(data)
    except (ValueError, RecursionError):
        return None


def _read(path: Path) -> bytes | None:
    """Return what a file holds, None where there is none; a symlink is not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            return file.read()
    except OSError:
        return None


def _is_plain_file(path: Path) -> bool:
    """Return whether a path is a file, and no symlink to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def check_identity(earlier: Mapping[str, Any], identity: Mapping[str, Any], shown: str) -> None:
    """Raise `JobError` unless two jobs are the same."""
    now = json.loads(json.dumps(dict(identity)))
    names = [name for name in {**now, **earlier} if now.get(name) != earlier.get(name)]
    if names:
        got = " and ".join(f"{name} {_show(now.get(name))}" for name in names)
        was = " and ".join(_show(earlier.get(name)) for name in names)
        message = (
            f"Got {got} where the job in {shown!r} was started with {was}; give the same options, "
            "or --overwrite to start afresh."
        )
        raise JobError(message)


def _show(value: Any) -> str:
    """Return the value of an option in a few characters."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _list_software() -> dict[str, str]:
    """Return the versions of what bytes may depend on."""
    found = {"dask_quant": __version__}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def compare_software(earlier: Any, shown: str) -> str | None:
    """Return a line that says which versions are others than those of the earlier run."""
    before = earlier if isinstance(earlier, dict) else {}
    others = [
        f"{name} {before.get(name, 'of an unknown version')} is now {number}"
        for name, number in _list_software().items()
        if before.get(name) != number
    ]
    if not others:
        return None
    return (
        f"The job in {shown!r} was started with other software ({', '.join(others)}); what is "
        "written now may differ in bytes from what one run would have written."
    )
