"""k-means on dask-ml's interface, made fit for rasters: exact sums, true inertia, few passes.

Importing this imports dask-ml and scikit-learn, which takes seconds.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask_ml.cluster
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import delayed
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from dask_quant.cluster import find_active_client
from dask_quant.execute import Executor
from dask_quant.fit.row_block import find_nearest
from dask_quant.fit.row_totals import FixedPoint
from dask_quant.fit.rows import float_type, measure_distances
from dask_quant.graphs.rows import RowBlocks
from dask_quant.row_flow import RowFitOptions, SpreadRows, fit_rows
from dask_quant.row_input import (
    check_found,
    check_rows,
    check_weights,
    is_dask_frame,
    refuse_gaps,
)

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

INITS = ("k-means||", "k-means++")
"""Ways to begin that have a name."""


class ScalableKMeans(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # scikit-learn is not annotated
    ClusterMixin,  # type: ignore[misc]
    dask_ml.cluster.KMeans,  # type: ignore[misc]
):
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
        Restarts, the best of which is kept. ``auto``: up to 8 on the sample of ``k-means++``, else
        1. Those of k-means|| go side by side, a pass serves all.
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
    feature_names_in_ : ndarray
        Their names, where the rows had names that are texts.

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

        Raises
        ------
        ValueError
            When a parameter, a row or a weight is out of range; of Dask arrays, this is found in
            the first pass.
        TypeError
            When rows are sparse, or chunks are of unknown sizes.
        """
        _check_parameters(self)
        rows = self._check_rows(X, reset=True)
        source = _open_rows(rows, sample_weight)
        dtype = float_type(rows.dtype)
        options = self._make_options(rows.shape[1], dtype)
        survey = source.survey(options.seed, rows.shape[1])
        check_found(survey.found)
        if survey.found.n_rows < self.n_clusters:
            message = f"n_samples={survey.found.n_rows} should be >= n_clusters={self.n_clusters}."
            raise ValueError(message)
        best = fit_rows(source, survey, options)
        self.cluster_centers_ = best.centers.astype(dtype)
        self.inertia_ = best.totals.inertia
        self.n_iter_ = best.n_iter
        self.n_passes_ = source.n_passes
        self.labels_ = label_rows(rows, self.cluster_centers_)
        self._warn_of_fewer(int((best.totals.weights > 0).sum()))
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit centres to rows, see `fit`, and return their labels as `predict` does."""
        self.fit(X, sample_weight=sample_weight)
        return _give_back(self.labels_, X, "label")

    def predict(self, X: Any) -> Any:
        """Return the nearest centre of each row, the lowest index on ties.

        **Lazy** for Dask arrays and data frames, else NumPy.

        Parameters
        ----------
        X : array_like, Dask array or data frame
            Finite real numbers ``(n, n_features)``. Of a lazy one, others are found when labels
            are computed.

        Returns
        -------
        dask.array.Array or ndarray
            int32 ``(n,)``.
        """
        check_is_fitted(self, "cluster_centers_")
        rows = refuse_gaps(self._check_rows(X, reset=False))
        return _give_back(label_rows(rows, self.cluster_centers_), X, "label")

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return the distance of each row to each centre.

        **Lazy** for Dask arrays and data frames, else NumPy.

        Parameters
        ----------
        X : array_like, Dask array or data frame
            Finite real numbers ``(n, n_features)``, as for `predict`.
        y : Any
            Ignored.

        Returns
        -------
        dask.array.Array or ndarray
            ``(n, n_clusters)``, float32 for float32 rows, else float64.
        """
        check_is_fitted(self, "cluster_centers_")
        rows = refuse_gaps(self._check_rows(X, reset=False))
        return _give_back(measure_rows(rows, self.cluster_centers_), X, "measure")

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return minus the inertia of rows, in two passes. **Eager**.

        Parameters
        ----------
        X : array_like, Dask array or data frame
            Finite real numbers ``(n, n_features)``, chunks of known sizes.
        y : Any
            Ignored.
        sample_weight : array_like or Dask array, optional
            As for `fit`.

        Returns
        -------
        float
            Minus the sum of weight times squared distance to the nearest centre; it does not
            depend on the chunks.
        """
        check_is_fitted(self, "cluster_centers_")
        source = _open_rows(self._check_rows(X, reset=False), sample_weight)
        found = source.find_range()
        check_found(found)
        centers = self.cluster_centers_.astype(np.float64)
        source.fixed = FixedPoint.from_range(found.include(centers))
        (totals,) = source.add_up([centers])
        return -totals.inertia

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        """Number of features that `transform` returns, as scikit-learn's mixin wants to know."""
        return len(self.cluster_centers_)

    def _check_rows(self, X: Any, *, reset: bool) -> da.Array:
        """Return rows as a Dask array, having set or compared number and names of features."""
        rows = check_rows(X)
        named = X._meta if is_dask_frame(X) else X
        validate_data(self, named, reset=reset, skip_check_array=True)
        return rows

    def _warn_of_fewer(self, n_found: int) -> None:
        """Warn where some clusters are empty, on behalf of `fit`."""
        if n_found < self.n_clusters:
            warnings.warn(
                f"Found {n_found} distinct clusters for n_clusters={self.n_clusters}: there are "
                "not more distinct rows.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _make_options(self, n_features: int, dtype: np.dtype[np.floating[Any]]) -> RowFitOptions:
        """Return the parameters, which were checked."""
        return RowFitOptions(
            n_clusters=int(self.n_clusters),
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
        if not np.isfinite(start).all():
            message = "Got an init with NaN or infinity; finite numbers are needed."
            raise ValueError(message)
        return start


def _check_parameters(model: ScalableKMeans) -> None:
    """Raise `ValueError` for numbers that are out of range."""
    for name, least, instead in (
        ("n_clusters", 1, ()),
        ("max_iter", 0, ()),
        ("n_init", 1, ("auto",)),
        ("init_max_iter", 1, (None,)),
    ):
        value = getattr(model, name)
        if not (value in instead or (isinstance(value, (int, np.integer)) and value >= least)):
            message = f"Got {name}={value!r}; an integer of at least {least} is needed."
            raise ValueError(message)
    for name in ("tol", "oversampling_factor"):
        value = getattr(model, name)
        if not (isinstance(value, (int, float, np.number)) and value >= 0):
            message = f"Got {name}={value!r}; a number of at least 0 is needed."
            raise ValueError(message)


def _open_rows(rows: da.Array, sample_weight: Any) -> SpreadRows:
    """Return rows ready for passes, on the active client or on threads."""
    weights = None if sample_weight is None else check_weights(sample_weight, rows)
    return SpreadRows(RowBlocks.of(rows, weights), Executor(find_active_client()))


def _give_back(found: da.Array, X: Any, stage: str) -> Any:
    """Return what was found of ``X`` as lazy as that is."""
    if is_dask_collection(X):
        return found
    return Executor(None, "threads").compute(delayed(found), stage=stage)


def label_rows(rows: da.Array, centers: NDArray[np.floating[Any]]) -> da.Array:
    """Return the nearest centre of each row, int32 ``(n,)``. **Lazy**."""
    return rows.rechunk({1: -1}).map_blocks(
        _label_block, centers.astype(np.float64), dtype=np.int32, drop_axis=1
    )


def _label_block(rows: NDArray[Any], centers: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the nearest centre of each row of a block."""
    labels, _ = find_nearest(rows, centers)
    return labels


def measure_rows(rows: da.Array, centers: NDArray[np.floating[Any]]) -> da.Array:
    """Return the distance of each row to each centre, ``(n, k)``. **Lazy**."""
    dtype = float_type(rows.dtype)
    return rows.rechunk({1: -1}).map_blocks(
        *(measure_distances, centers, dtype),
        dtype=dtype,
        chunks=(rows.chunks[0], (len(centers),)),
        meta=np.empty((0, 0), dtype=dtype),
    )
