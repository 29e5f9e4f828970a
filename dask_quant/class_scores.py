"""How good numbers of classes are: inertia, and three indices of how well the classes are apart.

References
----------
.. [1] T. Calinski, J. Harabasz, "A dendrite method for cluster analysis", Communications in
   Statistics 3(1), 1974, doi:10.1080/03610927408827101.
.. [2] D. L. Davies, D. W. Bouldin, "A cluster separation measure", IEEE Transactions on Pattern
   Analysis and Machine Intelligence 1(2), 1979, doi:10.1109/TPAMI.1979.4766909.
.. [3] P. J. Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20, 1987,
   doi:10.1016/0377-0427(87)90125-7.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.fit.row_block import find_nearest
from dask_quant.knee import find_elbow
from dask_quant.results import explained_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.row_lloyd import CentersFit


SILHOUETTE_ROWS = 4096
"""Rows of the sample that silhouettes are measured on: each is compared with all (arbitrary)."""


@dataclass(frozen=True)
class ClassScore:
    """How good one number of classes is."""

    n_clusters: int
    """Classes."""
    inertia: float
    """Sum over all pixels of the squared distance to the centre of their class, in features."""
    explained_variance: float
    """1 - inertia / (inertia of a single class)."""
    calinski_harabasz: float | None
    """Spread of the centres against that within classes [1]_: higher is better. None: one class."""
    davies_bouldin: float | None
    """How much the two classes that are least apart overlap, on average [2]_: lower is better.
    None: one class."""
    silhouette: float | None
    """How much nearer a pixel is to its own class than to the next, on average over a sample [3]_,
    -1 to 1: higher is better. None: one class."""

    @classmethod
    def from_fit(cls, fit: CentersFit, sample: NDArray[np.float64]) -> ClassScore:
        """Return the scores of centres, from what they won of all rows.

        The silhouette alone, which compares every row with every other, is that of a ``sample``
        ``(n, f)``; its first `SILHOUETTE_ROWS` are used.
        """
        totals, centers = fit.totals, fit.centers
        won = totals.weights
        used = won > 0
        k, n = int(used.sum()), won.sum()
        total = totals.measure_total(centers)
        between = max(0.0, total - totals.inertia)
        return cls(
            n_clusters=k,
            inertia=totals.inertia,
            explained_variance=explained_variance(totals.inertia, total),
            calinski_harabasz=_divide(between * (n - k), totals.inertia * (k - 1)),
            davies_bouldin=_davies_bouldin(
                totals.move(centers)[used], totals.distances[used] / won[used]
            ),
            silhouette=_silhouette(sample[:SILHOUETTE_ROWS], centers),
        )


def _divide(above: float, below: float) -> float | None:
    """Return a ratio, None where there is none."""
    return float(above / below) if below > 0 else None


def _davies_bouldin(means: NDArray[np.float64], spreads: NDArray[np.float64]) -> float | None:
    """Return the index of classes with these means ``(k, f)`` and mean distances to them ``(k,)``.

    The distances are those to the centres, which at rest are the means.
    """
    if len(means) < 2:
        return None
    apart = np.sqrt(np.square(means[:, np.newaxis] - means).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    return float(((spreads[:, np.newaxis] + spreads) / apart).max(axis=1).mean())


def _silhouette(rows: NDArray[np.float64], centers: NDArray[np.float64]) -> float | None:
    """Return the mean silhouette of rows ``(n, f)`` in the classes of their nearest centres."""
    labels, _ = find_nearest(rows, centers)
    if not 2 <= len(np.unique(labels)) < len(rows):
        return None
    from sklearn.metrics import silhouette_score  # takes a second

    return float(silhouette_score(rows, labels))


@dataclass(frozen=True)
class ClassCurve:
    """Scores of several numbers of classes, and what they suggest."""

    scores: tuple[ClassScore, ...]
    """By ascending number of classes."""
    n_passes: int
    """Passes over all pixels, for all numbers together."""

    @property
    def elbow(self) -> int:
        """Number of classes at the elbow of the inertia: see `dask_quant.knee`."""
        return find_elbow(
            [score.n_clusters for score in self.scores], [score.inertia for score in self.scores]
        )

    @property
    def best_calinski_harabasz(self) -> int | None:
        """Number of classes with the highest Calinski-Harabasz index, of equals the lowest."""
        known = [score for score in self.scores if score.calinski_harabasz is not None]
        best = max(known, key=lambda score: score.calinski_harabasz or 0.0, default=None)
        return None if best is None else best.n_clusters

    @property
    def best_davies_bouldin(self) -> int | None:
        """Number of classes with the lowest Davies-Bouldin index, of equals the lowest."""
        known = [score for score in self.scores if score.davies_bouldin is not None]
        best = min(known, key=lambda score: score.davies_bouldin or 0.0, default=None)
        return None if best is None else best.n_clusters

    @property
    def best_silhouette(self) -> int | None:
        """Number of classes with the highest silhouette, of equals the lowest."""
        known = [score for score in self.scores if score.silhouette is not None]
        best = max(known, key=lambda score: score.silhouette or 0.0, default=None)
        return None if best is None else best.n_clusters

    def to_json(self) -> dict[str, Any]:
        """Return the curve as JSON-ready values."""
        return {
            "scores": [asdict(score) for score in self.scores],
            "elbow": self.elbow,
            "best_calinski_harabasz": self.best_calinski_harabasz,
            "best_davies_bouldin": self.best_davies_bouldin,
            "best_silhouette": self.best_silhouette,
            "n_passes": self.n_passes,
        }

    def to_csv(self) -> str:
        """Return the scores as text, a line for each number of classes."""
        text = io.StringIO()
        names = [field.name for field in fields(ClassScore)]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(score) for score in self.scores)
        return text.getvalue()

    def to_text(self, suffix: str) -> str:
        """Return the curve as the text of a ``.csv`` or ``.json`` file."""
        if suffix == ".csv":
            return self.to_csv()
        return json.dumps(self.to_json(), indent=1) + "\n"
