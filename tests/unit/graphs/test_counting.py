import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.graphs.counting import SPLIT_EVERY, count_leaves, merge_leaves, split_blocks
from dask_quant.histogram import ColorHistogram

PIXELS = np.random.default_rng(0).integers(0, 6, (24, 35, 3), dtype=np.uint8)


def refuse(*_, **__):
    raise AssertionError("something was computed")


@pytest.mark.parametrize("chunks", [(24, 35), (5, 8), (1, 35), (24, 1), ((7, 1, 16), (30, 5))])
def test_the_tree_counts_every_pixel_once(chunks):
    image = da.from_array(PIXELS, chunks=(*chunks, 3))
    leaves = count_leaves(image)
    assert len(leaves) == image.numblocks[0] * image.numblocks[1]
    counted = merge_leaves(leaves).compute(scheduler="synchronous")
    assert counted == ColorHistogram.from_pixels(PIXELS)


def test_building_the_tree_computes_nothing():
    with dask.config.set(scheduler=refuse):
        merge_leaves(count_leaves(da.from_array(PIXELS, chunks=(4, 4, 3))))
        list(split_blocks(da.from_array(PIXELS, chunks=(4, 4, 3)), 5))


@pytest.mark.parametrize("n_blocks", [1, 2, 4, 5, 16, 17])
def test_no_task_merges_more_than_a_few(n_blocks):
    image = da.from_array(PIXELS[:1].repeat(n_blocks, axis=0), chunks=(1, 35, 3))
    root = merge_leaves(count_leaves(image))
    merges = {k: task for k, task in root.dask.to_dict().items() if "merge_histograms" in str(k)}
    assert (len(merges) == 0) == (n_blocks == 1)
    assert all(1 <= len(keys) <= SPLIT_EVERY for _, keys in merges.values())
    assert root.compute(scheduler="synchronous").n_pixels == 35 * n_blocks


@given(
    rows=st.lists(st.integers(1, 4), min_size=1, max_size=8),
    columns=st.lists(st.integers(1, 4), min_size=1, max_size=8),
    max_blocks=st.integers(1, 40),
)
def test_parts_cover_the_image_in_order_and_are_bounded(rows, columns, max_blocks):
    pixels = np.arange(sum(rows) * sum(columns) * 3).reshape(sum(rows), sum(columns), 3)
    image = da.from_array(pixels, chunks=(tuple(rows), tuple(columns), (3,)))
    parts = list(split_blocks(image, max_blocks))
    assert all(part.npartitions <= max_blocks for part in parts)
    seen = np.concatenate([part.compute(scheduler="synchronous").ravel() for part in parts])
    assert sorted(seen.tolist()) == list(range(pixels.size))
    firsts = [int(part[0, 0, 0].compute(scheduler="synchronous")) for part in parts]
    assert firsts == sorted(firsts)
