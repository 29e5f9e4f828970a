import tracemalloc

import pytest

from dask_quant.image_rows import ImageRow, parse_rows
from dask_quant.report_rows import (
    CLASSES_PER_DECADE,
    MAX_QUARANTINED,
    MAX_SLOWEST,
    MAX_WORST,
    summarize_rows,
)
from dask_quant.results import psnr_db


def make_line(path="a.png", **values):
    return ImageRow(**{"path": path, "mse": 3.0, "seconds": 0.5, "id": "an-id"} | values).to_line()


def summarize(*lines):
    return summarize_rows(parse_rows(lines))


def test_the_worst_and_the_slowest_come_first_and_are_few():
    lines = [make_line(f"{i:03}.png", mse=i % 37, seconds=i % 41) for i in range(200)]
    summary = summarize(*lines)
    order = sorted(range(200), key=lambda i: (-(i % 37), i))
    assert [row.path for row in summary.worst] == [f"{i:03}.png" for i in order[:MAX_WORST]]
    order = sorted(range(200), key=lambda i: (-(i % 41), i))
    assert [row.path for row in summary.slowest] == [f"{i:03}.png" for i in order[:MAX_SLOWEST]]


def test_the_order_of_rows_does_not_matter():
    lines = [make_line(f"{i}.png", mse=i % 5, seconds=i % 3) for i in range(60)]
    assert summarize(*lines) == summarize(*lines[::-1])


def test_what_was_set_aside_is_counted_and_the_first_are_named():
    torn = [make_line(f"{i}.png", status="quarantined", error="torn", mse=None) for i in range(150)]
    summary = summarize(make_line(), *torn)
    assert (summary.n_written, summary.n_quarantined) == (1, 150)
    assert [row.path for row in summary.quarantined] == [f"{i}.png" for i in range(MAX_QUARANTINED)]
    assert {row.error for row in summary.quarantined} == {"torn"}
    assert summary.seconds.n_images == 1


def test_exact_images_have_no_psnr():
    summary = summarize(make_line(mse=0.0), make_line(mse=3.0))
    assert (summary.n_exact, summary.psnr.n_images) == (1, 1)


def test_classes_hold_what_lies_between_their_edges():
    values = [0.011, 0.5, 0.99, 1.0, 7.3]
    summary = summarize(*(make_line(seconds=value, mse=value) for value in values))
    for number, value in zip(sorted(summary.seconds.counts), values, strict=True):
        edges = [10 ** (n / CLASSES_PER_DECADE) for n in (number, number + 1)]
        assert edges[0] <= value * (1 + 1e-12) < edges[1]
    for number in summary.psnr.counts:
        inside = [v for v in values if number <= psnr_db(v) / summary.psnr.step < number + 1]
        assert len(inside) == summary.psnr.counts[number]


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_clock_that_stands_still_is_no_matter(seconds):
    assert summarize(make_line(seconds=seconds)).seconds.n_images == 1


def test_a_row_of_nothing_but_a_name_is_told_of():
    summary = summarize(b'{"path": "a.png", "id": "an-id"}\n')
    assert (summary.n_written, summary.n_quarantined) == (1, 0)
    assert (summary.worst, summary.slowest) == ((), ())


def test_the_last_time_is_told():
    assert summarize(make_line(finished=5.0), make_line(finished=2.0), make_line()).finished == 5.0
    assert summarize(make_line()).finished is None


def test_memory_does_not_grow_with_the_rows():
    def measure(n_rows):
        lines = (make_line(f"{i}.png", mse=i % 91 / 7, seconds=i % 13) for i in range(n_rows))
        tracemalloc.start()
        summarize_rows(parse_rows(lines))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    measure(100)
    assert measure(10_000) < 1.5 * measure(1000)
