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


def test_colours_to_dither_between_are_written_as_the_palette(run, pictures, tmp_path):
    asked = ("--dither", "floyd-steinberg", "--json")
    done = run("apply", pictures / "cat.png", "-o", "a.png", "--palette", "#fff,#000", *asked)
    assert done.json["palette"] == ["#ffffff", "#000000"]
    refused = run(
        *("quantize", pictures / "cat.png", "-o", "b.png", "-k", 2, "--recolor", "#fff,#000"),
        *asked,
    )
    assert refused.code == 2
    assert "--palette '#ffffff,#000000'" in refused.err
    assert not (tmp_path / "b.png").exists()
    for wrong in ("#fff,#ff", "#fff,#fff"):
        done = run("apply", pictures / "cat.png", "-o", "b.png", "--palette", wrong)
        assert done.code == 2
        assert "Got '#ff' for a palette" in done.err or "Got #ffffff twice" in done.err


def test_a_space_is_for_dithered_pictures_too(run, pictures, digest_output, tmp_path):
    asked = ("--space", "oklab", "--dither", "bayer", "--json")
    report = run("quantize", pictures / "cat.png", "-o", "a.png", "-k", 6, *asked).json
    assert (report["space"], report["dither"]) == ("oklab", "bayer")
    (tmp_path / "p.hex").write_text("\n".join(report["palette"]))
    applied = run("apply", pictures / "cat.png", "-o", "b.png", "--palette", "p.hex", *asked).json
    assert digest_output(tmp_path / "b.png") == digest_output(tmp_path / "a.png")
    assert applied["inertia"] == report["inertia"]


def test_compare_draws_a_row_for_each_dithering(run, pictures):
    arguments = ("compare", pictures / "cat.png", "-k", "3,5", "--effort", "fast", "--overwrite")
    result = run(*arguments, "--dither", "none,bayer", "-o", "s.png", "--json").json
    found = [(candidate["dither"], candidate["k"]) for candidate in result["candidates"]]
    assert found == [("none", 3), ("none", 5), ("bayer", 3), ("bayer", 5)]
    table = run(*arguments, "--dither", "all", "-o", "s.png")
    assert [line.split()[0] for line in table.lines[1:4]] == ["dither", "none", "none"]
    assert len(table.lines) == 2 + 4 * 2 + 1
    wrong = run(*arguments, "--dither", "bayer,noise", "-o", "s.png")
    assert wrong.code == 2
    assert "known are none, bayer" in wrong.err
