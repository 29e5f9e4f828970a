"""Files that are decoded from the top: once, in strips, counting their colours on the way.

What needs the pixels again finds them in a scratch file, which can be read anywhere and by any
number of tasks. It holds the bare pixels. Processor milliseconds for a megapixel of photographs, on
one core of a busy machine, zlib 1.2.13:

=====================================  ====
inflated                               20.7
filters undone                          2.9
colours counted                         4.2
bare pixels written and read            4.7
written to a store (zstd 1) and read   16.8
=====================================  ====

Decoding twice, without a scratch file, would take 23.6 more, a store 12.1.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OutputError, SourceError
from dask_quant.events import Event
from dask_quant.histogram import ColorCounter
from dask_quant.kept_counts import find_held_counts, keep_held_counts
from dask_quant.kept_outcome import find_outcome
from dask_quant.options import format_bytes
from dask_quant.sinks.atomic import partial_folder, partial_path, report_os_errors, sync_file
from dask_quant.sources.header import show_path
from dask_quant.sources.scratch import ScratchImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.execute import Executor
    from dask_quant.histogram import ColorHistogram
    from dask_quant.sinks.state_folder import StateFolder
    from dask_quant.sources.strips import ImageStream

STAGE = "decode"
"""Name of the stage in events and reports."""

_DECODED_FOLDER = "decoded"
"""Where the scratch file is in a state."""

_DECODED_NAME = "decoded.json"
"""There once the scratch file is whole: its bytes."""


def count_stream(stream: ImageStream, executor: Executor) -> Any:
    """Count the colours of a file in one pass, where `Executor.hold` leaves the counts. **Eager**.

    Raises
    ------
    SourceError, PixelFormatError
        As `ImageStream.read_strips` does.
    """
    return executor.run_task(_count_strips, stream, listens=True, keeps=True)


@contextmanager
def decode_stream(
    stream: ImageStream, beside: Path, executor: Executor
) -> Iterator[tuple[ScratchImage, Any]]:
    """Decode a file to a scratch file, which is gone after the block, and count its colours.

    **Eager.** One task does it, on a cluster one worker; the counts are where `Executor.hold`
    leaves them.

    Parameters
    ----------
    stream : ImageStream
        The file.
    beside : Path
        What the scratch file lies beside, where all workers see it.
    executor : Executor
        Decodes.

    Raises
    ------
    OutputError
        When there is no room for it, or it cannot be written.
    SourceError, PixelFormatError
        As `ImageStream.read_strips` does.
    """
    beside = beside.absolute()  # workers may have another working folder
    with partial_folder(beside) as folder:
        _check_room(stream, folder)
        scratch = _name_scratch(stream, folder)
        yield scratch, _decode(stream, scratch, executor)


def decode_kept(
    stream: ImageStream, state: StateFolder, executor: Executor
) -> tuple[ScratchImage, Any]:
    """Decode a file to a scratch file in a state, unless it is there, and count its colours.

    **Eager.** The counts are None where the palette was found already and they are gone. Parameters
    and errors are those of `decode_stream`.
    """
    folder = state.make_folder(_DECODED_FOLDER)
    scratch = _name_scratch(stream, folder)
    n_rows, width = stream.stored
    n_bytes = stream.bands * n_rows * width
    if state.read_json(_DECODED_NAME) == n_bytes == _count_bytes(Path(scratch.path)):
        counts, n_counted = find_held_counts(state, width, executor)
        if n_counted == n_rows or find_outcome(state) is not None:
            return scratch, counts if n_counted else None
    state.discard(_DECODED_NAME)
    _check_room(stream, folder)
    counts = _decode(stream, scratch, executor)
    with report_os_errors(folder):
        sync_file(Path(scratch.path))
    counts = keep_held_counts(state, counts, n_rows, width, executor)
    state.write_json(_DECODED_NAME, n_bytes)
    return scratch, counts


def _name_scratch(stream: ImageStream, folder: Path) -> ScratchImage:
    """Return the scratch file of a file in a folder, which need not be there."""
    name = str(folder / "pixels.raw")
    return ScratchImage(name, stream.stored, stream.orientation, stream.bands)


def _decode(stream: ImageStream, scratch: ScratchImage, executor: Executor) -> Any:
    """Write a scratch file, in this process or on a worker, and count its colours."""
    return executor.run_task(decode_strips, stream, scratch, listens=True, keeps=True)


def _count_bytes(path: Path) -> int:
    """Return the bytes of a file, -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _check_room(stream: ImageStream, folder: Path) -> None:
    """Raise `OutputError` unless there is room for the pixels of a file."""
    needed = stream.bands * stream.stored[0] * stream.stored[1]
    with report_os_errors(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        message = (
            f"Got {format_bytes(free)} of free space in {str(folder.parent)!r}, and decoding "
            f"{show_path(stream.path)} takes {format_bytes(needed)} there for a while; make room, "
            "or write the output to another disk."
        )
        raise OutputError(message)


def decode_strips(stream: ImageStream, scratch: ScratchImage, listener: Listener) -> ColorHistogram:
    """Write the pixels of a file to ``scratch`` and count their colours. **Eager**.

    Run again, its worker having died, it writes the same bytes under the same name, which others
    may be reading then.
    """
    with _open_output(Path(scratch.path)) as write:
        return _count_strips(stream, listener, write)


@contextmanager
def _open_output(path: Path) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Give the function that writes arrays to a file, which is there once the block has ended.

    What the system refuses to do becomes an `OutputError`; other errors of the block are as they
    were.
    """
    temporary = partial_path(path)
    with report_os_errors(path):
        file = open(temporary, "wb", buffering=0)  # noqa: SIM115

    def write(pixels: NDArray[np.uint8]) -> None:
        with report_os_errors(path):
            left = pixels.data.cast("B")
            while left:
                left = left[file.write(left) :]

    try:
        with file:
            yield write
        with report_os_errors(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _count_strips(
    stream: ImageStream,
    listener: Listener,
    use: Callable[[NDArray[np.uint8]], object] = lambda strip: None,
) -> ColorHistogram:
    """Count the colours of a file, a strip on another thread while the next one is decoded."""
    counter = ColorCounter()
    n_pixels, n_done = stream.stored[0] * stream.stored[1], 0
    listener(Event(STAGE, 0, n_pixels, "px"))
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(int)
        for strip in stream.read_strips():
            counting.result()
            counting = pool.submit(counter.add, strip)
            use(strip)
            n_done += strip.size // stream.bands
            listener(Event(STAGE, n_done, n_pixels, "px"))
        counting.result()
    histogram = counter.finish()
    if histogram.n_pixels != n_pixels:
        message = f"Cannot read {show_path(stream.path)}: {n_done} of {n_pixels} pixels came."
        raise SourceError(message)
    return histogram
