import numpy as np
import pytest
from PIL import Image

import dask_quant as dq
from dask_quant.alpha_options import KEEP, REFUSE, AlphaRule, as_alpha
from dask_quant.errors import OptionError, PaletteError, PixelFormatError
from dask_quant.sources.bands import apply_alpha
from dask_quant.sources.pillow import read_image


@pytest.mark.parametrize(
    ("given", "matte", "rule"),
    [
        ("keep", None, KEEP),
        ("drop", None, AlphaRule("drop")),
        ("matte", None, AlphaRule("matte", (255, 255, 255))),
        ("matte:#f00", None, AlphaRule("matte", (255, 0, 0))),
        ("matte", "#0000ff", AlphaRule("matte", (0, 0, 255))),
        ("matte", [1, 2, 3], AlphaRule("matte", (1, 2, 3))),
        (REFUSE, None, REFUSE),
    ],
)
def test_rules_are_read_as_users_write_them(given, matte, rule):
    assert as_alpha(given, matte) == rule


@pytest.mark.parametrize(
    ("given", "matte"),
    [
        ("refuse", None),
        ("drop:#fff", None),
        ("drop", "#fff"),
        ("matte:#fff", "#fff"),
        ("matte:red", None),
        ("matte", "#fff,#000"),
        (None, None),
        (3, None),
    ],
)
def test_other_rules_are_usage_errors(given, matte):
    with pytest.raises(OptionError, match="Got"):
        as_alpha(given, matte)


def test_a_matte_is_mixed_to_the_nearest_level():
    alpha, levels = np.meshgrid(np.arange(256), np.arange(256))
    colors = np.repeat(levels[..., np.newaxis], 3, axis=2).astype(np.uint8)
    found = apply_alpha(colors, alpha.astype(np.uint8), AlphaRule("matte", (0, 90, 255)))
    for band, matte in enumerate((0, 90, 255)):
        exact = (levels * alpha + matte * (255 - alpha)) / 255
        assert np.abs(found[..., band] - exact).max() < 0.5


@pytest.fixture
def stored(tmp_path):
    """The same picture in the ways that Pillow's modes have for transparency."""
    gray = np.array([[10, 200, 90], [10, 10, 200]], dtype=np.uint8)
    alpha = np.array([[0, 255, 255], [0, 0, 255]], dtype=np.uint8)
    images = {
        "LA": Image.fromarray(np.dstack([gray, alpha])),
        "RGBA": Image.fromarray(np.dstack([gray, gray, gray, alpha])),
        "L": Image.fromarray(gray),
        "P": Image.fromarray(gray).convert("P"),
    }
    images["P"].putpalette([level for level in range(256) for _ in range(3)])
    for mode, image in images.items():
        extra = {"transparency": 10} if mode in "LP" else {}
        image.save(tmp_path / f"{mode}.png", **extra)
    return tmp_path, gray, alpha


@pytest.mark.parametrize("mode", ["LA", "RGBA", "L", "P"])
def test_every_mode_of_transparency_is_kept_dropped_and_matted(stored, mode):
    folder, gray, alpha = stored
    path = folder / f"{mode}.png"
    seen = np.where(alpha > 0, gray, 0)
    np.testing.assert_array_equal(read_image(path, alpha=KEEP), np.dstack([seen] * 3 + [alpha]))
    dropped = read_image(path, alpha=AlphaRule("drop"))
    np.testing.assert_array_equal(dropped, np.dstack([gray] * 3))
    matted = read_image(path, alpha=AlphaRule("matte", (255, 0, 7)))
    for band, level in enumerate((255, 0, 7)):
        np.testing.assert_array_equal(matted[..., band], np.where(alpha > 0, gray, level))
    with pytest.raises(PixelFormatError, match="3 of 6 pixels not opaque"):
        read_image(path)


@pytest.mark.parametrize("turn", [3, 6, 7])
def test_transparency_is_turned_with_the_picture(tmp_path, turn):
    pixels = np.random.default_rng(0).integers(1, 256, (3, 5, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    upright = {
        3: pixels[::-1, ::-1],
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).swapaxes(0, 1),
    }
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png", alpha=KEEP), upright[turn])


def test_an_opaque_image_is_read_as_rgb_whatever_its_mode(tmp_path, photo):
    rgba = np.dstack([photo[:20, :30], np.full((20, 30), 255, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "opaque.png")
    pixels = read_image(tmp_path / "opaque.png", alpha=KEEP)
    np.testing.assert_array_equal(pixels, photo[:20, :30])
    for name, image in (("rgba", tmp_path / "opaque.png"), ("array", rgba), ("rgb", pixels)):
        dq.quantize(image, tmp_path / f"{name}-out.png", n_colors=5)
    files = {(tmp_path / f"{name}-out.png").read_bytes() for name in ("rgba", "array", "rgb")}
    assert len(files) == 1


@pytest.fixture
def clear_picture():
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    pixels[:3, :, 3] = 0
    return pixels


@pytest.mark.parametrize(
    "options",
    [
        {"dither": "bayer"},
        {"dither": "floyd-steinberg"},
        {"method": "wu"},
        {"space": "oklab"},
        {"engine": "scalable"},
        {"keep": "#ffffff"},
        {"recolor": "#000,#fff"},
        {"init": "random"},
        {"target_delta_e": 99.0},
    ],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_what_knows_opaque_colours_alone_refuses_others(tmp_path, clear_picture, options, as_file):
    source = tmp_path / "in.png" if as_file else clear_picture
    Image.fromarray(clear_picture).save(tmp_path / "in.png")
    given = {"n_colors": 2} | options
    with pytest.raises(PixelFormatError, match=r"not opaque.*alpha drop.*matte"):
        dq.quantize(source, tmp_path / "out.png", **given)
    assert not (tmp_path / "out.png").exists()
    if {"method", "keep", "dither"} & set(options):  # quick ones
        dq.quantize(source, tmp_path / "out.png", alpha="matte", **given)


def test_elbow_and_compare_take_transparency_that_is_flattened(tmp_path, clear_picture):
    path = tmp_path / "in.png"
    Image.fromarray(clear_picture).save(path)
    with pytest.raises(PixelFormatError, match="not opaque"):
        dq.elbow(path, [2, 3])
    with pytest.raises(PixelFormatError, match="not opaque"):
        dq.elbow(dq.count_colors(clear_picture), [2, 3])
    with pytest.raises(PixelFormatError, match="not opaque"):
        dq.compare(path, tmp_path / "sheet.png", [2])
    dropped = dq.elbow(path, [2, 3], alpha="drop")
    assert (
        dropped.to_json()
        == dq.elbow(np.ascontiguousarray(clear_picture[..., :3]), [2, 3]).to_json()
    )
    dq.compare(path, tmp_path / "sheet.png", [2], alpha="matte:#f00", effort="fast")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] > 30


def test_pixels_are_persisted_without_transparency(tmp_path, clear_picture):
    path, store = tmp_path / "in.png", tmp_path / "in.zarr"
    Image.fromarray(clear_picture).save(path)
    with pytest.raises(PixelFormatError, match="not opaque"):
        dq.quantize(path, tmp_path / "out.png", n_colors=3, persist=store)
    dq.quantize(path, tmp_path / "out.png", n_colors=3, persist=store, alpha="drop")
    dq.quantize(path, tmp_path / "plain.png", n_colors=3, alpha="drop")
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    with pytest.raises(dq.OutputExistsError):  # decoded in another way
        dq.quantize(path, tmp_path / "on.png", n_colors=3, persist=store, alpha="matte")


def test_palettes_with_alpha_go_to_files_that_hold_it(tmp_path):
    palette = dq.Palette.from_hex(["#ff8000", "#00000000", "#12345680", "#ffffff"])
    assert palette.hex == ["#ff8000", "#00000000", "#12345680", "#ffffff"]
    for suffix in (".json", ".hex", ".png"):
        dq.write_palette(palette, tmp_path / f"p{suffix}")
        assert dq.read_palette(tmp_path / f"p{suffix}") == palette
    with Image.open(tmp_path / "p.png") as image:
        assert image.info["transparency"] == b"\xff\x00\x80"  # up to the last that is not opaque
    for suffix in (".gpl", ".ase", ".act", ".pal", ".riff.pal", ".clr", ".qml"):
        with pytest.raises(PaletteError, match=r"not opaque.*\.json"):
            dq.write_palette(palette, tmp_path / f"p{suffix}")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".hex", ".json", ".png"]


def test_a_palette_drops_what_is_not_seen():
    assert dq.Palette([[1, 2, 3, 255], [4, 5, 6, 255]]) == dq.Palette([[1, 2, 3], [4, 5, 6]])
    assert dq.Palette([[1, 2, 3, 0], [4, 5, 6, 9]]).colors.tolist() == [[0, 0, 0, 0], [4, 5, 6, 9]]
    with pytest.raises(PaletteError, match="1 repeated"):
        dq.Palette([[1, 2, 3, 0], [4, 5, 6, 0]])
    first, second = dq.Palette([[1, 2, 3, 4]]), dq.Palette([[1, 2, 3]])
    assert first != second
    assert first.digest != second.digest
