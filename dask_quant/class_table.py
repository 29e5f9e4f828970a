"""The table of the classes: how many pixels, what area, and what each band is like."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.palette import as_palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.class_model import ClassModel
    from dask_quant.fit.class_statistics import ClassStatistics


@dataclass(frozen=True, eq=False)  # arrays compare number by number
class ClassTable:
    """What the pixels of each class are like."""

    band_names: tuple[str, ...]
    """Name of each band."""
    colors: tuple[str, ...]
    """Colour of each class, ``#rrggbb``."""
    n_pixels: tuple[int, ...]
    """Pixels of each class."""
    area_m2: tuple[float, ...] | None
    """Area of each class in square metres, where a pixel's is known."""
    mean: NDArray[np.float64]
    """Mean of each band, float64 ``(k, n_bands)``; NaN for a class without pixels."""
    std: NDArray[np.float64]
    """Standard deviation of each band over the pixels of the class."""
    min: NDArray[np.float64]
    """Lowest sample of each band."""
    max: NDArray[np.float64]
    """Highest sample of each band."""

    @classmethod
    def from_statistics(
        cls, model: ClassModel, statistics: ClassStatistics, areas: NDArray[np.float64] | None
    ) -> ClassTable:
        """Return the table of a model; ``areas`` are those of its classes in square metres."""
        has_pixels = statistics.counts[:, np.newaxis] > 0
        return cls(
            band_names=model.band_names,
            colors=tuple(as_palette(model.colors).hex),
            n_pixels=tuple(statistics.counts.tolist()),
            area_m2=None if areas is None else tuple(areas.tolist()),
            mean=statistics.means,
            std=statistics.deviations,
            min=np.where(has_pixels, statistics.low, np.nan),
            max=np.where(has_pixels, statistics.high, np.nan),
        )

    def __len__(self) -> int:
        return len(self.n_pixels)

    def to_records(self) -> list[dict[str, Any]]:
        """Return a record for each class, ready for JSON: NaN is None."""
        total = max(1, sum(self.n_pixels))
        records = []
        for number in range(len(self)):
            record: dict[str, Any] = {
                "class": number,
                "color": self.colors[number],
                "pixels": self.n_pixels[number],
                "share": self.n_pixels[number] / total,
                "area_m2": None if self.area_m2 is None else self.area_m2[number],
            }
            record["bands"] = [
                {"name": name}
                | {
                    what: _none_for_nan(values[number, band])
                    for what, values in self._statistics().items()
                }
                for band, name in enumerate(self.band_names)
            ]
            records.append(record)
        return records

    def to_json(self) -> str:
        """Return the table as JSON text, a list of classes."""
        return json.dumps(self.to_records(), indent=1) + "\n"

    def to_csv(self) -> str:
        """Return the table as text: a line for each class, four columns for each band.

        What is not known is left empty.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        statistics = self._statistics()
        columns = [f"{name} {what}" for name in self.band_names for what in statistics]
        writer.writerow(["class", "color", "pixels", "share", "area_m2", *columns])
        for record in self.to_records():
            numbers = [band[what] for band in record["bands"] for what in statistics]
            first = [record[key] for key in ("class", "color", "pixels", "share", "area_m2")]
            writer.writerow(["" if value is None else value for value in (*first, *numbers)])
        return text.getvalue()

    def _statistics(self) -> dict[str, NDArray[np.float64]]:
        """Return the statistics of bands by name."""
        return {"mean": self.mean, "std": self.std, "min": self.min, "max": self.max}


def _none_for_nan(value: float) -> float | None:
    """Return a number, or None where there is none."""
    return None if math.isnan(value) else float(value)
