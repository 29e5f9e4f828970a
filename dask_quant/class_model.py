"""What a segmentation finds: the centres of the classes, and how pixels are measured against them.

A plain value that is kept as JSON: what it labels, it labels the same anywhere.
"""

from __future__ import annotations

import colorsys
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import PixelFormatError
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_block import RowBlock

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "dask_quant class model"
"""What a file of it calls itself."""

VERSION = 1
"""Version of the format."""

_GOLDEN_TURN = 0.618033988749895
"""Part of a turn by which hues follow one another: none is ever close to the ones before."""


@dataclass(frozen=True)
class ClassModel:
    """Classes of the pixels of rasters.

    A pixel belongs to the class whose centre is nearest, the lowest on ties, by the sum over the
    bands of squared differences, each band having been shifted and stretched by ``features``.

    Examples
    --------
    >>> model = ClassModel(np.array([[10.0], [90.0]]), ("red",), FeatureMap.plain(1))
    >>> pixels = np.array([[[12], [70]], [[-1], [10]]], dtype=np.int16)
    >>> model.label(pixels, pixels[..., 0] >= 0).tolist()
    [[0, 1], [255, 0]]
    """

    centers: NDArray[np.float64]
    """Mean of each class in units of the bands, float64 ``(k, n_bands)``; the class of most pixels
    first."""
    band_names: tuple[str, ...]
    """Name of each band, in the order of the centres."""
    features: FeatureMap
    """How bands are shifted and stretched before distances are measured."""
    scale: str = "none"
    """Where ``features`` come from: ``none``, ``standard``, ``minmax`` or ``robust``."""
    seed: int = 0
    """Seed of the fit."""

    def __len__(self) -> int:
        return len(self.centers)

    def __repr__(self) -> str:
        return f"<ClassModel of {len(self)} classes in {len(self.band_names)} bands>"

    @property
    def nodata(self) -> int:
        """Label of pixels that have none: 255, from 256 classes on 65535."""
        return 255 if len(self) <= 255 else 65_535

    @property
    def label_dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        """Type of labels: uint8 up to 255 classes, else uint16."""
        return np.dtype(np.uint8 if len(self) <= 255 else np.uint16)

    @property
    def colors(self) -> NDArray[np.uint8]:
        """Colour to show each class in, sRGB uint8 ``(k, 3)``: hues far apart, of three shades."""
        shades = ((0.65, 0.95), (0.9, 0.65), (0.4, 0.8))  # saturation and value
        colors = [
            colorsys.hsv_to_rgb(0.6 + number * _GOLDEN_TURN, *shades[number % 3])
            for number in range(len(self))
        ]
        levels: NDArray[np.uint8] = np.rint(255 * np.array(colors)).astype(np.uint8)
        return levels

    def label(
        self, pixels: NDArray[Any], valid: NDArray[np.bool_] | None = None
    ) -> NDArray[np.uint8 | np.uint16]:
        """Return the class of every pixel of a block.

        Parameters
        ----------
        pixels : ndarray
            Samples ``(y, x, n_bands)`` of any real type.
        valid : ndarray, optional
            Where they mean something, bool ``(y, x)``; None: wherever they are finite.

        Returns
        -------
        ndarray
            Labels ``(y, x)``, `nodata` where pixels mean nothing.

        Raises
        ------
        PixelFormatError
            When there are not as many bands.
        """
        if pixels.ndim != 3 or pixels.shape[2] != len(self.band_names):
            message = (
                f"Got pixels of shape {pixels.shape}; the model has {len(self.band_names)} bands: "
                f"{', '.join(self.band_names)}."
            )
            raise PixelFormatError(message)
        if valid is None:
            valid = np.isfinite(pixels).all(axis=2)
        labels = np.full(pixels.shape[:2], self.nodata, dtype=self.label_dtype)
        block = RowBlock(pixels[valid], features=self.features)
        found, _ = block.find_nearest(self.features.apply(self.centers))
        labels[valid] = found
        return labels

    def to_json(self) -> str:
        """Return the model as text; numbers come back bit for bit."""
        values = {
            "format": FORMAT,
            "version": VERSION,
            "n_clusters": len(self),
            "bands": list(self.band_names),
            "scale": self.scale,
            "offset": self.features.offset.tolist(),
            "factor": self.features.factor.tolist(),
            "centers": self.centers.tolist(),
            "seed": self.seed,
        }
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ClassModel:
        """Return the model that a text holds.

        Raises
        ------
        PixelFormatError
            When it is no such text, or damaged.
        """
        try:
            values = json.loads(text)
            known = values["format"] == FORMAT and values["version"] == VERSION
            names = tuple(str(name) for name in values["bands"])
            centers, offset, factor = (
                np.array(values[key], dtype=np.float64) for key in ("centers", "offset", "factor")
            )
            scale, seed = str(values["scale"]), int(values["seed"])
        except (ValueError, TypeError, KeyError, RecursionError):
            known = False
        if known:
            shapes = (centers.ndim, centers.shape[-1], offset.shape, factor.shape)
            n_bands = len(names)
            known = shapes == (2, n_bands, (n_bands,), (n_bands,)) and len(centers) > 0
            known = known and bool(
                np.isfinite(centers).all() and np.isfinite(offset).all() and (factor > 0).all()
            )
        if not known:
            message = (
                f"Got a text that is no {FORMAT} of version {VERSION}; give the .json that segment "
                "wrote with --model-out."
            )
            raise PixelFormatError(message)
        return cls(centers, names, FeatureMap(offset, factor), scale, seed)
