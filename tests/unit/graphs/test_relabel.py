import pickle

import dask
import dask.array as da
import numpy as np
import pytest

from dask_quant.graphs.relabel import relabel_blocks, render_blocks
from dask_quant.palette import Palette

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 35, 3), dtype=np.uint8)
PALETTE = Palette([[0, 0, 0], [250, 20, 20], [90, 90, 90]])


def many_colors(n):
    codes = np.arange(n)
    return Palette(np.stack([codes * 91 % 256, codes * 37 % 256, codes // 3 % 256], axis=1))


@pytest.mark.parametrize("chunks", [(24, 35), (5, 8), (1, 35), ((7, 1, 16), (30, 5))])
@pytest.mark.parametrize("palette", [PALETTE, many_colors(600)])
def test_labels_and_pictures_keep_chunks_shapes_and_types(chunks, palette, label_oracle):
    image = da.from_array(PIXELS, chunks=(*chunks, 3))
    labels = relabel_blocks(image, palette)
    assert labels.chunks == image.chunks[:2]
    assert labels.dtype == palette.label_dtype
    found = labels.compute(scheduler="synchronous")
    assert found.dtype == palette.label_dtype
    np.testing.assert_array_equal(found, label_oracle(PIXELS, palette.colors)[0])
    picture = render_blocks(labels, palette)
    assert picture.chunks == image.chunks
    assert picture.dtype == np.uint8
    painted = picture.compute(scheduler="synchronous")
    np.testing.assert_array_equal(painted, palette.colors[found])


def test_building_the_graph_computes_nothing(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was computed")

    monkeypatch.setattr("dask_quant.graphs.relabel.label_pixels", refuse)
    monkeypatch.setattr("dask_quant.graphs.relabel.paint_labels", refuse)
    image = da.from_array(PIXELS, chunks=(5, 5, 3))
    with dask.config.set(scheduler=refuse):
        render_blocks(relabel_blocks(image, PALETTE), PALETTE)


def test_the_graph_carries_the_palette_not_its_table():
    image = da.zeros((4096, 4096, 3), chunks=(512, 512, 3), dtype=np.uint8)
    labels = relabel_blocks(image, many_colors(600))
    assert len(pickle.dumps(labels)) < 200_000
    assert len(dict(labels.dask)) <= 2 * 64 + 10
