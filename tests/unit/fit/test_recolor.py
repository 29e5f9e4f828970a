import numpy as np
import pytest

from dask_quant.errors import PixelFormatError
from dask_quant.fit.fitting import finish_fit, fit_histogram
from dask_quant.fit.recolor import measure_luminance
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram

RAINBOW = ("#400000", "#ff8000", "#ffff00", "#00ff00", "#0000ff", "#ff00ff", "#ffffff")


@pytest.fixture(scope="module")
def histogram(photo):
    return ColorHistogram.from_pixels(photo[::4, ::4])


def measure_lightness(color):
    """CIE L* of an sRGB colour under D65, by the formulas one after the other."""
    light = [
        level / 255 / 12.92 if level / 255 <= 0.04045 else ((level / 255 + 0.055) / 1.055) ** 2.4
        for level in color
    ]
    luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]
    if luminance > (6 / 29) ** 3:
        return 116 * luminance ** (1 / 3) - 16
    return luminance * (29 / 3) ** 3


def test_luminance_ranks_as_lightness_does():
    rng = np.random.default_rng(0)
    greys = np.repeat(np.arange(256)[:, np.newaxis], 3, axis=1)
    colors = np.concatenate([greys, rng.integers(0, 256, (500, 3))]).astype(np.uint8)
    by_lightness = sorted(range(len(colors)), key=lambda i: measure_lightness(colors[i].tolist()))
    assert (np.diff(measure_luminance(colors)[by_lightness]) >= 0).all()


def test_classes_are_painted_by_rank_of_lightness_and_stay_what_they_are(histogram, label_oracle):
    plain = fit_histogram(histogram, FitOptions(n_colors=7, n_init=1))
    fit = fit_histogram(histogram, FitOptions(n_colors=7, n_init=1, recolor=RAINBOW))
    assert fit.classes == plain.palette
    np.testing.assert_array_equal(fit.palette.counts, plain.palette.counts)
    ranked = sorted(zip(plain.palette, fit.palette.hex, strict=True), key=lambda pair: pair[0])
    ranked.sort(key=lambda pair: measure_lightness(pair[0]))
    assert tuple(painted for _, painted in ranked) == RAINBOW
    labels, _ = label_oracle(fit.boxes.points, plain.palette.colors)
    np.testing.assert_array_equal(fit.finished.assignment.labels, labels)
    offsets = fit.boxes.points.astype(np.int64) - fit.palette.colors[labels]
    assert fit.squared_error == int((fit.boxes.weights * (offsets**2).sum(axis=1)).sum())


def test_entries_of_one_lightness_are_ranked_by_value():
    greens = np.array([[0, 0, 1], [0, 0, 0]], dtype=np.uint8)
    histogram = ColorHistogram.from_colors(greens, np.array([5, 3]))
    fit = fit_histogram(histogram, FitOptions(n_colors=2, recolor="#fff,#000"))
    assert fit.palette.hex == ["#000000", "#ffffff"]  # the blue, lighter by a little, comes first


def test_other_engines_are_painted_as_well(histogram):
    centroids = np.array([[200.0, 200, 200], [20, 20, 20]])
    colors = ((255, 0, 0), (0, 0, 255))
    fit = finish_fit(histogram, centroids, n_colors=2, engine="x", n_iter=1, recolor=colors)
    assert dict(zip(fit.classes, fit.palette, strict=True)) == {
        (20, 20, 20): (255, 0, 0),
        (200, 200, 200): (0, 0, 255),
    }


def test_an_image_of_too_few_colors_is_refused():
    white = ColorHistogram.from_colors(np.full((1, 3), 255, np.uint8), np.array([9]))
    with pytest.raises(PixelFormatError, match="Got 1 distinct colours in the image for 2"):
        fit_histogram(white, FitOptions(n_colors=2, recolor="#000,#fff"))
