"""What holds for every method: the laws of palettes, and that nothing but counts can show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram
from dask_quant.method_options import KMEANS, METHODS
from dask_quant.pipeline import quantize

LEVEL = st.sampled_from([0, 1, 7, 8, 64, 127, 128, 200, 254, 255]) | st.integers(0, 255)
COLOR = st.tuples(LEVEL, LEVEL, LEVEL)
WEIGHT = st.integers(1, 1000) | st.just(10**10)


def fit(colors, counts, method, n_colors):
    histogram = ColorHistogram.from_colors(np.array(colors, dtype=np.uint8), np.array(counts))
    return histogram, fit_histogram(histogram, FitOptions(n_colors=n_colors, method=method))


@pytest.mark.parametrize("method", METHODS)
@given(colors=st.lists(COLOR, min_size=1, max_size=40, unique=True), data=st.data())
@settings(max_examples=15)
def test_palettes_have_the_colors_asked_for_each_nearest_to_what_it_paints(
    method, colors, data, label_oracle
):
    counts = data.draw(st.lists(WEIGHT, min_size=len(colors), max_size=len(colors)))
    n_colors = data.draw(st.integers(1, len(colors) + 1))
    histogram, found = fit(colors, counts, method, n_colors)
    palette = found.palette
    labels, distances = label_oracle(histogram.colors, palette.colors)
    assert len(palette) == min(n_colors, len(colors))
    assert len(np.unique(labels)) == len(palette)
    assert found.squared_error == int((histogram.counts * distances).sum())
    assert palette.counts.tolist() == [
        int(histogram.counts[labels == i].sum()) for i in range(len(palette))
    ]
    if n_colors >= len(colors):
        assert found.squared_error == 0
        assert set(palette) == set(colors)


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_repetitions_and_order_is_nothing(method, photo):
    pixels = photo[100:160, 100:200].reshape(-1, 3)
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    shuffled = np.random.default_rng(0).permutation(len(colors))
    _, weighted = fit(colors[shuffled], counts[shuffled], method, 12)
    histogram = ColorHistogram.from_pixels(pixels[::-1])
    repeated = fit_histogram(histogram, FitOptions(n_colors=12, method=method))
    np.testing.assert_array_equal(weighted.palette.colors, repeated.palette.colors)
    np.testing.assert_array_equal(weighted.palette.counts, repeated.palette.counts)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_paints_worse_than_kmeans(method, photo):
    histogram = ColorHistogram.from_pixels(photo[::4, ::4])
    for n_colors in (4, 24):
        least, error = (
            fit_histogram(histogram, FitOptions(n_colors=n_colors, method=name)).squared_error
            for name in (KMEANS, method)
        )
        assert least <= error


@pytest.mark.parametrize("method", [name for name in METHODS if name != KMEANS])
def test_chunks_do_not_show_in_the_bytes_of_any_method(method, photo, tmp_path):
    pixels = photo[:90, :120]
    files = []
    for name, chunks in (("whole", None), ("cut", (31, 50))):
        out = tmp_path / f"{name}.png"
        report = quantize(pixels, out, n_colors=9, method=method, chunks=chunks)
        assert (report.method, report.engine) == (method, "histogram")
        files.append(out.read_bytes())
    assert files[0] == files[1]
