"""Classes of rasters on the command line: what is written, said and refused."""

import csv
import io
import json

import numpy as np
import pytest
import zarr
from PIL import Image

import dask_quant

rasterio = pytest.importorskip("rasterio")

FIELDS = {
    "command": str,
    "n_images": int,
    "n_ignored": int,
    "n_pixels": int,
    "n_excluded": int,
    "n_clusters": int,
    "bands": list,
    "scale": str,
    "nodata": int,
    "classes": list,
    "scenes": list,
    "inertia": float,
    "explained_variance": float,
    "component_shares": list,
    "seed": int,
    "n_iter": int,
    "n_passes": int,
    "input_bytes": int,
    "output_bytes": int,
    "outputs": list,
    "seconds": dict,
    "peak_rss_bytes": int,
    "projected_bytes": int,
    "version": str,
}

NAMES = ("red", 'nir, "near"', "swir")


def write_tif(path, samples, *, names=NAMES, nodata=None):
    """Write a GeoTIFF of pixels of 30 m."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = samples.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, nodata=nodata,
        dtype=samples.dtype.name, crs="EPSG:32633",
        transform=rasterio.Affine(30, 0, 5e5, 0, -30, 5e6),
    ) as dataset:  # fmt: skip
        dataset.write(samples.transpose(2, 0, 1))
        for number, text in enumerate(names[:count], 1):
            dataset.set_band_description(number, text)


def read_tif(path):
    """Labels, nodata, colours and transform of a written GeoTIFF, by rasterio alone."""
    with rasterio.open(path) as dataset:
        return dataset.read(1), dataset.nodata, dataset.colormap(1), tuple(dataset.transform)[:6]


@pytest.fixture(scope="session")
def scene():
    """Samples of three bands in three clouds, int16; -1 in a corner."""
    rng = np.random.default_rng(4)
    which = np.sort(rng.integers(0, 3, (40, 50)), axis=1)
    levels = np.array([[100, 300, 50], [500, 90, 700], [900, 800, 200]])
    samples = (levels[which] + rng.normal(0, 20, (40, 50, 3))).astype(np.int16)
    samples[:3, :4, 1] = -1
    return samples


@pytest.fixture
def inputs(tmp_path, scene):
    """Rasters and other files, in the working folder."""
    write_tif(tmp_path / "a.tif", scene, nodata=-1)
    write_tif(tmp_path / "scenes" / "b.tif", scene, nodata=-1)
    write_tif(tmp_path / "scenes" / "below" / "c.tif", scene[::-1, :30], nodata=-1)
    write_tif(tmp_path / "two.tif", scene[..., :2], nodata=-1)
    write_tif(tmp_path / "void.tif", np.full((9, 8, 3), -1, dtype=np.int16), nodata=-1)
    write_tif(tmp_path / "small.tif", np.ones((9, 8, 1), dtype=np.uint8))
    (tmp_path / "text.tif").write_text("no raster")
    (tmp_path / "taken.tif").write_bytes(b"mine")
    (tmp_path / "taken.csv").write_bytes(b"mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd.json").write_text("{}")
    zarr.create_array(tmp_path / "flat.zarr", shape=(9,), chunks=(9,), dtype=np.uint8)
    zarr.create_array(tmp_path / "theirs.zarr", shape=(9, 9), chunks=(9, 9), dtype=np.uint8)
    dask_quant.segment(scene, n_clusters=3, nodata=-1, model_out=tmp_path / "model.json")
    return tmp_path


def assert_fields(report, nulls=()):
    assert list(report) == list(FIELDS)
    for name, kind in FIELDS.items():
        assert type(report[name]) is (type(None) if name in nulls else kind), name
    assert report["version"] == dask_quant.__version__
    assert next(iter(report["seconds"])) == "total"


def test_a_raster_becomes_classes_and_all_that_goes_with_them(run, inputs, scene):
    done = run("segment", "a.tif", "-o", "out.tif", "-k", 3, "--json", "--table", "t.csv",
               "--plot", "p.png", "--model-out", "m.json")  # fmt: skip
    report = done.json
    assert_fields(report, nulls=("component_shares",))
    assert done.err == ""
    labels, nodata, colors, transform = read_tif(inputs / "out.tif")
    valid = (scene != -1).all(axis=2)
    assert labels.dtype == np.uint8
    assert nodata == report["nodata"] == 255
    np.testing.assert_array_equal(labels == 255, ~valid)
    assert transform == (30, 0, 5e5, 0, -30, 5e6)
    assert report["command"] == "segment"
    assert report["bands"] == list(NAMES)
    assert (report["n_images"], report["n_pixels"], report["n_excluded"]) == (1, 2000, 12)
    counts = np.bincount(labels[valid], minlength=3)
    (told,) = report["scenes"]
    assert told == {"path": "a.tif", "output": "out.tif", "n_pixels": 2000, "n_excluded": 12,
                    "class_pixels": counts.tolist()}  # fmt: skip
    assert sorted(counts, reverse=True) == counts.tolist()
    error = 0.0
    for number, found in enumerate(report["classes"]):
        pixels = scene[labels == number].astype(float)
        assert found["class"] == number
        assert found["pixels"] == len(pixels)
        assert found["area_m2"] == 900.0 * len(pixels)
        assert found["color"] == "#{:02x}{:02x}{:02x}".format(*colors[number][:3])
        assert [band["name"] for band in found["bands"]] == list(NAMES)
        for what in ("mean", "std", "min", "max"):
            told = [band[what] for band in found["bands"]]
            np.testing.assert_allclose(told, getattr(pixels, what)(axis=0), rtol=1e-9)
        error += np.square(pixels - pixels.mean(axis=0)).sum()
    assert report["inertia"] == pytest.approx(error)
    spread = np.square(scene[valid] - scene[valid].mean(axis=0)).sum()
    assert report["explained_variance"] == pytest.approx(1 - error / spread)
    assert report["outputs"] == ["out.tif", "m.json", "t.csv", "p.png"]
    sizes = [(inputs / name).stat().st_size for name in report["outputs"]]
    assert report["output_bytes"] == sum(sizes)
    assert report["input_bytes"] == (inputs / "a.tif").stat().st_size


def test_tables_hold_what_the_report_does(run, inputs):
    report = run("segment", "a.tif", "-o", "1.tif", "-k3", "--table", "t.json", "--json").json
    assert json.loads((inputs / "t.json").read_text()) == report["classes"]
    run("segment", "a.tif", "-o", "2.tif", "-k3", "--table", "t.csv")
    lines = list(csv.DictReader(io.StringIO((inputs / "t.csv").read_text()), strict=True))
    assert [int(line["pixels"]) for line in lines] == [c["pixels"] for c in report["classes"]]
    means = [[float(line[f"{name} mean"]) for name in NAMES] for line in lines]
    assert means == [[band["mean"] for band in c["bands"]] for c in report["classes"]]


@pytest.mark.parametrize("name", ["p.png", "p.svg", "p.pdf"])
def test_spectra_are_drawn_into_any_kind_of_picture(name, run, inputs):
    assert run("segment", "a.tif", "-o", "o.tif", "-k2", "--plot", name).code == 0
    data = (inputs / name).read_bytes()
    assert data.startswith((b"\x89PNG", b"<?xml", b"%PDF"))
    if name.endswith(".png"):
        Image.open(inputs / name).verify()


@pytest.mark.parametrize("more", [[], ["--cog"], ["--chunks", "7,9"], ["--workers", "1"]])
def test_a_model_gives_the_same_bytes_again(more, run, inputs, digest_output):
    fit = run("segment", "a.tif", "-o", "fit.tif", "-k3", "--model-out", "m.json", "--json",
              "--cog" if "--cog" in more else "--quiet")  # fmt: skip
    done = run("apply", "a.tif", "--model", "m.json", "-o", "again.tif", "--json", *more)
    assert_fields(done.json, nulls=("inertia", "explained_variance", "component_shares"))
    assert done.json["command"] == "apply"
    assert (done.json["n_iter"], done.json["n_passes"]) == (0, 0)
    for found, expected in zip(done.json["classes"], fit.json["classes"], strict=True):
        assert found["pixels"] == expected["pixels"]
        for band, same in zip(found["bands"], expected["bands"], strict=True):
            assert (band["min"], band["max"]) == (same["min"], same["max"])
            told, fitted = ([each["mean"], each["std"]] for each in (band, same))
            assert told == pytest.approx(fitted, rel=1e-9)
    assert digest_output(inputs / "again.tif") == digest_output(inputs / "fit.tif")


def test_samples_that_were_persisted_give_the_same_bytes(run, inputs, digest_output):
    arguments = ["segment", "scenes", "-k3", "--bands", "1,3", "--index", "x=1/2"]
    run(*arguments, "-o", "plain")
    for name, more in (("first", []), ("again", ["--chunks", "7,9"]), ("far", ["--workers", "1"])):
        done = run(*arguments, "-o", name, "--persist", "s.zarr", *more)
        assert done.code == 0
        assert ("Reusing s.zarr, which holds 2 of 2 rasters." in done.err) == (name != "first")
        assert digest_output(inputs / name) == digest_output(inputs / "plain")
    done = run("score", "scenes", "-k2:3", "--bands", "1,3", "--persist", "s.zarr", "--json")
    plain = run("score", "scenes", "-k2:3", "--bands", "1,3", "--json")
    assert done.json == plain.json
    done = run("apply", "a.tif", "--model", "model.json", "-o", "o.tif", "--persist", "t.zarr")
    assert done.code == 0
    assert len(list((inputs / "t.zarr").glob("[0-9a-f]*"))) == 1


def test_stores_hold_the_labels_of_files(run, inputs):
    run("segment", "a.tif", "-o", "out.tif", "-k3")
    run("segment", "a.tif", "-o", "out.zarr", "-k3")
    group = zarr.open_group(inputs / "out.zarr", mode="r")
    labels, nodata, colors, transform = read_tif(inputs / "out.tif")
    np.testing.assert_array_equal(group["0"][:], labels)
    marker = group.attrs["dask_quant"]
    assert marker["nodata"] == nodata
    assert marker["palette"] == ["#{:02x}{:02x}{:02x}".format(*colors[n][:3]) for n in range(3)]
    assert tuple(group.attrs["spatial:transform"]) == transform
    assert "32633" in group.attrs["proj:wkt2"]


def test_more_than_255_classes_have_labels_of_16_bits(run, inputs):
    rng = np.random.default_rng(8)
    write_tif(inputs / "many.tif", rng.integers(0, 60_000, (40, 40, 1)).astype(np.uint16))
    for name in ("o.tif", "o.zarr"):
        done = run("segment", "many.tif", "-o", name, "-k", 1000, "--n-init", 1, "--json")
        assert (done.code, done.json["nodata"], done.json["n_clusters"]) == (0, 65_535, 1000)
    labels = read_tif(inputs / "o.tif")[0]
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(np.unique(labels), np.arange(1000))
    np.testing.assert_array_equal(zarr.open_group(inputs / "o.zarr", mode="r")["0"][:], labels)


def test_several_scenes_share_their_classes_in_a_folder(run, inputs, scene):
    done = run("segment", "scenes", "-o", "out", "-k3", "--table", "t.json", "--json")
    report = done.json
    assert report["outputs"] == ["out/b.tif", "out/below/c.tif", "t.json"]
    assert [each["path"] for each in report["scenes"]] == ["scenes/b.tif", "scenes/below/c.tif"]
    whole, part = (read_tif(inputs / "out" / name)[0] for name in ("b.tif", "below/c.tif"))
    np.testing.assert_array_equal(part, whole[::-1, :30])
    assert (
        sum(each["pixels"] for each in report["classes"])
        == (whole != 255).sum() + (part != 255).sum()
    )
    again = run("segment", "scenes", "-o", "out", "-k3")
    assert again.code == 1
    assert "--overwrite" in again.lines[0]
    assert run("segment", "scenes", "-o", "out", "-k2", "--overwrite").code == 0
    assert set(np.unique(read_tif(inputs / "out" / "b.tif")[0])) == {0, 1, 255}


def test_bands_nodata_and_mask_say_what_is_used(run, inputs, scene):
    shown = np.ones((40, 50, 1), dtype=np.uint8)
    shown[:, :9] = 0
    write_tif(inputs / "mask.tif", shown)
    level = int(scene[20, 20, 2])
    done = run("segment", "a.tif", "-o", "o.tif", "-k3", "--bands", "swir,1", "--nodata", level,
               "--mask", "mask.tif", "--json")  # fmt: skip
    assert done.json["bands"] == ["swir", "red"]
    labels = read_tif(inputs / "o.tif")[0]
    left_out = (scene[..., [2, 0]] == level).any(axis=2) | (shown[..., 0] == 0)
    np.testing.assert_array_equal(labels == 255, left_out)


@pytest.mark.parametrize("scale", ["none", "standard", "minmax", "robust"])
@pytest.mark.parametrize("init", ["k-means++", "k-means||"])
def test_clouds_are_found_in_any_scale(scale, init, run, inputs, scene):
    run("segment", "a.tif", "-o", "o.tif", "-k3", "--scale", scale, "--init", init,
        "--band-weights", "1,1,0.5")  # fmt: skip
    labels = read_tif(inputs / "o.tif")[0]
    cloud = np.digitize(scene[..., 0], [300, 700])
    pairs = {(a, b) for a, b in zip(labels.ravel(), cloud.ravel(), strict=True) if a != 255}
    assert len(pairs) == 3


def test_quiet_says_nothing_and_else_there_is_a_table(run, inputs):
    quiet = run("segment", "a.tif", "-o", "o.tif", "-k3", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    done = run("segment", "a.tif", "-o", inputs / "p.tif", "-k3", "--table", "t.csv", "--plot",
               inputs / "p.png")  # fmt: skip
    assert (done.code, done.out) == (0, "")
    assert done.lines[0].split()[:3] == ["class", "pixels", "share"]
    assert [line.split()[0] for line in done.lines[1:4]] == ["0", "1", "2"]
    last = done.lines[-1]
    assert last.startswith("1 raster, 2,000 pixels, 12 of them excluded, in 3 classes: ")
    assert last.endswith(f": {inputs / 'p.tif'}, t.csv, {inputs / 'p.png'}")


def test_components_are_told_of(run, inputs):
    done = run("segment", "a.tif", "-o", "o.tif", "-k3", "--pca", 2)
    report = run("segment", "a.tif", "-o", "p.tif", "-k3", "--pca", 2, "--json").json
    assert_fields(report)
    held = sum(report["component_shares"])
    assert f"of 2 principal components that hold {held:.2%} of all variance" in done.lines[-1]
    assert (inputs / "o.tif").read_bytes() == (inputs / "p.tif").read_bytes()


def test_a_table_of_many_classes_says_what_it_leaves_out(run, inputs):
    done = run("segment", "a.tif", "-o", "o.tif", "-k70", "--n-init", 1, "--max-iter", 1)
    assert [line.split()[0] for line in done.lines[1:65]] == [str(n) for n in range(64)]
    assert done.lines[65].strip() == "and 6 more"


def test_scores_are_a_table(run, inputs):
    done = run("score", "a.tif", "-k", "2:4")
    assert (done.code, done.out) == (0, "")
    assert done.lines[0].split() == [
        "k", "inertia", "explained", "Calinski-Harabasz", "Davies-Bouldin", "silhouette",
    ]  # fmt: skip
    assert [len(line.split()) for line in done.lines[1:4]] == [6, 6, 6]
    assert done.lines[-1].startswith("elbow at 3; ")


def test_the_summary_names_the_folder_and_the_files_beside_it(run, inputs):
    done = run("segment", "scenes", "-o", "out", "-k3", "--table", "t.csv")
    assert done.lines[-1].startswith("2 rasters, 3,200 pixels, ")
    assert done.lines[-1].endswith(": out, t.csv")
    done = run("apply", "a.tif", "--model", "model.json", "-o", "o.tif")
    assert done.code == 0
    assert done.lines[-1].endswith(": o.tif")
    assert "variance" not in done.lines[-1]


def test_fewer_spectra_than_classes_are_warned_of(run, inputs):
    flat = np.repeat(np.array([[[5]], [[9]]], dtype=np.uint8), 6, axis=1)
    write_tif(inputs / "flat.tif", flat)
    done = run("segment", "flat.tif", "-o", "o.tif", "-k5", "--quiet")
    (line,) = done.lines
    assert line.startswith("warning: 5 classes were asked for")
    np.testing.assert_array_equal(read_tif(inputs / "o.tif")[0], [[0] * 6, [1] * 6])


def test_classes_of_a_raster_without_any_valid_pixel_are_all_nodata(run, inputs):
    done = run("apply", "void.tif", "--model", "model.json", "-o", "o.tif", "--table", "t.csv",
               "--plot", "p.png", "--json")  # fmt: skip
    assert done.json["n_excluded"] == 72
    assert [each["pixels"] for each in done.json["classes"]] == [0, 0, 0]
    assert (read_tif(inputs / "o.tif")[0] == 255).all()


def test_a_raster_of_floats_without_any_valid_pixel_is_applied_to(run, inputs):
    write_tif(inputs / "nan.tif", np.full((5, 6, 3), np.nan, dtype=np.float32))
    done = run("apply", "nan.tif", "--model", "model.json", "-o", "o.tif", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["n_excluded"] == 30


SEGMENT = ["segment", "a.tif", "-o"]
APPLY = ["apply", "a.tif", "-o", "o.tif", "--model"]
FAILURES = {
    "missing": (["segment", "none.tif", "-o", "o.tif"], 1, "none.tif: there is no such file"),
    "no raster": (["segment", "text.tif", "-o", "o.tif"], 1, "Cannot read text.tif"),
    "no raster in a folder": (["segment", "empty", "-o", "o"], 1, "empty"),
    "standard input": (["segment", "-", "-o", "o.tif"], 2, "save it as a file"),
    "all nodata": (["segment", "void.tif", "-o", "o.tif"], 1,
                   "All 72 pixels are excluded: every one is nodata, masked or not finite"),
    "a store of one axis": (["segment", "flat.zarr", "-o", "o.tif"], 1, "(y, x, band)"),
    "output exists": ([*SEGMENT, "taken.tif"], 1, "'taken.tif' exists; use --overwrite"),
    "another's store": ([*SEGMENT, "theirs.zarr", "--overwrite"], 1, "not written by dask_quant"),
    "table exists": ([*SEGMENT, "o.tif", "--table", "taken.csv"], 1, "'taken.csv' exists"),
    "below a file": ([*SEGMENT, "taken.tif/o.tif"], 1, "taken.tif/o.tif"),
    "several to one": (["segment", "a.tif", "two.tif", "-o", "o.tif"], 1,
                       "Got 2 rasters for the one file 'o.tif'; name a folder"),
    "jpeg": ([*SEGMENT, "o.jpg"], 1, "JPEG would blur classes into others, so write .tif or .zarr"),
    "png": ([*SEGMENT, "o.png"], 1, ".png keeps neither nodata nor where pixels lie, so write"),
    "different bands": (["segment", "a.tif", "two.tif", "-o", "o"], 1, "choose the same bands"),
    "no class": ([*SEGMENT, "o.tif", "-k", "0"], 2, "Got 0 classes; ask for 1 to 65535"),
    "too many classes": ([*SEGMENT, "o.tif", "-k", "65536"], 2, "ask for 1 to 65535"),
    "no number": ([*SEGMENT, "o.tif", "-k", "many"], 2, "'many' is not a valid int"),
    "unknown scale": ([*SEGMENT, "o.tif", "--scale", "log"], 2, "'robust'"),
    "unknown init": ([*SEGMENT, "o.tif", "--init", "random"], 2, "k-means||"),
    "tol is NaN": ([*SEGMENT, "o.tif", "--tol", "nan"], 2, "Got tol nan"),
    "no passes": ([*SEGMENT, "o.tif", "--max-iter", "0"], 2, "max_iter 0"),
    "no restarts": ([*SEGMENT, "o.tif", "--n-init", "0"], 2, "n_init 0"),
    "no seed": ([*SEGMENT, "o.tif", "--seed", "-1"], 2, "seed -1"),
    "no chunks": ([*SEGMENT, "o.tif", "--chunks", "0"], 2, "chunks of 0 rows"),
    "odd nodata": ([*SEGMENT, "o.tif", "--nodata", "none"], 2, "'none' is not a valid float"),
    "no bands": ([*SEGMENT, "o.tif", "--bands", ""], 2, "Got '' for bands"),
    "reversed bands": ([*SEGMENT, "o.tif", "--bands", "4:1"], 2, "Got the range '4:1' of bands"),
    "endless bands": ([*SEGMENT, "o.tif", "--bands", "1:999999999"], 2, "up to 65535"),
    "superscript band": ([*SEGMENT, "o.tif", "--bands", "\N{SUPERSCRIPT TWO}"], 2, "1 (red)"),
    "unknown band": ([*SEGMENT, "o.tif", "--bands", "1,blue"], 2,
                     "Got the band 'blue' for a.tif, which has 1 (red), 2 (nir, \"near\")"),
    "a band twice": ([*SEGMENT, "o.tif", "--bands", "1,red"], 2, "name each of them once"),
    "odd weights": ([*SEGMENT, "o.tif", "--band-weights", "1,x"], 2, "for --band-weights"),
    "too few weights": ([*SEGMENT, "o.tif", "--band-weights", "1,2"], 2, "2 band weights for 3"),
    "a weight of 0": ([*SEGMENT, "o.tif", "--band-weights", "1,0,1"], 2, "numbers above 0"),
    "huge weights": ([*SEGMENT, "o.tif", "--band-weights", "1e300,1,1"], 1, "scale and weights"),
    "too many components": ([*SEGMENT, "o.tif", "--pca", "4"], 2, "Got pca 4 for 3 bands"),
    "half a component": ([*SEGMENT, "o.tif", "--pca", "1.5"], 2, "or for a share of variance"),
    "no component": ([*SEGMENT, "o.tif", "--pca", "0"], 2, "Got pca 0"),
    "small mask": ([*SEGMENT, "o.tif", "--mask", "small.tif"], 2, "both must be of one size"),
    "no mask": ([*SEGMENT, "o.tif", "--mask", "none.tif"], 1, "none.tif: there is no such file"),
    "table suffix": ([*SEGMENT, "o.tif", "--table", "t.txt"], 2, "must end in .csv or .json"),
    "plot suffix": ([*SEGMENT, "o.tif", "--plot", "p.jpg"], 2, "must end in .png or .svg or .pdf"),
    "model suffix": ([*SEGMENT, "o.tif", "--model-out", "m.txt"], 2, "must end in .json"),
    "one file for two": (
        [*SEGMENT, "o.tif", "--table", "t.json", "--model-out", "t.json"], 2, "a file of its own"),
    "too little memory": ([*SEGMENT, "o.tif", "--memory-limit", "1MB"], 1, "the 1.0 MB of"),
    "palette and model": (
        [*APPLY, "model.json", "--palette", "p.gpl"], 2, "Give either --palette or --model"),
    "neither palette nor model": (["apply", "a.tif", "-o", "o.tif"], 2, "--palette or --model"),
    "no model": ([*APPLY, "none.json"], 1, "none.json: there is no such file"),
    "odd model": ([*APPLY, "odd.json"], 1, "odd.json: Got a text that is no dask_quant class"),
    "a raster as model": ([*APPLY, "a.tif"], 1, "Cannot read classes from a.tif"),
    "model of other bands": (
        ["apply", "two.tif", "-o", "o.tif", "--model", "model.json"], 2,
        "with 2 bands for a model of 3: band 1, band 2, band 3; choose them by --bands"),
    "persist to the output": (
        [*SEGMENT, "o.zarr", "--persist", "o.zarr"], 2, "for --persist and for the output"),
    "persist to another's store": (
        [*SEGMENT, "o.tif", "--persist", "theirs.zarr"], 1, "something else than samples"),
    "persist to no store": ([*SEGMENT, "o.tif", "--persist", "s.tif"], 2, "must end in .zarr"),
    "persist what is a store": (
        ["segment", "theirs.zarr", "-o", "o.tif", "--persist", "s.zarr"], 2, "which needs none"),
    "table with palette": (
        ["apply", "a.tif", "--palette", "p.gpl", "-o", "o.png", "--table", "t.csv"], 2,
        "Got --table with a palette; it is for --model"),
}  # fmt: skip


def snapshot(folder):
    """What a folder holds, hidden files included."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_one_line_and_leaves_nothing(case, run, inputs):
    arguments, code, text = FAILURES[case]
    before = snapshot(inputs)
    for flags in ([], ["--json"]):
        done = run(*arguments, *flags)
        (line,) = done.lines
        assert done.code == code, line
        assert line.startswith("error: ")
        assert text in line
        assert "unexpected" not in line
        if flags:
            said = json.loads(done.out)
            assert list(said) == ["command", "error"]
            assert said["command"] == arguments[0]
            assert said["error"]["message"] == line.removeprefix("error: ")
        else:
            assert done.out == ""
        after = snapshot(inputs)
        assert after == before, after.keys() ^ before.keys()


def test_overwrite_replaces_every_output(run, inputs):
    arguments = ["segment", "a.tif", "-o", "taken.tif", "--table", "taken.csv", "-k2"]
    assert run(*arguments, "--overwrite").code == 0
    assert set(np.unique(read_tif(inputs / "taken.tif")[0])) == {0, 1, 255}
    assert (inputs / "taken.csv").read_text().startswith("class,color")
    assert not list(inputs.rglob("*.partial"))
