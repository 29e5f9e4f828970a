"""Blocks of rasters as rows and as labels, whatever the blocks are."""

import dask
import dask.array as da
import numpy as np
import pytest

from dask_quant.class_model import ClassModel
from dask_quant.fit.features import FeatureMap
from dask_quant.graphs.pixels import (
    join_row_blocks,
    label_parts,
    make_valid_rows,
    mark_parts,
    pixel_row_blocks,
)
from dask_quant.segment_options import BandOptions
from dask_quant.sources.rasters import open_raster, split_raster

SHAPE = (11, 17)
CHUNKS = [(11, 17), (1, 1), (4, 5), (11, 3), (2, 17), (100, 100)]


def make_pixels(seed=0):
    """Pixels of two bands; the first tells each apart, some are NaN in the second."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((*SHAPE, 2))
    pixels[..., 0] = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    pixels[..., 1] = rng.normal(size=SHAPE)
    pixels[rng.random(SHAPE) < 0.3, 1] = np.nan
    return pixels


def split(pixels, chunks):
    return split_raster(open_raster(pixels, BandOptions()), chunks)


def compute(delayed):
    return delayed.compute(scheduler="synchronous")


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("first", [0, 1_000_000])
def test_rows_are_numbered_by_the_flat_index_of_their_pixels(chunks, first):
    pixels = make_pixels()
    blocks = pixel_row_blocks(split(pixels, chunks), first=first, width=SHAPE[1])
    rows = [compute(block) for block in blocks.blocks]
    numbers = np.concatenate([row.numbers.find(np.arange(len(row))) for row in rows])
    samples = np.concatenate([row.rows for row in rows])
    order = np.argsort(numbers)
    kept = np.flatnonzero(np.isfinite(pixels).all(axis=2))
    np.testing.assert_array_equal(numbers[order], first + kept)
    np.testing.assert_array_equal(samples[order], pixels.reshape(-1, 2)[kept])


@pytest.mark.parametrize("chunks", CHUNKS)
def test_sizes_count_all_pixels_of_a_block(chunks):
    blocks = pixel_row_blocks(split(make_pixels(), chunks), first=0, width=SHAPE[1])
    assert sum(blocks.sizes) == SHAPE[0] * SHAPE[1]
    assert len(blocks.sizes) == len(blocks.blocks)
    assert blocks.unit == "px"


def test_rows_without_a_hole_are_not_copied():
    samples = np.arange(24.0).reshape(3, 4, 2)
    block = make_valid_rows((samples, np.ones((3, 4), dtype=bool)), 5, 9)
    assert np.shares_memory(block.rows, samples)
    assert block.numbers.find(np.arange(12)).tolist() == [
        5, 6, 7, 8, 14, 15, 16, 17, 23, 24, 25, 26
    ]  # fmt: skip


def test_a_block_where_nothing_means_anything_has_no_rows():
    block = make_valid_rows((np.ones((3, 4, 2)), np.zeros((3, 4), dtype=bool)), 0, 4)
    assert block.rows.shape == (0, 2)


def test_joined_blocks_keep_their_order_and_unit():
    one = pixel_row_blocks(split(make_pixels(), (4, 5)), first=0, width=17)
    two = pixel_row_blocks(split(make_pixels(1), (11, 3)), first=187, width=17)
    both = join_row_blocks([one, two])
    assert both.blocks == one.blocks + two.blocks
    assert both.sizes == one.sizes + two.sizes
    assert both.unit == "px"


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("k", [3, 300])
def test_labels_lie_where_their_pixels_do(chunks, k):
    pixels = make_pixels()
    centers = np.stack([np.linspace(0, 187, k), np.zeros(k)], axis=1)
    model = ClassModel(centers, ("place", "noise"), FeatureMap.plain(2))
    labels = label_parts(split(pixels, chunks), model)
    assert labels.shape == SHAPE
    assert labels.dtype == model.label_dtype
    assert all(sum(sizes) == side for sizes, side in zip(labels.chunks, SHAPE, strict=True))
    assert max(labels.chunks[0]) == min(chunks[0], SHAPE[0])
    assert max(labels.chunks[1]) == min(chunks[1], SHAPE[1])
    expected = np.square(pixels[..., np.newaxis, :] - centers).sum(axis=-1)
    expected = np.where(np.isnan(expected).any(axis=-1), model.nodata, expected.argmin(axis=-1))
    found = labels.compute(scheduler="synchronous")
    assert found.dtype == model.label_dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("chunks", CHUNKS)
def test_what_means_nothing_is_marked_behind_the_bands(chunks):
    pixels = make_pixels()
    marked = mark_parts(split(pixels, chunks), 2, pixels.dtype)
    assert (marked.shape, marked.dtype) == ((*SHAPE, 3), pixels.dtype)
    valid = np.isfinite(pixels).all(axis=2)
    found = marked.compute(scheduler="synchronous")
    np.testing.assert_array_equal(found[..., 2], valid)
    np.testing.assert_array_equal(found[valid, :2], pixels[valid])
    assert (found[~valid] == 0).all()


def test_building_computes_nothing():
    def refuse(*_, **__):
        raise AssertionError("something was computed")

    def explode(block):
        if block.size:
            raise AssertionError("a block was made")
        return block

    array = da.zeros((30, 40, 2), chunks=(7, 9, 1)).map_blocks(explode, dtype=float)
    model = ClassModel(np.zeros((1, 2)), ("a", "b"), FeatureMap.plain(2))
    with dask.config.set(scheduler=refuse):
        parts = split(array, (8, 8))
        pixel_row_blocks(parts, first=0, width=40)
        labels = label_parts(parts, model)
        mark_parts(parts, 2, np.dtype(float))
    with pytest.raises(AssertionError, match="a block was made"):
        labels.compute(scheduler="synchronous")
