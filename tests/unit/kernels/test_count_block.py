from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dask_quant.kernels import count_block as module
from dask_quant.kernels.count_block import (
    CountTables,
    add_block,
    collect_tables,
    count_block,
    merge_counts_block,
    merge_tables_block,
    pack_colors,
    unpack_colors,
)

WAYS = [module._count_by_sorting, module._count_densely]

# Few levels, so that colours repeat; the extremes, so that the first and last bins are used.
LEVELS = st.sampled_from([0, 1, 7, 8, 127, 254, 255])


def as_dict(counted):
    codes, counts = counted
    assert codes.dtype == np.uint32
    assert counts.dtype == np.int64
    assert (np.diff(codes.astype(np.int64)) > 0).all()
    colors = unpack_colors(codes)
    return dict(zip(map(tuple, colors.tolist()), counts.tolist(), strict=True))


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=20)
@given(rows=arrays(np.uint8, st.tuples(st.integers(0, 200), st.just(3)), elements=LEVELS))
def test_both_ways_equal_the_numpy_oracle(way, rows, count_oracle):
    assert as_dict(way(rows)) == count_oracle(rows)


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_count_random_colors(way, count_oracle):
    rows = np.random.default_rng(0).integers(0, 256, (50_000, 3), dtype=np.uint8)
    assert as_dict(way(rows)) == count_oracle(rows)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "wanted",
    [
        {(0, 0, 0): 256},
        {(0, 0, 0): 255, (0, 0, 1): 257, (0, 1, 0): 512, (255, 255, 255): 511},
        {(0, 0, 0): 65_536},
        {(0, 0, 0): 65_535, (255, 255, 255): 65_537},
        {(255, 255, 255): 65_536, (0, 0, 0): 131_072, (8, 8, 8): 1},
        {(1, 2, 3): 65_536, (1, 2, 4): 131_073, (1, 3, 3): 196_607, (200, 2, 3): 65_535},
        {(9, 9, level): 65_536 for level in range(8)},  # a whole row of bins back at zero
        {(9, 9 + i, 17 * i): 256 * (i + 1) for i in range(12)},
    ],
)
def test_counts_beyond_8_and_16_bits_are_exact(way, wanted):
    rows = np.concatenate(
        [np.tile(np.array(color, dtype=np.uint8), (n, 1)) for color, n in wanted.items()]
    )
    shuffled = rows[np.random.default_rng(0).permutation(len(rows))]
    assert as_dict(way(shuffled)) == wanted


def test_the_dense_tables_are_left_clean_for_the_next_block(count_oracle):
    first = np.random.default_rng(1).integers(0, 256, (70_000, 3), dtype=np.uint8)
    first[:66_000] = 255
    for rows in (first, first[::-7], first[:1], first[:0]):
        assert as_dict(module._count_densely(rows)) == count_oracle(rows)


def test_a_count_that_breaks_off_leaves_nothing_behind(monkeypatch, count_oracle):
    rows = np.random.default_rng(2).integers(0, 256, (1000, 3), dtype=np.uint8)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_collect", interrupt)
        with pytest.raises(KeyboardInterrupt):
            module._count_densely(rows)
    assert as_dict(module._count_densely(rows[:10])) == count_oracle(rows[:10])


@pytest.mark.parametrize(("min_pixels", "way"), [(1000, "dense"), (1001, "sorted")])
def test_the_way_is_chosen_by_the_number_of_pixels(monkeypatch, min_pixels, way, count_oracle):
    calls = []
    monkeypatch.setattr(module, "DENSE_MIN_PIXELS", min_pixels)
    for name, label in (("_count_densely", "dense"), ("_count_by_sorting", "sorted")):
        real = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda rows, real=real, label=label: calls.append(label) or real(rows)
        )
    pixels = np.random.default_rng(3).integers(0, 4, (20, 50, 3), dtype=np.uint8)
    assert as_dict(count_block(pixels)) == count_oracle(pixels)
    assert calls == [way]


def test_views_are_counted_like_copies(count_oracle):
    pixels = np.random.default_rng(4).integers(0, 3, (30, 40, 3), dtype=np.uint8)
    for view in (pixels[::2, ::-3], pixels.transpose(1, 0, 2), pixels[..., ::-1], pixels[3:3]):
        assert as_dict(count_block(view)) == count_oracle(view)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n_rows", [0, 1, 2, 3, 4, 5, 7, 8, 9, 100])
def test_rows_at_any_address_are_counted(way, n_rows, count_oracle):
    buffer = np.random.default_rng(6).integers(0, 3, 3 * n_rows + 16, dtype=np.uint8)
    for offset in range(9):
        rows = buffer[offset : offset + 3 * n_rows].reshape(-1, 3)
        assert as_dict(way(rows)) == count_oracle(rows)


def test_threads_do_not_disturb_each_other(count_oracle):
    rng = np.random.default_rng(5)
    blocks = [rng.integers(0, 1 + 30 * i, (50_000, 3), dtype=np.uint8) for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        counted = list(pool.map(module._count_densely, blocks))
    for block, result in zip(blocks, counted, strict=True):
        assert as_dict(result) == count_oracle(block)


@given(rows=arrays(np.uint8, st.tuples(st.integers(0, 50), st.just(3))))
def test_packing_can_be_undone_and_orders_by_red_green_blue(rows):
    codes = pack_colors(rows)
    np.testing.assert_array_equal(unpack_colors(codes), rows)
    as_tuples = [tuple(row) for row in rows.tolist()]
    assert codes.tolist() == [(r << 16) | (g << 8) | b for r, g, b in as_tuples]


@given(
    first=arrays(np.uint8, st.tuples(st.integers(0, 50), st.just(3)), elements=LEVELS),
    second=arrays(np.uint8, st.tuples(st.integers(0, 50), st.just(3)), elements=LEVELS),
    repeats=st.integers(1, 300),
)
@settings(max_examples=15)
def test_merged_tables_are_those_of_all_pixels(first, second, repeats, count_oracle):
    both = [np.repeat(first, repeats, axis=0), np.repeat(second, 1 + repeats // 2, axis=0)]
    tables = [CountTables.zeros(), CountTables.zeros()]
    for rows, own in zip(both, tables, strict=True):
        add_block(rows, own)
    merge_tables_block(*tables[0], *tables[1])
    assert as_dict(collect_tables(tables[0])) == count_oracle(np.concatenate(both))
    assert len(collect_tables(tables[0])[0]) == 0


SPARSE = st.dictionaries(
    st.integers(0, 12) | st.sampled_from([2**24 - 1, 2**31, 2**32 - 1]), st.integers(1, 2**40)
)


@given(first=SPARSE, second=SPARSE)
def test_merging_adds_the_counts_of_equal_colors(first, second):
    def as_arrays(sparse):
        keys = sorted(sparse)
        return np.array(keys, np.uint32), np.array([sparse[key] for key in keys], np.int64)

    codes, counts = merge_counts_block(*as_arrays(first), *as_arrays(second))
    expected = {key: first.get(key, 0) + second.get(key, 0) for key in first | second}
    assert codes.tolist() == sorted(expected)
    assert counts.tolist() == [expected[code] for code in sorted(expected)]
