"""k-means on dask-ml's interface, made fit for rasters: exact sums, true inertia, few passes.

Importing this imports dask-ml and scikit-learn, which takes seconds.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask_ml.cluster
import numpy as np
from dask.delayed import delayed
from dask_ml.utils import check_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from dask_quant.cluster import find_active_client
from dask_quant.execute import Executor
from dask_quant.fit.row_block import find_nearest
from dask_quant.fit.rows import float_type
from dask_quant.graphs.rows import RowBlocks
from dask_quant.process import count_cpus
from dask_quant.row_flow import RowFitOptions, SpreadRows, fit_rows

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from dask_quant.fit.row_totals import RowRange

_MAX_BLOCK_ROWS = 1 << 18
"""Rows of a block of an array in memory at most (arbitrary: several blocks a thread)."""


INITS = ("k-means||", "k-means++")
"""Ways to begin that have a name."""


class ScalableKMeans(dask_ml.cluster.KMeans):  # type: ignore[misc]  # dask-ml is not annotated
    """Cluster rows by k-means, as `dask_ml.cluster.KMeans` does, made fit for billions of them.

    The same parameters and attributes, and what that lacks: sample weights, the true inertia, a
    tolerance that is relative, clusters that are never left empty, k-means|| with weights, and a
    result that depends neither on the chunks nor on where they are computed. Every pass assigns
    and adds up in one go, in integers, without a copy of the chunk.

    Parameters
    ----------
    n_clusters : int, default 8
        Clusters, at least 1.
    init : {"k-means||", "k-means++"} or ndarray, default "k-means||"
        ``k-means||`` [1]_ draws candidates in five passes over all rows. ``k-means++`` fits a
        sample of 131,072 rows in memory first, with ``n_init`` restarts, and goes on from the
        best: few passes. An array ``(n_clusters, n_features)`` is where to begin.
    oversampling_factor : float, default 2
        Candidates drawn per pass of k-means||, per cluster.
    max_iter : int, default 300
        Times at most that centres are moved.
    tol : float, default 1e-4
        Stop once the squared shifts of all centres sum up to this times the mean variance of a
        feature, as in scikit-learn; the variance is that of the sample.
    random_state : int, RandomState or None
        Seed of every random draw.
    init_max_iter : int, optional
        Passes of k-means|| that draw. None: 5.
    n_init : int or "auto", default "auto"
        Restarts, the best of which is kept. ``auto``: 8 on the sample of ``k-means++``, else 1.
        Those of k-means|| go side by side, a pass serves all.
    precompute_distances, copy_x, n_jobs, algorithm
        dask-ml's, without effect there and here.

    Attributes
    ----------
    cluster_centers_ : ndarray
        ``(n_clusters, n_features)``, float32 for float32 rows, else float64.
    labels_ : dask.array.Array
        Lazy: nearest centre of each row, the lowest index on ties, int32 ``(n,)``.
    inertia_ : float
        Sum over all rows of weight times squared distance to the nearest centre.
    n_iter_ : int
        Times that centres were moved, on all rows.
    n_passes_ : int
        Passes over all rows.
    n_features_in_ : int
        Features of the rows.

    Notes
    -----
    A pass is O(n * n_features * n_clusters); a thread holds its chunk, and 8 bytes a row while rows
    are drawn.

    References
    ----------
    .. [1] B. Bahmani, B. Moseley, A. Vattani, R. Kumar, S. Vassilvitskii, "Scalable k-means++",
       PVLDB 5(7), 2012, doi:10.14778/2180912.2180915. Rows are drawn here without replacement, as
       many in every pass.

    Examples
    --------
    >>> import dask.array as da
    >>> rows = da.from_array(np.array([[0.0, 0], [0, 1], [9, 9], [9, 8]]), chunks=(2, 2))
    >>> model = ScalableKMeans(n_clusters=2, random_state=0).fit(rows)
    >>> sorted(model.cluster_centers_.tolist()), model.inertia_
    ([[0.0, 0.5], [9.0, 8.5]], 1.0)
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit centres to rows. **Eager**.

        Parameters
        ----------
        X : array_like, Dask array or data frame
            Finite real numbers ``(n, n_features)``, chunks of known sizes.
        y : Any
            Ignored.
        sample_weight : array_like or Dask array, optional
            Weight of each row, at least 0, ``(n,)``. None: 1 each. Rows of weight 0 are as good as
            not there, and may hold NaN.

        Returns
        -------
        ScalableKMeans
            This estimator.
        """
        rows = check_rows(X)
        weights = None if sample_weight is None else check_weights(sample_weight, rows)
        source = SpreadRows(RowBlocks.of(rows, weights), Executor(find_active_client()))
        dtype = float_type(rows.dtype)
        options = self._make_options(rows.shape[1], dtype)
        survey = source.survey(options.seed, rows.shape[1])
        self._check_range(survey.found)
        best = fit_rows(source, survey, options)
        self.cluster_centers_ = best.centers.astype(dtype)
        self.inertia_ = best.totals.inertia
        self.n_iter_ = best.n_iter
        self.n_passes_ = source.n_passes
        self.n_features_in_ = rows.shape[1]
        self.labels_ = label_rows(rows, self.cluster_centers_)
        n_found = int((best.totals.weights > 0).sum())
        if n_found < self.n_clusters:
            warnings.warn(
                f"Found {n_found} distinct clusters for n_clusters={self.n_clusters}: there are "
                "not more distinct rows.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X: Any) -> Any:
        """Return the nearest centre of each row, the lowest index on ties, int32 ``(n,)``.

        **Lazy** for Dask arrays, else NumPy.
        """
        check_is_fitted(self, "cluster_centers_")
        labels = label_rows(check_rows(X), self.cluster_centers_)
        if isinstance(X, da.Array):
            return labels
        return Executor(None, "threads").compute(delayed(labels), stage="label")

    def _check_range(self, found: RowRange) -> None:
        """Raise `ValueError` where rows cannot be fitted."""
        if not found.is_finite:
            message = "Input contains NaN, infinity or a value too large for dtype('float64')."
            raise ValueError(message)
        if found.n_rows < self.n_clusters:
            message = f"n_samples={found.n_rows} should be >= n_clusters={self.n_clusters}."
            raise ValueError(message)

    def _make_options(self, n_features: int, dtype: np.dtype[np.floating[Any]]) -> RowFitOptions:
        """Return the parameters, checked."""
        return RowFitOptions(
            n_clusters=self.n_clusters,
            init=self._check_init(n_features),
            oversampling_factor=self.oversampling_factor,
            max_iter=self.max_iter,
            tol=self.tol,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            n_rounds=self.init_max_iter or RowFitOptions.n_rounds,
            n_init=None if self.n_init == "auto" else int(self.n_init),
            dtype=dtype.type,
        )

    def _check_init(self, n_features: int) -> str | NDArray[np.float64]:
        """Return where to begin, or raise `ValueError`."""
        if isinstance(self.init, str):
            if self.init in INITS:
                return self.init
            message = f"Got init={self.init!r}; 'k-means||', 'k-means++' or an array is needed."
            raise ValueError(message)
        start = np.asarray(self.init, dtype=np.float64)
        needed = (self.n_clusters, n_features)
        if start.shape != needed:
            message = f"Got an init of shape {start.shape}; {needed} is needed."
            raise ValueError(message)
        return start


def check_rows(X: Any) -> da.Array:
    """Return rows ``(n, n_features)`` of real numbers as a Dask array of known chunks. **Lazy**."""
    if hasattr(X, "to_dask_array"):
        X = X.to_dask_array(lengths=True)
    elif hasattr(X, "to_numpy"):
        X = X.to_numpy()
    checked = check_array(X, accept_multiple_blocks=True, ensure_all_finite=False)
    if isinstance(checked, da.Array):
        return checked
    n_rows = -(-len(checked) // count_cpus())
    return da.from_array(checked, chunks=(min(n_rows, _MAX_BLOCK_ROWS), -1))


def check_weights(given: Any, rows: da.Array) -> da.Array:
    """Return weights as float64 ``(n,)``, in the chunks of the rows; values are not looked at."""
    weights = given if isinstance(given, da.Array) else da.from_array(np.asarray(given), chunks=-1)
    if weights.shape != rows.shape[:1]:
        message = f"Got sample_weight of shape {weights.shape}; {rows.shape[:1]} is needed."
        raise ValueError(message)
    return weights.astype(np.float64).rechunk((rows.chunks[0],))


def label_rows(rows: da.Array, centers: NDArray[np.floating[Any]]) -> da.Array:
    """Return the nearest centre of each row, int32 ``(n,)``. **Lazy**."""
    return rows.rechunk({1: -1}).map_blocks(
        _label_block, centers.astype(np.float64), dtype=np.int32, drop_axis=1
    )


def _label_block(rows: NDArray[Any], centers: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the nearest centre of each row of a block."""
    labels, _ = find_nearest(rows, centers)
    return labels
