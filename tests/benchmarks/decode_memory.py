"""What decoding files of every format takes of memory, against what is planned: a command.

    python tests/benchmarks/decode_memory.py --work /tmp/decode --megapixels 30 --json

Each file is decoded in a process of its own, after a small one of its kind, so that libraries are
loaded by then; what the process has grown by is told in bytes a pixel.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from icc_bytes import DISPLAY_P3, SRGB_CURVE, build_rgb_profile
from PIL import Image

from dask_quant.chunking import DECODE_BYTES
from dask_quant.sources.pillow import read_header
from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Write = Callable[[NDArray[np.uint8]], bytes]

SLACK_BYTES = 64 << 20
"""What strips that are converted take beside: of one size, whatever that of the image."""

_SMALL = 64
"""Rows and columns of the small file."""

_CHILD = """
import sys
from dask_quant.process import peak_rss_bytes
from dask_quant.sources.pillow import read_image
read_image(sys.argv[1])
before = peak_rss_bytes()
read_image(sys.argv[2])
print(peak_rss_bytes() - before)
"""


@dataclass(frozen=True)
class Row:
    """One kind of file."""

    kind: str
    """Format and samples."""
    measured: float
    """Bytes a pixel that the process grew by."""
    planned: float
    """Bytes a pixel that are planned."""
    holds: bool
    """Whether the plan, and what strips take, is above."""


def save(pixels: NDArray[Any], name: str, mode: str | None = None, **options: Any) -> bytes:
    """Return a file that Pillow writes."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(buffer, name, **options)
    return buffer.getvalue()


def deepen(pixels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return 8-bit levels as those of 16 bits."""
    return pixels.astype(np.uint16) * np.uint16(257)


def write_numbers(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PGM of 16 bits that is written in digits."""
    head = f"P2 {pixels.shape[1]} {pixels.shape[0]} 65535\n"
    return (head + " ".join(map(str, deepen(pixels[..., 0]).ravel()))).encode()


def write_deep_ppm(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PPM of 16 bits."""
    head = f"P6 {pixels.shape[1]} {pixels.shape[0]} 65535\n"
    return head.encode() + deepen(pixels).astype(">u2").tobytes()


P3 = build_rgb_profile(DISPLAY_P3, SRGB_CURVE, "Display P3")

KINDS: dict[str, Write] = {
    "PNG, RGB": lambda p: save(p, "PNG", compress_level=1),
    "PNG, palette with a profile": lambda p: save(p, "PNG", "P", icc_profile=P3),
    "PNG, 16-bit grey": lambda p: imagecodecs.png_encode(deepen(p[..., 0]), level=1),
    "PNG, 16-bit RGB": lambda p: imagecodecs.png_encode(deepen(p), level=1),
    "JPEG, RGB": lambda p: save(p, "JPEG"),
    "JPEG, progressive RGB": lambda p: save(p, "JPEG", progressive=True, subsampling=0),
    "JPEG, progressive CMYK": lambda p: save(p, "JPEG", "CMYK", progressive=True, subsampling=0),
    "WebP, RGB": lambda p: save(p, "WEBP", method=0),
    "WebP, lossless RGB": lambda p: save(p, "WEBP", method=0, lossless=True, quality=0),
    "AVIF, RGB": lambda p: save(p, "AVIF", speed=10),
    "AVIF, RGB 4:4:4": lambda p: save(p, "AVIF", speed=10, subsampling="4:4:4"),
    "AVIF, 10-bit RGB": lambda p: imagecodecs.avif_encode(
        deepen(p) >> 6, level=60, speed=10, bitspersample=10
    ),
    "JPEG 2000, grey": lambda p: imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(p[..., 0]), level=40, codecformat="jp2"
    ),
    "JPEG 2000, RGB": lambda p: imagecodecs.jpeg2k_encode(p, level=40, codecformat="jp2"),
    "JPEG 2000, 16-bit RGB": lambda p: imagecodecs.jpeg2k_encode(
        deepen(p), level=40, codecformat="jp2"
    ),
    "PGM of digits": write_numbers,
    "PPM of 16 bits": write_deep_ppm,
}
"""What is measured, by how a picture becomes a file."""


def make_picture(n_pixels: int) -> NDArray[np.uint8]:
    """Return a photograph, tiled to a square of about as many pixels."""
    with Image.open(find_sample_images()[0]) as image:
        photo = np.asarray(image.convert("RGB"))
    side = round(n_pixels**0.5)
    repeats = (-(-side // photo.shape[0]), -(-side // photo.shape[1]), 1)
    return np.ascontiguousarray(np.tile(photo, repeats)[:side, :side])


def measure(kind: str, picture: NDArray[np.uint8], work: Path) -> Row:
    """Return what decoding a picture as a file of a kind takes."""
    small, large = work / "small", work / "large"
    small.write_bytes(KINDS[kind](np.ascontiguousarray(picture[:_SMALL, :_SMALL])))
    large.write_bytes(KINDS[kind](picture))
    command = [sys.executable, "-c", _CHILD, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    grown, header = int(done.stdout), read_header(large)
    planned = DECODE_BYTES * header.n_pixels + header.codec_bytes
    holds = grown < planned + SLACK_BYTES
    return Row(kind, grown / header.n_pixels, planned / header.n_pixels, holds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 when a plan does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=30)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), help="some of the kinds")
    parser.add_argument("--work", type=Path, required=True, help="folder for the files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    picture = make_picture(int(options.megapixels * 1e6))
    rows = [measure(kind, picture, options.work) for kind in options.kinds]
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        for row in rows:
            print(f"{row.kind:28} {row.measured:6.2f} of {row.planned:6.2f} bytes a pixel")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
