"""Palettes that a user has a say in: colours kept, classes painted anew, palettes by name."""

import numpy as np
import pytest
from PIL import Image

import dask_quant as dq
from dask_quant.options import ClusterOptions

KEPT = ["#ff0000", "#00ff00"]


@pytest.fixture
def cat_file(cat, tmp_path):
    Image.fromarray(cat).save(tmp_path / "cat.png")
    return "cat.png"


def read_routes(run, cat_file, store, read_labels, tmp_path, *options):
    """Return labels and colours of one picture by every route, having checked the figures."""
    routes = {
        "file": [cat_file],
        "zarr": [store],
        "cut": [store, "--chunks", "17,40", "--scheduler", "synchronous"],
    }
    reports, files = {}, {}
    for name, arguments in routes.items():
        done = run("quantize", *arguments, "-o", f"{name}.png", "--n-init", 1, "--json", *options)
        reports[name], files[name] = done.json, (tmp_path / f"{name}.png").read_bytes()
    assert len(set(files.values())) == 1
    figures = [[r[f] for f in ("palette", "counts", "mse", "inertia")] for r in reports.values()]
    assert figures.count(figures[0]) == len(figures)
    return reports["file"], *read_labels(tmp_path / "file.png")


def test_kept_colors_are_in_the_palette_by_every_route(
    run, cat_file, store, read_labels, measure_mse, cat, tmp_path
):
    options = ("-k", 9, "--keep", ",".join(KEPT))
    report, labels, colors = read_routes(run, cat_file, store, read_labels, tmp_path, *options)
    assert set(KEPT) <= set(report["palette"])
    assert len(report["palette"]) == report["n_colors"] == len(colors) == 9
    assert report["counts"] == np.bincount(labels.ravel(), minlength=9).tolist()
    assert report["counts"] == sorted(report["counts"], reverse=True)
    assert report["mse"] == pytest.approx(measure_mse(tmp_path / "file.png", cat), rel=1e-12)
    plain = run("quantize", cat_file, "-o", "plain.png", "-k", 7, "--n-init", 1, "--json").json
    assert report["mse"] <= plain["mse"]


def test_kept_colors_are_kept_in_folders_palettes_and_python(run, pictures, tmp_path):
    for extra in ((), ("--per-image",)):
        out = f"out{len(extra)}"
        run("quantize", "pictures", "-o", out, "-k", 4, "--keep", "#f00", "--n-init", 1, *extra)
        written = sorted((tmp_path / out).rglob("*.png"))
        assert len(written) == 3
        assert all("#ff0000" in dq.read_palette(path).hex for path in written)
    done = run("palette", "pictures", "-o", "a.json", "-k", 4, "--keep", "#f00", "--n-init", 1)
    assert done.code == 0
    palette = dq.read_palette(tmp_path / "a.json")
    image = np.asarray(Image.open(pictures / "cat.png"))
    fitted = dq.fit_palette(image, 4, keep=np.array([[255, 0, 0]]), n_init=1)
    assert fitted.hex.count("#ff0000") == palette.hex.count("#ff0000") == 1
    assert fitted.counts[fitted.hex.index("#ff0000")] == 0  # no pixel is as red: it is there anyway


def test_classes_are_painted_in_other_colors_by_every_route(
    run, cat_file, store, read_labels, measure_mse, cat, tmp_path
):
    options = ("-k", 3, "--recolor", "#000,#808080,#fff")
    report, labels, colors = read_routes(run, cat_file, store, read_labels, tmp_path, *options)
    run("quantize", cat_file, "-o", "plain.png", "-k", 3, "--n-init", 1)
    plain_labels, plain_colors = read_labels(tmp_path / "plain.png")
    np.testing.assert_array_equal(labels, plain_labels)
    luma = plain_colors @ [0.2126, 0.7152, 0.0722]
    assert colors[luma.argsort()].tolist() == [[0] * 3, [128] * 3, [255] * 3]
    assert report["palette"] == [f"#{bytes(color).hex()}" for color in colors.tolist()]
    assert report["counts"] == np.bincount(labels.ravel()).tolist()
    assert report["mse"] == pytest.approx(measure_mse(tmp_path / "file.png", cat), rel=1e-12)
    assert report["inertia"] == pytest.approx(report["mse"] * labels.size)


def test_a_store_and_a_folder_are_painted_as_a_file_is(
    run, cat_file, pictures, read_labels, tmp_path
):
    options = ("-k", 2, "--recolor", "#000,#fff", "--n-init", 1)
    run("quantize", cat_file, "-o", "cat.out.png", *options)
    run("quantize", cat_file, "-o", "out.zarr", *options)
    run("quantize", "pictures", "-o", "each", "--per-image", *options)
    shared = run("quantize", "pictures", "-o", "shared", *options, "--json").json
    expected = read_labels(tmp_path / "cat.out.png")
    for path in (tmp_path / "out.zarr", tmp_path / "each" / "cat.png"):
        for found, wanted in zip(read_labels(path), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    errors, n_pixels = 0, 0
    for source, written in (
        ("cat.png", "cat.png"),
        ("tac.bmp", "tac.png"),
        ("below/flipped.tif", "below/flipped.png"),
    ):
        labels, colors = read_labels(tmp_path / "shared" / written)
        pixels = np.asarray(Image.open(pictures / source)).astype(int)
        errors += ((colors[labels] - pixels) ** 2).sum()
        n_pixels += labels.size
        assert sorted(colors.tolist()) == [[0] * 3, [255] * 3]
    assert shared["mse"] == pytest.approx(errors / n_pixels, rel=1e-12)


def test_a_blank_page_is_set_aside_and_the_others_are_painted(run, pictures, tmp_path):
    Image.new("RGB", (8, 8), "white").save(pictures / "blank.png")
    options = ("-k", 2, "--recolor", "#000,#fff", "--n-init", 1)
    done = run("quantize", "pictures", "-o", "out", "--per-image", *options, "--json")
    assert done.code == 3
    (aside,) = done.json["quarantined"]
    assert aside["path"].endswith("blank.png")
    assert "Got 1 distinct colours in the image for 2" in aside["reason"]
    alone = run("quantize", "pictures/blank.png", "-o", "blank.png", *options)
    assert (alone.code, len(alone.lines)) == (1, 1)
    assert not (tmp_path / "blank.png").exists()


def test_a_cluster_and_other_engines_paint_the_same_way(cat, tmp_path):
    run_options = {"cluster": ClusterOptions(scheduler="synchronous"), "seed": 3}
    report = dq.quantize(
        cat, tmp_path / "a.png", n_colors=2, engine="scalable", recolor=["#fff", "#000"],
        **run_options,
    )  # fmt: skip
    labels = np.asarray(Image.open(tmp_path / "a.png"))
    mean_levels = [cat[labels == label].mean() for label in (0, 1)]
    assert report.palette.hex[int(np.argmin(mean_levels))] == "#ffffff"
    difference = report.palette.colors[labels].astype(int) - cat
    assert report.mse == pytest.approx((difference**2).sum() / labels.size, rel=1e-12)


def test_a_dry_run_knows_the_options_and_their_errors(run, cat_file):
    assert run("quantize", cat_file, "-o", "a.png", "--keep", "#f00", "--dry-run").code == 0
    for arguments, words in (
        (("--keep", "#f00,red"), "Got 'red' for keep"),
        (("-k", 1, "--keep", "#f00,#0f0"), "Got 2 colours to keep among 1"),
        (("--recolor", "#000,#fff"), "ask for 2 colours"),
        (("--keep", "#f00", "--engine", "scalable"), "use the histogram engine"),
    ):
        for extra in ((), ("--dry-run",)):
            done = run("quantize", cat_file, "-o", "a.png", *arguments, *extra)
            assert done.code == 1 or done.code == 2
            assert len(done.lines) == 1
            assert words in done.err


@pytest.mark.parametrize("suffix", [".pal", ".riff.pal", ".act", ".ase", ".clr", ".qml", ".png"])
def test_a_palette_goes_out_and_in_as_any_file(run, cat_file, suffix, read_labels, tmp_path):
    name = f"warm{suffix}"
    made = run("palette", cat_file, "-o", name, "-k", 5, "--n-init", 1, "--json").json
    assert dq.read_palette(tmp_path / name).hex == made["palette"]
    assert made["output_bytes"] == (tmp_path / name).stat().st_size
    used = run("apply", cat_file, "--palette", name, "-o", "out.png", "--json").json
    assert used["palette"] == made["palette"]
    assert used["mse"] == made["mse"]
    assert len(run("palette", cat_file, "-o", name, "-k", 5).lines) == 1  # it exists


def test_a_palette_goes_by_its_name(run, cat_file, tmp_path, read_labels, measure_mse, cat):
    (tmp_path / "ega").write_text("000000\n")
    used = run("apply", cat_file, "--palette", "ega", "-o", "out.png", "--json").json
    _, colors = read_labels(tmp_path / "out.png")
    assert used["palette"] == [f"#{bytes(color).hex()}" for color in colors.tolist()]
    assert len(colors) == 16
    assert used["mse"] == pytest.approx(measure_mse(tmp_path / "out.png", cat), rel=1e-12)
    done = run("apply", cat_file, "--palette", "egg", "-o", "egg.png")
    assert (done.code, len(done.lines)) == (1, 1)
    assert "web-safe" in done.err


def test_a_palette_that_a_file_cannot_hold_is_refused_in_one_line(run, cat_file, tmp_path):
    for name, words in (("a.act", ".act holds at most 256"), ("a.png", "holds at most 256")):
        options = ("-k", 257, "--effort", "fast")
        done = run("palette", cat_file, "-o", name, *options)
        assert (done.code, len(done.lines)) == (1, 1)
        assert words in done.err
        assert not (tmp_path / name).exists()


def test_kept_colors_count_where_there_are_fewer_than_asked_for(run, tmp_path):
    Image.new("RGB", (4, 4), "#0000ff").save(tmp_path / "blue.png")
    done = run("quantize", "blue.png", "-o", "out.png", "-k", 5, "--keep", "#f00,#0f0", "--json")
    assert done.json["palette"] == ["#0000ff", "#00ff00", "#ff0000"]
    assert done.json["counts"] == [16, 0, 0]
    assert done.json["mse"] == 0
    assert "the input and the colours to keep are 3 colours, fewer" in done.err
