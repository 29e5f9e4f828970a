"""How good numbers of colours are, to choose one."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.fit.curve import trace_palettes
from dask_quant.fit.fitting import sort_colors
from dask_quant.knee import find_elbow
from dask_quant.results import explained_variance, psnr_db
from dask_quant.rich_display import draw_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask_quant.events import Listener
    from dask_quant.histogram import ColorHistogram
    from dask_quant.palette import Palette


@dataclass(frozen=True)
class ColorScore:
    """How good one number of colours is."""

    n_colors: int
    """Colours asked for."""
    palette: Palette
    """Colours found, with counts."""
    mse: float
    """Mean squared sRGB error, summed over the channels."""
    explained_variance: float
    """1 - mse / (mse of the mean colour)."""

    @property
    def psnr_db(self) -> float | None:
        """Peak signal-to-noise ratio in dB; None when ``mse`` is 0."""
        return psnr_db(self.mse)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values."""
        return {
            "k": self.n_colors,
            "n_colors": len(self.palette),
            "mse": self.mse,
            "psnr_db": self.psnr_db,
            "explained_variance": self.explained_variance,
            "palette": self.palette.hex,
        }


@dataclass(frozen=True)
class ColorCurve:
    """Scores of several numbers of colours, and which one they suggest."""

    scores: tuple[ColorScore, ...]
    """By ascending number of colours; ``mse`` never rises."""
    n_pixels: int
    """Pixels that were counted."""
    n_unique_colors: int
    """Their distinct colours."""

    @property
    def elbow(self) -> int:
        """Number of colours at the elbow of ``mse``, see `dask_quant.knee`."""
        return find_elbow(
            [score.n_colors for score in self.scores], [score.mse for score in self.scores]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the curve as JSON-ready values."""
        return {
            "n_pixels": self.n_pixels,
            "n_unique_colors": self.n_unique_colors,
            "elbow": self.elbow,
            "scores": [score.to_json() for score in self.scores],
        }

    def to_text(self, suffix: str) -> str:
        """Return the curve as the text of a ``.csv`` or ``.json`` file."""
        if suffix != ".csv":
            return json.dumps(self.to_json(), indent=1) + "\n"
        text = io.StringIO()
        names = ["k", "n_colors", "mse", "psnr_db", "explained_variance"]
        writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(score.to_json() for score in self.scores)
        return text.getvalue()

    def _repr_html_(self) -> str:
        """Draw the curve for a notebook, with its elbow and the palette there."""
        return draw_html(self, "color_curve")


def trace_curve(
    numbers: Sequence[int], space: str, seed: int, histogram: ColorHistogram, listener: Listener
) -> ColorCurve:
    """Score ascending numbers of colours of a histogram. **Eager**.

    Raises
    ------
    FitError
        When it is of no pixel.
    """
    boxes = sort_colors(histogram, space)
    n_pixels, flat = histogram.n_pixels, histogram.mean_color_mse * histogram.n_pixels
    scores = tuple(
        ColorScore(number, palette, error / n_pixels, explained_variance(error, flat))
        for number, (palette, error) in zip(
            numbers, trace_palettes(boxes, numbers, seed=seed, listener=listener), strict=True
        )
    )
    return ColorCurve(scores, n_pixels, len(histogram))
