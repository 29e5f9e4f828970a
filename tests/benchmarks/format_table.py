"""Make the table of docs/formats.md: a file of every mode and format, and what is read from it.

Each file holds one sample, over and over; the table says what the program makes of it.
``python tests/benchmarks/format_table.py`` writes the table into the page; a test checks that the
page holds what comes out. Zarr and rasters have readers, and words, of their own.
"""

from __future__ import annotations

import argparse
import io
import struct
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import tifffile
from icc_bytes import (
    DISPLAY_P3,
    SRGB_CURVE,
    build_grey_profile,
    build_ink_profile,
    build_rgb_profile,
)
from PIL import Image

import dask_quant as dq
from dask_quant.alpha_options import KEEP
from dask_quant.sources.image_file import read_header, read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
HEIF = Path(__file__).parents[1] / "unit" / "sources" / "heif"
"""Files that need an encoder which is not installed."""

BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"

SIZE = (8, 8)
"""Columns and rows of every file."""

P3 = build_rgb_profile(DISPLAY_P3, SRGB_CURVE, "Display P3")
LINEAR_GREY = build_grey_profile(1.0, "Linear grey")
PRESS = build_ink_profile("Made-up press")


@dataclass(frozen=True)
class Case:
    """One file that is written."""

    form: str
    """Format and mode in words."""
    stored: str
    """Sample that it holds, in words."""
    data: bytes
    """The file."""


def save(name: str, mode: str, color: Any, **options: Any) -> bytes:
    """Return a file of one colour that Pillow writes."""
    buffer = io.BytesIO()
    Image.new(mode, SIZE, color).save(buffer, name, **options)
    return buffer.getvalue()


def save_palette(name: str, index: int, **options: Any) -> bytes:
    """Return a file of one of three palette entries."""
    image = Image.new("P", SIZE, index)
    image.putpalette([234, 51, 35, 10, 20, 30, 40, 50, 60])
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def save_frames(name: str) -> bytes:
    """Return an animation of a red and a blue frame."""
    buffer = io.BytesIO()
    frames = [Image.new("RGB", SIZE, color) for color in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(buffer, name, save_all=True, append_images=frames[1:], lossless=True)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(color_type: int, *sample: int, before: bytes = b"") -> bytes:
    """Return a PNG of one sample of 16 bits a band."""
    row = b"\0" + struct.pack(f">{len(sample)}H", *sample) * SIZE[0]
    header = struct.pack(">IIBBBBB", *SIZE, 16, color_type, 0, 0, 0)
    parts = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(row * SIZE[1]))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """Return a PNG with a chunk behind its header."""
    return png[:33] + chunk(kind, data) + png[33:]


def ppm(kind: str, most: int, *sample: int) -> bytes:
    """Return a PGM or PPM of one sample."""
    row = np.array(sample * (SIZE[0] * SIZE[1]), dtype=np.uint8 if most < 256 else ">u2")
    return f"{kind} {SIZE[0]} {SIZE[1]} {most}\n".encode() + row.tobytes()


def qoi(*sample: int) -> bytes:
    """Return a QOI of one colour, each pixel written in full."""
    header = b"qoif" + struct.pack(">IIBB", *SIZE, 3, 0)
    return header + (b"\xfe" + bytes(sample)) * (SIZE[0] * SIZE[1]) + bytes(7) + b"\1"


def deep(encode: Any, *sample: int, bits: int, **options: Any) -> bytes:
    """Return a file of one sample of so many bits that imagecodecs writes."""
    pixels = np.full((64, 64, len(sample)), sample, dtype=np.uint16)
    data: bytes = encode(np.squeeze(pixels), bitspersample=bits, **options)
    return data


def tiff(photometric: str, *sample: Any, dtype: Any = np.uint8, **options: Any) -> bytes:
    """Return a TIFF of one sample."""
    pixels = np.full((*SIZE[::-1], len(sample)), sample, dtype=dtype)
    if options.setdefault("planarconfig", "contig") == "separate":
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    elif len(sample) == 1:
        pixels, options["planarconfig"] = pixels[..., 0], None
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric=photometric, **options)
    return buffer.getvalue()


def list_tiff_cases() -> list[Case]:
    """Return a TIFF of every kind of pixels."""
    orange, p3, ink = (255, 128, 1), (234, 51, 35), (0, 128, 255, 64)
    colors = np.zeros((3, 256), np.uint16)
    colors[:, 0], colors[:, 1] = np.array(p3) * 257, (10 * 257, 20 * 257, 30 * 257 + 200)
    jpeg = {"compression": "jpeg", "compressionargs": {"level": 100}, "subsampling": (2, 2)}
    bits = {"dtype": np.bool_}
    return [
        Case("TIFF, 1 bit, 0 is black", "1", tiff("minisblack", 1, **bits)),
        Case("TIFF, 1 bit, 0 is white", "1", tiff("miniswhite", 1, **bits)),
        Case("TIFF, 4-bit grey", "7", tiff("minisblack", 7, bitspersample=4)),
        Case("TIFF, 8-bit grey", "100", tiff("minisblack", 100)),
        Case("TIFF, 8-bit grey, 0 is white", "100", tiff("miniswhite", 100)),
        Case("TIFF, grey with a profile of linear light", "100",
             tiff("minisblack", 100, iccprofile=LINEAR_GREY)),
        Case("TIFF, 16-bit grey", "32768", tiff("minisblack", 32768, dtype=np.uint16)),
        Case("TIFF, 32-bit grey", "32768", tiff("minisblack", 32768, dtype=np.uint32)),
        Case("TIFF, float grey", "0.5", tiff("minisblack", 0.5, dtype=np.float32)),
        Case("TIFF, float grey above 1", "1.5", tiff("minisblack", 1.5, dtype=np.float32)),
        Case("TIFF, palette", "entry 1", tiff("palette", 1, colormap=colors)),
        Case("TIFF, palette with a profile of Display P3", "entry 0",
             tiff("palette", 0, colormap=colors, iccprofile=P3)),
        Case("TIFF, RGB", "255, 128, 1", tiff("rgb", *orange)),
        Case("TIFF, RGB, each band apart", "255, 128, 1",
             tiff("rgb", *orange, planarconfig="separate")),
        Case("TIFF, RGB with a profile of Display P3", "234, 51, 35",
             tiff("rgb", *p3, iccprofile=P3)),
        Case("TIFF, RGB with a damaged profile", "255, 128, 1",
             tiff("rgb", *orange, iccprofile=P3[:200])),
        Case("TIFF, 16-bit RGB", "32768, 128, 129", tiff("rgb", 32768, 128, 129, dtype=np.uint16)),
        Case("TIFF, float RGB", "1, 0.5, 0", tiff("rgb", 1, 0.5, 0, dtype=np.float32)),
        Case("TIFF, RGBA, opaque", "255, 128, 1, 255",
             tiff("rgb", *orange, 255, extrasamples=["unassalpha"])),
        Case("TIFF, RGBA", "255, 128, 1, 254",
             tiff("rgb", *orange, 254, extrasamples=["unassalpha"])),
        Case("TIFF, RGB and a sample that is no alpha", "255, 128, 1, 9",
             tiff("rgb", *orange, 9, extrasamples=["unspecified"])),
        Case("TIFF, YCbCr in JPEG, subsampled", "128, 128, 128", tiff("rgb", *(128,) * 3, **jpeg)),
        Case("TIFF, YCbCr in JPEG with a profile of Display P3", "234, 51, 35",
             tiff("rgb", *p3, **jpeg, iccprofile=P3)),
        Case("TIFF, CMYK, no profile", "0, 128, 255, 64", tiff("separated", *ink)),
        Case("TIFF, CMYK with a profile", "0, 128, 255, 64",
             tiff("separated", *ink, iccprofile=PRESS)),
        Case("TIFF, 8-bit CIELAB", "L* 60, a* -20, b* 30", tiff("cielab", 153, 236, 30)),
        Case("TIFF, 16-bit CIELAB", "L* 60, a* -20, b* 30",
             tiff("cielab", 39321, 60416, 7680, dtype=np.uint16)),
        Case("TIFF, 8-bit CIELAB as in ICC", "L* 60, a* -20, b* 30",
             tiff("icclab", 153, 108, 158)),
    ]  # fmt: skip


def list_cases() -> list[Case]:
    """Return a file of every mode and format."""
    key = struct.pack(">3H", 32768, 128, 129)
    lossless = {"level": 0, "reversible": True, "codecformat": "jp2"}
    orange, ink = (255, 128, 1), (0, 128, 255, 64)
    jpeg2000, avif = imagecodecs.jpeg2k_encode, imagecodecs.avif_encode
    return [
        Case("PNG, black and white", "1", save("PNG", "1", 1)),
        Case("PNG, 8-bit grey", "100", save("PNG", "L", 100)),
        Case("PNG, grey with a profile of linear light", "100",
             save("PNG", "L", 100, icc_profile=LINEAR_GREY)),
        Case("PNG, 16-bit grey", "32768", png16(0, 32768)),
        Case("PNG, grey and alpha, opaque", "100, 255", save("PNG", "LA", (100, 255))),
        Case("PNG, grey and alpha", "100, 128", save("PNG", "LA", (100, 128))),
        Case("PNG, 16-bit grey and alpha, opaque", "32768, 65535", png16(4, 32768, 65535)),
        Case("PNG, palette", "entry 1", save_palette("PNG", 1)),
        Case("PNG, palette with a profile of Display P3", "entry 0",
             save_palette("PNG", 0, icc_profile=P3)),
        Case("PNG, palette, another entry transparent", "entry 1",
             save_palette("PNG", 1, transparency=2)),
        Case("PNG, palette, this entry transparent", "entry 1",
             save_palette("PNG", 1, transparency=1)),
        Case("PNG, RGB", "255, 128, 1", save("PNG", "RGB", orange)),
        Case("PNG, RGB with a profile of Display P3", "234, 51, 35",
             save("PNG", "RGB", (234, 51, 35), icc_profile=P3)),
        Case("PNG, RGB with a damaged profile", "255, 128, 1",
             save("PNG", "RGB", orange, icc_profile=P3[:200])),
        Case("PNG, RGB with a gamma of 1 (gAMA)", "255, 128, 1",
             with_chunk(save("PNG", "RGB", orange), b"gAMA", struct.pack(">I", 100000))),
        Case("PNG, RGB of Display P3 by code points (cICP)", "234, 51, 35",
             with_chunk(save("PNG", "RGB", (234, 51, 35)), b"cICP", bytes([12, 13, 0, 1]))),
        Case("PNG, RGB of high dynamic range by code points (cICP)", "255, 128, 1",
             with_chunk(save("PNG", "RGB", orange), b"cICP", bytes([9, 16, 0, 1]))),
        Case("PNG, RGB, another colour transparent", "255, 128, 1",
             save("PNG", "RGB", orange, transparency=(1, 2, 3))),
        Case("PNG, RGB, this colour transparent", "255, 128, 1",
             save("PNG", "RGB", orange, transparency=orange)),
        Case("PNG, 16-bit RGB", "32768, 128, 129", png16(2, 32768, 128, 129)),
        Case("PNG, 16-bit RGB, this colour transparent", "32768, 128, 129",
             png16(2, 32768, 128, 129, before=chunk(b"tRNS", key))),
        Case("PNG, RGBA, opaque", "255, 128, 1, 255", save("PNG", "RGBA", (*orange, 255))),
        Case("PNG, RGBA", "255, 128, 1, 254", save("PNG", "RGBA", (*orange, 254))),
        Case("PNG, 16-bit RGBA, opaque", "32768, 128, 129, 65535",
             png16(6, 32768, 128, 129, 65535)),
        Case("PNG, animated", "red, then blue", save_frames("PNG")),
        Case("JPEG, grey", "100", save("JPEG", "L", 100, quality=100)),
        Case("JPEG, RGB", "128, 128, 128", save("JPEG", "RGB", (128,) * 3, quality=100)),
        Case("JPEG, RGB with a profile of linear grey", "128, 128, 128",
             save("JPEG", "RGB", (128,) * 3, quality=100, icc_profile=LINEAR_GREY)),
        Case("JPEG, CMYK as Adobe writes it, no profile", "0, 128, 255, 64",
             save("JPEG", "CMYK", ink, quality=100)),
        Case("GIF, palette", "entry 1", save_palette("GIF", 1)),
        Case("GIF, animated", "red, then blue", save_frames("GIF")),
        Case("BMP, black and white", "1", save("BMP", "1", 1)),
        Case("BMP, palette", "entry 1", save_palette("BMP", 1)),
        Case("BMP, RGB", "255, 128, 1", save("BMP", "RGB", orange)),
        Case("WebP, RGB", "255, 128, 1", save("WEBP", "RGB", orange, lossless=True)),
        Case("WebP, RGBA", "255, 128, 1, 254", save("WEBP", "RGBA", (*orange, 254), lossless=True)),
        Case("WebP, animated", "red, then blue", save_frames("WEBP")),
        Case("AVIF, 10-bit RGB", "512, 512, 512", deep(avif, 512, 512, 512, bits=10, level=100)),
        Case("AVIF, 12-bit RGB", "2048, 2048, 2048",
             deep(avif, 2048, 2048, 2048, bits=12, level=100)),
        Case("HEIF, RGB", "128, 128, 128", (HEIF / "grey.heic").read_bytes()),
        Case("HEIF, 10-bit RGB", "512, 512, 512", (HEIF / "10-bit-grey.heic").read_bytes()),
        Case("JPEG 2000, grey", "100", save("JPEG2000", "L", 100)),
        Case("JPEG 2000, RGB", "255, 128, 1", save("JPEG2000", "RGB", orange)),
        Case("JPEG 2000, 16-bit grey", "32768", deep(jpeg2000, 32768, bits=16, **lossless)),
        Case("JPEG 2000, 12-bit RGB", "2048, 8, 9",
             deep(jpeg2000, 2048, 8, 9, bits=12, **lossless)),
        Case("PBM", "1", save("PPM", "1", 1)),
        Case("PGM", "100", ppm("P5", 255, 100)),
        Case("PGM of 0 to 1000", "500", ppm("P5", 1000, 500)),
        Case("PGM of 16 bits", "32768", ppm("P5", 65535, 32768)),
        Case("PPM", "255, 128, 1", ppm("P6", 255, *orange)),
        Case("PPM of 16 bits", "32768, 128, 129", ppm("P6", 65535, 32768, 128, 129)),
        Case("QOI", "255, 128, 1", qoi(*orange)),
        *list_tiff_cases(),
    ]  # fmt: skip


def describe(case: Case, path: Path) -> str:
    """Return the row of one file: what is read from it, or why nothing is."""
    path.write_bytes(case.data)
    header = read_header(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", dq.ColorProfileWarning)
        try:
            pixels = read_image(path, alpha=KEEP)
        except dq.DaskQuantError as error:
            found = str(error).replace(str(path), "FILE")
        else:
            (color,) = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)
            found = ", ".join(map(str, color.tolist()))
    notes = [str(warning.message).replace(str(path), "FILE") for warning in caught]
    profile = "" if header.profile is None else header.profile or "damaged"
    cells = (case.form, header.mode, profile, case.stored, "; ".join([found, *notes]))
    return f"| {' | '.join(cells)} |\n"


def make_table() -> str:
    """Return the table in Markdown."""
    head = (
        "| file | mode | profile | sample | read as (sRGB, alpha if not opaque), or why not |\n"
        "|---|---|---|---|---|\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        return head + "".join(describe(case, Path(folder, "file")) for case in list_cases())


def put_table(text: str, table: str) -> str:
    """Return a page with its table replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table + END + after


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file to write into.")
    page = parser.parse_args(arguments).page
    page.write_text(put_table(page.read_text("utf-8"), make_table()), "utf-8")


if __name__ == "__main__":
    main()
