"""What each command makes and says."""

import json

import numpy as np
import pytest
import zarr
from outputs import KEPT, KEPT_SHARED, list_outputs, list_own
from PIL import Image
from tifffile import TiffWriter

import dask_quant
from dask_quant.method_options import METHODS
from dask_quant.sources.samples import find_sample_images

FIELDS = {
    "command": str,
    "n_images": int,
    "n_ignored": int,
    "n_pixels": int,
    "n_unique_colors": int,
    "n_colors": int,
    "palette": list,
    "counts": list,
    "mse": float,
    "psnr_db": float,
    "explained_variance": float,
    "inertia": float,
    "method": str,
    "engine": str,
    "space": str,
    "dither": str,
    "seed": int,
    "n_iter": int,
    "input_bytes": int,
    "output_bytes": int,
    "outputs": list,
    "quarantined": list,
    "n_skipped": int,
    "n_palettes": int,
    "n_beyond": (int, type(None)),  # of families
    "seconds": dict,
    "peak_rss_bytes": int,
    "manifest": (str, type(None)),  # of a collection
    "version": str,
}


def assert_fields(report, nulls=()):
    assert list(report) == list(FIELDS)
    for name, kind in FIELDS.items():
        assert isinstance(report[name], type(None) if name in nulls else kind), name
    assert report["version"] == dask_quant.__version__
    assert next(iter(report["seconds"])) == "total"
    assert all(type(seconds) is float for seconds in report["seconds"].values())
    assert report["peak_rss_bytes"] > 30e6
    assert report["output_bytes"] > 0


@pytest.mark.parametrize("k", [2, 5, 10, 15, 24, 128])
def test_a_cat_gets_exactly_k_colors(k, run, cat, tmp_path, read_labels, measure_mse):
    Image.fromarray(cat).save(tmp_path / "cat.png")
    report = run("quantize", "cat.png", "-o", "out.png", "-k", k, "--json").json
    assert_fields(report)
    labels, colors = read_labels(tmp_path / "out.png")
    assert len(colors) == len(np.unique(labels)) == len(np.unique(colors, axis=0)) == k
    assert report["palette"] == [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colors.tolist()]
    assert report["counts"] == np.bincount(labels.ravel()).tolist()
    assert report["counts"] == sorted(report["counts"], reverse=True)
    mse = measure_mse(tmp_path / "out.png", cat)
    assert report["mse"] == pytest.approx(mse, rel=1e-12)
    assert report["psnr_db"] == pytest.approx(10 * np.log10(255**2 / (mse / 3)))
    spread = np.square(cat - cat.reshape(-1, 3).mean(axis=0)).sum() / labels.size
    assert report["explained_variance"] == pytest.approx(1 - mse / spread)
    assert report["inertia"] == pytest.approx(mse * labels.size)
    assert report["n_pixels"] == labels.size
    assert report["n_unique_colors"] == len(np.unique(cat.reshape(-1, 3), axis=0))
    assert report["outputs"] == ["out.png"]
    assert report["input_bytes"] == (tmp_path / "cat.png").stat().st_size
    size = (tmp_path / "out.png").stat().st_size
    assert report["output_bytes"] == size < (tmp_path / "cat.png").stat().st_size
    assert (report["n_images"], report["n_ignored"], report["quarantined"]) == (1, 0, [])


def test_more_colors_means_less_error(run, cat, tmp_path):
    Image.fromarray(cat).save(tmp_path / "cat.png")
    reports = [
        run("quantize", "cat.png", "-o", f"{k}.png", "-k", k, "--json").json for k in (2, 4, 8)
    ]
    errors = [report["mse"] for report in reports]
    assert errors == sorted(errors, reverse=True)


def test_every_kind_of_source_and_output_agrees(run, cat, store, pictures, tmp_path, read_labels):
    (tmp_path / "list.txt").write_text("pictures/cat.png\n")
    data = (pictures / "cat.png").read_bytes()
    sources = {
        "file": ["pictures/cat.png"],
        "glob": ["pictures/c*.png"],
        "list": ["@list.txt"],
        "stdin": ["-"],
        "zarr": ["cat.zarr"],
        "chunks": ["pictures/cat.png", "--chunks", "30,50"],
        "persist": ["pictures/cat.png", "--persist", "decoded.zarr"],
        "reuse": ["pictures/cat.png", "--persist", "decoded.zarr"],
        "threads": ["pictures/cat.png", "--scheduler", "threads"],
        "synchronous": ["cat.zarr", "--scheduler", "synchronous"],
    }
    written, figures = {}, {}
    for name, arguments in sources.items():
        done = run("quantize", *arguments, "-o", f"{name}.png", "-k7", "--json", stdin=data)
        written[name] = (tmp_path / f"{name}.png").read_bytes()
        figures[name] = [done.json[field] for field in ("palette", "counts", "mse", "n_iter")]
        assert ("Reusing decoded.zarr" in done.err) == (name == "reuse")
    assert len(set(written.values())) == 1
    assert all(found == figures["file"] for found in figures.values())

    for name in ("file", "zarr"):
        report = run("quantize", *sources[name], "-o", f"{name}.zarr", "-k7", "--json").json
        assert_fields(report)
        labels, colors = read_labels(tmp_path / f"{name}.zarr")
        expected, known = read_labels(tmp_path / "file.png")
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_array_equal(colors, known)
        on_disk = [path for path in (tmp_path / f"{name}.zarr").rglob("*") if path.is_file()]
        assert report["output_bytes"] == sum(path.stat().st_size for path in on_disk)


@pytest.mark.parametrize("per_image", [False, True])
def test_a_folder_is_mirrored(per_image, run, cat, pictures, tmp_path, read_labels, measure_mse):
    flag = ["--per-image"] if per_image else []
    done = run("quantize", "pictures", "-o", "out", "-k6", "--json", *flag)
    report = done.json
    nulls = ("palette", "counts", "n_unique_colors") if per_image else ()
    assert_fields(report, nulls)
    outs = {"below/flipped.png": cat[::-1], "cat.png": cat, "tac.png": cat[:, ::-1]}
    assert list_outputs(tmp_path / "out") == list(outs)
    assert list_own(tmp_path / "out") == list(KEPT if per_image else KEPT_SHARED)
    found = [tmp_path / "out" / name for name in outs]
    assert sorted(report["outputs"]) == [f"out/{name}" for name in outs]
    assert (report["n_images"], report["n_ignored"], report["n_colors"]) == (3, 1, 6)
    assert report["n_pixels"] == 3 * cat.size // 3
    errors = [measure_mse(tmp_path / "out" / name, pixels) for name, pixels in outs.items()]
    assert report["mse"] == pytest.approx(np.mean(errors), rel=1e-12)
    assert report["output_bytes"] == sum(path.stat().st_size for path in found)
    # These three hold the same colours, so that their own palettes are the shared one.
    palettes = {read_labels(path)[1].tobytes() for path in found}
    assert len(palettes) == 1


def test_several_files_go_to_a_folder(run, pictures, tmp_path):
    report = run("quantize", *sorted(pictures.glob("*.*")), "-o", "out", "-k3", "--json")
    assert report.code == 3  # a text file that was given by name is an input
    assert [entry["path"] for entry in report.json["quarantined"]] == [str(pictures / "notes.txt")]
    assert list_outputs(tmp_path / "out") == ["cat.png", "tac.png"]


@pytest.mark.parametrize("suffix", ["gpl", "hex", "json", "png", "zarr"])
def test_apply_takes_any_palette_that_was_written(suffix, run, pictures, tmp_path):
    expected = run("quantize", "pictures/cat.png", "-o", "expected.png", "-k5", "--json").json
    name = f"colors.{suffix}"
    command = "quantize" if suffix in ("png", "zarr") else "palette"
    made = run(command, "pictures/cat.png", "-o", name, "-k5", "--json").json
    assert_fields(made)
    assert made["command"] == command
    assert (made["palette"], made["mse"]) == (expected["palette"], expected["mse"])
    applied = run("apply", "pictures/cat.png", "--palette", name, "-o", "out.png", "--json").json
    assert_fields(applied)
    assert (applied["command"], applied["engine"]) == ("apply", "none")
    assert applied["palette"] == expected["palette"]
    assert applied["counts"] == expected["counts"]
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "expected.png").read_bytes()
    folder = run("apply", "pictures", "--palette", name, "-o", "folder", "--json").json
    assert folder["n_images"] == 3
    assert (tmp_path / "folder" / "cat.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_a_palette_of_a_folder_is_that_of_all_its_images(run, pictures):
    alone = run("palette", "pictures/cat.png", "-o", "cat.hex", "-k4", "--json").json
    shared = run("palette", "pictures", "-o", "all.hex", "-k4", "--json").json
    assert shared["palette"] == alone["palette"]  # all three hold the same colours
    assert shared["counts"] == [3 * count for count in alone["counts"]]
    assert (shared["n_images"], shared["n_ignored"]) == (3, 1)


def test_compare_draws_a_sheet_and_pictures(run, cat, pictures, tmp_path, measure_mse):
    arguments = ["pictures/cat.png", "-k", "2,5", "-o", "sheet.png", "--images", "each"]
    result = run("compare", *arguments, "--json").json
    assert [candidate["k"] for candidate in result["candidates"]] == [2, 5]
    for candidate in result["candidates"]:
        file = tmp_path / candidate["output"]
        assert file.name == f"cat-{candidate['k']}.png"
        assert candidate["mse"] == pytest.approx(measure_mse(file, cat), rel=1e-12)
        assert candidate["output_bytes"] == file.stat().st_size
        alone = run("quantize", arguments[0], "-o", "q.png", "-k", candidate["k"], "--overwrite")
        assert alone.code == 0
        assert (tmp_path / "q.png").read_bytes() == file.read_bytes()
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2 * cat.shape[1]
    assert result["outputs"] == ["sheet.png", "each/cat-2.png", "each/cat-5.png"]
    again = run("compare", *arguments)
    assert (again.code, again.out) == (1, "")
    assert "--overwrite" in again.err
    table = run("compare", "pictures/cat.png", "-k", "2:4", "-o", "s.png")
    assert [line.split()[0] for line in table.lines[1:5]] == ["k", "2", "3", "4"]


def test_a_method_is_carried_out_and_reported(run, cat, pictures, tmp_path, measure_mse):
    errors = {}
    for method in METHODS:
        out = tmp_path / f"{method}.png"
        arguments = ("pictures/cat.png", "-k12", "--method", method)
        report = run("quantize", *arguments, "-o", out, "--json").json
        assert (report["method"], report["n_colors"]) == (method, 12)
        assert report["mse"] == pytest.approx(measure_mse(out, cat), rel=1e-12)
        errors[method] = report["mse"]
        palette = run("palette", *arguments, "-o", f"{method}.hex", "--json").json
        assert palette["palette"] == report["palette"]
    assert min(errors, key=errors.get) == "kmeans"
    assert len(set(errors.values())) == len(METHODS)


def test_collections_take_any_method(run, pictures, tmp_path):
    shared = run("quantize", "pictures", "-o", "all", "-k6", "--method", "octree", "--json").json
    each = ("quantize", "pictures", "-o", "each", "-k6", "--per-image", "--method", "octree")
    assert run(*each, "--json").json["method"] == shared["method"] == "octree"
    run("quantize", "pictures/cat.png", "-o", "one.png", "-k6", "--method", "octree")
    assert (tmp_path / "each" / "cat.png").read_bytes() == (tmp_path / "one.png").read_bytes()


def test_kmeans_begins_at_the_colors_of_a_file(run, pictures, tmp_path):
    begin = ("palette", "pictures/cat.png", "-k6", "--json", "--overwrite")
    given = run(*begin, "-o", "start.hex", "--method", "median-cut").json
    plain = run(*begin, "-o", "end.hex", "--init", "start.hex").json
    assert plain["mse"] < given["mse"]
    moved = run(*begin, "-o", "end.hex", "--init", "start.hex", "--max-iter", "1").json
    assert moved["n_iter"] == 1 < plain["n_iter"]
    random = [
        run(*begin, "-o", "end.hex", "--init", "random", "--n-init", n, "--max-iter", 3).json
        for n in (1, 5)
    ]
    assert random[0]["mse"] >= random[1]["mse"]
    assert random[1]["n_iter"] > 3 >= random[0]["n_iter"]


def test_compare_draws_a_row_for_each_method(run, pictures, tmp_path):
    arguments = ("compare", "pictures/cat.png", "-k", "3,6", "--images", "each", "--effort", "fast")
    methods = ("--method", "median-cut,kmeans")
    result = run(*arguments, *methods, "-o", "sheet.png", "--json").json
    found = [(c["method"], c["k"]) for c in result["candidates"]]
    assert found == [("median-cut", 3), ("median-cut", 6), ("kmeans", 3), ("kmeans", 6)]
    for method, k in found:
        alone = ["--effort", "fast"] if method == "kmeans" else []
        run("quantize", "pictures/cat.png", "-o", f"{method}-{k}.png", "-k", k,
            "--method", method, *alone)  # fmt: skip
        written = tmp_path / "each" / f"cat-{method}-{k}.png"
        assert written.read_bytes() == (tmp_path / f"{method}-{k}.png").read_bytes()
    table = run("compare", "pictures/cat.png", "-k3", "--method", "wu,uniform", "-o", "s.png")
    assert [line.split()[0] for line in table.lines[1:4]] == ["method", "wu", "uniform"]


def test_info_says_what_images_are(run, cat, store, pictures):
    n_colors = len(np.unique(cat.reshape(-1, 3), axis=0))
    one = run("info", "pictures/cat.png", "--json").json
    image = {
        "path": "pictures/cat.png",
        "format": "PNG",
        "mode": "RGB",
        "width": 128,
        "height": 96,
        "bands": 3,
        "n_unique_colors": n_colors,
        "input_bytes": (pictures / "cat.png").stat().st_size,
        "n_frames": 1,
        "profile": None,
        "n_pixels": 96 * 128,
    }
    assert one == {"command": "info", "images": [image], **image}
    several = run("info", "pictures", "cat.zarr", "--json").json
    assert {info["format"] for info in several["images"]} == {"PNG", "BMP", "TIFF", "ZARR"}
    assert {info["n_unique_colors"] for info in several["images"]} == {n_colors}
    assert set(several) == {"command", "images"}
    table = run("info", "pictures/cat.png")
    assert table.out == ""
    assert f"{n_colors:,}" in table.lines[1]
    assert len(table.lines) == 2


@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_info_lists_levels_that_the_option_takes(run, cat, tmp_path, kind):
    name = f"pyramid.{kind}"
    halves = [cat, cat[::2, ::2], cat[::4, ::4]]
    if kind == "tif":
        with TiffWriter(tmp_path / name) as file:
            file.write(cat, photometric="rgb", subifds=2, tile=(16, 16))
            for half in halves[1:]:
                file.write(half, photometric="rgb", subfiletype=1, tile=(16, 16))
    else:
        datasets = [{"path": str(level)} for level in range(3)]
        axes = [{"name": axis} for axis in "yxc"]
        ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
        group = zarr.create_group(tmp_path / name, attributes={"ome": ome})
        for level, half in enumerate(halves):
            group.create_array(str(level), data=np.ascontiguousarray(half), chunks=(32, 32, 3))
    told = run("info", name, "--json").json
    assert told["n_pages"] == 1
    assert told["levels"] == [list(half.shape[:2]) for half in halves]
    lines = run("info", name).lines
    sizes = "0: 128 x 96, 1: 64 x 48, 2: 32 x 24"
    assert lines[-1] == f"{name} has levels, for --level N: {sizes}"
    for level, half in enumerate(halves):
        chosen = run("info", name, "--level", level, "--json").json
        assert [chosen["height"], chosen["width"]] == told["levels"][level]
        assert chosen["n_unique_colors"] == len(np.unique(half.reshape(-1, 3), axis=0))


def test_demo_runs_on_what_ships_with_the_dependencies(run, tmp_path, monkeypatch):
    small = []
    for path in find_sample_images():
        with Image.open(path) as image:
            small.append(tmp_path / path.name)
            image.resize((64, 43)).save(small[-1])
    monkeypatch.setattr("dask_quant.comparison.find_sample_images", lambda: small)
    result = run("demo", "--json").json
    assert result["command"] == "demo"
    assert len(result["comparisons"]) == 2
    assert len(result["outputs"]) == 12
    for name in ("china", "flower"):
        assert (tmp_path / "dask-quant-demo" / f"{name}-sheet.png").is_file()
        for k in (2, 5, 10, 15, 24):
            with Image.open(tmp_path / "dask-quant-demo" / f"{name}-{k}.png") as image:
                assert len(image.getcolors()) == k
    assert run("demo").code == 1


def test_a_dry_run_writes_nothing_and_says_what_it_would(run, store, pictures, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for source, out, n_images in (
        ("pictures/cat.png", "new/out.png", 1),
        ("cat.zarr", "new/out.zarr", 1),
        ("pictures", "new/out", 3),
    ):
        done = run("quantize", source, "-o", out, "--dry-run", "--json")
        plan = done.json["plan"]
        assert (done.json["command"], done.json["dry_run"]) == ("quantize", True)
        assert plan["n_images"] == n_images
        assert plan["n_pixels"] == plan["label_bytes"] == n_images * 96 * 128
        assert plan["decoded_bytes"] == 3 * plan["n_pixels"]
        assert plan["n_tasks"] >= n_images
        assert plan["projected_bytes"] > 100e6
        said = run("quantize", source, "-o", out, "--dry-run")
        assert (said.code, said.out) == (0, "")
        assert f"would write {plan['outputs'][0]}" in said.err
        assert sorted(tmp_path.rglob("*")) == before


def test_quiet_says_nothing_and_json_only_json(run, pictures):
    done = run("quantize", "pictures/cat.png", "-o", "1.png", "-k3", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = run("quantize", "pictures/cat.png", "-o", "2.png", "-k3")
    assert (done.code, done.out) == (0, "")
    assert "1 image in 3" in done.err
    done = run("quantize", "pictures/cat.png", "-o", "3.png", "-k3", "--json")
    assert done.out.count("\n") == 1
    assert done.err == ""


@pytest.mark.parametrize(
    ("pixels", "n_colors"),
    [
        (np.full((1, 1, 3), 7), 1),
        (np.full((20, 30, 3), (1, 200, 3)), 1),
        (np.arange(27).reshape(9, 1, 3), 9),
    ],
    ids=["one pixel", "one colour", "nine colours"],
)
def test_fewer_colors_than_asked_are_a_warning(
    pixels, n_colors, run, tmp_path, measure_mse, read_labels
):
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "in.png")
    for out in ("out.png", "out.zarr"):
        done = run("quantize", "in.png", "-o", out, "-k12", "--json")
        assert done.code == 0
        (line,) = done.lines
        assert line.startswith("warning: 12 colours were asked for")
        assert (done.json["n_colors"], done.json["mse"], done.json["psnr_db"]) == (
            n_colors,
            0,
            None,
        )
        assert_fields(done.json, nulls=("psnr_db",))
        assert done.json["explained_variance"] == 1
        assert measure_mse(tmp_path / out, pixels) == 0
        assert len(read_labels(tmp_path / out)[1]) == n_colors
    quiet = run("quantize", "in.png", "-o", "q.png", "-k12", "--quiet")
    assert quiet.err.startswith("warning: ")


def test_seeds_and_search_options_are_taken(run, pictures):
    base = ["quantize", "pictures/cat.png", "-k40", "--json", "--overwrite", "-o", "o.png"]
    first = run(*base, "--effort", "fast", "--n-init", "1", "--max-iter", "1").json
    best = run(*base).json
    assert first["mse"] > best["mse"]
    assert run(*base, "--seed", "5").json["seed"] == 5
    assert json.dumps(run(*base).json["palette"]) == json.dumps(best["palette"])
