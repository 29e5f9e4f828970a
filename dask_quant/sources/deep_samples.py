"""Images of more than 8 bits a sample, as 8-bit strips that are scaled when they are asked for.

Pillow keeps the upper 8 bits of most of them, which is neither the nearest level nor told. So PNG
is inflated twice by Pillow's own decoder, once for the upper and once for the lower bytes; binary
PGM and PPM are read here; JPEG 2000 and AVIF are decoded by imagecodecs, HEIF by libheif.
`DeepImage` then looks like a Pillow image of 8 bits to what reads strips of it, and brings each to
its nearest levels (`dask_quant.sources.sample_scaling`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dask_quant.errors import PixelFormatError, SourceError
from dask_quant.sources.heif import decode_heif
from dask_quant.sources.png_chunks import read_image_data, read_start, read_transparent_key
from dask_quant.sources.sample_scaling import scale_integers, to_eight_bits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from dask_quant.sources.mode_rules import Way

    Box = tuple[int, int, int, int]
    Samples = NDArray[Any]

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Modes of 8 bits by their number of bands."""

_N_BANDS_OF_PNG = {0: 1, 2: 3, 4: 2, 6: 4}
"""Bands of each colour type of PNG that can have 16 bits."""


@dataclass(frozen=True)
class DeepImage:
    """An image of deeper samples, as far as strips of it are read."""

    mode: str
    """Pillow's mode of the strips."""
    size: tuple[int, int]
    """Columns and rows."""
    read: Callable[[Box], Samples]
    """From left, top, right and bottom to samples ``(y, x)`` or ``(y, x, band)``."""
    most: int | None
    """Sample that means white; None for floats, whose white is 1."""
    name: str
    """What messages call it."""
    info: dict[str, Any] = field(default_factory=dict)
    """As Pillow's, and empty: what stands in it was seen to."""
    palette: None = None
    """As Pillow's: there is none."""

    def crop(self, box: Box) -> Image.Image:
        """Return a part as an image of 8 bits."""
        return Image.fromarray(_scale(self.read(box), self.most, name=self.name))


def _scale(samples: Samples, most: int | None, *, name: str) -> NDArray[np.uint8]:
    """Return samples from 0 to ``most`` as levels, each rounded to the nearest, halves up."""
    if most is None or most == (1 << 16) - 1:
        return to_eight_bits(samples, name=name)
    found = int(samples.max(initial=0))
    if found > most:
        message = f"Cannot read {name}: it holds the sample {found} and says that {most} is white."
        raise SourceError(message)
    return scale_integers(samples, most)


def scale_loaded(image: Image.Image, bits: int, *, name: str) -> DeepImage:
    """Return a loaded image of mode ``I;16``, in any byte order, ``I`` or ``F`` as 8-bit strips."""

    def read(box: Box) -> Samples:
        samples = np.asarray(image.crop(box))
        if samples.dtype.kind == "f":
            return samples
        return samples.astype(np.uint16)  # in the byte order of this machine

    most = None if image.mode == "F" else (1 << bits) - 1
    return DeepImage("L", image.size, read, most, name)


def find_way_of_ppm(image: ImageFile) -> Way:
    """Return how a PBM, PGM or PPM that was opened is read.

    Pillow's own decoder of other largest samples than 255 takes a second for 200,000 pixels, so
    that it is left the files that are written in digits.
    """
    decoder = image.tile[0].codec_name
    if image.mode == "1" or (decoder == "raw" and image.mode != "I"):
        return "stored"
    if decoder == "ppm_plain":
        return "scaled" if image.mode == "I" else "stored"
    return "deep"


def read_deep(image: ImageFile, file: IO[bytes], bits: int, *, name: str) -> DeepImage:
    """Decode an image of more than 8 bits a sample, of PNG, PPM, JPEG 2000, AVIF or HEIF.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        As it was opened, not loaded.
    file : binary file
        The seekable file behind it.
    bits : int
        Bits that a sample has.
    name : str
        What messages call it.

    Raises
    ------
    SourceError, PixelFormatError
        When it is truncated or damaged, or of bands that are no picture.

    Notes
    -----
    Peak memory beside the result: the file, and 8 bytes a pixel.
    """
    if image.format == "PNG":
        return _read_png(image, file, name=name)
    if image.format == "PPM":
        return _read_ppm(image, file, name=name)
    if image.format == "HEIF":
        return _hold(decode_heif(file), (1 << bits) - 1, image.size, name=name)
    file.seek(0)
    data = file.read()
    samples = _decode_avif(data) if image.format == "AVIF" else _decode_jpeg2000(data)
    return _hold(samples, (1 << bits) - 1, image.size, name=name)


def _hold(samples: Samples, most: int, size: tuple[int, int], *, name: str) -> DeepImage:
    """Return decoded samples ``(y, x)`` or ``(y, x, band)`` as an image."""
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[..., 0]
    n_bands = 1 if samples.ndim == 2 else samples.shape[2]
    if samples.dtype.kind != "u" or n_bands not in _MODES or samples.shape[1::-1] != size:
        message = (
            f"Got {name} with samples of shape {samples.shape} and type {samples.dtype} where its "
            f"header says {size[1]} x {size[0]} pixels; save it as a 16-bit PNG first."
        )
        raise PixelFormatError(message)

    def read(box: Box) -> Samples:
        part = samples[box[1] : box[3], box[0] : box[2]]
        return part.astype(part.dtype.newbyteorder("="), copy=False)

    return DeepImage(_MODES[n_bands], size, read, most, name)


def _decode_avif(data: bytes) -> Samples:
    """Return the samples of an AVIF; its RGB is made of what is stored at its own depth."""
    import imagecodecs

    return np.asarray(imagecodecs.avif_decode(data, index=0))


def _decode_jpeg2000(data: bytes) -> Samples:
    """Return the samples of a JPEG 2000 file or codestream."""
    import imagecodecs

    return np.asarray(imagecodecs.jpeg2k_decode(data))


def _read_png(image: ImageFile, file: IO[bytes], *, name: str) -> DeepImage:
    """Decode a PNG of 16 bits a sample."""
    start, data = read_start(file), read_image_data(file)
    n_bands = _N_BANDS_OF_PNG[start.color_type]
    key = read_transparent_key(file)

    def inflate(mode: str, raw_mode: str) -> Image.Image:
        return Image.frombytes(mode, image.size, data, "zip", (raw_mode, int(start.interlaced)))

    if n_bands < 3:  # two bytes a sample are the bands of a picture of 8 bits
        whole = inflate(*(("LA", "LA") if n_bands == 1 else ("RGBA", "RGBA")))

        def read_pairs(box: Box) -> Samples:
            pairs: Samples = np.asarray(whole.crop(box)).astype(np.uint16)
            return np.asarray(pairs[..., ::2] << 8 | pairs[..., 1::2])

        return _with_key(image, n_bands, read_pairs, key, name=name)
    mode = _MODES[n_bands]
    upper, lower = inflate(mode, f"{mode};16B"), inflate(mode, f"{mode};16L")

    def read_halves(box: Box) -> Samples:
        samples: Samples = np.asarray(upper.crop(box)).astype(np.uint16)
        samples <<= 8
        samples |= np.asarray(lower.crop(box))
        return samples

    return _with_key(image, n_bands, read_halves, key, name=name)


def _with_key(
    image: ImageFile,
    n_bands: int,
    read: Callable[[Box], Samples],
    key: tuple[int, ...] | None,
    *,
    name: str,
) -> DeepImage:
    """Return an image whose samples equal to ``key``, if there is one, have an alpha of 0."""
    most = (1 << 16) - 1
    if key is None or len(key) != n_bands:

        def read_plain(box: Box) -> Samples:
            samples = read(box)
            return samples[..., 0] if n_bands == 1 else samples

        return DeepImage(_MODES[n_bands], image.size, read_plain, most, name)

    def read_keyed(box: Box) -> Samples:
        samples = read(box)
        opaque = (samples != np.array(key, dtype=np.uint16)).any(axis=2)
        return np.dstack([samples, opaque.astype(np.uint16) * np.uint16(most)])

    return DeepImage(_MODES[n_bands + 1], image.size, read_keyed, most, name)


def _read_ppm(image: ImageFile, file: IO[bytes], *, name: str) -> DeepImage:
    """Read a binary PGM or PPM of any largest sample."""
    offset, arguments = image.tile[0].offset, image.tile[0].args
    most = arguments[-1] if isinstance(arguments, tuple) else (1 << 16) - 1
    n_bands = 3 if image.mode == "RGB" else 1
    width, height = image.size
    kind = np.dtype(np.uint8 if int(most) < 256 else ">u2")
    file.seek(offset)
    n_bytes = width * height * n_bands * kind.itemsize
    data = file.read(n_bytes)
    if len(data) < n_bytes:
        message = (
            f"Cannot read {name}: the file is truncated, {n_bytes - len(data)} bytes are missing."
        )
        raise SourceError(message)
    samples = np.frombuffer(data, dtype=kind).reshape(height, width, n_bands)
    return _hold(samples, int(most), image.size, name=name)
