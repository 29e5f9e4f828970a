"""Bits per sample, where Pillow makes 8 of more without a word."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from PIL import TiffImagePlugin

from dask_quant.errors import PixelFormatError
from dask_quant.sources.heif import read_heif_bits
from dask_quant.sources.png_chunks import read_bit_depth

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL, _SAMPLE_FORMAT = 258, 277, 339
_PHOTOMETRIC = 262
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_SAMPLE_KINDS = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "float", 4: "undefined"}

_SEARCHED_BYTES = 1 << 22
"""How far into a file a codec's header is looked for (arbitrary; it follows the metadata)."""


def read_mode(image: ImageFile, file: IO[bytes], *, name: str) -> str:
    """Return the mode of an image that was opened, with ``;bits`` or ``;S`` where Pillow hides it.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        An opened image.
    file : binary file
        The seekable file that it was opened from.
    name : str
        What a message calls it.

    Returns
    -------
    str
        For example ``RGB``, ``RGB;16`` or ``I;16``.

    Raises
    ------
    PixelFormatError
        When the depth cannot be told.
    """
    bits = read_bits(image, file, name=name)
    if image.format == "PPM" and image.mode == "I":
        return f"L;{bits}"  # Pillow's own choice; its samples are unsigned and of 16 bits at most
    if _is_deep_grey_with_alpha(image):
        return f"LA;{bits}"
    if bits > 8 and image.mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"):
        return f"{image.mode};{bits}"
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode in ("L", "RGB"):
        kinds = image.tag_v2.get(_SAMPLE_FORMAT, (_UNSIGNED,))
        if _SIGNED in kinds:
            return f"{image.mode};S"
    return image.mode


def read_bands(image: ImageFile) -> int:
    """Return the number of bands as stored; Pillow drops those that it has no name for."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(_SAMPLES_PER_PIXEL, len(image.getbands())))
    return 2 if _is_deep_grey_with_alpha(image) else len(image.getbands())


def _is_deep_grey_with_alpha(image: ImageFile) -> bool:
    """Return whether an image is a PNG of 16-bit grey with alpha, which Pillow calls RGBA."""
    return image.format == "PNG" and bool(image.tile) and image.tile[0].args == "LA;16B"


def read_bits(image: ImageFile, file: IO[bytes], *, name: str) -> int:
    """Return the most bits that a sample of the stored image has."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))))
    if image.format == "PNG":
        return read_bit_depth(file)
    if image.format == "PPM":
        return _read_ppm_bits(image)
    if image.format == "AVIF":
        return _read_avif_bits(file)
    if image.format == "HEIF":
        return read_heif_bits(image)
    if image.format == "JPEG2000":
        return _read_jpeg2000_bits(file, name=name)
    return 8


def _read_ppm_bits(image: ImageFile) -> int:
    """Return the bits that the largest value of a PPM takes."""
    args = image.tile[0].args
    largest = args[-1] if isinstance(args, tuple) else (65535 if image.mode == "I" else 255)
    return largest.bit_length() if isinstance(largest, int) else 8


def _read_start(file: IO[bytes]) -> bytes:
    """Return the part of a file in which a codec's header is looked for."""
    file.seek(0)
    return file.read(_SEARCHED_BYTES)


def _read_avif_bits(file: IO[bytes]) -> int:
    """Return 10 or 12 where an AV1 configuration of an AVIF states it, else 8."""
    bits = 8
    for part in _read_start(file).split(b"av1C")[1:]:
        flags = part[2] if len(part) > 2 else 0  # seq_tier, high_bitdepth, twelve_bit, ...
        if flags & 0x40:
            bits = max(bits, 12 if flags & 0x20 else 10)
    return bits


def _read_jpeg2000_bits(file: IO[bytes], *, name: str) -> int:
    """Return the most bits of a component, from the SIZ marker of a JPEG 2000 codestream."""
    _, found, siz = _read_start(file).partition(b"\xff\x4f\xff\x51")
    n_components = int.from_bytes(siz[36:38], "big")
    depths = siz[38 : 38 + 3 * n_components : 3]
    if not found or not depths:
        message = f"Cannot tell how many bits a sample of {name} has; save it as PNG first."
        raise PixelFormatError(message)
    return max((depth & 0x7F) + 1 for depth in depths)


def describe_tiff(file: IO[bytes]) -> str | None:
    """Return what a TIFF that Pillow cannot open holds, in words; None when it says too little."""
    file.seek(0)
    head = file.read(8)
    if head[2:3] == b"\x2b" or head[3:4] == b"\x2b":
        head += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    if _BITS_PER_SAMPLE not in tags or _PHOTOMETRIC not in tags:
        return None
    n_bands, depths = tags.get(_SAMPLES_PER_PIXEL, 1), tags[_BITS_PER_SAMPLE]
    if not all(isinstance(number, int) for number in (n_bands, *depths)):
        return None  # a damaged file may have texts for them, of any length
    bits = "/".join(str(bits) for bits in sorted(set(depths)))
    kinds = sorted({_SAMPLE_KINDS.get(kind, "odd") for kind in tags.get(_SAMPLE_FORMAT, (1,))})
    return f"{n_bands} band(s) of {bits}-bit {'/'.join(kinds)} samples"
