import io

import pytest
from PIL import Image

from dask_quant.sources.signatures import FORMATS, N_SIGNATURE_BYTES, SUFFIXES, find_format


@pytest.mark.parametrize(
    "name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "QOI"]
)
def test_what_pillow_writes_is_recognized(name):
    buffer = io.BytesIO()
    try:
        Image.new("RGB", (8, 8)).save(buffer, name)
    except (KeyError, OSError) as error:
        pytest.skip(f"Pillow here does not write {name}: {error}")
    assert find_format(buffer.getvalue()[:N_SIGNATURE_BYTES]) == name


@pytest.mark.parametrize(
    "start",
    [
        *(b"", b"\x89", b"P6", b"P7\nWIDTH 3", b"<svg xmlns=", bytes(32)),
        *(b"BMW is a car maker, says this text.", b"%!PS-Adobe-3.0 EPSF", b"%PDF-1.7"),
    ],
)
def test_other_starts_are_no_image(start):
    assert find_format(start) is None


def test_formats_that_run_programs_are_left_out():
    assert not {"EPS", "PDF", "WMF"} & set(FORMATS)
    assert not {".eps", ".pdf", ".svg"} & SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
