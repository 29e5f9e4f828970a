import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.kernels.cells import CELLS_PER_BLOCK
from dask_quant.kernels.jit import compile_kernel
from dask_quant.kernels.prune import EVERYONE, IN_BLOCK, group_cells, prune_block


@compile_kernel
def prune_once(low, high, candidates, slots):
    """The helper cannot be called from Python."""
    n_given, scratch = slots.shape[1], np.empty(slots.shape[1])
    return prune_block(low, high, np.int64(0), candidates, slots, EVERYONE, n_given, scratch)


def prune(low, high, centroids, given):
    candidates, slots = np.zeros((2, 3, len(given))), np.zeros((2, len(given)), dtype=np.int64)
    candidates[EVERYONE], slots[EVERYONE] = centroids[list(given)].T, given
    corners = (np.array([corner], dtype=float) for corner in (low, high))
    n_kept = prune_once(*corners, candidates, slots)
    kept = slots[IN_BLOCK, :n_kept].tolist()
    np.testing.assert_array_equal(candidates[IN_BLOCK, :, :n_kept].T, centroids[kept])
    return kept


LEVEL = st.integers(0, 31)
POINT = st.tuples(LEVEL, LEVEL, LEVEL)


@given(
    corners=st.tuples(POINT, POINT),
    centroids=st.lists(POINT, min_size=1, max_size=20),
    data=st.data(),
)
def test_no_nearest_centroid_of_a_box_is_ever_dropped(corners, centroids, data):
    low, high = np.minimum(*corners), np.maximum(*corners)
    scale = data.draw(st.sampled_from([1.0, 0.5, 1 / 3]))
    centers = np.array(centroids, dtype=float) * scale
    kept = prune(low, high, centers, range(len(centers)))
    axes = [np.unique([lo, (lo + hi) // 2, hi]) for lo, hi in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = ((points[:, np.newaxis] - centers) ** 2).sum(axis=2)
    assert set(distance.argmin(axis=1).tolist()) <= set(kept)
    assert kept == sorted(kept)  # their order decides ties


def test_centroids_that_lose_everywhere_are_dropped():
    centers = np.array([[200.0, 200, 200], [5, 5, 5], [9, 9, 9], [250, 0, 0]])
    assert prune([0, 0, 0], [7, 7, 7], centers, [0, 1, 2, 3]) == [1, 2]
    assert prune([0, 0, 0], [4, 4, 4], centers, [0, 1, 2, 3]) == [1]


def test_equal_centroids_are_both_kept():
    centers = np.array([[5.0, 5, 5], [5, 5, 5]])
    assert prune([0, 0, 0], [7, 7, 7], centers, [0, 1]) == [0, 1]


def test_cells_are_grouped_by_block():
    cells = np.array([0, 3, 63, 64, 200, 6400], dtype=np.int64)
    starts = group_cells(cells)
    assert starts.tolist() == [0, 3, 4, 5, 6]
    blocks = cells // CELLS_PER_BLOCK
    for begin, end in itertools.pairwise(starts):
        assert len(set(blocks[begin:end].tolist())) == 1
