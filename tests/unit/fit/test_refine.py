import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.refine import apply_palette, finish_palette
from dask_quant.histogram import ColorHistogram
from dask_quant.palette import Palette


def make_boxes(colors, counts=None):
    colors = np.asarray(colors, dtype=np.uint8)
    counts = np.ones(len(colors), dtype=np.int64) if counts is None else np.asarray(counts)
    return ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, counts))


def check_finished(boxes, finished, n_colors, label_oracle):
    """The whole contract of a finished palette."""
    palette, assignment = finished.palette, finished.assignment
    assert len(palette) == min(n_colors, len(boxes.points))
    labels, distances = label_oracle(boxes.points, palette.colors)
    np.testing.assert_array_equal(assignment.labels, labels)
    np.testing.assert_array_equal(assignment.distances, distances)
    counts = np.bincount(labels, boxes.weights, len(palette)).astype(np.int64)
    np.testing.assert_array_equal(palette.counts, counts)
    assert (counts > 0).all()
    keys = [(-count, color) for count, color in zip(counts.tolist(), palette, strict=True)]
    assert keys == sorted(keys)


def cube(step, stop=256):
    levels = np.arange(0, stop, step)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)


GREYS = np.repeat(np.arange(256)[:, np.newaxis], 3, axis=1)

# Images in which many colours lie halfway between entries, so that the order of the palette
# decides who wins them, and with it the order of the palette.
ADVERSARIES = {
    "greys, every other": (GREYS, GREYS[::2]),
    "greys, every fourth": (GREYS, GREYS[2::4]),
    "greys, falling": (GREYS, GREYS[::-6]),
    "cube": (cube(20), cube(40)),
    "cube, corners": (cube(51), cube(255)),
    "small cube": (cube(1, 6), cube(2, 6)),
    "plane": (cube(17)[:256], cube(34)[:64]),
}


@pytest.mark.parametrize("name", ADVERSARIES)
@pytest.mark.parametrize("weights", ["equal", "rising", "odd"])
def test_ties_do_not_spoil_order_use_or_counts(name, weights, label_oracle):
    colors, start = ADVERSARIES[name]
    n = len(colors)
    counts = {"equal": np.ones(n, int), "rising": np.arange(1, n + 1), "odd": np.arange(n) % 3 + 1}
    boxes = make_boxes(colors, counts[weights])
    for k in (len(start), len(start) // 2, 7):
        check_finished(boxes, finish_palette(boxes, start, k), k, label_oracle)


SMALL = st.tuples(*[st.integers(0, 4)] * 3)


@settings(max_examples=150)
@given(
    weighted=st.dictionaries(SMALL, st.integers(1, 5), min_size=1, max_size=60),
    start=st.lists(st.tuples(*[st.floats(-3, 8)] * 3), min_size=1, max_size=20),
    n_colors=st.integers(1, 30),
)
def test_any_start_ends_in_distinct_used_ordered_entries(weighted, start, n_colors, label_oracle):
    boxes = make_boxes(list(weighted), list(weighted.values()))
    finished = finish_palette(boxes, np.array(start), n_colors)
    check_finished(boxes, finished, n_colors, label_oracle)


def test_centroids_that_round_to_one_color_are_replaced_by_used_ones(label_oracle):
    boxes = make_boxes(cube(40), None)
    start = np.full((20, 3), 80.2) + np.linspace(0, 0.2, 20)[:, np.newaxis]
    check_finished(boxes, finish_palette(boxes, start, 20), 20, label_oracle)


def test_a_black_that_no_pixel_has_does_not_survive():
    boxes = make_boxes([[200, 10, 10], [210, 10, 10], [10, 200, 10], [10, 210, 10]])
    start = np.array([[0, 0, 0], [205, 10, 10], [10, 205, 10]])
    palette = finish_palette(boxes, start, 3).palette
    assert (0, 0, 0) not in list(palette)
    assert len(palette) == 3


@pytest.mark.parametrize("n_colors", [5, 6, 300])
def test_all_colors_are_kept_when_they_fit(n_colors):
    colors = [(9, 9, 9), (1, 2, 3), (255, 0, 0), (255, 0, 1), (0, 0, 0)]
    boxes = make_boxes(colors, [4, 4, 9, 1, 4])
    finished = finish_palette(boxes, boxes.points, n_colors)
    assert list(finished.palette) == [(255, 0, 0), (0, 0, 0), (1, 2, 3), (9, 9, 9), (255, 0, 1)]
    assert finished.palette.counts.tolist() == [9, 4, 4, 4, 1]
    assert finished.assignment.squared_error == 0


def test_a_given_palette_keeps_its_order_and_unused_entries():
    boxes = make_boxes([[0, 0, 0], [250, 250, 250]], [1, 7])
    given = Palette(np.array([[9, 9, 9], [100, 0, 0], [255, 255, 255]]))
    applied = apply_palette(boxes, given)
    assert applied.palette == given
    assert applied.palette.counts.tolist() == [1, 0, 7]
