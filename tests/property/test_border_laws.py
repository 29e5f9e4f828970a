"""Borders of Dask arrays: those of the whole image for any chunks, each block asked for once."""

from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dask_quant as dq


@st.composite
def cuts(draw, size):
    """Chunk sizes that sum to ``size``, zeros among them."""
    edges = sorted([0, size, *draw(st.lists(st.integers(0, size), max_size=6))])
    return tuple(np.diff(edges).tolist())


@st.composite
def chunked_labels(draw):
    """Labels of few values, and how they are cut."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    seed, n_labels = draw(st.integers(0, 99)), draw(st.integers(1, 4))
    labels = np.random.default_rng(seed).integers(0, n_labels, (height, width), dtype=np.uint8)
    return labels, (draw(cuts(height)), draw(cuts(width)))


def find_by_numpy(labels):
    borders = np.zeros(labels.shape, dtype=bool)
    borders[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    borders[:-1] |= labels[:-1] != labels[1:]
    return borders


@given(case=chunked_labels(), scheduler=st.sampled_from(["threads", "synchronous"]))
def test_borders_do_not_depend_on_chunks(case, scheduler):
    labels, chunks = case
    borders = dq.find_borders(da.from_array(labels, chunks=chunks))
    assert borders.dtype == bool
    assert borders.chunks == tuple(tuple(n for n in sizes if n) for sizes in chunks)
    np.testing.assert_array_equal(borders.compute(scheduler=scheduler), find_by_numpy(labels))


@settings(max_examples=10)
@given(case=chunked_labels())
def test_every_block_is_asked_for_once(case):
    labels, chunks = case
    asked = Counter()

    def count(block, block_info=None):
        asked[tuple(block_info[0]["chunk-location"])] += 1
        return block

    counted = da.from_array(labels, chunks=chunks).map_blocks(
        count, dtype=labels.dtype, meta=np.empty((0, 0), dtype=labels.dtype)
    )
    borders = dq.find_borders(counted)
    assert not asked
    borders.compute(scheduler="threads")
    n_with_pixels = [sum(size > 0 for size in sizes) for sizes in chunks]
    # Blocks without pixels are dropped, whether they are asked for does not matter.
    assert set(asked.values()) == {1}
    assert len(asked) >= np.prod(n_with_pixels)


@settings(max_examples=10)
@given(case=chunked_labels())
def test_the_outlined_picture_does_not_depend_on_chunks(case):
    labels, chunks = case
    palette = np.array([[0, 0, 0], [90, 0, 0], [0, 90, 0], [0, 0, 90]])
    picture = dq.render(da.from_array(labels, chunks=chunks), palette, outline=(1, 2, 3))
    expected = palette[labels]
    expected[find_by_numpy(labels)] = 1, 2, 3
    np.testing.assert_array_equal(picture.compute(), expected)


def test_building_the_graph_computes_nothing():
    def refuse(*_, **__):
        raise AssertionError("something was computed")

    labels = da.zeros((50, 70), dtype=np.uint8, chunks=(20, 30))
    with dask.config.set(scheduler=refuse):
        borders = dq.find_borders(labels)
    with pytest.raises(AssertionError, match="something was computed"):
        borders.compute(scheduler=refuse)


def test_no_more_than_edges_pass_between_blocks():
    """What a block of borders needs of the other blocks is one row and one column."""
    labels = da.from_array(np.zeros((40, 60), dtype=np.uint8), chunks=(20, 30))
    sizes = Counter()

    def spy(key, value, *_):
        if isinstance(value, np.ndarray) and "take_edge" in str(key):
            sizes[value.shape] += 1
            assert value.base is None  # a view would keep its whole block

    with (
        dask.callbacks.Callback(posttask=spy),
        dask.config.set({"optimization.fuse.active": False}),
    ):
        dq.find_borders(labels).compute(scheduler="synchronous", optimize_graph=False)
    assert sizes == {(1, 30): 4, (20, 1): 4}
