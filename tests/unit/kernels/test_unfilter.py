import numpy as np
import pytest

from dask_quant.kernels.unfilter import unfilter_block


def undo_plainly(rows, above, step):
    """The filters of the specification, byte by byte."""
    up, found = above.tolist(), []
    for kind, *row in rows.tolist():
        out = []
        for i, byte in enumerate(row):
            left, corner = (out[i - step], up[i - step]) if i >= step else (0, 0)
            estimate = left + up[i] - corner
            # On ties the first of left, up and corner.
            nearest = min((left, up[i], corner), key=lambda value: abs(estimate - value))
            guess = (0, left, up[i], (left + up[i]) // 2, nearest)[kind]
            out.append((byte + guess) % 256)
        found.append(out)
        up = out
    return np.array(found, dtype=np.uint8)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("width", [1, 2, 5, 17])
def test_every_filter_is_undone_as_the_specification_says(step, width):
    rng = np.random.default_rng(step * 100 + width)
    rows = rng.integers(0, 256, (40, 1 + width * step), dtype=np.uint8)
    rows[:, 0] = rng.permutation(np.arange(40) % 5)
    above = rng.integers(0, 256, width * step, dtype=np.uint8)
    samples = np.empty((40, width * step), dtype=np.uint8)
    given = rows.copy()
    assert unfilter_block(rows, above, samples, pixel_bytes=step) is None
    np.testing.assert_array_equal(samples, undo_plainly(given, above, step))
    np.testing.assert_array_equal(rows, given)


def test_paeth_chooses_as_the_specification_says_for_every_three_bytes_of_a_grid():
    levels = np.array([0, 1, 2, 3, 7, 64, 126, 127, 128, 129, 200, 253, 254, 255], dtype=np.uint8)
    left, up, corner = (grid.ravel() for grid in np.meshgrid(levels, levels, levels))
    # Pixels of a row in pairs: the first gives left and corner, the second is predicted.
    above = np.stack([corner, up], axis=1)
    first = np.stack([left - corner, np.zeros_like(up)], axis=1)  # the first's guess is its up
    rows = np.concatenate([np.full((len(left), 1), 4, dtype=np.uint8), first], axis=1)
    for row, over in zip(rows, above, strict=True):
        samples = np.empty((1, 2), dtype=np.uint8)
        unfilter_block(row[np.newaxis], over, samples, pixel_bytes=1)
        np.testing.assert_array_equal(samples, undo_plainly(row[np.newaxis], over, 1))


def test_the_first_row_of_an_unknown_filter_is_told():
    rows = np.zeros((4, 7), dtype=np.uint8)
    rows[2:, 0] = 5
    samples = np.empty((4, 6), dtype=np.uint8)
    assert unfilter_block(rows, samples[0] * 0, samples, pixel_bytes=3) == 2
