import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

import dask_quant as dq
from dask_quant.options import Page
from dask_quant.sources import image_file
from dask_quant.sources.pillow import read_header
from dask_quant.sources.reading import Origin, read_density

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT = 274, 282, 283, 296


def encode(name, **options):
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(buffer, name, **options)
    return buffer.getvalue()


def exif_of(**values):
    exif = Image.Exif()
    for name, value in values.items():
        exif[globals()[name]] = value
    return exif


def read_chunks(data):
    """Chunks of a PNG, in order, read without any library: ``[(kind, data)]``."""
    position, chunks = 8, []
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        assert struct.unpack_from(">I", data, position + 8 + size)[0] == zlib.crc32(kind + body)
        chunks.append((kind, body))
        position += 12 + size
    return chunks


@pytest.mark.parametrize(
    ("data", "density"),
    [
        (encode("PNG"), None),
        (encode("PNG", dpi=(300, 150)), (11811, 5906)),
        (encode("JPEG"), None),
        (encode("JPEG", dpi=(300, 150)), (11811, 5906)),
        (encode("BMP", dpi=(72, 72)), (2835, 2835)),
        (encode("TIFF"), None),
        (encode("TIFF", dpi=(300, 300)), (11811, 11811)),
        (encode("GIF"), None),
        (encode("WEBP", exif=exif_of(X_RESOLUTION=200.0, Y_RESOLUTION=100.0)), (7874, 3937)),
        (encode("JPEG", exif=exif_of(X_RESOLUTION=40.0, UNIT=3)), (4000, 4000)),
        (encode("JPEG", exif=exif_of(X_RESOLUTION=40.0, UNIT=1)), None),
        (encode("JPEG", exif=exif_of(UNIT=2)), None),
        (encode("JPEG", dpi=(300, 150), exif=exif_of(ORIENTATION=6)), (5906, 11811)),
    ],
)
def test_density_is_what_the_file_states_as_it_is_shown(data, density):
    assert read_header(io.BytesIO(data)).density == density
    assert image_file.read_header(io.BytesIO(data)).density == density


@pytest.mark.parametrize(
    ("tags", "density"),
    [
        ({"resolution": (300, 150), "resolutionunit": "inch"}, (11811, 5906)),
        ({"resolution": (40, 20), "resolutionunit": "centimeter"}, (4000, 2000)),
        ({"resolution": (40, 20), "resolutionunit": "none"}, None),
        ({"resolution": ((0, 1), (20, 1)), "resolutionunit": "inch"}, None),
        (
            {
                "resolution": (300, 150),
                "resolutionunit": "inch",
                "extratags": [(ORIENTATION, 3, 1, 6, True)],
            },
            (5906, 11811),
        ),
        ({}, None),
    ],
)
def test_density_of_a_tiff_is_what_its_tags_state(tmp_path, tags, density):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((40, 60, 3), np.uint8), photometric="rgb", **tags)
    assert image_file.read_header(path).density == density
    assert read_density(Origin(path)) == density


def test_a_level_has_fewer_pixels_to_the_metre(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options = {"photometric": "rgb", "tile": (16, 16), "resolutionunit": "centimeter"}
        file.write(pixels, subifds=1, resolution=(40, 20), **options)
        file.write(pixels[::2, ::4], subfiletype=1, **options)
        file.write(pixels, resolution=(7, 7), **options)
    assert read_density(Origin(tmp_path / "a.tif")) == (4000, 2000)
    assert read_density(Origin(tmp_path / "a.tif", Page(level=1))) == (1000, 1000)
    assert read_density(Origin(tmp_path / "a.tif", Page(number=1))) == (700, 700)


@pytest.mark.parametrize("source", ["a.tif", "a.jpg"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_outputs_of_both_kinds_state_the_density_of_both_kinds(tmp_path, source, suffix):
    kind = {"a.tif": "TIFF", "a.jpg": "JPEG"}[source]
    (tmp_path / source).write_bytes(encode(kind, dpi=(300, 150)))
    outputs = []
    for chunks in (None, 16):
        out = tmp_path / f"{chunks}{suffix}"
        dq.quantize(tmp_path / source, out, n_colors=4, chunks=chunks)
        outputs.append(out.read_bytes())
        with Image.open(out) as image:
            assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)
        assert image_file.read_header(out).density == (11811, 5906)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("value", [0.0, -3.0, float("nan"), float("inf"), 1e30])
def test_a_density_that_makes_no_sense_is_none(value):
    image = Image.open(io.BytesIO(encode("PNG")))
    image.info["dpi"] = (value, 300)
    from dask_quant.sources.density import find_density

    assert find_density(image) is None


def test_what_states_no_density_has_none(tmp_path):
    assert read_density(Origin(np.zeros((2, 2)))) is None
    assert read_density(Origin(tmp_path / "none.png")) is None
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
    assert read_density(Origin(tmp_path / "a.zarr")) is None


@pytest.mark.parametrize("dither", ["none", "bayer", "floyd-steinberg"])
def test_outputs_state_the_density_and_hold_the_same_bytes_for_any_chunks(
    tmp_path, dither, small_units
):
    (tmp_path / "a.jpg").write_bytes(encode("JPEG", dpi=(300, 150)))
    outputs = []
    for number, chunks in enumerate((None, 16, (32, 60))):
        out = tmp_path / f"{number}.png"
        dq.quantize(tmp_path / "a.jpg", out, n_colors=4, chunks=chunks, dither=dither)
        outputs.append(out.read_bytes())
    dq.quantize([tmp_path / "a.jpg"], tmp_path / "out", n_colors=4, dither=dither)
    outputs.append((tmp_path / "out" / "a.png").read_bytes())
    assert len(set(outputs)) == 1
    assert (b"pHYs", struct.pack(">IIB", 11811, 5906, 1)) in read_chunks(outputs[0])
    assert Image.open(io.BytesIO(outputs[0])).info["dpi"] == pytest.approx((300, 150), abs=0.02)


def test_outputs_hold_pixels_and_density_and_nothing_else(tmp_path):
    exif = exif_of(X_RESOLUTION=72.0)
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)  # GPS latitude
    exif.get_ifd(0x8825)[29] = "2026:01:01"
    data = encode("JPEG", exif=exif, comment=b"SecretWords", xmp=b"<x:xmpmeta>Secret</x:xmpmeta>")
    assert data.count(b"Secret") == 3
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "b.png").write_bytes(encode("PNG", exif=exif))
    dq.quantize(tmp_path / "a.jpg", tmp_path / "one.png", n_colors=4)
    dq.quantize(tmp_path / "a.jpg", tmp_path / "cut.png", n_colors=4, chunks=16)
    dq.quantize(
        [tmp_path / "a.jpg", tmp_path / "b.png"], tmp_path / "out", n_colors=4, per_image=True
    )
    dq.quantize(tmp_path / "a.jpg", tmp_path / "a.zarr", n_colors=4)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".jpg"]
    pictures = [path for path in files if path.suffix == ".png" and path.name != "b.png"]
    pictures.append(tmp_path / "out" / "b.png")
    assert len(pictures) == 4
    for path in pictures:
        kinds = [kind for kind, _ in read_chunks(path.read_bytes())]
        assert kinds == [b"IHDR", b"PLTE", b"pHYs", b"IDAT", b"IEND"]
    for path in {*files} - {tmp_path / "b.png"}:
        found = path.read_bytes()
        words = (b"Secret", b"Exif", b"GPS", b"2026:01", b"xmp", b"photoshop")
        assert [word for word in words if word in found] == []
