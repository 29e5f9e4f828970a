"""Image files decoded in another process, which a file that is made to do harm may have.

A decoder that crashes, hangs or takes all memory costs its own process and that one file: whoever
asked gets an error of one line, and the next file a new process. Processes are kept for the next
file, one for each thread that asks at the same time; they take some 35 MB each.
"""

from __future__ import annotations

import atexit
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant import errors
from dask_quant.alpha_options import REFUSE
from dask_quant.errors import DecoderError, SourceError
from dask_quant.options import format_bytes
from dask_quant.process import forget_helper, note_helper
from dask_quant.sources.decoder_process import receive, send
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule

_MAIN = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from dask_quant.sources.decoder_process import serve; serve(int(sys.argv[2]))"
)
"""What the process runs: what this one would find, and no main module of the user's."""

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
"""Signals that come from elsewhere, and say nothing about the file until they come again."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one file may take."""

    max_bytes: int | None = None
    """Memory beyond that of the process; None: what its pixels need several times over, and 2 GB.
    """
    max_seconds: float | None = None
    """Time; None: a minute, and a second for each half a megapixel."""


PLANNED = DecodeLimits()
"""Limits that go by the size in the header."""


class DecoderProcess:
    """A process that decodes one file at a time; it comes up while this one goes on. **Eager**.

    Raises
    ------
    SourceError
        When no process can be started.
    """

    def __init__(self) -> None:
        self._pipe, inner = socket.socketpair()
        code = [sys.executable, "-c", _MAIN, json.dumps(sys.path), str(inner.fileno())]
        try:
            with inner:
                self._process = subprocess.Popen(
                    code,
                    pass_fds=[inner.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # what a library says as it dies is no line of ours
                    start_new_session=True,  # Ctrl-C is for the process that asks
                )
        except OSError as error:
            self._pipe.close()
            message = f"Cannot start a process that decodes: {error.strerror}."
            raise SourceError(message) from error

    def read_pixels(
        self,
        path: str | Path,
        *,
        frame: int = 0,
        alpha: AlphaRule = REFUSE,
        limits: DecodeLimits = PLANNED,
    ) -> NDArray[np.uint8]:
        """Decode a whole image, as `dask_quant.sources.reading.read_pixels` does. **Eager**.

        Returns
        -------
        ndarray
            As `read_pixels` returns it.

        Raises
        ------
        DecoderError
            When the process died, took too long or too much memory; it is then of no more use.
        SourceNotFoundError, SourceError, PixelFormatError
            As `read_pixels` does.

        Warns
        -----
        ColorProfileWarning
            As `read_pixels` does.
        """
        request = {"path": os.fsencode(path).hex(), "frame": frame, "alpha": astuple(alpha)}
        request |= {"bytes": limits.max_bytes, "seconds": limits.max_seconds}
        try:
            reply, descriptor, told = self._ask(request)
        except BaseException:  # an answer that nobody waited for would be taken for the next one
            self.close()
            raise
        if reply is None:
            raise self._explain_death(show_path(str(path)), told)
        note_helper(self._process.pid, reply["peak"])
        for category, text in reply["warned"]:
            warnings.warn(text, getattr(errors, category, UserWarning), stacklevel=2)
        if descriptor is None:
            raise _make_error(reply, show_path(str(path)), told)
        return _map_pixels(descriptor, tuple(reply["shape"]))

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any] | None, int | None, Any]:
        """Return the answer, the descriptor that came with it, and the limits that were told."""
        told: dict[str, Any] = {}
        try:
            send(self._pipe, request)
            while (found := receive(self._pipe)) is not None:
                if "seconds" not in found[0]:
                    return *found, told
                told = found[0]
        except ConnectionError:  # it died before, or right now
            pass
        return None, None, told

    def _explain_death(self, name: str, told: dict[str, Any]) -> DecoderError:
        """Return the error for a file of which the process died."""
        self._pipe.close()
        code = self._process.wait()
        if code == -signal.SIGALRM:
            how = f"decoding it took more than {told['seconds']:.3g} s"
        elif code < 0:
            how = f"its decoder crashed ({_name_signal(-code)})"
        else:
            how = f"its decoder ended (exit code {code})"
        error = DecoderError(f"Cannot read {name}: {how}; the file is damaged or made to do harm.")
        error.from_outside = -code in _FROM_OUTSIDE
        return error

    def close(self) -> None:
        """End the process, whatever it does."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        forget_helper(self._process.pid)


def _name_signal(number: int) -> str:
    """Return the name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:  # one of real time
        return f"signal {number}"


def _make_error(reply: dict[str, Any], name: str, told: dict[str, Any]) -> SourceError:
    """Return the error that an answer tells."""
    if reply["error"] == "memory":
        message = (
            f"Cannot read {name}: decoding it takes more than {format_bytes(told['bytes'])} of "
            "memory; the file is damaged or made to do harm."
        )
        return DecoderError(message)
    error: SourceError = getattr(errors, reply["error"])(reply["said"])
    return error


def _map_pixels(descriptor: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels in memory that another process filled."""
    try:
        mapped = mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)
    return np.frombuffer(mapped, dtype=np.uint8).reshape(shape)


_idle: list[DecoderProcess] = []
_lock = threading.Lock()


def read_isolated(
    path: str | Path,
    *,
    frame: int = 0,
    alpha: AlphaRule = REFUSE,
    limits: DecodeLimits = PLANNED,
) -> NDArray[np.uint8]:
    """Decode a whole image in a process that is kept for the next one. **Eager**.

    Parameters, result, errors and warnings are those of `DecoderProcess.read_pixels`. A process
    that was killed from outside is replaced, and the file tried once more.
    """
    try:
        return _read_once(path, frame, alpha, limits)
    except DecoderError as error:
        if not error.from_outside:
            raise
    return _read_once(path, frame, alpha, limits)


def _read_once(
    path: str | Path, frame: int, alpha: AlphaRule, limits: DecodeLimits
) -> NDArray[np.uint8]:
    """Decode a whole image in a process that waits, or in a new one."""
    with _lock:
        process = _idle.pop() if _idle else None
    process = process or DecoderProcess()
    try:
        pixels = process.read_pixels(path, frame=frame, alpha=alpha, limits=limits)
    except DecoderError:
        process.close()
        raise
    except errors.DaskQuantError:
        _give_back(process)
        raise
    _give_back(process)
    return pixels


def _give_back(process: DecoderProcess) -> None:
    """Keep a process for the next file."""
    with _lock:
        _idle.append(process)


def start_decoders(n: int) -> None:
    """Start processes that will be asked soon, so that they come up in the meantime. **Eager**."""
    with _lock:
        _idle.extend(DecoderProcess() for _ in range(n - len(_idle)))


def close_decoders() -> None:
    """End the processes that wait. **Eager**."""
    with _lock:
        waiting, _idle[:] = _idle[:], []
    for process in waiting:
        process.close()


atexit.register(close_decoders)
