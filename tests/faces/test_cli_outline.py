"""Outlines from the command line: what is written, told and refused."""

import shutil

import numpy as np
import pytest
import zarr
from PIL import Image

import dask_quant as dq


def find_by_numpy(labels):
    borders = np.zeros(labels.shape, dtype=bool)
    borders[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    borders[:-1] |= labels[:-1] != labels[1:]
    return borders


def read_lines(path):
    """Where an outline is black, by Pillow or zarr."""
    if path.suffix == ".zarr":
        return zarr.open_group(path, mode="r")["0"][...] == 1
    return np.asarray(Image.open(path).convert("L")) == 0


def size_of(path):
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return sum(file.stat().st_size for file in files)


@pytest.mark.parametrize("more", [(), ("--chunks", "20,30")])
def test_quantize_draws_an_outline(run, pictures, tmp_path, more, read_labels, digest_output):
    asked = ("-k", 5, "--n-init", 1, "--json")
    done = run("quantize", pictures / "cat.png", "-o", "o.png", *asked, *more, "--outline", "l.png")
    labels, _ = read_labels(tmp_path / "o.png")
    np.testing.assert_array_equal(read_lines(tmp_path / "l.png"), find_by_numpy(labels))
    assert done.json["outputs"] == ["o.png", "l.png"]
    assert done.json["output_bytes"] == size_of(tmp_path / "o.png") + size_of(tmp_path / "l.png")
    plain = run("quantize", pictures / "cat.png", "-o", "p.png", *asked).json
    assert digest_output(tmp_path / "p.png") == digest_output(tmp_path / "o.png")
    assert plain["mse"] == done.json["mse"]


@pytest.mark.parametrize("where", ["", "sub/", "/"])
def test_both_outputs_are_named(run, pictures, tmp_path, where):
    folder = f"{tmp_path}/" if where == "/" else where
    done = run("quantize", pictures / "cat.png", "-o", "o.png", "--outline", f"{folder}l.png")
    assert done.code == 0
    assert "".join(done.err.split()).endswith(f"o.png,{folder}l.png")


@pytest.mark.parametrize("lines", ["l.png", "l.zarr"])
def test_apply_draws_an_outline(run, pictures, tmp_path, lines, read_labels):
    done = run("apply", pictures / "cat.png", "--palette", "ega", "-o", "o.png", "--outline", lines,
               "--json")  # fmt: skip
    labels, _ = read_labels(tmp_path / "o.png")
    np.testing.assert_array_equal(read_lines(tmp_path / lines), find_by_numpy(labels))
    assert done.json["output_bytes"] == size_of(tmp_path / "o.png") + size_of(tmp_path / lines)
    if lines == "l.zarr":
        assert dq.read_palette(tmp_path / lines).hex == ["#ffffff", "#000000"]


def test_an_image_from_standard_input_is_outlined(run, pictures, tmp_path, read_labels):
    data = (pictures / "cat.png").read_bytes()
    assert run("quantize", "-", "-o", "o.png", "-k", 2, "--outline", "l.png", stdin=data).code == 0
    labels, _ = read_labels(tmp_path / "o.png")
    np.testing.assert_array_equal(read_lines(tmp_path / "l.png"), find_by_numpy(labels))


@pytest.mark.parametrize("source", ["cat.png", "store"])
def test_the_plan_names_the_outline_and_writes_nothing(run, pictures, store, tmp_path, source):
    given = store if source == "store" else pictures / source
    before = set(tmp_path.iterdir())
    done = run("quantize", given, "-o", "o.png", "--outline", "l.png", "--dry-run", "--json")
    assert done.json["plan"]["outputs"] == ["o.png", "l.png"]
    assert set(tmp_path.iterdir()) == before


REFUSED = {
    "another suffix": (("cat.png", "-o", "o.png", "--outline", "l.jpg"), ".png or .zarr"),
    "the output": (("cat.png", "-o", "o.png", "--outline", "o.png"), "take the place of 'o.png'"),
    "the output, otherwise": (
        ("cat.png", "-o", "o.png", "--outline", "./x/../o.png"), "take the place of 'o.png'",
    ),
    "inside the output": (("cat.png", "-o", "o.zarr", "--outline", "o.zarr/l.png"), "'o.zarr'"),
    "the source": (("cat.png", "-o", "o.png", "--outline", "cat.png", "--overwrite"), "place of"),
    "several": (("cat.png", "cat.png", "-o", "out", "--outline", "l.png"), "one image"),
    "a folder": (("cat.png", "-o", "out", "--outline", "l.png"), "the folder 'out'"),
    "dithered": (("cat.png", "-o", "o.png", "--outline", "l.png", "--dither", "bayer"), "bayer"),
    "there": (("cat.png", "-o", "o.png", "--outline", "mine.png"), "--overwrite"),
    "there, in chunks": (("cat.png", "-o", "o.zarr", "--outline", "mine.png"), "--overwrite"),
    "theirs": (
        ("cat.png", "-o", "o.png", "--outline", "theirs.zarr", "--overwrite"), "not written by",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", ["quantize", "apply", "plan"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_outlined_is_refused_before_any_work(run, cat, tmp_path, name, command):
    Image.fromarray(cat).save(tmp_path / "cat.png")
    (tmp_path / "mine.png").write_bytes(b"mine")
    (tmp_path / "theirs.zarr").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    arguments, told = REFUSED[name]
    more = {"quantize": (), "apply": ("--palette", "ega"), "plan": ("--dry-run",)}[command]
    done = run("quantize" if command == "plan" else command, *arguments, *more)
    assert done.code in (1, 2)
    assert told in done.err
    assert len(done.lines) == 1
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_an_outline_is_replaced_when_asked_to(run, pictures, tmp_path, digest_output):
    asked = ("quantize", pictures / "cat.png", "-k", 3, "-o", "o.png", "--outline")
    for lines in ("l.png", "l.zarr"):
        assert run(*asked, lines, "--overwrite").code == 0
        first = digest_output(tmp_path / lines)
        assert "exists" in run(*asked, lines).err
        assert run(*asked, lines, "--overwrite").code == 0
        assert digest_output(tmp_path / lines) == first


@pytest.fixture
def raster(tmp_path):
    """A GeoTIFF of three bands in clouds with single pixels of others; -1 in a corner."""
    rasterio = pytest.importorskip("rasterio")
    rng = np.random.default_rng(4)
    which = np.sort(rng.integers(0, 3, (60, 50)), axis=1)
    which[rng.random(which.shape) < 0.05] = 0
    levels = np.array([[100, 300, 50], [500, 90, 700], [900, 800, 200]])
    samples = (levels[which] + rng.normal(0, 20, (60, 50, 3))).astype(np.int16)
    samples[:8, :9, 1] = -1
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=60, width=50, count=3, nodata=-1,
        dtype="int16", crs="EPSG:32633", transform=rasterio.Affine(30, 0, 5e5, 0, -30, 5e6),
    ) as dataset:  # fmt: skip
        dataset.write(samples.transpose(2, 0, 1))
    return rasterio


@pytest.mark.parametrize("more", [(), ("--cog",), ("--sieve", "9"), ("--chunks", "7,9")])
def test_segment_draws_the_borders_of_classes_where_they_lie(run, raster, tmp_path, more):
    done = run("segment", "a.tif", "-o", "o.tif", "-k", 3, "--outline", "l.tif", "--json", *more)
    assert done.json["outputs"] == ["o.tif", "l.tif"]
    assert done.json["output_bytes"] == size_of(tmp_path / "o.tif") + size_of(tmp_path / "l.tif")
    with raster.open(tmp_path / "o.tif") as classes, raster.open(tmp_path / "l.tif") as lines:
        labels, drawn = classes.read(1), lines.read(1)
        assert (lines.crs, lines.transform) == (classes.crs, classes.transform)
        assert lines.nodata == 0
        assert [lines.colormap(1)[label] for label in (0, 1)] == [(0, 0, 0, 0), (0, 0, 0, 255)]
    np.testing.assert_array_equal(drawn, find_by_numpy(labels))
    assert (labels == 255).sum() == 72
    assert drawn[7, :9].all()  # between classes and what is left out
    assert not drawn[:7, :8].any()


def test_the_sieve_comes_first(run, raster, tmp_path):
    for name, more in (("rough", ()), ("smooth", ("--sieve", "9"))):
        run("segment", "a.tif", "-o", f"{name}.tif", "-k", 3, "--outline", f"{name}.png", *more)
    rough, smooth = (read_lines(tmp_path / f"{name}.png") for name in ("rough", "smooth"))
    assert 0 < smooth.sum() < rough.sum()


@pytest.mark.parametrize("out", ["o.tif", "o.zarr"])
@pytest.mark.parametrize("lines", ["l.png", "l.zarr", "l.tiff"])
def test_every_kind_of_outline_is_the_same(run, raster, tmp_path, out, lines):
    done = run("segment", "a.tif", "-o", out, "-k", 300, "--outline", lines, "--max-iter", 1)
    assert done.code == 0
    if out == "o.tif":
        labels = raster.open(tmp_path / out).read(1)
    else:
        labels = zarr.open_group(tmp_path / out, mode="r")["0"][...]
    assert labels.dtype == np.uint16
    if lines == "l.tiff":
        drawn = raster.open(tmp_path / lines).read(1)
    else:
        drawn = read_lines(tmp_path / lines)
    np.testing.assert_array_equal(drawn, find_by_numpy(labels))
    if lines == "l.zarr":
        attributes = zarr.open_group(tmp_path / lines, mode="r").attrs
        assert attributes["spatial:transform"] == [30, 0, 5e5, 0, -30, 5e6]


def test_apply_outlines_the_classes_of_a_model(run, raster, tmp_path, digest_output):
    run("segment", "a.tif", "-o", "a1.tif", "-k", 3, "--outline", "l1.tif", "--model-out", "m.json")
    done = run("apply", "a.tif", "--model", "m.json", "-o", "a2.tif", "--outline", "l2.tif")
    assert done.code == 0
    assert digest_output(tmp_path / "l2.tif") == digest_output(tmp_path / "l1.tif")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "o.tif", "--outline", "l.gif"), ".png, .zarr, .tif or .tiff"),
        (("-o", "o.tif", "--outline", "o.tif"), "place of 'o.tif'"),
        (("-o", "o.tif", "--outline", "a.tif", "--overwrite"), "place of 'a.tif'"),
        (("-o", "o.tif", "--outline", "s.png", "--plot", "s.png"), "place of 's.png'"),
        (("-o", "out", "--outline", "l.png"), "the folder 'out'"),
        (("b.tif", "-o", "out", "--outline", "l.png"), "2 images"),
        (("-o", "o.tif", "--outline", "l.tif", "--memory-limit", "10MB"), "exceeds"),
    ],
    ids=str,
)
def test_segment_refuses_before_any_work(run, raster, tmp_path, arguments, told):
    shutil.copy(tmp_path / "a.tif", tmp_path / "b.tif")
    done = run("segment", "a.tif", *arguments)
    assert done.code in (1, 2)
    assert told in done.err
    assert len(done.lines) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.tif", "b.tif"}


def test_classes_that_are_not_written_have_no_outline(tmp_path):
    with pytest.raises(dq.OptionError, match="without an output"):
        dq.segment(np.ones((5, 5, 2)), n_clusters=1, outline=tmp_path / "l.png")
