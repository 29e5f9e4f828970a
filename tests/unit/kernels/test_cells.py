import numpy as np
import pytest

from dask_quant.kernels.cells import (
    BLUE_BINS,
    CELL_BITS,
    CELLS_PER_BLOCK,
    GREEN_BINS,
    N_CELLS,
    N_CODES,
    RED_BINS,
    sort_by_cell_block,
)
from dask_quant.kernels.count_block import pack_colors, unpack_colors


def bin_of(colors):
    red, green, blue = np.asarray(colors, dtype=np.int64).T
    return RED_BINS[red] | GREEN_BINS[green] | BLUE_BINS[blue]


def test_every_color_has_a_bin_of_its_own():
    masks = [int(np.bitwise_or.reduce(table)) for table in (RED_BINS, GREEN_BINS, BLUE_BINS)]
    assert masks[0] | masks[1] | masks[2] == N_CODES - 1
    assert sum(masks) == N_CODES - 1  # no bit is shared
    for table in (RED_BINS, GREEN_BINS, BLUE_BINS):
        assert len(np.unique(table)) == 256


@pytest.mark.parametrize(("bits", "side"), [(CELL_BITS, 8), (15, 32)])
def test_cells_and_blocks_of_cells_are_cubes(bits, side):
    colors = np.random.default_rng(0).integers(0, 256, (5000, 3))
    group = bin_of(colors) >> bits
    cube = (colors // side) @ [65536, 256, 1]
    same_group = group[:, np.newaxis] == group[np.newaxis, :500]
    same_cube = cube[:, np.newaxis] == cube[np.newaxis, :500]
    np.testing.assert_array_equal(same_group, same_cube)
    assert N_CODES >> 15 == N_CELLS // CELLS_PER_BLOCK


def test_colors_are_sorted_by_cell_and_keep_their_order_within():
    rng = np.random.default_rng(1)
    codes = np.unique(rng.integers(0, N_CODES, 4000)).astype(np.uint32)
    counts = rng.integers(1, 10**12, len(codes))
    colors, weights = np.empty((len(codes), 3), dtype=np.uint8), np.empty_like(counts)
    starts = np.empty(N_CELLS + 1, dtype=np.int64)
    sort_by_cell_block(codes, counts, colors, weights, starts)
    cells = bin_of(unpack_colors(codes)) >> CELL_BITS
    order = np.argsort(cells, kind="stable")
    np.testing.assert_array_equal(pack_colors(colors), codes[order])
    np.testing.assert_array_equal(weights, counts[order])
    expected = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=N_CELLS))])
    np.testing.assert_array_equal(starts, expected)
