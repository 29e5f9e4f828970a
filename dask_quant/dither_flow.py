"""One image as a Dask array, dithered: relabel, count, measure and write in one pass.

With ordered dithering the task that writes a block is the one that labels it and sums up what that
comes to. Error diffusion goes down the image in waves of a few bands, so that no more of it is read
ahead; labels are kept until there are whole strips, or shards, of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from dask.delayed import delayed

from dask_quant.array_flow import (
    STRIP_TASKS_PER_THREAD,
    align_blocks,
    check_label_output,
    fill_levels,
    finish_file,
    holds_part,
    name_store,
    run_on_blocks,
    write_part_files,
    write_unit,
)
from dask_quant.dithering import Tally, dither_block
from dask_quant.graphs.dither import (
    diffuse_bands,
    get_tally,
    join_bands,
    whole_rows,
)
from dask_quant.kept_outcome import find_tally, keep_tally
from dask_quant.kept_parts import find_missing, list_blocks
from dask_quant.palette import check_opaque
from dask_quant.pixel_grid import PLAIN_GRID, PixelGrid
from dask_quant.sinks.label_file import plan_label_file
from dask_quant.sinks.store_start import start_store, tell_counts
from dask_quant.sinks.zarr_store import discard_store, keep_block, store_block
from dask_quant.sources.reading import NO_ORIGIN
from dask_quant.workplace import TALLIES_FOLDER, Workplace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import dask.array as da
    import numpy as np
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.execute import Executor
    from dask_quant.kept_parts import Holds
    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette
    from dask_quant.sinks.label_file import LabelFile
    from dask_quant.sinks.state_folder import StateFolder
    from dask_quant.sources.reading import Origin

    Put: TypeAlias = Callable[[Labels, tuple[int, int]], int]
    """Writes labels whose first pixel is at a row and a column, on any worker."""

    Relabel: TypeAlias = Callable[[Put, Holds], Tally]
    """Writes all labels of an image that are not there, and returns what all come to."""

BANDS_PER_WAVE = 2
"""Bands of error diffusion per thread that are read ahead of the one that is worked on."""


def write_dithered(
    image: da.Array,
    palette: Palette,
    dither: str,
    out: Path,
    executor: Executor,
    *,
    space: str = "srgb",
    overwrite: bool,
    decodes_whole: bool = False,
    origin: Origin = NO_ORIGIN,
    grid: PixelGrid = PLAIN_GRID,
    state: StateFolder | None = None,
) -> tuple[int, Tally]:
    """Dither ``(y, x, 3)`` uint8 and write the labels to a ``.zarr`` or a file. **Eager**.

    The nearest entry is found in ``space``. ``decodes_whole`` says that all of the image is decoded
    for any part of it. Error diffusion then goes through it in one wave: there is nothing to be
    read ahead, and much to be read again. ``origin`` is what the pixels are read from; ``grid``
    says where they lie, which a store tells. What is written is kept in ``state``, where there is
    one, until all is; what is there is not made again, but where errors are diffused.

    Returns
    -------
    n_bytes : int
        Bytes written.
    tally : Tally
        Of the labels as written.
    """
    check_opaque(palette, f"dither {dither}")
    check_label_output(out, overwrite=overwrite)
    shape = image.shape[:2]
    unit = write_unit(shape, out)
    place = Workplace(out.absolute(), overwrite, state)  # workers may have another working folder
    relabel: Relabel
    if dither == "floyd-steinberg":
        relabel = partial(_diffuse, image, palette, space, unit, executor, decodes_whole)
    else:
        blocks = align_blocks(image, unit)
        relabel = partial(_dither_ordered, blocks, palette, dither, space, unit, executor, state)
    if out.suffix.lower() == ".zarr":
        return _write_store(relabel, shape, palette, place, executor, grid)
    file = plan_label_file(out, shape, palette.label_dtype, len(palette), origin)
    return _write_file(relabel, file, palette, place, executor)


def _write_store(
    relabel: Relabel,
    shape: tuple[int, int],
    palette: Palette,
    place: Workplace,
    executor: Executor,
    grid: PixelGrid,
) -> tuple[int, Tally]:
    """Fill a store, tell it the counts, and give it its name."""
    given = (place.final, shape, palette)
    start = partial(start_store, *given, overwrite=place.overwrite, grid=grid)
    with place.open_store(start, discard_store) as temporary:
        tally = relabel(partial(put_in_store, temporary), partial(keep_block, temporary))
        fill_levels(temporary, executor, is_resumed=place.is_resumed)
        tell_counts(temporary, tally.count_palette(palette))
        keep_tally(place.state, tally)
        return name_store(temporary, place), tally


def _write_file(
    relabel: Relabel,
    file: LabelFile,
    palette: Palette,
    place: Workplace,
    executor: Executor,
) -> tuple[int, Tally]:
    """Write parts, join them, and give the file its name."""
    with place.open_parts() as folder:
        tally = relabel(partial(write_part_files, folder, file), partial(holds_part, folder, file))
        keep_tally(place.state, tally)
        return finish_file(folder, file, palette, place, executor), tally


def put_in_store(store: Path, labels: NDArray[np.uint8], at: tuple[int, int]) -> int:
    """Write whole shards of labels and return their pixels. **Eager**."""
    return store_block(store, labels, offset=at)


def _dither_ordered(
    blocks: da.Array,
    palette: Palette,
    dither: str,
    space: str,
    unit: tuple[int, int],
    executor: Executor,
    state: StateFolder | None,
    put: Put,
    holds: Holds,
) -> Tally:
    """Dither and write every block, of whole strips or shards, by a task of its own."""
    tallies = _KeptTallies.open(state)
    done = {} if tallies is None else tallies.find_done(blocks, unit, holds, executor)
    task = delayed(partial(dither_and_put, dither, space, put, tallies), pure=False, traverse=False)
    shared = delayed(palette, pure=True, traverse=False)
    found = run_on_blocks(
        blocks,
        executor,
        lambda block, at: task(block, shared, at),
        max_blocks=STRIP_TASKS_PER_THREAD * executor.n_threads,
        merge=Tally.merge,
        is_done=done.__contains__,
    )
    return Tally.merge([*done.values(), *found])


@dataclass(frozen=True)
class _KeptTallies:
    """What blocks come to, kept in the state of a job by the tasks that write them."""

    state: StateFolder
    """The state, for any worker."""

    @classmethod
    def open(cls, state: StateFolder | None) -> _KeptTallies | None:
        """Return those of a state; None where there is none."""
        if state is None:
            return None
        state.make_folder(TALLIES_FOLDER)
        return cls(replace(state, path=state.path.absolute()))

    def keep(self, at: tuple[int, int], shape: tuple[int, ...], tally: Tally) -> None:
        """Keep what a block comes to. **Eager**."""
        keep_tally(self.state, tally, _name_tally(at, shape))

    def find_done(
        self, blocks: da.Array, unit: tuple[int, int], holds: Holds, executor: Executor
    ) -> dict[tuple[int, int], Tally]:
        """Return what those blocks come to that an earlier run has written. **Eager**."""
        if not self.state.is_resumed:
            return {}
        missing = find_missing(blocks, unit, holds, executor)
        found = {
            at: find_tally(self.state, _name_tally(at, shape))
            for at, shape in list_blocks(blocks)
            if missing.is_done(at)
        }
        return {at: tally for at, tally in found.items() if tally is not None}


def _name_tally(at: tuple[int, int], shape: tuple[int, ...]) -> str:
    """Return the name of what a block comes to, by its place, rows and columns."""
    return f"{TALLIES_FOLDER}/{at[0]}-{at[1]}-{shape[0]}-{shape[1]}.json"


def dither_and_put(
    dither: str,
    space: str,
    put: Put,
    tallies: _KeptTallies | None,
    pixels: NDArray[np.uint8],
    palette: Palette,
    at: tuple[int, int],
) -> Tally:
    """Dither a block and write it, inside a task. **Eager**."""
    labels = dither_block(pixels, palette, dither, space=space, first=at)
    put(labels, at)
    tally = Tally.of(pixels, labels, palette, space)
    if tallies is not None:
        tallies.keep(at, labels.shape, tally)
    return tally


def _diffuse(
    image: da.Array,
    palette: Palette,
    space: str,
    unit: tuple[int, int],
    executor: Executor,
    in_one_wave: bool,
    put: Put,
    holds: Holds,
) -> Tally:
    """Diffuse errors down the image, and write labels as soon as there are whole units of them.

    Each depends on all before it, so that none is left out, whatever ``holds`` says is there.
    """
    bands = whole_rows(image)
    n_ahead = bands.numblocks[0] if in_one_wave else BANDS_PER_WAVE * executor.n_threads
    waiting, band = _Waiting(image, palette, unit, executor, put), None
    for first in range(0, bands.numblocks[0], n_ahead):
        wave = bands.blocks[first : first + n_ahead]
        rows = wave.chunks[0]
        part = executor.part_of(image.shape[0] * image.shape[1], waiting.end * image.shape[1])
        chain = part.keep(
            diffuse_bands(wave, palette, band, space),
            stage="relabel",
            sizes=[size * image.shape[1] for size in rows],
            unit="px",
        )
        band = chain[-1]
        waiting.add(chain, rows)
        del chain  # what was written is not needed any more
    tally: Tally = executor.compute(delayed(get_tally)(band), stage="write")
    return tally


class _Waiting:
    """Bands of labels that wait until there are whole units of rows to write."""

    def __init__(
        self,
        image: da.Array,
        palette: Palette,
        unit: tuple[int, int],
        executor: Executor,
        put: Put,
    ) -> None:
        self._image, self._palette, self._unit = image, palette, unit
        self._executor = executor
        self._put = delayed(put, pure=False, traverse=False)
        self._bands: list[tuple[Any, int]] = []
        self._start = self._n_written = 0
        self.end = 0

    def add(self, chain: list[Delayed], rows: tuple[int, ...]) -> None:
        """Take the next bands, of ``rows`` each, and write what is whole."""
        self._bands += zip(chain, rows, strict=True)
        self.end += sum(rows)
        is_last = self.end == self._image.shape[0]
        stop = self.end if is_last else self.end - self.end % self._unit[0]
        if stop == self._n_written:
            return
        self._write(stop)
        self._n_written = stop
        while self._bands and self._start + self._bands[0][1] <= stop:
            self._start += self._bands.pop(0)[1]

    def _write(self, stop: int) -> None:
        """Write the rows up to ``stop``, in blocks of whole units."""
        chain, rows = zip(*self._bands, strict=True)
        labels = join_bands(chain, rows, self._image, self._palette)
        own = labels[self._n_written - self._start : stop - self._start]
        first = self._n_written
        run_on_blocks(
            own.rechunk(self._unit, method="tasks"),
            self._executor,
            lambda block, at: self._put(block, (first + at[0], at[1])),
            stage="write",
        )
