"""What a segmentation finds: the centres of the classes, and how pixels are measured against them.

A plain value that is kept as JSON: what it labels, it labels the same anywhere.
"""

from __future__ import annotations

import colorsys
import json
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import PixelFormatError
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_block import RowBlock
from dask_quant.options import MAX_SEED
from dask_quant.segment_options import MAX_CLUSTERS, SCALES

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "dask_quant class model"
"""What a file of it calls itself."""

VERSION = 1
"""Version of the format."""

_GOLDEN_TURN = 0.618033988749895
"""Part of a turn by which hues follow one another: none is ever close to the ones before."""

_PLASTIC_TURN = 0.7548776662466927
"""The like for a second dimension: M. Roberts, "The unreasonable effectiveness of quasirandom
sequences", 2018."""

_SHADES = ((0.65, 0.95), (0.9, 0.65), (0.4, 0.8))
"""Saturation and value that follow one another (arbitrary)."""

_ORTHONORMAL = 1e-6
"""How far the products of directions may be from 0 and 1 (arbitrary)."""

_N_BRIGHT = 255
"""Colours that have these values: more would coincide."""

_DARKEST = 0.7
"""Part of their value that others may lose (arbitrary)."""


@dataclass(frozen=True, eq=False)  # arrays compare number by number
class ClassModel:
    """Classes of the pixels of rasters.

    A pixel belongs to the class whose centre is nearest, the lowest on ties, by the sum of squared
    differences of ``features``.

    Examples
    --------
    >>> model = ClassModel(np.array([[10.0], [90.0]]), ("red",), FeatureMap.plain(1))
    >>> pixels = np.array([[[12], [70]], [[-1], [10]]], dtype=np.int16)
    >>> model.label(pixels, pixels[..., 0] >= 0).tolist()
    [[0, 1], [255, 0]]
    """

    centers: NDArray[np.float64]
    """Mean of each class in units of the bands, or, of principal components, the spectrum that has
    theirs, float64 ``(k, n_bands)``; the class of most pixels first."""
    band_names: tuple[str, ...]
    """Name of each band, in the order of the centres."""
    features: FeatureMap
    """What of the bands distances are measured in."""
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
        """Colour to show each class in, sRGB uint8 ``(k, 3)``: hues far apart, of three shades.

        No two are the same.
        """
        n_drawn = len(self)
        while True:
            drawn = _draw_colors(n_drawn)
            _, first = np.unique(drawn, axis=0, return_index=True)
            if len(first) >= len(self):
                return drawn[np.sort(first)[: len(self)]]
            n_drawn *= 2

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
        components = self.features.components
        values = {
            "format": FORMAT,
            "version": VERSION,
            "n_clusters": len(self),
            "bands": list(self.band_names),
            "scale": self.scale,
            "offset": self.features.offset.tolist(),
            "factor": self.features.factor.tolist(),
            "components": None if components is None else components.tolist(),
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
            model = _parse_model(json.loads(text))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            model = None
        if model is None:
            message = (
                f"Got a text that is no {FORMAT} of version {VERSION}; give the .json that segment "
                "wrote with --model-out."
            )
            raise PixelFormatError(message)
        return model


def _parse_model(values: dict[str, Any]) -> ClassModel | None:
    """Return the model that JSON values are; None, or an error, where they are none."""
    names, scale, seed = values["bands"], values["scale"], operator.index(values["seed"])
    centers, offset, factor = (
        np.array(values[key], dtype=np.float64) for key in ("centers", "offset", "factor")
    )
    n_bands = len(names)
    components = values["components"]
    if components is not None:
        components = np.array(components, dtype=np.float64)
    is_known = (
        (values["format"], values["version"]) == (FORMAT, VERSION)
        and isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and scale in SCALES
        and 0 <= seed <= MAX_SEED
        and (centers.ndim, centers.shape[1:]) == (2, (n_bands,))
        and offset.shape == factor.shape == (n_bands,)
        and n_bands > 0
        and 1 <= len(centers) <= MAX_CLUSTERS
        and all(np.isfinite(numbers).all() for numbers in (centers, offset, factor))
        and bool((factor > 0).all())
        and (components is None or _are_directions(components, n_bands))
    )
    if not is_known:
        return None
    features = FeatureMap(offset, factor, components)
    return ClassModel(centers, tuple(names), features, scale, seed)


def _are_directions(components: NDArray[np.float64], n_bands: int) -> bool:
    """Return whether these are at most ``n_bands`` orthonormal rows of as many numbers."""
    if components.ndim != 2 or components.shape[1] != n_bands:
        return False
    if not (1 <= len(components) <= n_bands and np.isfinite(components).all()):
        return False
    return np.allclose(components @ components.T, np.eye(len(components)), atol=_ORTHONORMAL)


def _draw_colors(n: int) -> NDArray[np.uint8]:
    """Return ``n`` colours, sRGB uint8 ``(n, 3)``, darker ones as well from `_N_BRIGHT` on."""
    colors = []
    for number in range(n):
        saturation, value = _SHADES[number % len(_SHADES)]
        if number >= _N_BRIGHT:
            value *= 1.0 - _DARKEST * (number * _PLASTIC_TURN % 1.0)
        colors.append(colorsys.hsv_to_rgb(0.6 + number * _GOLDEN_TURN, saturation, value))
    levels: NDArray[np.uint8] = np.rint(255 * np.array(colors)).astype(np.uint8)
    return levels
