"""Transparency from every kind of source to every kind of output, against other readers."""

import json
import warnings

import numpy as np
import pytest
import tifffile
import zarr
from outputs import list_outputs
from PIL import Image

import dask_quant as dq
from dask_quant.histogram import ColorHistogram
from dask_quant.palette import Palette
from dask_quant.routes import streams
from dask_quant.sources import strips

N_COLORS = 7


def make_logo(shape=(90, 61), seed=0):
    """A picture with an edge that fades out, and random colours hidden where nothing is seen."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 6, (*shape, 4), dtype=np.uint8) * 51
    rows, columns = np.indices(shape)
    gaps = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) - min(shape) / 3
    pixels[..., 3] = np.clip(255 - 30 * gaps, 0, 255)
    return pixels


def show(pixels):
    """The same with black hidden where nothing is seen."""
    return np.where(pixels[..., 3:] > 0, pixels, 0).astype(np.uint8)


def cut(pixels):
    """The same with nothing between opaque and clear."""
    alpha = np.where(pixels[..., 3:] < 128, 0, 255).astype(np.uint8)
    return show(np.concatenate([pixels[..., :3], alpha], axis=-1))


def premultiply(pixels):
    """Colours multiplied by alpha, of 16 bits so that nothing is lost."""
    deep = pixels.astype(np.uint16) * 257
    deep[..., :3] = np.rint(deep[..., :3] * (pixels[..., 3:] / 255)).astype(np.uint16)
    return deep


def save_tiff(path, pixels, extra):
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=[extra], tile=(16, 16))


def save_zarr(path, pixels):
    array = zarr.create_array(str(path), shape=pixels.shape, chunks=(16, 16, 4), dtype=pixels.dtype)
    array[:] = pixels


SOURCES = {
    "a.png": lambda path, pixels: Image.fromarray(pixels).save(path),
    "a.webp": lambda path, pixels: Image.fromarray(pixels).save(path, lossless=True, exact=True),
    "a.tif": lambda path, pixels: save_tiff(path, pixels, "unassalpha"),
    "deep.tif": lambda path, pixels: save_tiff(path, pixels.astype("u2") * 257, "unassalpha"),
    "a.zarr": save_zarr,
}


@pytest.fixture
def logo():
    return make_logo()


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_every_source_of_the_same_pixels_gives_the_same_bytes(tmp_path, logo, name, is_chunked):
    SOURCES[name](tmp_path / name, logo)
    options = {"chunks": (20, 61)} if is_chunked else {}
    report = dq.quantize(tmp_path / name, tmp_path / "out.png", n_colors=N_COLORS, **options)
    expected = dq.quantize(logo, tmp_path / "array.png", n_colors=N_COLORS)
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "array.png").read_bytes()
    assert report.palette == expected.palette
    assert report.palette.has_alpha
    assert report.n_unique_colors == len(np.unique(show(logo).reshape(-1, 4), axis=0))


def test_premultiplied_tiff_is_straightened(tmp_path, logo):
    save_tiff(tmp_path / "a.tif", premultiply(logo), "assocalpha")
    pixels = dq.open_image(tmp_path / "a.tif", alpha="keep").compute()
    seen = show(logo).astype(int)
    assert (pixels[..., 3] == seen[..., 3]).all()
    # Brought to 8 bits before they are divided: half a level and rounding down, over the alpha.
    errors = np.abs(pixels.astype(int) - seen)[..., :3].max(axis=-1)
    alpha = seen[..., 3]
    assert (errors[alpha > 0] <= np.ceil(128 / alpha[alpha > 0]) + 1).all()


@pytest.fixture
def in_strips(monkeypatch):
    """Have PNG read in strips of some rows, however small it is."""
    monkeypatch.setattr(streams, "SMALL_PIXELS", 0)
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 700)


@pytest.mark.parametrize("alpha", ["keep", "cut", "drop", "matte:#204060"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_strips_give_what_the_whole_gives(tmp_path, logo, monkeypatch, alpha, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(logo).save(tmp_path / "a.png", exif=exif)
    dq.quantize(tmp_path / "a.png", tmp_path / "whole.png", n_colors=N_COLORS, alpha=alpha)
    monkeypatch.setattr(streams, "SMALL_PIXELS", 0)
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 700)
    heard = []
    dq.quantize(
        *(tmp_path / "a.png", tmp_path / "strips.png"),
        n_colors=N_COLORS,
        alpha=alpha,
        listener=heard.append,
    )
    assert "decode" in {getattr(event, "stage", "") for event in heard}
    assert (tmp_path / "strips.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


@pytest.mark.usefixtures("in_strips")
def test_strips_refuse_what_does_not_know_transparency(tmp_path, logo):
    Image.fromarray(logo).save(tmp_path / "a.png")
    with pytest.raises(dq.PixelFormatError, match=r"rows 0 to 10.*not opaque.*--alpha"):
        dq.quantize(tmp_path / "a.png", tmp_path / "out.png", n_colors=2, dither="bayer")
    assert not (tmp_path / "out.png").exists()


def nearest(pixels, colors):
    """The squared difference of each pixel and its nearest colour, from its definition."""
    over = [
        sum(
            (
                (
                    pixels[..., np.newaxis, band] * (pixels[..., np.newaxis, 3] / 255)
                    + ground * (1 - pixels[..., np.newaxis, 3] / 255)
                )
                - (colors[:, band] * (colors[:, 3] / 255) + ground * (1 - colors[:, 3] / 255))
            )
            ** 2
            for band in range(3)
        )
        for ground in (0.0, 255.0)
    ]
    return (sum(over) / 2).min(axis=-1)


def read_png(path):
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image.convert("RGBA"))


def read_gif(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def read_tiff(path):
    rasterio = pytest.importorskip("rasterio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            labels, mask = dataset.read(1), dataset.dataset_mask()
            table = np.zeros((256, 4), np.uint8)
            for index, color in dataset.colormap(1).items():
                table[index] = color
    return np.dstack([table[labels][..., :3], mask])


def read_npz(path):
    with np.load(path) as arrays:
        return arrays["palette"][arrays["labels"]]


def read_ome_zarr(path):
    group = zarr.open_group(str(path), mode="r")
    colors = group.attrs["ome"]["image-label"]["colors"]
    table = np.zeros((256, 4), np.uint8)
    for color in colors:
        table[color["label-value"]] = color["rgba"]
    return table[group["0"][:]]


READERS = {
    "o.png": (read_png, show),
    "o.gif": (read_gif, cut),
    "o.tif": (read_tiff, cut),
    "o.npz": (read_npz, show),
    "o.zarr": (read_ome_zarr, show),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_other_readers_see_what_was_told(tmp_path, logo, name, is_chunked):
    read, seen = READERS[name]
    options = {"chunks": (20, 61)} if is_chunked else {}
    report = dq.quantize(logo, tmp_path / name, n_colors=N_COLORS, **options)
    picture = read(tmp_path / name)
    assert len(report.palette) == N_COLORS
    colors = report.palette.colors
    assert {tuple(color) for color in picture.reshape(-1, 4)} == {tuple(row) for row in colors}
    errors = nearest(seen(logo).astype(float), colors.astype(float))
    assert report.mse == pytest.approx(errors.mean())
    is_hidden = seen(logo)[..., 3] == 0
    assert (picture[is_hidden] == 0).all()
    hidden = next(
        count for color, count in zip(colors, report.palette.counts, strict=True) if color[3] == 0
    )
    assert hidden >= is_hidden.sum()


def test_what_is_cut_without_being_asked_is_told(tmp_path, logo):
    for name, is_told in (("o.gif", True), ("o.png", False)):
        heard = []
        dq.quantize(logo, tmp_path / name, n_colors=N_COLORS, listener=heard.append)
        assert any("cut at half" in getattr(event, "message", "") for event in heard) == is_told


def test_a_palette_between_opaque_and_clear_goes_to_no_gif_and_no_tiff(tmp_path, logo):
    partial = Palette([[255, 0, 0, 128], [0, 0, 0, 255]])
    for suffix in ("gif", "tif"):
        with pytest.raises(dq.OutputError, match="1 of 2 colours between opaque and clear"):
            dq.apply_palette(logo, tmp_path / f"o.{suffix}", partial)
        with pytest.raises(dq.OutputError, match="does not hold"):
            dq.write(np.zeros((3, 4), np.uint8), tmp_path / f"o.{suffix}", palette=partial)
    with pytest.raises(dq.OutputError, match="GIF does not hold"):
        dq.quantize(logo, tmp_path / "one.gif", n_colors=1)
    assert list(tmp_path.iterdir()) == []
    clear = Palette([[255, 0, 0, 255], [0, 0, 0, 0]])
    dq.apply_palette(logo, tmp_path / "o.gif", clear)
    assert {tuple(color) for color in read_gif(tmp_path / "o.gif").reshape(-1, 4)} == {
        (255, 0, 0, 255),
        (0, 0, 0, 0),
    }


def test_folders_keep_transparency_in_one_palette_or_in_each(tmp_path, logo):
    (tmp_path / "in").mkdir()
    other = make_logo((40, 50), seed=1)
    Image.fromarray(logo).save(tmp_path / "in/a.png")
    Image.fromarray(other).save(tmp_path / "in/b.png")
    Image.fromarray(np.ascontiguousarray(other[..., :3])).save(tmp_path / "in/c.png")
    report = dq.quantize(tmp_path / "in", tmp_path / "shared", n_colors=N_COLORS)
    pictures = [read_png(tmp_path / f"shared/{name}.png") for name in "ab"]
    told = {tuple(row) for row in report.palette.colors.tolist()}
    for picture, source in zip(pictures, (logo, other), strict=True):
        assert {tuple(color) for color in picture.reshape(-1, 4).tolist()} <= told
        assert (picture[source[..., 3] == 0] == 0).all()
    dq.quantize(tmp_path / "in", tmp_path / "each", n_colors=N_COLORS, per_image=True)
    alone = dq.quantize(other, tmp_path / "alone.png", n_colors=N_COLORS)
    assert (tmp_path / "each/b.png").read_bytes() == (tmp_path / "alone.png").read_bytes()
    assert len(alone.palette) == N_COLORS
    dq.quantize(tmp_path / "in", tmp_path / "gifs", n_colors=N_COLORS, format="gif")
    assert set(read_gif(tmp_path / "gifs/a.gif")[..., 3].ravel()) == {0, 255}


def test_counts_with_transparency_are_saved_and_read(tmp_path, logo):
    histogram = ColorHistogram.from_pixels(logo)
    dq.write_histogram(histogram, tmp_path / "counts.npz")
    assert dq.read_histogram(tmp_path / "counts.npz") == histogram
    with np.load(tmp_path / "counts.npz") as arrays:
        assert arrays["colors"].shape == (len(histogram), 4)
    other = make_logo((40, 50), seed=1)
    both = dq.fit_palette(histogram.merge(ColorHistogram.from_pixels(other)), n_colors=N_COLORS)
    report = dq.make_palette(
        other, tmp_path / "p.json", n_colors=N_COLORS, histogram=tmp_path / "counts.npz"
    )
    assert report.palette == both
    opaque = np.ascontiguousarray(other[..., :3])
    written = dq.quantize(
        opaque, tmp_path / "o.png", n_colors=N_COLORS, histogram=tmp_path / "counts.npz"
    )
    assert written.palette.has_alpha
    assert written.palette.counts.sum() == 40 * 50


@pytest.mark.parametrize(
    ("colors", "reason"),
    [
        ([[9, 9, 9, 0], [8, 8, 8, 0]], "do not ascend"),
        ([[9, 9, 9, 0]], "fully transparent and not black"),
        ([[9, 9, 9, 7], [9, 9, 9, 8]], "do not ascend"),
    ],
)
def test_other_saved_counts_are_refused(tmp_path, colors, reason):
    n = len(colors)
    np.savez(
        tmp_path / "counts.npz",
        colors=np.array(colors, np.uint8),
        counts=np.ones(n, np.int64),
        version=np.int64(1),
    )
    with pytest.raises(dq.SourceError, match=reason):
        dq.read_histogram(tmp_path / "counts.npz")


def test_frames_keep_what_is_clear(tmp_path):
    frames = [Image.fromarray(cut(make_logo((20, 30), seed))) for seed in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=2)
    dq.quantize(tmp_path / "a.gif", tmp_path / "out", n_colors=9, frames="all")
    written = sorted((tmp_path / "out").rglob("*.png"))
    assert len(written) == 2
    for path, frame in zip(written, frames, strict=True):
        np.testing.assert_array_equal(read_png(path)[..., 3], np.asarray(frame)[..., 3])


def test_a_photograph_without_transparency_costs_no_second_look(tmp_path, monkeypatch):
    from dask_quant.sources import pillow_pixels

    seen, iterate = [], pillow_pixels._iterate
    monkeypatch.setattr(
        pillow_pixels, "_iterate", lambda *args: seen.append(args) or iterate(*args)
    )
    picture = Image.fromarray(np.ascontiguousarray(make_logo()[..., :3]))
    picture.save(tmp_path / "a.png")
    picture.quantize(16).save(tmp_path / "indexed.png")
    for n_looks, name in enumerate(("a.png", "indexed.png"), start=1):
        dq.open_image(tmp_path / name, alpha="keep").compute()
        assert len(seen) == n_looks


def test_info_and_json_tell_of_transparency(tmp_path, logo):
    Image.fromarray(logo).save(tmp_path / "a.png")
    (info,) = dq.describe_images(tmp_path / "a.png")
    assert info.n_unique_colors == len(np.unique(show(logo).reshape(-1, 4), axis=0))
    report = dq.quantize(tmp_path / "a.png", tmp_path / "o.png", n_colors=N_COLORS)
    told = json.loads(json.dumps(report.to_json()))
    assert any(len(color) == 9 for color in told["palette"])
    assert Palette.from_hex(told["palette"]) == report.palette


CLEAR_PALETTE = Palette([[255, 128, 0, 255], [0, 0, 0, 0], [9, 9, 200, 90]])


@pytest.mark.parametrize("dither", ["bayer", "blue-noise", "floyd-steinberg"])
def test_nothing_is_dithered_with_colours_that_are_not_opaque(tmp_path, photo, dither):
    opaque = photo[:30, :40]
    with pytest.raises(dq.OptionError, match=f"not opaque with dither {dither}"):
        dq.relabel(opaque, CLEAR_PALETTE, dither=dither)
    with pytest.raises(dq.OptionError, match="not opaque with dither"):
        dq.apply_palette(opaque, tmp_path / "o.png", CLEAR_PALETTE, dither=dither)
    counts = ColorHistogram.from_pixels(make_logo())
    Image.fromarray(opaque).save(tmp_path / "a.png")
    for source in (opaque, tmp_path / "a.png"):
        with pytest.raises(dq.OptionError, match="not opaque with dither"):
            dq.quantize(source, tmp_path / "o.png", n_colors=4, dither=dither, histogram=counts)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_no_other_space_is_passed_over_in_silence(tmp_path, logo, photo):
    opaque = Palette([[255, 128, 0], [9, 9, 200]])
    with pytest.raises(dq.OptionError, match="not opaque with space lab"):
        dq.relabel(photo[:30, :40], CLEAR_PALETTE, space="lab")
    with pytest.raises(dq.OptionError, match="not opaque with space lab"):
        dq.apply_palette(photo[:30, :40], tmp_path / "o.png", CLEAR_PALETTE, space="lab")
    with pytest.raises(dq.PixelFormatError, match="not opaque"):
        dq.relabel(logo, opaque, space="lab").compute()


def test_saved_counts_are_read_by_the_same_rule_as_pixels(tmp_path, logo, photo):
    counts, opaque = ColorHistogram.from_pixels(logo), photo[:30, :40]
    both = ColorHistogram.from_pixels(cut(logo)).merge(ColorHistogram.from_pixels(opaque))
    dq.quantize(opaque, tmp_path / "o.gif", n_colors=N_COLORS, histogram=counts)
    with Image.open(tmp_path / "o.gif") as image:
        colors = np.array(image.getpalette()[: 3 * N_COLORS]).reshape(-1, 3)
    expected = dq.fit_palette(both, n_colors=N_COLORS).colors
    np.testing.assert_array_equal(colors, expected[:, :3])
    given = {"n_colors": N_COLORS, "histogram": counts}
    matted = dq.make_palette(opaque, tmp_path / "p.gpl", alpha="matte:#204060", **given)
    assert not matted.palette.has_alpha
    with pytest.raises(dq.OptionError, match="hidden colours were not counted"):
        dq.make_palette(opaque, tmp_path / "q.gpl", alpha="drop", **given)


def test_borders_are_painted_on_colours_with_alpha():
    labels = np.array([[0, 0, 1], [2, 2, 1]], dtype=np.uint8)
    picture = dq.render(labels, CLEAR_PALETTE, outline="#102030").compute()
    assert picture.shape == (2, 3, 4)
    assert picture[0, 1].tolist() == [16, 32, 48, 255]
    assert picture[1, 2].tolist() == [0, 0, 0, 0]


def test_a_folder_is_a_folder_whatever_its_name(tmp_path, logo):
    (tmp_path / "out.png").mkdir()
    (tmp_path / "in").mkdir()
    Image.fromarray(logo).save(tmp_path / "in/a.png")
    dq.quantize(tmp_path / "in", tmp_path / "out.png", n_colors=N_COLORS, format="gif")
    assert list_outputs(tmp_path / "out.png") == ["a.gif"]


def test_plans_count_colours_with_alpha_that_pixels_are_fitted_with(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.png")
    n = 1 << 16
    codes = np.arange(n)
    colors = np.stack([codes >> 8, codes & 255, codes % 251], axis=1).astype(np.uint8)
    opaque = ColorHistogram.from_colors(colors, np.ones(n, np.int64))
    clear = opaque.merge(ColorHistogram.from_pixels(np.zeros((1, 1, 4), np.uint8)))

    def plan(histogram):
        return dq.plan_job(tmp_path / "a.png", tmp_path / "o.png", histogram=histogram)

    added = plan(clear).projected_bytes - plan(opaque).projected_bytes
    n_own = photo.shape[0] * photo.shape[1]
    assert added > 200 * (n + n_own) * 0.9


@pytest.mark.parametrize("alpha", ["matte:", "keep:", "matte:#fff:"])
def test_a_torn_rule_is_a_usage_error(alpha):
    with pytest.raises(dq.OptionError, match="Got alpha"):
        dq.open_image(np.zeros((2, 2, 4), np.uint8), alpha=alpha)


@pytest.mark.parametrize("name", ["out", "images", "histogram", "persist"])
def test_an_address_is_no_path_and_is_not_repeated(tmp_path, logo, name):
    address = "https://u:secret@127.0.0.1/a.npz?key=abc"
    out = address if name == "out" else tmp_path / "o.png"
    given = {} if name in ("out", "images") else {name: address}

    def run():
        if name == "images":
            dq.compare(tmp_path / "a.png", out, [2], images=address)
        dq.quantize(logo, out, **given)

    told = "Got the output https://" if name == "out" else f"Got an address for {name}"
    with pytest.raises(dq.OptionError, match=told) as caught:
        run()
    assert "secret" not in str(caught.value)
    assert "abc" not in str(caught.value)
