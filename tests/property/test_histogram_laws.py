"""Law 1: the histogram is exact for any chunking; merging has the laws of a sum."""

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import dask_quant as dq
from dask_quant.kernels import count_block

LEVELS = st.sampled_from([0, 1, 7, 128, 254, 255]) | st.integers(0, 255)


@st.composite
def cuts(draw, size):
    """Chunk sizes that sum to ``size``: whole, single pixels, or anything between."""
    edges = draw(st.sets(st.integers(1, size - 1))) if size > 1 else set()
    edges = sorted({0, size} | edges)
    return tuple(np.diff(edges).tolist())


@st.composite
def chunked_images(draw, max_side=12):
    """An image and a chunking of it, drawn together."""
    height, width = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    pixels = draw(arrays(np.uint8, (height, width, 3), elements=LEVELS))
    return pixels, (draw(cuts(height)), draw(cuts(width)), draw(cuts(3)))


@pytest.fixture(params=["sorted", "dense"])
def way(request, monkeypatch):
    """Which of the two ways of counting blocks take."""
    if request.param == "dense":
        monkeypatch.setattr(count_block, "DENSE_MIN_PIXELS", 0)


@pytest.mark.usefixtures("way")
@settings(max_examples=25, suppress_health_check=["function_scoped_fixture"])
@given(drawn=chunked_images())
def test_the_histogram_is_exact_for_any_chunking(drawn, count_oracle):
    pixels, chunks = drawn
    histogram = dq.count_colors(da.from_array(pixels, chunks=chunks))
    found = zip(map(tuple, histogram.colors.tolist()), histogram.counts.tolist(), strict=True)
    assert dict(found) == count_oracle(pixels)
    assert histogram.codes.tolist() == sorted(histogram.codes.tolist())


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("chunks", [(427, 640), (1, 640), (100, 100), (427, 1), (333, 7)])
def test_a_photograph_is_counted_the_same_in_any_chunks(photo, chunks, scheduler):
    image = da.from_array(photo, chunks=(*chunks, 3))
    with dask.config.set(scheduler=scheduler):
        assert dq.count_colors(image) == dq.ColorHistogram.from_pixels(photo)


@st.composite
def histograms(draw):
    colors = draw(arrays(np.uint8, (draw(st.integers(0, 12)), 3), elements=st.integers(0, 2)))
    counts = draw(arrays(np.int64, len(colors), elements=st.integers(0, 2**45)))
    return dq.ColorHistogram.from_colors(colors, counts)


@given(histograms(), histograms(), histograms())
def test_merging_is_associative_commutative_and_has_an_identity(a, b, c):
    empty = dq.ColorHistogram.empty()
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(b) == b.merge(a)
    assert a.merge(empty) == a == empty.merge(a)
    assert a.merge(b).n_pixels == a.n_pixels + b.n_pixels
    assert dq.ColorHistogram.merge_all([a, b, c]) == c.merge(b).merge(a)


@given(drawn=chunked_images(), at=st.integers(0, 12))
def test_counting_parts_and_merging_is_counting_the_whole(drawn, at):
    pixels, _ = drawn
    parts = (dq.ColorHistogram.from_pixels(part) for part in (pixels[:at], pixels[at:]))
    assert dq.ColorHistogram.merge_all(parts) == dq.ColorHistogram.from_pixels(pixels)
