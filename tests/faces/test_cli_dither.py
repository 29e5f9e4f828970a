"""Dithering from the command line."""

import numpy as np
import pytest

import dask_quant as dq
from dask_quant.dithering import dither_image
from dask_quant.fit_options import DITHERS


@pytest.mark.parametrize("dither", DITHERS)
def test_a_picture_is_dithered_with_the_palette_that_it_has_anyway(
    run, pictures, cat, dither, read_labels, measure_mse, tmp_path
):
    asked = ("-k", 6, "--n-init", 1, "--json")
    done = run("quantize", pictures / "cat.png", "-o", "o.png", *asked, "--dither", dither)
    plain = run("quantize", pictures / "cat.png", "-o", "p.png", *asked).json
    report = done.json
    assert report["dither"] == dither
    assert report["palette"] == plain["palette"]
    labels, _ = read_labels(tmp_path / "o.png")
    expected, _ = dither_image(cat, dq.Palette.from_hex(report["palette"]), dither)
    np.testing.assert_array_equal(labels, expected)
    assert report["counts"] == np.bincount(labels.ravel(), minlength=6).tolist()
    assert report["mse"] == pytest.approx(measure_mse(tmp_path / "o.png", cat), rel=1e-12)
    assert (report["mse"] > plain["mse"]) == (dither != "none")


@pytest.mark.parametrize("dither", DITHERS[1:])
def test_apply_dithers_as_quantize_does(run, pictures, store, dither, digest_output, tmp_path):
    fit = ("-k", 6, "--n-init", 1)
    assert run("palette", pictures / "cat.png", "-o", "p.json", *fit).code == 0
    asked = ("--dither", dither)
    assert run("quantize", pictures / "cat.png", "-o", "a.png", *fit, *asked).code == 0
    for source, out in ((pictures / "cat.png", "b.png"), (store, "c.png")):
        assert run("apply", source, "--palette", "p.json", "-o", out, *asked).code == 0
        assert digest_output(tmp_path / out) == digest_output(tmp_path / "a.png")


@pytest.mark.parametrize("dither", DITHERS)
def test_a_dry_run_takes_dithering_and_writes_nothing(run, store, dither, tmp_path):
    before = set(tmp_path.iterdir())
    done = run("quantize", store, "-o", "o.zarr", "--dither", dither, "--dry-run", "--json")
    assert done.json["plan"]["label_bytes"] == 96 * 128
    assert set(tmp_path.iterdir()) == before
