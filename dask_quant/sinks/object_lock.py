"""One run at a time below a folder of an object store, which knows no locks.

An object says who writes there, and how lately. A run that was killed leaves it behind: it is taken
over when its process is gone, which can be seen on the same machine alone, or when it has not been
refreshed for `STALE_S` seconds. Whoever takes it over waits and looks again, so that of two that do
so at once one gives way; a run that finds another's in its place says so before it writes on.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from dask_quant.errors import DaskQuantError, JobError

if TYPE_CHECKING:
    from collections.abc import Iterator

BEAT_S = 20.0
"""Seconds between two refreshments of a lock (arbitrary)."""

STALE_S = 300.0
"""Seconds without one after which a lock may be taken over (arbitrary): clocks of machines differ,
and stores have bad minutes."""

_SETTLE_S = 2.0
"""Seconds that whoever takes a lock over waits for others that do (arbitrary): some round trips."""

_WAIT_S = 5.0
"""Seconds that the end of a run waits for a refreshment that is under way (arbitrary)."""

_held: set[str] = set()
"""Tokens of the locks that this process holds."""


class _Store(Protocol):
    """Where a lock is kept."""

    def create(self, relative: str, data: bytes) -> bool:
        """Put an object unless there is one."""

    def write(self, relative: str, data: bytes) -> None:
        """Put an object."""

    def read(self, relative: str) -> bytes | None:
        """Return what an object holds."""

    def remove(self, relative: str) -> None:
        """Remove an object."""


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock."""

    pid: int
    """Number of the process."""
    host: str
    """Name of its machine."""
    started: float
    """When it took the lock, in seconds since 1970."""
    beat: float
    """When it last said that it is there, in seconds since 1970."""
    token: str
    """What tells it from all others."""

    @classmethod
    def here(cls) -> _Holder:
        """Return a new one of this process."""
        now = time.time()
        return cls(os.getpid(), socket.gethostname(), now, now, secrets.token_hex(8))

    def dump(self) -> bytes:
        """Return it as it is stored."""
        return json.dumps(asdict(self)).encode()

    def is_gone(self) -> bool:
        """Return whether its run has ended, as far as can be seen from here."""
        if time.time() - self.beat > STALE_S:
            return True
        if self.host != socket.gethostname():
            return False
        if self.pid == os.getpid():  # in containers, numbers are the same from run to run
            return self.token not in _held
        return not _is_alive(self.pid)

    def describe(self) -> str:
        """Return who it is, for messages."""
        began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.started))
        return f"process {self.pid} on {self.host}, since {began}"


@dataclass
class ObjectLock:
    """A lock that this process holds, until another takes it."""

    store: _Store = field(repr=False)
    """Where it is kept."""
    path: str
    """Its path there."""
    shown: str
    """What messages call what is locked."""
    holder: _Holder
    """Who holds it: this process."""
    _is_lost: bool = False
    """Whether it is another's now."""

    def check(self) -> None:
        """Raise `JobError` when another run has taken the lock."""
        if self._is_lost:
            message = (
                f"Cannot write on to {self.shown}: another run has taken it over, or the lock "
                f"{self.path} was removed; let one run alone finish it."
            )
            raise JobError(message)

    def refresh(self) -> None:
        """Say that this run is there, or see that the lock is lost; a store that fails is let be.

        The next refreshment tries again, and before `STALE_S` seconds nobody takes it over.
        """
        self.holder = replace(self.holder, beat=time.time())
        with suppress(DaskQuantError):
            if self._is_ours():
                self.store.write(self.path, self.holder.dump())
            else:
                self._is_lost = True

    def release(self) -> None:
        """Remove the lock, if it is still this run's; one that cannot be removed gets stale."""
        with suppress(DaskQuantError):
            if self._is_ours():
                self.store.remove(self.path)

    def _is_ours(self) -> bool:
        """Return whether the lock is this run's."""
        found = _read_holder(self.store, self.path)
        return found is not None and found.token == self.holder.token


@contextmanager
def hold_lock(store: _Store, path: str, shown: str) -> Iterator[ObjectLock]:
    """Hold a lock for as long as the block runs, and refresh it meanwhile.

    Parameters
    ----------
    store : object with ``create``, ``write``, ``read`` and ``remove``
        Where the lock is kept.
    path : str
        Its path there.
    shown : str
        What messages call what is locked.

    Raises
    ------
    JobError
        When another run holds it.
    """
    lock = _take(store, path, shown)
    _held.add(lock.holder.token)
    is_over = threading.Event()
    thread = threading.Thread(target=_keep_fresh, args=(lock, is_over), daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        is_over.set()
        thread.join(_WAIT_S)
        lock.release()
        _held.discard(lock.holder.token)


def _keep_fresh(lock: ObjectLock, is_over: threading.Event) -> None:
    """Refresh a lock from time to time."""
    while not is_over.wait(BEAT_S):
        lock.refresh()


def _take(store: _Store, path: str, shown: str) -> ObjectLock:
    """Take a lock that is free, or that a run which is gone has left."""
    holder = _Holder.here()
    lock = ObjectLock(store, path, shown, holder)
    if store.create(path, holder.dump()):
        return lock
    other = _read_holder(store, path)
    if other is not None and not other.is_gone():
        raise JobError(_refusal(lock, other))
    store.write(path, holder.dump())
    time.sleep(_SETTLE_S)
    winner = _read_holder(store, path)
    if winner is None or winner.token != holder.token:
        raise JobError(_refusal(lock, winner))
    return lock


def _refusal(lock: ObjectLock, other: _Holder | None) -> str:
    """Return the message for an output that another run writes to."""
    who = "another run" if other is None else f"another run, {other.describe()},"
    return (
        f"Cannot write to {lock.shown}: {who} writes there; wait until it is done. Where it is "
        f"gone, that is seen {STALE_S:g} s after it last said that it is there; or remove "
        f"{lock.path}."
    )


def _read_holder(store: _Store, path: str) -> _Holder | None:
    """Return who holds a lock; None where there is none."""
    data = store.read(path)
    if data is None:
        return None
    try:
        return _Holder(**json.loads(data))
    except (TypeError, ValueError):
        message = f"Cannot use the lock {path}: it holds something else; remove it."
        raise JobError(message) from None


def _is_alive(pid: int) -> bool:
    """Return whether there is such a process on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
