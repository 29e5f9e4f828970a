import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dask_quant.kernels.downsample import halve_labels


def find_majorities(labels):
    """The most frequent label of every two by two, the lowest on ties, by counting."""
    rows, columns = (-(-n // 2) for n in labels.shape)
    halved = np.empty((rows, columns), dtype=labels.dtype)
    for row, column in np.ndindex(rows, columns):
        block = labels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        values, counts = np.unique(block, return_counts=True)  # sorted: argmax takes the lowest
        halved[row, column] = values[counts.argmax()]
    return halved


@given(
    hnp.arrays(
        st.sampled_from([np.dtype(np.uint8), np.dtype(np.uint16)]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=7),
        elements=st.integers(0, 3),
    )
)
def test_the_majority_wins_and_the_lowest_on_ties(labels):
    halved = halve_labels(labels)
    assert halved.dtype == labels.dtype
    np.testing.assert_array_equal(halved, find_majorities(labels))


def test_every_pattern_of_four_labels_is_decided():
    patterns = np.stack(np.meshgrid(*[np.arange(4)] * 4), axis=-1).reshape(-1, 2, 2)
    labels = np.concatenate(list(patterns.astype(np.uint8)), axis=1)
    assert labels.shape == (2, 512)
    np.testing.assert_array_equal(halve_labels(labels), find_majorities(labels))


@pytest.mark.parametrize("shape", [(33, 50), (1, 9), (64, 1)])
def test_blocks_give_the_parts_of_what_the_whole_gives(shape):
    labels = np.random.default_rng(2).integers(0, 4, shape).astype(np.uint16)
    whole = halve_labels(halve_labels(labels))
    for top in range(0, shape[0], 16):
        for left in range(0, shape[1], 16):
            part = halve_labels(halve_labels(labels[top : top + 16, left : left + 16]))
            own = whole[top // 4 : top // 4 + 4, left // 4 : left // 4 + 4]
            np.testing.assert_array_equal(part, own)


def test_no_label_gives_none():
    assert halve_labels(np.empty((0, 4), dtype=np.uint8)).shape == (0, 2)
