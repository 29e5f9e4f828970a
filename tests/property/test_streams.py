"""Large PNG and JPEG files, read in strips: the same bytes as of an image in memory."""

import importlib.util
import struct
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from icc_bytes import DISPLAY_P3, SRGB_CURVE, build_grey_profile, build_rgb_profile
from PIL import Image
from png_maker import make_chunk, make_header

import dask_quant as dq
from dask_quant import stream_flow
from dask_quant.errors import MemoryBudgetError, OutputError, PixelFormatError, SourceError
from dask_quant.events import Event
from dask_quant.routes import choose, streams
from dask_quant.sources import strips
from dask_quant.sources.pillow import read_header, read_image

ORIENTATION = 0x0112

ROOM = SimpleNamespace(free=16_469)
"""A byte less than the pixels of 90 x 61 take."""


@pytest.fixture(autouse=True)
def many_strips(monkeypatch):
    """Let a strip be of few rows."""
    monkeypatch.setattr(strips, "_STRIP_PIXELS", 1000)


@pytest.fixture
def in_strips(monkeypatch):
    """Return a function that makes every file one that is read in strips."""

    def begin():
        monkeypatch.setattr(choose, "SMALL_PIXELS", 0)
        monkeypatch.setattr(streams, "SMALL_PIXELS", 0)

    return begin


def draw_pixels(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 6, (*shape, 3), dtype=np.uint8) * 51


def save(path, pixels, orientation=1, **options):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("is_grey", [False, True])
def test_color_profiles_are_applied_in_strips(tmp_path, suffix, is_grey):
    pixels = draw_pixels((90, 61))
    pixels = pixels[..., 0] if is_grey else pixels
    wide, dark = build_rgb_profile(DISPLAY_P3, SRGB_CURVE), build_grey_profile(1.0)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, icc_profile=dark if is_grey else wide)
    stream = strips.open_stream(read_header(path))
    if stream is None:
        pytest.skip("pyvips is not installed")
    whole = read_image(path)
    np.testing.assert_array_equal(np.concatenate(list(stream.read_strips())), whole)
    assert not np.array_equal(whole, np.asarray(Image.open(path).convert("RGB")))


def quantize(source, out, **options):
    heard = []
    report = dq.quantize(source, out, n_colors=5, listener=heard.append, **options)
    return report, [event for event in heard if isinstance(event, Event)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_png_gives_the_same_bytes_in_memory_and_in_strips(tmp_path, in_strips, orientation):
    image = save(tmp_path / "a.png", draw_pixels((90, 61)), orientation)
    whole, _ = quantize(image, tmp_path / "whole.png")
    in_strips()
    report, events = quantize(image, tmp_path / "strips.png")
    assert (tmp_path / "strips.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert report.to_json()["counts"] == whole.to_json()["counts"]
    decoded = [event.done for event in events if event.stage == "decode"]
    assert decoded[0] == 0
    assert decoded == sorted(set(decoded))
    assert decoded[-1] == 90 * 61
    assert len(decoded) > 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "strips.png", "whole.png"]


@pytest.mark.parametrize(
    "options",
    [
        {"dither": "floyd-steinberg"},
        {"dither": "bayer"},
        {"chunks": (20, 7)},
        {"persist": "store.zarr"},
        {"cluster": dq.ClusterOptions(scheduler="synchronous")},
        {"engine": "scalable", "n_init": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", [".png", ".zarr"])
def test_no_option_shows_that_it_was_read_in_strips(
    tmp_path, in_strips, digest_output, monkeypatch, options, suffix
):
    monkeypatch.chdir(tmp_path)
    image = save(tmp_path / "a.png", draw_pixels((50, 64)))
    quantize(image, tmp_path / f"whole{suffix}", **options | {"persist": None, "chunks": None})
    in_strips()
    quantize(image, tmp_path / f"strips{suffix}", **options)
    assert digest_output(tmp_path / f"strips{suffix}") == digest_output(tmp_path / f"whole{suffix}")
    if "persist" in options:
        heard = []
        dq.quantize(image, "again.png", n_colors=5, listener=heard.append, **options)
        assert any("Reusing" in getattr(event, "message", "") for event in heard)


def test_workers_read_what_one_of_them_decoded(tmp_path, in_strips):
    image = save(tmp_path / "a.png", draw_pixels((90, 61)))
    quantize(image, tmp_path / "whole.png")
    in_strips()
    _, events = quantize(image, tmp_path / "strips.png", cluster=dq.ClusterOptions(workers=2))
    assert (tmp_path / "strips.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    done = [event.done for event in events if event.stage == "decode"]
    assert (done[0], done[-1]) == (0, 90 * 61)
    assert done == sorted(done)


def test_palettes_and_counts_need_no_scratch_file(tmp_path, in_strips, monkeypatch):
    pixels = draw_pixels((90, 61))
    image = save(tmp_path / "a.png", pixels)
    expected = dq.count_colors(pixels)
    in_strips()
    monkeypatch.setattr(stream_flow, "partial_folder", None)
    assert dq.count_colors(image) == expected
    dq.make_palette(image, tmp_path / "a.gpl", n_colors=5)


needs_vips = pytest.mark.skipif(
    importlib.util.find_spec("pyvips") is None, reason="pyvips is not installed"
)


@needs_vips
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"orientation": 6}, {"subsampling": 0}], ids=str
)
def test_a_jpeg_gives_the_same_bytes(tmp_path, in_strips, photo, options):
    image = save(tmp_path / "a.jpg", photo[:200, :150], **options)
    quantize(image, tmp_path / "whole.png")
    in_strips()
    quantize(image, tmp_path / "strips.png")
    assert (tmp_path / "strips.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


@needs_vips
def test_a_grey_jpeg_is_read_as_grey_and_a_broken_one_told(tmp_path, in_strips, photo):
    image = save(tmp_path / "a.jpg", photo[:200, :150, 0])
    expected = dq.count_colors(image)
    in_strips()
    assert dq.count_colors(image) == expected
    image.write_bytes(image.read_bytes()[:-2000])
    with pytest.raises(SourceError, match=r"Cannot read .*a\.jpg: .*\.") as caught:
        quantize(image, tmp_path / "out.png")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg"]


def test_what_is_too_large_for_the_limit_is_read_in_strips(tmp_path):
    image = tmp_path / "a.png"
    Image.new("RGB", (8000, 8000), (9, 8, 7)).save(image, compress_level=1)
    limit = dq.ClusterOptions(memory_limit_bytes=1_300_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dq.FewerColorsWarning)
        _, events = quantize(image, tmp_path / "out.png", cluster=limit)
    assert any(event.stage == "decode" for event in events)


def test_transparency_is_refused_with_its_rows(tmp_path, in_strips):
    pixels = np.full((90, 61, 4), 255, dtype=np.uint8)
    pixels[70, 5, 3] = 254
    Image.fromarray(pixels).save(tmp_path / "a.png")
    in_strips()
    with pytest.raises(PixelFormatError, match=r"rows 64 to 79, with 1 of 976 pixels not opaque"):
        quantize(tmp_path / "a.png", tmp_path / "out.png", dither="bayer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_no_room_for_the_pixels_is_told_before_any_work(tmp_path, in_strips, monkeypatch):
    image = save(tmp_path / "a.png", draw_pixels((90, 61)))
    in_strips()
    monkeypatch.setattr(stream_flow.shutil, "disk_usage", lambda _: ROOM)
    with pytest.raises(OutputError, match=r"Got 16\.5 kB of free space .* takes 16\.5 kB"):
        quantize(image, tmp_path / "out.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def large_jpeg(path, height, width, *, progressive=False):
    """A JPEG whose header claims any size, too short to hold so many pixels."""
    Image.new("RGB", (16, 16)).save(path, progressive=progressive)
    data = path.read_bytes()
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    claimed = struct.pack(">HH", height, width)
    path.write_bytes(data[:frame] + claimed + data[frame + 4 :] + bytes(1 << 16))
    return path


def large_png(path, height, width, *, interlaced=False):
    """A PNG whose header claims any size, with EXIF that turns it, and without its pixels."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    parts = [make_header(width, height, 8, 2, interlaced=interlaced)]
    parts += [make_chunk(b"eXIf", exif.tobytes()[6:]), make_chunk(b"IDAT", bytes(1 << 16))]
    path.write_bytes(b"".join([*parts, make_chunk(b"IEND", b"")]))
    return path


def test_headers_of_any_size_are_read(tmp_path):
    png = large_png(tmp_path / "a.png", 60_000, 50_000)
    plan = dq.plan_job(png, tmp_path / "out.png", n_colors=5)
    assert plan.n_pixels == 3_000_000_000
    assert plan.projected_bytes < 1_500_000_000
    stream = strips.open_stream(read_header(png))
    assert (stream.stored, stream.shape, stream.orientation) == (
        (60_000, 50_000),
        (50_000, 60_000),
        6,
    )


@needs_vips
def test_a_progressive_jpeg_is_planned_with_its_coefficients(tmp_path):
    plain = large_jpeg(tmp_path / "a.jpg", 40_000, 40_000)
    assert dq.plan_job(plain, tmp_path / "o.png", n_colors=5).projected_bytes < 1_500_000_000
    image = large_jpeg(tmp_path / "b.jpg", 40_000, 40_000, progressive=True)
    plan = dq.plan_job(image, tmp_path / "o.png", n_colors=5)
    assert plan.projected_bytes > 9_600_000_000
    limit = dq.ClusterOptions(memory_limit_bytes=2_000_000_000)
    with pytest.raises(MemoryBudgetError, match=r"9\.6 GB of coefficients .* the 2\.0 GB"):
        dq.quantize(image, tmp_path / "o.png", n_colors=5, cluster=limit)


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("a.png", lambda path: large_png(path, 60_000, 50_000, interlaced=True), "interlac"),
        ("a.jpg", lambda path: large_jpeg(path, 60_000, 50_000), r"dask-quant\[vips\]"),
    ],
)
def test_what_cannot_be_read_in_strips_is_refused_with_numbers(
    tmp_path, monkeypatch, name, make, expected
):
    monkeypatch.setattr(strips, "can_read_jpeg_strips", lambda: False)
    image = make(tmp_path / name)
    with pytest.raises(SourceError, match=rf"3000000000 pixels .* 536870912; .*{expected}"):
        dq.quantize(image, tmp_path / "out.png", n_colors=5)


def test_damage_is_told_and_leaves_nothing(tmp_path, in_strips):
    image = save(tmp_path / "a.png", draw_pixels((90, 61)))
    data = bytearray(image.read_bytes())
    data[-600] ^= 1
    image.write_bytes(data)
    in_strips()
    with pytest.raises(SourceError, match=r"a\.png: its image data is damaged"):
        quantize(image, tmp_path / "out.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]
