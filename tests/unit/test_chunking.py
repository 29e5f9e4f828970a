import doctest
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant import chunking
from dask_quant.chunking import (
    TARGET_PIXELS,
    THREAD_TARGET_PIXELS,
    check_budget,
    plan_chunks,
    plan_collection,
    plan_image,
)
from dask_quant.errors import MemoryBudgetError
from dask_quant.options import ChunkOptions

SIDE = st.integers(1, 100_000)
SHAPE = st.tuples(SIDE, SIDE)


def test_the_examples_of_the_planner_hold():
    failed, attempted = doctest.testmod(chunking)
    assert attempted >= 3
    assert failed == 0


@given(
    shape=SHAPE,
    unit=SHAPE,
    rows=st.none() | SIDE,
    columns=st.none() | SIDE,
    target=st.integers(1, 1 << 26),
)
def test_chunks_are_whole_units_that_cover_no_more_than_needed(shape, unit, rows, columns, target):
    requested = ChunkOptions(rows=rows, columns=columns)
    chunks = plan_chunks(shape, unit, requested=requested, target_pixels=target)
    asked = (rows or shape[0], columns or shape[1])
    for size, side, step, wanted in zip(shape, chunks, unit, asked, strict=True):
        step = min(step, size)
        assert side % step == 0
        assert side >= step
        assert side < size + step  # a chunk that holds all is not larger than it must be
        if requested.given:
            assert min(wanted, size) <= side < min(wanted, size) + step


@given(shape=SHAPE, unit=st.tuples(st.integers(1, 4096), st.integers(1, 4096)))
def test_planned_chunks_have_about_the_target(shape, unit):
    rows, columns = plan_chunks(shape, unit)
    pixels = min(rows, shape[0]) * min(columns, shape[1])
    one_unit = min(unit[0], shape[0]) * min(unit[1], shape[1])
    assert pixels <= 2 * max(TARGET_PIXELS, one_unit)
    if prod(shape) >= 4 * TARGET_PIXELS:
        assert pixels >= TARGET_PIXELS // 4


def test_tasks_and_bytes_are_counted():
    plan = plan_image(
        (6000, 5000),
        read_unit=(500, 500),
        write_unit=(4096, 4096),
        label_bytes_per_pixel=2,
        requested=ChunkOptions(rows=1200, columns=1000),
    )
    assert plan.count_chunks == (1500, 1000)
    assert plan.write_chunks == (4096, 4096)
    assert (plan.n_count_tasks, plan.n_write_tasks, plan.n_tasks) == (20, 4, 24)
    assert plan.decoded_bytes == 90_000_000
    assert plan.label_bytes == 60_000_000


def plan_bytes(shape=(4000, 4000), **options):
    units = {"read_unit": (512, 512), "write_unit": (4096, 4096)}
    return plan_image(shape, **units | options).projected_bytes


def test_the_projection_grows_with_what_needs_memory():
    base = plan_bytes()
    # Few threads count in less memory than the fit takes after them.
    assert plan_bytes(n_threads=2) == base
    assert plan_bytes(n_threads=8) > base
    assert plan_bytes(n_processes=1) > base
    # What is decoded whole is there while pixels are read, not while the palette is fitted.
    busy = plan_bytes(n_threads=8)
    whole = plan_bytes(n_threads=8, decodes_whole=True)
    assert whole >= busy + 7 * 16_000_000
    assert plan_bytes(n_threads=8, decodes_whole=True, codec_bytes=10**9) == whole + 10**9
    assert plan_bytes((200, 200)) < base
    small = {"requested": ChunkOptions(rows=512, columns=512)}
    assert plan_bytes((40_000, 40_000), **small) < plan_bytes((40_000, 40_000)) * 1.01


def test_the_projection_is_flat_once_every_color_may_be_there():
    assert plan_bytes((8192, 8192)) == plan_bytes((1 << 20, 1 << 20))


def test_a_projection_is_at_least_what_the_arrays_take():
    n_pixels = 3000 * 3000
    whole = plan_bytes((3000, 3000), read_unit=(3000, 3000), decodes_whole=True)
    # Pillow's copy, ours, the histogram and its sorted copy.
    assert whole > n_pixels * (4 + 3 + 12 + 12)


def test_collections_are_planned_by_their_largest_image_and_all_colors():
    small = plan_collection(1000, 10 * 1000)
    assert plan_collection(10**7, 9 * 1000 + 10**7) > small + 8 * 10**7
    assert plan_collection(1000, 10_000 * 1000) > small
    assert plan_collection(1000, 1000) == plan_collection(1000)
    large = 10**6, 20 * 10**6
    assert plan_collection(*large, n_threads=4) > plan_collection(*large)
    decoding = plan_collection(10**7, codec_bytes=10**9)
    assert decoding == plan_collection(10**7, codec_bytes=2 * 10**9) - 10**9
    assert plan_collection(10**6, n_processes=3) > plan_collection(10**6)
    helped = plan_collection(10**6, codec_bytes=10**9, n_decoders=2)
    assert helped > plan_collection(10**6, codec_bytes=10**9) + 2 * 10**9
    assert plan_collection(0) > 0


def test_a_gigapixel_fits_a_laptop():
    units = {"read_unit": (2048, 2048), "write_unit": (4096, 4096)}
    assert plan_image((31_622, 31_622), **units, n_threads=2).projected_bytes < 1_500_000_000


def test_threads_take_smaller_tasks_than_workers():
    units = {"read_unit": (512, 512), "write_unit": (4096, 4096)}
    threads = plan_image((50_000, 50_000), **units)
    workers = plan_image((50_000, 50_000), **units, n_processes=2)
    assert prod(threads.count_chunks) == THREAD_TARGET_PIXELS
    assert prod(workers.count_chunks) == TARGET_PIXELS
    assert threads.relabel_chunks == threads.count_chunks
    assert workers.relabel_chunks == workers.write_chunks == (4096, 4096)


def test_a_plan_that_cannot_fit_is_refused_with_both_numbers_and_a_way_out():
    with pytest.raises(MemoryBudgetError) as caught:
        check_budget(3_100_000_000, 2_000_000_000, "7 tasks")
    message = str(caught.value)
    for part in ("3.1 GB", "2.0 GB", "7 tasks", "--chunks", "--workers"):
        assert part in message


@pytest.mark.parametrize("budget", [None, 10**9, 10**9 + 1])
def test_a_plan_that_fits_passes(budget):
    assert check_budget(10**9, budget, "work") is None
