"""Scores of numbers of colours: their figures, what they suggest, what is written of them."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

import dask_quant as dq


@pytest.fixture(scope="module")
def pixels():
    """Five clouds of colours, of different sizes, and a little noise."""
    rng = np.random.default_rng(6)
    middles = np.array([[20, 20, 30], [230, 210, 190], [200, 40, 40], [40, 160, 60], [60, 80, 220]])
    which = rng.choice(5, (90, 100), p=[0.3, 0.3, 0.2, 0.1, 0.1])
    return (middles[which] + rng.normal(0, 4, (90, 100, 3))).clip(0, 255).astype(np.uint8)


def test_scores_are_those_of_the_palettes(pixels, label_oracle):
    curve = dq.elbow(pixels, range(2, 12))
    assert [score.n_colors for score in curve.scores] == list(range(2, 12))
    flat = np.square(pixels - pixels.reshape(-1, 3).mean(axis=0)).sum()
    for score in curve.scores:
        error = label_oracle(pixels, score.palette.colors)[1].sum()
        assert score.mse == error / (90 * 100)
        assert score.explained_variance == pytest.approx(1 - error / flat)
        assert score.psnr_db == pytest.approx(10 * np.log10(255**2 / (score.mse / 3)))
    mses = [score.mse for score in curve.scores]
    assert mses == sorted(mses, reverse=True)
    assert curve.elbow == 5
    assert curve.n_pixels == 9000
    assert curve.n_unique_colors == len(np.unique(pixels.reshape(-1, 3), axis=0))


def test_images_however_given_and_their_histogram_have_one_curve(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "in").mkdir()
    for name, rows in (("b", slice(0, 30)), ("c", slice(30, None))):
        Image.fromarray(pixels[rows]).save(tmp_path / "in" / f"{name}.png")
    numbers = [8, 3, 8, 5]
    expected = dq.elbow(dq.count_colors(pixels), numbers).to_json()
    assert [score["k"] for score in expected["scores"]] == [3, 5, 8]
    for given, options in (
        (pixels, {}), (tmp_path / "a.png", {}), (tmp_path / "in", {}), (pixels, {"chunks": 17}),
        (str(tmp_path / "a.png"), {"chunks": (20, 30)}),
    ):  # fmt: skip
        assert dq.elbow(given, numbers, **options).to_json() == expected
    assert dq.elbow(pixels, numbers, space="oklab").to_json() != expected


def test_an_image_of_a_folder_that_cannot_be_read_is_told_of(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:2000])
    heard = []
    curve = dq.elbow(tmp_path, [2], listener=heard.append)
    assert curve.n_pixels == 9000
    (notice,) = (event for event in heard if isinstance(event, dq.Notice))
    assert notice.message.startswith("Left out ")
    assert "b.png" in notice.message


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_tables_hold_what_the_curve_does(pixels, tmp_path, suffix):
    out = tmp_path / f"scores{suffix}"
    curve = dq.elbow(pixels, [2, 9000], out)
    if suffix == ".json":
        assert json.loads(out.read_text()) == curve.to_json()
        return
    lines = list(csv.DictReader(io.StringIO(out.read_text()), strict=True))
    assert [line["k"] for line in lines] == ["2", "9000"]
    assert [float(line["mse"]) for line in lines] == [score.mse for score in curve.scores]
    assert (lines[1]["mse"], lines[1]["psnr_db"]) == ("0.0", "")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_curves_are_drawn_into_any_kind_of_picture(pixels, tmp_path, suffix):
    out = tmp_path / f"scores{suffix}"
    dq.elbow(pixels, [2, 3, 9000], out)  # the last has no error, and no place on a log scale
    assert out.read_bytes().startswith((b"\x89PNG", b"<?xml", b"%PDF"))
    with pytest.raises(dq.OutputExistsError, match="--overwrite"):
        dq.elbow(pixels, [2], out)


def test_what_cannot_be_scored_is_refused_before_anything_is_read(pixels, tmp_path):
    with pytest.raises(dq.OptionError, match="Got no number of colours"):
        dq.elbow(pixels, [])
    with pytest.raises(dq.OptionError, match="Got 0 colours"):
        dq.elbow(pixels, [2, 0])
    with pytest.raises(dq.OptionError, match=r"must end in \.csv or"):
        dq.elbow(tmp_path / "none.png", [2], tmp_path / "scores.jpg")
    with pytest.raises(dq.FitError, match="no pixel"):
        dq.elbow(dq.ColorHistogram.from_pixels(pixels[:0]), [2])
