"""What a finished job says about itself: plain frozen values with a JSON form."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.rich_display import draw_html

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dask_quant.palette import Palette


@dataclass(frozen=True)
class Quarantined:
    """An input that was set aside."""

    path: str
    """The input as the user would name it."""
    reason: str
    """One line that says why."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `quantize` and its kin did, and how good the result is.

    ``mse`` is the mean over all pixels of the squared sRGB distance summed over the three
    channels, input against output as written. Figures are None where they do not apply:
    ``palette`` and ``counts`` with a palette per image, ``psnr_db`` when ``mse`` is 0.
    """

    command: str
    """Which command ran."""
    n_images: int
    """Images written."""
    n_ignored: int
    """Files in folders that are not images."""
    n_pixels: int
    """Pixels in all images written."""
    n_unique_colors: int | None
    """Distinct colours of all images together; None with a palette per image."""
    n_colors: int
    """Colours in the palette; with a palette per image, the most that one has."""
    palette: Palette | None
    """The palette, ordered by descending count; None with a palette per image."""
    mse: float
    """Mean squared sRGB error, summed over the channels."""
    explained_variance: float
    """1 - mse / (mse of the mean colour); 1 for a constant image."""
    inertia: float
    """Sum over pixels of the squared distance in the working space."""
    engine: str
    """Engine that fitted the palette, or ``none`` for a palette that was given."""
    seed: int
    """Seed of the fit."""
    n_iter: int
    """Lloyd iterations of the whole search; with a palette per image, the most."""
    input_bytes: int
    """Bytes of the inputs as stored; for arrays, in memory."""
    output_bytes: int
    """Bytes of the images or the palette as stored."""
    outputs: tuple[str, ...]
    """Files, stores or folders written, saved counts last."""
    quarantined: tuple[Quarantined, ...]
    """Inputs that were set aside, each with its reason."""
    seconds: Mapping[str, float]
    """Wall seconds by stage, ``total`` first."""
    peak_rss_bytes: int
    """Peak resident memory of driver and workers together, in bytes."""
    version: str
    """Version of dask_quant."""
    method: str = "kmeans"
    """Name of the fitting method, or ``none`` for a palette that was given."""
    space: str = "srgb"
    """Working colour space."""
    dither: str = "none"
    """Dithering applied while relabelling."""
    n_skipped: int = 0
    """Images that an earlier run had written."""
    n_palettes: int = 1
    """Palettes that the images share, or have."""
    n_beyond: int | None = None
    """Images that miss the target for each of them, even with a palette to themselves; None where
    there is no such target."""
    manifest: str | None = None
    """Table of the images of a collection, a JSON object in each line; None for one image."""

    @property
    def psnr_db(self) -> float | None:
        """Peak signal-to-noise ratio in dB, 10 log10(255^2 / (mse / 3)); None when mse is 0."""
        return psnr_db(self.mse)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        palette = self.palette
        counts = None if palette is None or palette.counts is None else palette.counts.tolist()
        return {
            "command": self.command,
            "n_images": self.n_images,
            "n_ignored": self.n_ignored,
            "n_pixels": self.n_pixels,
            "n_unique_colors": self.n_unique_colors,
            "n_colors": self.n_colors,
            "palette": None if palette is None else palette.hex,
            "counts": counts,
            "mse": self.mse,
            "psnr_db": self.psnr_db,
            "explained_variance": self.explained_variance,
            "inertia": self.inertia,
            "method": self.method,
            "engine": self.engine,
            "space": self.space,
            "dither": self.dither,
            "seed": self.seed,
            "n_iter": self.n_iter,
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
            "outputs": list(self.outputs),
            "quarantined": [{"path": q.path, "reason": q.reason} for q in self.quarantined],
            "n_skipped": self.n_skipped,
            "n_palettes": self.n_palettes,
            "n_beyond": self.n_beyond,
            "seconds": dict(self.seconds),
            "peak_rss_bytes": self.peak_rss_bytes,
            "manifest": self.manifest,
            "version": self.version,
        }

    def _repr_html_(self) -> str:
        """Draw figures, palette and what was set aside for a notebook."""
        return draw_html(self, "report")


def psnr_db(mse: float) -> float | None:
    """Return 10 log10(255^2 / (mse / 3)) in dB, or None when ``mse`` is 0."""
    return None if mse == 0 else 10 * math.log10(255**2 / (mse / 3))


def explained_variance(squared_error: float, mean_color_error: float) -> float:
    """Return 1 - mse / (mse of the mean colour); 1 for a constant image.

    Parameters
    ----------
    squared_error : float
        Squared sRGB error of the image as painted, summed over channels and pixels.
    mean_color_error : float
        The same of the image painted in its mean colour alone.

    Examples
    --------
    >>> explained_variance(25, 100), explained_variance(0, 0)
    (0.75, 1.0)
    """
    return 1.0 - squared_error / mean_color_error if mean_color_error else 1.0


@dataclass(frozen=True)
class ImageInfo:
    """What one image is."""

    path: str
    """Where it is."""
    format: str
    """Format of the file, such as ``PNG`` or ``ZARR``."""
    mode: str
    """How its pixels are stored, in Pillow's words; for Zarr the type of its elements."""
    width: int
    """Pixels across, as shown: EXIF orientation applied."""
    height: int
    """Pixels down."""
    bands: int
    """Bands of the stored image."""
    n_unique_colors: int | None
    """Distinct colours; None when its pixels cannot be read."""
    input_bytes: int
    """Bytes as stored."""
    error: str | None = None
    """Why its pixels cannot be read."""
    n_frames: int = 1
    """Frames of an animation; 1 for any other image."""
    profile: str | None = None
    """What its embedded colour profile calls itself; None where there is none."""
    n_pages: int | None = None
    """Pages of a TIFF, reduced ones included, or pictures of a Zarr store; None for others."""
    levels: tuple[tuple[int, int], ...] = ()
    """Rows and columns of each level of a pyramid, of TIFF or OME-Zarr, from all pixels down."""

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON-ready ones, with ``n_pixels``."""
        values = asdict(self) | {"n_pixels": self.width * self.height}
        if self.error is None:
            del values["error"]
        if self.n_pages is None:
            del values["n_pages"], values["levels"]
        return values
