import io

import numpy as np
import pytest
from PIL import Image

from dask_quant.errors import OutputExistsError, SourceError
from dask_quant.events import Stopwatch
from dask_quant.fit.fitting import fit_given, fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.flow import describe_fit, label_image, quantize_file
from dask_quant.histogram import ColorHistogram
from dask_quant.palette import Palette


@pytest.fixture
def picture(tmp_path, photo):
    Image.fromarray(photo[200:320, 300:460]).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.mark.parametrize("n_colors", [1, 2, 5, 16, 256])
def test_figures_are_those_of_the_file_as_pillow_reads_it(
    tmp_path, picture, photo, n_colors, label_oracle, read_indexed
):
    out = tmp_path / "out.png"
    outcome = quantize_file(picture, out, FitOptions(n_colors=n_colors, n_init=1))
    pixels = photo[200:320, 300:460]
    labels, palette, painted = read_indexed(out)
    np.testing.assert_array_equal(palette[:n_colors], outcome.palette.colors)
    np.testing.assert_array_equal(labels, label_oracle(pixels, outcome.palette.colors)[0])
    assert np.bincount(labels.ravel()).tolist() == outcome.palette.counts.tolist()
    assert outcome.squared_error == ((pixels.astype(int) - painted) ** 2).sum()
    spread = ((pixels - pixels.reshape(-1, 3).mean(axis=0)) ** 2).sum()
    assert outcome.mean_color_error == pytest.approx(spread)
    assert outcome.n_pixels == labels.size
    assert outcome.n_unique_colors == len(np.unique(pixels.reshape(-1, 3), axis=0))
    assert outcome.output_bytes == out.stat().st_size


def test_a_stream_is_read_like_a_file(tmp_path, picture):
    options = FitOptions(n_colors=4, n_init=1)
    quantize_file(picture, tmp_path / "a.png", options)
    quantize_file(io.BytesIO(picture.read_bytes()), tmp_path / "b.png", options)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_given_palette_is_used_as_it_is(tmp_path, picture, read_indexed):
    given = Palette.from_hex(["#ffffff", "#808080", "#000000", "#00ff00"])
    outcome = quantize_file(picture, tmp_path / "o.png", FitOptions(), palette=given)
    assert outcome.palette == given
    labels, palette, _ = read_indexed(tmp_path / "o.png")
    np.testing.assert_array_equal(palette[:4], given.colors)
    assert np.bincount(labels.ravel(), minlength=4).tolist() == outcome.palette.counts.tolist()
    assert outcome.n_iter == 0


def test_stages_are_measured_and_rounds_reported(tmp_path, picture):
    watch, events = Stopwatch(), []
    options = FitOptions(n_colors=3, n_init=2)
    quantize_file(picture, tmp_path / "o.png", options, watch=watch, listener=events.append)
    assert list(watch.summary()) == ["total", "decode", "count", "fit", "relabel", "write"]
    assert {e.stage for e in events} == {"fit"}
    *rounds, last = events
    assert [e.done for e in rounds] == list(range(1, last.total + 1))
    assert (last.done, last.error) == (last.total, min(e.error for e in events))
    assert len(rounds) >= 2


def test_what_exists_is_kept_and_a_failure_leaves_nothing(tmp_path, picture):
    out = tmp_path / "o.png"
    out.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        quantize_file(picture, out, FitOptions(n_colors=2, n_init=1))
    assert out.read_bytes() == b"mine"
    (tmp_path / "torn.png").write_bytes(picture.read_bytes()[:-5000])
    with pytest.raises(SourceError):
        quantize_file(tmp_path / "torn.png", tmp_path / "p.png", FitOptions())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "o.png", "torn.png"]


def test_labels_come_from_the_fit(photo, label_oracle):
    pixels = photo[200:260, 300:390]
    histogram = ColorHistogram.from_pixels(pixels)
    for fit in (
        fit_histogram(histogram, FitOptions(n_colors=300, n_init=1)),
        fit_given(histogram, Palette.from_hex(["#0000ff", "#808080"])),
    ):
        labels = label_image(pixels, fit)
        assert labels.dtype == fit.palette.label_dtype
        np.testing.assert_array_equal(labels, label_oracle(pixels, fit.palette.colors)[0])
        assert describe_fit(histogram, fit).output_bytes == 0
