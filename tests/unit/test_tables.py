from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dask_quant import tables
from dask_quant.palette import Palette
from dask_quant.tables import MAX_TABLE_BYTES, MAX_TABLES, label_pixels


@pytest.fixture
def built(monkeypatch):
    """An empty cache, and the palettes for which a table was built since."""
    calls = []
    real = tables.build_table
    monkeypatch.setattr(tables, "_tables", type(tables._tables)())
    monkeypatch.setattr(
        tables, "build_table", lambda *args: calls.append(args[0].tolist()) or real(*args)
    )
    return calls


def grey(level):
    return Palette([[level] * 3, [255, 0, 0]])


PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_a_table_is_built_once_per_palette(built, label_oracle):
    palette = grey(100)
    for view in (PIXELS, PIXELS[::2], PIXELS[:0]):
        labels = label_pixels(view, Palette(palette.colors, [1, 2]))
        np.testing.assert_array_equal(labels, label_oracle(view, palette.colors)[0])
        assert labels.dtype == np.uint8
    assert len(built) == 1


def test_tables_are_kept_within_bounds_and_the_oldest_goes_first(built):
    for level in range(MAX_TABLES):
        label_pixels(PIXELS, grey(level))
    label_pixels(PIXELS, grey(0))  # used again: now the youngest
    label_pixels(PIXELS, grey(200))
    assert len(tables._tables) == MAX_TABLES
    assert len(built) == MAX_TABLES + 1
    label_pixels(PIXELS, grey(0))
    assert len(built) == MAX_TABLES + 1
    label_pixels(PIXELS, grey(1))
    assert len(built) == MAX_TABLES + 2
    assert all(table.nbytes <= MAX_TABLE_BYTES for table in tables._tables.values())


def test_threads_that_come_together_build_one_table(built):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: label_pixels(PIXELS, grey(7)), range(8)))
    assert len(built) == 1
    assert all(np.array_equal(labels, found[0]) for labels in found)


def test_palettes_beyond_256_colors_give_16_bit_labels(built, label_oracle):
    codes = np.arange(700)
    palette = Palette(np.stack([codes * 91 % 256, codes * 37 % 256, codes // 3], axis=1))
    labels = label_pixels(PIXELS, palette)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, label_oracle(PIXELS, palette.colors)[0])
    assert labels.max() > 255
