"""Image files decoded in another process, which a file that is made to do harm may have.

A decoder that crashes, hangs or takes all memory costs its own process and that one file: whoever
asked gets an error of one line, and the next file a new process. Processes are kept for the next
file, one for each thread that asks at the same time; they take some 35 MB each.
"""

from __future__ import annotations

import atexit
import mmap
import os
import threading
import warnings
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant import errors
from dask_quant.alpha_options import REFUSE
from dask_quant.errors import DecoderError, SourceError
from dask_quant.process import note_helper
from dask_quant.sources.decode_limits import PLANNED, DecodeLimits
from dask_quant.sources.decoder_process import receive, send
from dask_quant.sources.header import show_path
from dask_quant.sources.helper_process import HelperProcess, explain_memory

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule


class DecoderProcess(HelperProcess):
    """A process that decodes one file at a time, see `HelperProcess`. **Eager**."""

    def __init__(self) -> None:
        super().__init__("dask_quant.sources.decoder_process")

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
            raise self.explain_death(show_path(str(path)), told)
        note_helper(self.process.pid, reply["peak"])
        for category, text in reply["warned"]:
            warnings.warn(text, getattr(errors, category, UserWarning), stacklevel=2)
        if descriptor is None:
            raise _make_error(reply, show_path(str(path)), told)
        return _map_pixels(descriptor, tuple(reply["shape"]))

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any] | None, int | None, Any]:
        """Return the answer, the descriptor that came with it, and the limits that were told."""
        told: dict[str, Any] = {}
        try:
            send(self.pipe, request)
            while (found := receive(self.pipe)) is not None:
                if "seconds" not in found[0]:
                    return *found, told
                told = found[0]
        except ConnectionError:  # it died before, or right now
            pass
        return None, None, told


def _make_error(reply: dict[str, Any], name: str, told: dict[str, Any]) -> SourceError:
    """Return the error that an answer tells."""
    if reply["error"] == "memory":
        return explain_memory(name, told["bytes"])
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


def close_decoders() -> None:
    """End the processes that wait. **Eager**."""
    with _lock:
        waiting, _idle[:] = _idle[:], []
    for process in waiting:
        process.close()


atexit.register(close_decoders)
