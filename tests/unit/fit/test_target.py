"""The fewest colours that meet a target: no number less would do, and what cannot be is refused."""

from dataclasses import replace

import numpy as np
import pytest

import dask_quant as dq
from dask_quant.color_difference import ciede2000
from dask_quant.color_spaces import lab_from_srgb
from dask_quant.errors import FitError, OptionError
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions, Target, make_target


@pytest.fixture(scope="module")
def histogram(photo):
    return dq.ColorHistogram.from_pixels(photo[150:250, 200:300])


def measure(histogram, palette):
    """PSNR, mse and mean CIEDE2000 by comparison with every entry."""
    colors = histogram.colors.astype(int)
    offsets = colors[:, np.newaxis] - palette.colors
    labels = np.square(offsets).sum(axis=2).argmin(axis=1)
    painted, share = palette.colors[labels], histogram.counts / histogram.counts.sum()
    mse = float((share * np.square(colors - painted).sum(axis=1)).sum())
    differences = ciede2000(lab_from_srgb(histogram.colors), lab_from_srgb(painted))
    psnr = 10 * np.log10(255**2 / (mse / 3)) if mse else np.inf
    return {"psnr": psnr, "mse": mse, "delta_e": float((share * differences).sum())}


@pytest.mark.parametrize(
    ("kind", "value"),
    [("psnr", 25.0), ("psnr", 31.5), ("mse", 900.0), ("mse", 150.0), ("delta_e", 5.0)],
)
def test_it_is_met_and_one_color_less_would_not_meet_it(histogram, kind, value):
    options = FitOptions(n_colors=300, target=Target(kind, value))
    fit = fit_histogram(histogram, options)
    n_colors = len(fit.palette)
    assert 1 < n_colors < 300
    fewer = fit_histogram(histogram, replace(options, n_colors=n_colors - 1, target=None))
    found = [measure(histogram, each.palette)[kind] for each in (fit, fewer)]
    if kind == "psnr":
        assert found[0] >= value > found[1]
    else:
        assert found[0] <= value < found[1]
    same = fit_histogram(histogram, replace(options, n_colors=n_colors, target=None))
    assert fit.palette.hex == same.palette.hex


def test_a_target_that_every_palette_meets_takes_one_color(histogram):
    palette = dq.fit_palette(histogram, target_mse=1e9)
    assert len(palette) == 1
    assert len(dq.fit_palette(histogram, target_psnr=0, keep=["#000", "#fff", "#f00"])) == 3


def test_no_error_at_all_takes_all_colors():
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    for target in ({"target_mse": 0}, {"target_psnr": 200}, {"target_delta_e": 0.0}):
        assert len(dq.fit_palette(pixels, **target)) == 20


def test_what_so_many_colors_do_not_reach_is_refused(histogram, photo, tmp_path):
    with pytest.raises(FitError, match=r"Got target_psnr 45, and 8 colours reach \d\d\.\d+; aim"):
        dq.fit_palette(histogram, 8, target_psnr=45)
    with pytest.raises(FitError, match="and 256 colours reach"):
        dq.quantize(photo[150:250, 200:300], tmp_path / "o.png", target_mse=1e-6, effort="fast")
    assert list(tmp_path.iterdir()) == []


def test_reports_and_routes_agree(photo, tmp_path, recwarn):
    pixels = photo[150:250, 200:300]
    report = dq.quantize(pixels, tmp_path / "a.png", target_psnr=28)
    again = dq.quantize(pixels, tmp_path / "b.zarr", target_psnr=28, chunks=40)
    assert report.psnr_db >= 28
    assert again.palette.hex == report.palette.hex
    plain = dq.quantize(pixels, tmp_path / "c.png", n_colors=report.n_colors)
    assert (tmp_path / "c.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert plain.mse == report.mse
    assert not [w for w in recwarn if issubclass(w.category, dq.FewerColorsWarning)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"engine": "scalable"}, "target_mse 5 with the scalable engine"),
        ({"recolor": "#000,#fff", "n_colors": 2}, "with recolor"),
        ({"init": [[0, 0, 0]], "n_colors": 1}, "with first colours"),
    ],
)
def test_a_number_that_is_fixed_cannot_be_chosen(options, text):
    with pytest.raises(OptionError, match=text):
        FitOptions(target=Target("mse", 5), **options)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "x"])
def test_a_target_is_a_number(value):
    with pytest.raises(OptionError, match="Got target_psnr"):
        make_target(value, None, None)


def test_there_is_one_target():
    with pytest.raises(OptionError, match="Got target_psnr 40 and target_delta_e 1; give one"):
        make_target(40, None, 1)
    assert make_target(None, None, None) is None
