"""Outputs that appear under their final name only when they are whole, and only below OUT.

Everything is written under a temporary name beside the final one, ``.{name}.{unique}.partial``,
synced to disk, and renamed. A process that is killed leaves at most such a ``.partial`` behind.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from dask_quant.errors import DaskQuantError, OutputError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path, PurePosixPath

_MAX_NAME_BYTES = 255
"""Longest file name of the usual file systems, in bytes."""

_NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}
)
"""What ``link`` answers on file systems without hard links: FAT, some FUSE and network mounts."""

_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EACCES})
"""What opening or syncing a folder answers where that is not supported or not allowed."""


_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})
"""What renaming a folder answers when its new name is taken."""


@contextmanager
def report_os_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into an `OutputError` of one line that names ``path``.

    Raises
    ------
    OutputError
        Instead of an `OSError` that is not one of ours already.
    """
    try:
        yield
    except DaskQuantError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"Cannot write {str(path)!r}: {reason}."
        raise OutputError(message) from error


def partial_path(path: Path) -> Path:
    """Return a new temporary name beside ``path``: hidden, unique, and never too long.

    Examples
    --------
    >>> from pathlib import Path
    >>> partial_path(Path("out/cat.png")).match(".cat.png.*.partial")
    True
    """
    ending = f".{secrets.token_hex(6)}.partial"
    name = path.name
    while len(os.fsencode(name)) + len(ending) + 1 > _MAX_NAME_BYTES:
        name = name[:-1]
    return path.with_name(f".{name}{ending}")


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Make a folder under a temporary name beside ``path``, which is gone after the block.

    Raises
    ------
    OutputError
        When it cannot be made.
    """
    folder = partial_path(path)
    try:
        with report_os_errors(path):
            folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise unless a file can be written to ``path``, whose folders need not exist yet.

    **Eager**; called before work that takes long, and again by every writer.

    Parameters
    ----------
    path : Path
        Where the file shall be. A symlink there stands for itself, not for its target.
    overwrite : bool
        Whether a file that exists may be replaced.

    Raises
    ------
    OutputExistsError
        When the path exists and ``overwrite`` is false.
    OutputError
        When a folder or a device is in the way, or the parent folder cannot be made or written.
    """
    with report_os_errors(path):
        check_parent(path)
        mode = os.lstat(path).st_mode if os.path.lexists(path) else None
    if mode is None:
        return
    if stat.S_ISDIR(mode):
        message = f"Cannot write {str(path)!r}: it is a folder; give the name of a file."
        raise OutputError(message)
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        message = f"Cannot write {str(path)!r}: it is a device or a pipe; give the name of a file."
        raise OutputError(message)
    if not overwrite:
        raise OutputExistsError(exists_message(path))


def check_parent(path: Path) -> None:
    """Raise `OutputError` unless ``path``, and the folders that it lacks, can be made."""
    # lstat also finds a name that is too long, which lexists would take for a free one.
    with report_os_errors(path), suppress(FileNotFoundError):
        os.lstat(path)
    folder = next(folder for folder in path.parents if os.path.lexists(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        message = f"Cannot write {str(path)!r}: the folder {str(folder)!r} is read-only."
        raise OutputError(message)


def exists_message(path: Path) -> str:
    """Return the message for an output that exists."""
    return f"{str(path)!r} exists; use --overwrite to replace it, or choose another name."


def write_file_atomically(path: Path, chunks: Iterable[bytes], *, overwrite: bool) -> int:
    """Write a file that appears under its name only when it is whole and on disk.

    **Eager.** The temporary file is removed when anything fails, also when ``chunks`` raises;
    what ``chunks`` raises is passed on as it is.

    Parameters
    ----------
    path : Path
        The final name. Missing parent folders are created. A symlink there is replaced itself.
    chunks : iterable of bytes
        The file's bytes in order, written as they come.
    overwrite : bool
        Whether a file that exists may be replaced. Without it, one that appears while the chunks
        are written is not touched either.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    OutputExistsError
        When the file exists, or came to exist meanwhile, and ``overwrite`` is false.
    OutputError
        When the file cannot be written: no space, no permission, a name that is too long, ...

    Notes
    -----
    Peak memory: one chunk.
    """
    check_output(path, overwrite=overwrite)
    with report_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(path)
    try:
        n_bytes = _write_synced(temporary, chunks, final=path)
        put_in_place(temporary, path, overwrite=overwrite)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return n_bytes


def put_in_place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Give a file that is whole and on disk its final name, on the same file system.

    **Eager.**

    Raises
    ------
    OutputExistsError
        When ``path`` exists and ``overwrite`` is false.
    OutputError
        When the system refuses.
    """
    with report_os_errors(path):
        if overwrite:
            os.replace(temporary, path)
        else:
            _rename_to_free_name(temporary, path)
        sync_folder(path.parent)


def _write_synced(temporary: Path, chunks: Iterable[bytes], *, final: Path) -> int:
    """Write and sync a new file, with the permissions that the umask leaves; return its bytes."""
    with report_os_errors(final):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    n_bytes = 0
    try:
        for chunk in chunks:
            with report_os_errors(final):
                _write_all(descriptor, chunk)
            n_bytes += len(chunk)
        with report_os_errors(final):
            os.fsync(descriptor)
    finally:
        with report_os_errors(final):
            os.close(descriptor)
    return n_bytes


def _write_all(descriptor: int, chunk: bytes) -> None:
    """Write every byte; the system may take fewer at a time."""
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]


def _rename_to_free_name(temporary: Path, path: Path) -> None:
    """Rename ``temporary``, or raise `OutputExistsError` when ``path`` has come to exist."""
    try:
        # A link fails where a rename would silently replace.
        os.link(temporary, path)
    except FileExistsError:
        raise OutputExistsError(exists_message(path)) from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(path):
            raise OutputExistsError(exists_message(path)) from None
        os.rename(temporary, path)  # leaves a moment for a race, where there are no hard links
    else:
        temporary.unlink()


def rename_folder(temporary: Path, final: Path) -> None:
    """Rename a folder, or raise `OutputExistsError` when ``final`` has come to hold something."""
    try:
        os.rename(temporary, final)
    except OSError as error:
        if error.errno in _TAKEN:
            raise OutputExistsError(exists_message(final)) from None
        raise


def sync_file(path: Path) -> None:
    """Force a file's bytes to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk, on file systems that can."""
    try:
        sync_file(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def resolve_below(root: Path, relative: PurePosixPath) -> Path:
    """Return ``root / relative``, having made sure that writing there stays below ``root``.

    Parameters
    ----------
    root : Path
        The output folder; need not exist yet.
    relative : PurePosixPath
        Path of one output below it. Its last name is not followed when it is a symlink, since
        writers replace a symlink itself.

    Raises
    ------
    OutputError
        When ``relative`` is absolute or empty, has ``..`` in it, or passes a symlink that leads
        out of ``root``.

    Examples
    --------
    >>> from pathlib import Path, PurePosixPath
    >>> resolve_below(Path("out"), PurePosixPath("a/b.png")).as_posix()
    'out/a/b.png'
    """
    (target,) = resolve_all_below(root, [relative])
    return target


def resolve_all_below(root: Path, relatives: Sequence[PurePosixPath]) -> list[Path]:
    """Return `resolve_below` of each of ``relatives``; every folder is looked at once."""
    checked: set[Path] = set()
    targets = []
    for relative in relatives:
        if relative.is_absolute() or not relative.parts or ".." in relative.parts:
            message = f"Got the output name {str(relative)!r}; it must lie below {str(root)!r}."
            raise OutputError(message)
        target = root / relative
        if target.parent not in checked:
            _check_inside(root, target)
            checked.add(target.parent)
        targets.append(target)
    return targets


def _check_inside(root: Path, target: Path) -> None:
    """Raise `OutputError` when the folder of ``target`` is not really below ``root``."""
    try:
        inside = target.parent.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of symlinks, a NUL in a name
        message = f"Cannot resolve the output {str(target)!r}: {error}."
        raise OutputError(message) from error
    if not inside:
        message = f"Cannot write {str(target)!r}: a symlink leads out of {str(root)!r}; remove it."
        raise OutputError(message)
