import io
import json
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import zarr
from outputs import list_outputs
from PIL import Image

import dask_quant as dq
from dask_quant.errors import (
    FewerColorsWarning,
    JobError,
    MemoryBudgetError,
    OptionError,
    OutputError,
    OutputExistsError,
    PaletteError,
    SourceError,
    SourceNotFoundError,
)
from dask_quant.options import ClusterOptions


def names_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def picture(tmp_path, photo):
    Image.fromarray(photo[200:280, 300:400]).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


@pytest.fixture
def folder(tmp_path, photo):
    """A tree of three good and two broken images, a hidden one and two other files."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    Image.fromarray(photo[200:240, 300:350]).save(root / "a.png")
    Image.fromarray(photo[100:150, 200:260]).save(root / "sub" / "b.jpg", quality=90)
    Image.fromarray(photo[250:280, 300:330, 0]).save(root / "sub" / "grey.bmp")
    (root / "torn.png").write_bytes((root / "a.png").read_bytes()[:400])
    (root / "empty.jpg").write_bytes(b"")
    (root / "notes.txt").write_text("not an image")
    (root / "sub" / "data.csv").write_text("1,2,3")
    (root / ".hidden.png").write_bytes((root / "a.png").read_bytes())
    return root


GOOD = {"a.png", "sub/b.png", "sub/grey.png"}
BROKEN = {"torn.png", "empty.jpg"}


def stored_pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("chunks", [None, (16, 100)])
@pytest.mark.parametrize("n_colors", [1, 2, 9, 256])
def test_the_report_tells_what_is_in_the_file(
    tmp_path, picture, n_colors, chunks, read_indexed, label_oracle
):
    out = tmp_path / "out.png"
    report = dq.quantize(picture, out, n_colors=n_colors, n_init=1, chunks=chunks)
    pixels = stored_pixels(picture)
    labels, palette, painted = read_indexed(out)
    squared = ((pixels.astype(np.int64) - painted) ** 2).sum()
    spread = ((pixels - pixels.reshape(-1, 3).mean(axis=0)) ** 2).sum()
    np.testing.assert_array_equal(palette[:n_colors], report.palette.colors)
    np.testing.assert_array_equal(labels, label_oracle(pixels, report.palette.colors)[0])
    assert np.bincount(labels.ravel()).tolist() == report.palette.counts.tolist()
    assert report.mse == squared / labels.size
    assert report.inertia == squared
    assert report.psnr_db == pytest.approx(10 * np.log10(255**2 * 3 / report.mse))
    assert report.explained_variance == pytest.approx(1 - squared / spread)
    assert report.n_pixels == labels.size
    assert report.n_unique_colors == len(np.unique(pixels.reshape(-1, 3), axis=0))
    assert report.n_colors == n_colors
    assert report.input_bytes == picture.stat().st_size
    assert report.output_bytes == out.stat().st_size
    assert report.outputs == (str(out),)
    assert (report.command, report.engine, report.seed) == ("quantize", "histogram", 0)
    assert (report.n_images, report.n_ignored, report.quarantined) == (1, 0, ())
    assert report.seconds["total"] >= max(report.seconds.values())
    assert report.peak_rss_bytes > 10_000_000
    json.dumps(report.to_json())


@pytest.mark.parametrize("out", ["c.png", "c.zarr"])
def test_a_constant_image_is_exact_and_fully_explained(tmp_path, out):
    image = np.full((9, 7, 3), (3, 2, 1), dtype=np.uint8)
    report = dq.quantize(image, tmp_path / out, n_colors=1)
    assert (report.mse, report.psnr_db, report.explained_variance) == (0, None, 1.0)
    assert report.palette.hex == ["#030201"]
    assert report.palette.counts.tolist() == [63]


def test_fewer_colors_than_asked_for_are_a_warning(tmp_path):
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[0] = 9
    with pytest.warns(FewerColorsWarning, match="16 colours were asked for, but .* 2 colours"):
        report = dq.quantize(image, tmp_path / "a.png")
    assert report.n_colors == 2
    assert report.mse == 0


def test_one_color_explains_nothing(tmp_path, picture):
    report = dq.quantize(picture, tmp_path / "o.png", n_colors=1)
    assert abs(report.explained_variance) < 1e-3


def test_images_of_arrays_equal_those_of_files(tmp_path, picture):
    pixels = stored_pixels(picture)
    dq.quantize(picture, tmp_path / "f.png", n_colors=7)
    dq.quantize(pixels, tmp_path / "n.png", n_colors=7)
    dq.quantize(da.from_array(pixels, chunks=(9, 31, 2)), tmp_path / "d.png", n_colors=7)
    expected = (tmp_path / "f.png").read_bytes()
    assert (tmp_path / "n.png").read_bytes() == expected
    assert (tmp_path / "d.png").read_bytes() == expected


def test_standard_input_is_an_image(tmp_path, picture, monkeypatch):
    dq.quantize(picture, tmp_path / "f.png", n_colors=3)

    def feed(data):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    feed(picture.read_bytes())
    dq.quantize("-", tmp_path / "s.png", n_colors=3)
    assert (tmp_path / "s.png").read_bytes() == (tmp_path / "f.png").read_bytes()
    feed(b"")
    with pytest.raises(SourceError, match="nothing on standard input"):
        dq.quantize("-", tmp_path / "t.png")
    with pytest.raises(OptionError, match="standard input"):
        dq.quantize("-", tmp_path / "t.png", chunks=(8, 8))


@pytest.mark.parametrize("per_image", [False, True])
def test_every_input_of_a_folder_is_accounted_for(tmp_path, folder, per_image, read_indexed):
    out = tmp_path / "out"
    report = dq.quantize(folder, out, n_colors=6, per_image=per_image, n_init=1)
    assert set(list_outputs(out)) == GOOD
    assert {q.path for q in report.quarantined} == {str(folder / name) for name in BROKEN}
    assert all(q.reason and "\n" not in q.reason for q in report.quarantined)
    assert (report.n_images, report.n_ignored) == (3, 3)
    error = n_pixels = n_bytes = 0
    for name in GOOD:
        source = next(p for p in folder.rglob("*") if p.stem == (out / name).stem)
        labels, _, painted = read_indexed(out / name)
        error += int(((stored_pixels(source).astype(int) - painted) ** 2).sum())
        n_pixels += labels.size
        n_bytes += (out / name).stat().st_size
    assert report.n_pixels == n_pixels
    assert report.mse == error / n_pixels
    assert report.output_bytes == n_bytes
    assert (report.palette is None) == per_image
    assert (report.n_unique_colors is None) == per_image


def test_one_palette_for_all_is_in_every_file_and_counts_them_all(tmp_path, folder, read_indexed):
    report = dq.quantize(folder, tmp_path / "out", n_colors=6)
    counts = np.zeros(6, dtype=int)
    for name in GOOD:
        labels, palette, _ = read_indexed(tmp_path / "out" / name)
        np.testing.assert_array_equal(palette[:6], report.palette.colors)
        counts += np.bincount(labels.ravel(), minlength=6)
    assert counts.tolist() == report.palette.counts.tolist()


def test_own_palettes_are_those_of_single_images(tmp_path, folder):
    dq.quantize(folder, tmp_path / "out", n_colors=6, per_image=True)
    dq.quantize(folder / "a.png", tmp_path / "a.png", n_colors=6)
    assert (tmp_path / "out" / "a.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_several_named_images_go_to_a_folder(tmp_path, folder):
    sources = [folder / "a.png", str(folder / "sub" / "b.jpg")]
    report = dq.quantize(sources, tmp_path / "out", n_colors=3)
    assert list_outputs(tmp_path / "out") == ["a.png", "b.png"]
    assert report.n_images == 2
    with pytest.raises(OutputError, match="2 images for the one file"):
        dq.quantize(sources, tmp_path / "one.png", n_colors=3)


def test_poorer_images_are_a_warning_with_their_number(tmp_path):
    (tmp_path / "in").mkdir()
    for i, n_levels in enumerate((2, 200)):
        grey = (np.arange(400).reshape(20, 20) % n_levels).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "in" / f"{i}.png")
    with pytest.warns(FewerColorsWarning, match="1 of 2 images"):
        dq.quantize(tmp_path / "in", tmp_path / "out", n_colors=5, per_image=True)


def test_a_folder_of_broken_images_is_an_error(tmp_path, folder):
    broken = [folder / name for name in sorted(BROKEN)]
    for per_image in (False, True):
        with pytest.raises(JobError, match="None of 2 images"):
            dq.quantize(broken, tmp_path / f"out-{per_image}", per_image=per_image)
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceNotFoundError):
        dq.quantize(tmp_path / "none", tmp_path / "out")


def test_options_for_one_image_are_refused_for_many(tmp_path, folder):
    for wrong in (
        {"chunks": (8, 8)},
        {"persist": tmp_path / "s.zarr"},
        {"engine": "dask-ml"},
        {"engine": "scalable"},
    ):
        with pytest.raises(OptionError, match="output folder"):
            dq.quantize(folder, tmp_path / "out", **wrong)
    assert not (tmp_path / "s.zarr").exists()


def test_outputs_that_cannot_be_are_refused_with_the_reason(tmp_path, picture):
    with pytest.raises(OutputError, match="JPEG"):
        dq.quantize(picture, tmp_path / "o.jpg")
    with pytest.raises(OutputError, match=r"\.png, \.gif, \.tif, \.npz or \.zarr"):
        dq.quantize(picture, tmp_path / "o.webp")
    with pytest.raises(OutputError, match=r"or \.zarr; \.npz holds labels and palette"):
        dq.quantize(picture, tmp_path / "o.npy")
    for name in ("o.png", "o.gif"):
        with pytest.raises(OutputError, match="256"):
            dq.quantize(picture, tmp_path / name, n_colors=300)
    assert names_below(tmp_path) == {"cat.png"}


@pytest.mark.parametrize("out", ["o.png", "o.zarr", "folder"])
def test_outputs_that_exist_are_kept_unless_overwriting(tmp_path, picture, out, digest_output):
    path = tmp_path / out
    dq.quantize(picture, path, n_colors=2)
    before = digest_output(path)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        dq.quantize(picture, path, n_colors=3)
    assert digest_output(path) == before
    dq.quantize(picture, path, n_colors=3, overwrite=True)
    assert digest_output(path) != before


def test_a_given_palette_keeps_its_order_and_reports_its_counts(tmp_path, picture, read_indexed):
    given = dq.Palette.from_hex(["#ffffff", "#00ff00", "#000000", "#888888"])
    pixels = stored_pixels(picture)
    for source, out in ((picture, "a.png"), (pixels, "b.png")):
        report = dq.apply_palette(source, tmp_path / out, given)
        labels, palette, painted = read_indexed(tmp_path / out)
        np.testing.assert_array_equal(palette[:4], given.colors)
        counts = np.bincount(labels.ravel(), minlength=4)
        assert report.palette.counts.tolist() == counts.tolist()
        assert report.mse == ((pixels.astype(int) - painted) ** 2).sum() / labels.size
        assert (report.command, report.engine, report.n_colors) == ("apply", "none", 4)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_given_palette_is_applied_to_folders(tmp_path, folder, read_indexed):
    given = dq.Palette.from_hex(["#ffffff", "#000000"])
    report = dq.apply_palette(folder, tmp_path / "out", given)
    assert set(list_outputs(tmp_path / "out")) == GOOD
    assert len(report.quarantined) == 2
    assert report.palette == given


@pytest.mark.parametrize("suffix", [".gpl", ".hex", ".json"])
def test_a_palette_file_holds_the_palette_that_quantize_uses(tmp_path, picture, suffix):
    out = tmp_path / f"p{suffix}"
    report = dq.make_palette(picture, out, n_colors=5)
    quantized = dq.quantize(picture, tmp_path / "o.png", n_colors=5)
    assert dq.read_palette(out) == report.palette == quantized.palette
    assert report.output_bytes == out.stat().st_size
    assert (report.command, report.mse) == ("palette", quantized.mse)
    with pytest.raises(OutputExistsError):
        dq.make_palette(picture, out, n_colors=5)


def test_palettes_of_folders_chunks_and_arrays(tmp_path, folder, picture):
    many = dq.make_palette(folder, tmp_path / "many.hex", n_colors=6)
    assert many.palette == dq.quantize(folder, tmp_path / "out", n_colors=6).palette
    assert len(many.quarantined) == 2
    one = dq.make_palette(picture, tmp_path / "one.hex", n_colors=6)
    chunked = dq.make_palette(picture, tmp_path / "chunked.hex", n_colors=6, chunks=(9, 9))
    array = dq.make_palette(stored_pixels(picture), tmp_path / "array.hex", n_colors=6)
    assert one.palette == chunked.palette == array.palette


def test_a_plan_says_what_would_be_done_and_does_nothing(tmp_path, picture, folder, monkeypatch):
    monkeypatch.setattr("dask_quant.sources.pillow.Image.Image.load", None)
    plan = dq.plan_job(picture, tmp_path / "o.png", chunks=(16, 100))
    assert plan.n_images == 1
    assert plan.n_pixels == 8000
    assert plan.decoded_bytes == 24_000
    assert plan.n_tasks >= 5
    assert plan.outputs == (str(tmp_path / "o.png"),)
    many = dq.plan_job(folder, tmp_path / "out")
    assert (many.n_images, many.n_ignored) == (5, 3)
    assert many.projected_bytes > 0
    assert set(json.loads(json.dumps(many.to_json()))) >= {"projected_bytes", "n_tasks", "outputs"}
    assert not (tmp_path / "o.png").exists()
    assert not (tmp_path / "out").exists()


def test_a_plan_raises_what_the_job_would(tmp_path, picture):
    (tmp_path / "o.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        dq.plan_job(picture, tmp_path / "o.png")
    with pytest.raises(OutputError):
        dq.plan_job(picture, tmp_path / "o.jpg")
    with pytest.raises(SourceNotFoundError):
        dq.plan_job(tmp_path / "none.png", tmp_path / "p.png")
    tight = ClusterOptions(memory_limit_bytes=10**8)
    with pytest.raises(MemoryBudgetError, match=r"100\.0 MB"):
        dq.plan_job(picture, tmp_path / "p.png", cluster=tight)


def test_a_job_beyond_its_memory_is_refused_before_it_starts(tmp_path, picture, folder):
    tight = ClusterOptions(memory_limit_bytes=10**8)
    pixels = stored_pixels(picture)
    with pytest.raises(MemoryBudgetError):
        dq.quantize(pixels, tmp_path / "o.png", cluster=tight)
    with pytest.raises(MemoryBudgetError):
        dq.quantize(picture, tmp_path / "o.png", cluster=tight)
    with pytest.raises(MemoryBudgetError):
        dq.quantize(folder, tmp_path / "out", cluster=tight)
    with pytest.raises(MemoryBudgetError):
        dq.quantize(picture, tmp_path / "o.png", chunks=(16, 16), cluster=tight)
    assert not (tmp_path / "o.png").exists()


def test_images_are_described_exactly(tmp_path, picture, folder):
    zarr.create_array(tmp_path / "z.zarr", data=stored_pixels(picture), chunks=(16, 16, 3))
    n_colors = len(np.unique(stored_pixels(picture).reshape(-1, 3), axis=0))
    for source, kind in ((picture, "PNG"), (tmp_path / "z.zarr", "ZARR")):
        (info,) = dq.describe_images(source)
        assert (info.width, info.height, info.bands) == (100, 80, 3)
        assert info.format == kind
        assert info.n_unique_colors == n_colors
        assert info.error is None
    infos = {info.path: info for info in dq.describe_images(folder)}
    assert {path for path, info in infos.items() if info.error} == {
        str(folder / name) for name in BROKEN
    }
    assert infos[str(folder / "sub" / "grey.bmp")].bands == 1
    with pytest.raises(SourceError):
        dq.describe_images(folder / "torn.png")
    with pytest.raises(SourceError, match="None of 2"):
        dq.describe_images([folder / name for name in BROKEN])


def test_large_files_are_counted_in_chunks(picture, monkeypatch):
    (expected,) = dq.describe_images(picture)
    monkeypatch.setattr("dask_quant.routes.inspect.SMALL_PIXELS", 100)
    monkeypatch.setattr("dask_quant.routes.inspect.ColorHistogram", None)
    assert dq.describe_images(picture, chunks=(16, 16)) == [expected]


def test_large_files_are_quantized_in_chunks(tmp_path, picture, monkeypatch):
    dq.quantize(picture, tmp_path / "small.png", n_colors=5)
    monkeypatch.setattr("dask_quant.routes.choose.SMALL_PIXELS", 100)
    monkeypatch.setattr("dask_quant.routes.choose.relabel_in_memory", None)
    dq.quantize(picture, tmp_path / "large.png", n_colors=5)
    assert (tmp_path / "large.png").read_bytes() == (tmp_path / "small.png").read_bytes()


def test_a_file_is_no_folder_for_a_collection(tmp_path, folder):
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="it is a file"):
        dq.quantize(folder, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "make",
    [
        lambda image: [image, image],
        lambda image: Image.fromarray(image),
        lambda image: ["a.png", image],
        lambda _: None,
        lambda _: 3,
        lambda _: b"a.png",
    ],
)
def test_sources_that_are_neither_paths_nor_one_array_are_refused(tmp_path, make):
    sources = make(np.zeros((4, 4, 3), dtype=np.uint8))
    for call in (
        lambda: dq.quantize(sources, tmp_path / "o.png"),
        lambda: dq.apply_palette(sources, tmp_path / "o.png", [[0, 0, 0]]),
        lambda: dq.make_palette(sources, tmp_path / "o.hex"),
        lambda: dq.plan_job(sources, tmp_path / "o.png"),
        lambda: dq.describe_images(sources),
    ):
        with pytest.raises(
            OptionError, match=r"^Got .* as a source; give paths, or one .*array\.$"
        ):
            call()
    assert list(tmp_path.iterdir()) == []


def test_arrays_are_not_described():
    with pytest.raises(OptionError, match="count_colors"):
        dq.describe_images(np.zeros((4, 4, 3), dtype=np.uint8))


def test_sources_may_be_any_iterable_of_paths(tmp_path, folder):
    sources = (folder / name for name in ("a.png", "sub/b.jpg"))
    assert [info.width for info in dq.describe_images(sources)] == [50, 60]


def test_one_number_is_chunks_of_that_many_rows_and_columns(tmp_path, picture):
    one, two = (dq.plan_job(picture, tmp_path / "o.png", chunks=n) for n in (16, (16, 16)))
    assert one == two
    dq.quantize(picture, tmp_path / "a.png", n_colors=3, chunks=16)
    dq.quantize(picture, tmp_path / "b.png", n_colors=3)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_arguments_of_other_kinds_are_refused(tmp_path, picture):
    out = tmp_path / "o.png"
    for wrong in ({"chunks": "16"}, {"persist": 3}, {"cluster": "tcp://127.0.0.1:1"}):
        with pytest.raises(OptionError, match=r"^Got "):
            dq.quantize(picture, out, **wrong)
    with pytest.raises(OptionError, match="for out; use a path"):
        dq.quantize(picture, None)
    for wrong in ("warm.gpl", [[0, 0]], [[0, 0, 0], [1]], [[0, 0, 300]], None):
        with pytest.raises(PaletteError, match=r"^Got "):
            dq.apply_palette(picture, out, wrong)
    assert not out.exists()


def test_a_palette_may_be_given_as_its_colors(tmp_path, picture):
    colors = [[255, 255, 255], [0, 0, 0]]
    dq.apply_palette(picture, tmp_path / "a.png", colors)
    dq.apply_palette(picture, tmp_path / "b.png", dq.Palette(colors))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
