import json

import numpy as np
import pytest
from PIL import Image

from dask_quant import comparison
from dask_quant.comparison import compare, make_demo
from dask_quant.errors import (
    OptionError,
    OutputError,
    OutputExistsError,
    PixelFormatError,
    SourceError,
)
from dask_quant.fit.fitting import fit_histogram
from dask_quant.pipeline import quantize
from dask_quant.sinks.sheet import draw_sheet


@pytest.fixture
def picture(tmp_path, photo):
    Image.fromarray(photo[200:290, 300:420]).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def test_every_candidate_is_what_quantize_makes(tmp_path, picture, read_indexed):
    result = compare(picture, tmp_path / "sheet.png", [2, 7], images=tmp_path / "each", seed=3)
    assert [candidate.n_colors for candidate in result.candidates] == [2, 7]
    for candidate in result.candidates:
        report = quantize(
            picture, tmp_path / f"{candidate.n_colors}.png", n_colors=candidate.n_colors, seed=3
        )
        assert candidate.palette == report.palette
        assert candidate.mse == report.mse
        assert candidate.psnr_db == report.psnr_db
        assert candidate.explained_variance == report.explained_variance
        assert candidate.output_bytes == report.output_bytes
        written = tmp_path / "each" / f"cat-{candidate.n_colors}.png"
        assert candidate.output == str(written)
        expected = (tmp_path / f"{candidate.n_colors}.png").read_bytes()
        assert written.read_bytes() == expected
    assert result.n_pixels == 90 * 120
    assert result.input_bytes == picture.stat().st_size


def test_the_sheet_is_a_picture_and_the_figures_are_json(tmp_path, picture):
    sheet = tmp_path / "sheet.png"
    result = compare(picture, sheet, (2, 300))
    with Image.open(sheet) as image:
        image.load()
        assert image.width >= 3 * 120
    values = json.loads(json.dumps(result.to_json()))
    assert [candidate["k"] for candidate in values["candidates"]] == [2, 300]
    assert values["outputs"] == [str(sheet)]
    # PNG holds no more than 256 colours: measured up to there only.
    assert values["candidates"][0]["output_bytes"] > 0
    assert values["candidates"][1]["output_bytes"] is None
    assert values["candidates"][1]["n_colors"] == 300


def test_more_colors_are_never_worse(tmp_path, picture):
    events = []
    result = compare(picture, tmp_path / "s.png", (1, 2, 4, 8, 16), listener=events.append)
    errors = [candidate.mse for candidate in result.candidates]
    assert errors == sorted(errors, reverse=True)
    assert [(e.stage, e.done, e.total) for e in events] == [("compare", i, 5) for i in range(1, 6)]


def test_methods_get_what_they_take_and_a_row_each(tmp_path, picture, monkeypatch):
    drawn = []

    def draw(panels, **layout):
        drawn.append(([panel.caption[0] for panel in panels], layout["columns"]))
        return draw_sheet(panels, **layout)

    monkeypatch.setattr(comparison, "draw_sheet", draw)
    result = compare(
        picture, tmp_path / "s.png", (4, 2, 4), method=["octree", "kmeans", "octree"], max_iter=3
    )
    found = [(candidate.method, candidate.n_colors) for candidate in result.candidates]
    assert found == [("octree", 4), ("octree", 2), ("kmeans", 4), ("kmeans", 2)]
    captions = [
        *("original", "octree, k = 4", "octree, k = 2"),
        *("original", "kmeans, k = 4", "kmeans, k = 2"),
    ]
    assert drawn == [(captions, 3)]
    compare(picture, tmp_path / "t.png", 2, method="wu", seed=4)
    assert drawn[1] == (["original", "wu, k = 2"], None)
    for wrong in ([], "magic", ["wu", 3], 7):
        with pytest.raises(OptionError, match="method"):
            compare(picture, tmp_path / "u.png", 2, method=wrong)
    with pytest.raises(OptionError, match="Got tol 1"):
        compare(picture, tmp_path / "u.png", 2, method=["wu", "octree"], tol=1.0)


def test_a_sheet_of_very_many_pictures_stays_within_bounds(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(comparison, "MAX_SHEET_PIXELS", 60_000)
    compare(picture, tmp_path / "s.png", range(1, 6), method=["wu", "uniform"])
    with Image.open(tmp_path / "s.png") as sheet:
        # Pictures of 5,000 pixels, but the width that captions need.
        assert sheet.width < 6 * 260
        assert sheet.height < 2 * 200


def test_a_constant_picture_is_exact(tmp_path):
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(tmp_path / "c.png")
    candidate = compare(tmp_path / "c.png", tmp_path / "s.png", [4]).candidates[0]
    assert (candidate.mse, candidate.psnr_db, candidate.explained_variance) == (0, None, 1.0)
    assert len(candidate.palette) == 1


def test_nothing_is_read_or_written_when_something_is_wrong(tmp_path, picture, monkeypatch):
    (tmp_path / "s.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        compare(picture, tmp_path / "s.png", [2])
    with pytest.raises(OptionError):
        compare(picture, tmp_path / "t.png", [2, 0])
    with pytest.raises(SourceError):
        compare(tmp_path / "none.png", tmp_path / "t.png", [2])
    monkeypatch.setattr(comparison, "SMALL_PIXELS", 100)
    with pytest.raises(PixelFormatError, match="10,800 pixels"):
        compare(picture, tmp_path / "t.png", [2])
    assert not (tmp_path / "t.png").exists()
    assert (tmp_path / "s.png").read_bytes() == b"mine"


def test_all_outputs_are_checked_before_the_first_fit(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(comparison, "fit_histogram", None)
    (tmp_path / "each").mkdir()
    (tmp_path / "each" / "cat-7.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="cat-7"):
        compare(picture, tmp_path / "s.png", [2, 7], images=tmp_path / "each")
    with pytest.raises(OutputError, match="for the sheet"):
        compare(picture, tmp_path / "each" / "cat-2.png", [2], images=tmp_path / "each")
    assert [path.name for path in (tmp_path / "each").iterdir()] == ["cat-7.png"]
    assert not (tmp_path / "s.png").exists()


def test_repeated_numbers_of_colors_are_compared_once(tmp_path, picture):
    events = []
    result = compare(
        picture, tmp_path / "s.png", [3, 2, 3], images=tmp_path / "each", listener=events.append
    )
    assert [candidate.n_colors for candidate in result.candidates] == [3, 2]
    assert events[-1].total == 2


def test_arguments_of_other_kinds_are_taken_or_refused(tmp_path, picture):
    assert len(compare(str(picture), str(tmp_path / "s.png"), 3).candidates) == 1
    out = tmp_path / "t.png"
    for wrong in ([], "2,5", [2.5], None):
        with pytest.raises(OptionError, match=r"^Got "):
            compare(picture, out, wrong)
    for source in (np.zeros((4, 4, 3), np.uint8), Image.new("RGB", (4, 4)), None):
        with pytest.raises(OptionError, match="for source; use a path"):
            compare(source, out)
    with pytest.raises(OptionError, match="for out; use a path"):
        make_demo(None)
    assert not out.exists()


def test_the_demo_compares_the_photographs_at_hand(tmp_path, monkeypatch, picture):
    monkeypatch.setattr(comparison, "find_sample_images", lambda: [picture])
    results = make_demo(tmp_path / "demo")
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {"cat-sheet.png", *(f"cat-{k}.png" for k in (2, 5, 10, 15, 24))}
    assert [len(c.palette) for c in results[0].candidates] == [2, 5, 10, 15, 24]


def test_ditherings_get_a_row_each_of_the_same_palettes(
    tmp_path, picture, monkeypatch, read_indexed
):
    drawn, fitted = [], []

    def draw(panels, **layout):
        drawn.append(([panel.caption[0] for panel in panels], layout["columns"]))
        return draw_sheet(panels, **layout)

    def fit(histogram, options):
        fitted.append(options.n_colors)
        return fit_histogram(histogram, options)

    monkeypatch.setattr(comparison, "draw_sheet", draw)
    monkeypatch.setattr(comparison, "fit_histogram", fit)
    dithers = ["bayer", "none", "floyd-steinberg", "bayer"]
    result = compare(picture, tmp_path / "s.png", (6, 2), dither=dithers, images=tmp_path / "each")
    assert fitted == [6, 2]  # once for all of them
    found = [(candidate.dither, candidate.n_colors) for candidate in result.candidates]
    assert found == [(d, k) for d in dithers[:3] for k in (6, 2)]
    rows = [("original", f"{dither}, k = 6", f"{dither}, k = 2") for dither in dithers[:3]]
    assert drawn == [([caption for row in rows for caption in row], 3)]
    pixels = np.asarray(Image.open(picture)).astype(int)
    for candidate in result.candidates:
        file = tmp_path / "each" / f"cat-{candidate.dither}-{candidate.n_colors}.png"
        assert candidate.output == str(file)
        labels, _, painted = read_indexed(file)
        assert candidate.mse == np.square(pixels - painted).sum() / labels.size
        counts = np.bincount(labels.ravel(), minlength=candidate.n_colors)
        assert candidate.palette.counts.tolist() == counts.tolist()
        out = tmp_path / "q.png"
        quantize(
            *(picture, out), n_colors=candidate.n_colors, dither=candidate.dither, overwrite=True
        )
        assert out.read_bytes() == file.read_bytes()
    assert result.to_json()["candidates"][0]["dither"] == "bayer"


def test_methods_and_ditherings_are_all_shown(tmp_path, picture):
    result = compare(
        *(picture, tmp_path / "s.png", 3),
        method=["kmeans", "wu"],
        dither=("none", "blue-noise"),
        images=tmp_path / "each",
    )
    found = [(candidate.method, candidate.dither) for candidate in result.candidates]
    assert found == [(m, d) for m in ("kmeans", "wu") for d in ("none", "blue-noise")]
    names = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert names == sorted(f"cat-{method}-{dither}-3.png" for method, dither in found)


def test_a_comparison_in_a_space_is_dithered_there(tmp_path, picture):
    compared = compare(picture, tmp_path / "s.png", 5, dither="bayer", space="lab").candidates[0]
    report = quantize(
        np.asarray(Image.open(picture)), tmp_path / "q.png", n_colors=5, dither="bayer", space="lab"
    )
    assert (compared.mse, compared.palette) == (report.mse, report.palette)


@pytest.mark.parametrize("wrong", [[], "noise", ["bayer", "noise"], 7, None])
def test_wrong_ditherings_are_refused(tmp_path, picture, wrong):
    with pytest.raises(OptionError, match="dither"):
        compare(picture, tmp_path / "u.png", 2, dither=wrong)
    assert not (tmp_path / "u.png").exists()
