"""The face for scikit-learn: a clusterer and transformer of rows, a quantizer of pictures.

Importing this imports scikit-learn, which takes seconds.
"""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from dask_quant.alpha_options import REFUSE
from dask_quant.arrays import count_colors, relabel, render
from dask_quant.errors import FewerColorsWarning, FitError, OptionError
from dask_quant.execute import Executor
from dask_quant.fit.row_block import find_nearest
from dask_quant.fit.rows import float_type, measure_distances, place_rows
from dask_quant.fit.samples import fit_counted, fit_samples
from dask_quant.fit_options import FitOptions

if TYPE_CHECKING:
    from typing import Self

    import dask.array as da
    from numpy.typing import ArrayLike, NDArray

    from dask_quant.arrays import ImageLike
    from dask_quant.fit.rows import Numbers
    from dask_quant.fit.samples import SampleFit


class ColorQuantizer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # scikit-learn is not annotated
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Quantize colours, or cluster any rows of numbers, as a scikit-learn estimator.

    Rows of three integers from 0 to 255 are counted as colours, exactly, and fitted by the same
    search as `dask_quant.fit_palette`. All other rows go to `sklearn.cluster.KMeans`. Either way
    equal samples are added up first: the order of the samples and the way in which they are
    repeated or weighted do not show in the centres.

    Parameters
    ----------
    n_colors : int, default 16
        Clusters, 1 to 65536.
    effort : {"default", "fast", "best"}
        How long to search for a lower inertia, as in `dask_quant.quantize`. Other rows than
        colours have no search, only fewer or more restarts.
    method : str, default "kmeans"
        As in `dask_quant.quantize`. Centres of another method than ``kmeans`` are the colours of
        its palette. Other rows than colours take the default alone.
    space : {"srgb", "linear", "oklab", "lab"}, default "srgb"
        Where the distances of colours are measured, to fit, predict, transform, score and quantize.
        Samples and centres are sRGB levels in any case. Other rows than colours take the default
        alone.
    init : {"k-means++", "random"}, Palette or array_like, default "k-means++"
        First centroids of colours, as in `dask_quant.quantize`. Other rows take the default alone.
    random_state : int, RandomState or None, default 0
        Seed of every random draw. A `numpy.random.RandomState` draws one; so does None, from
        NumPy's global state.
    n_init : int, optional
        Restarts, the best of which is kept; at least 1. None: as ``effort`` says, fewer
        for many colours.
    max_iter : int, optional
        Most Lloyd iterations of the last descent, at least 1; of other rows, of each. None: 300,
        and 5 for colours when ``effort`` is fast.
    tol : float, optional
        Stop once no centre moves by more than this, in the units of the samples, or of ``space``.
        None: for colours 0.05 levels, or 0.5 when ``effort`` is fast; for other rows what
        scikit-learn does.

    Attributes
    ----------
    cluster_centers_ : ndarray
        Unrounded centres, float32 ``(k, n_features)`` for float32 samples, else float64; heaviest
        first. ``k`` is ``n_colors``, or less where there are fewer distinct samples: then each of
        them is a centre.
    labels_ : ndarray
        Nearest centre of each sample, the lowest index on ties, int32 ``(n_samples,)``. Not there
        after `fit_image`.
    inertia_ : float
        Sum of weight times squared distance to the nearest centre, in units of ``space``.
    n_iter_ : int
        Lloyd iterations: of the whole search for colours, of the best restart for other rows; 0
        where nothing had to be fitted.
    engine_ : str
        ``histogram`` for counted colours, else ``scikit-learn``.
    palette_ : Palette or None
        The palette that `dask_quant.fit_palette` makes of the same colours: rounded to 8 bits, all
        distinct and in use. None where the samples were no colours.
    n_features_in_ : int
        Features of the samples.
    feature_names_in_ : ndarray
        Their names, where the samples had names that are texts.

    Warns
    -----
    FewerColorsWarning
        When there are fewer distinct samples than ``n_colors``.

    Notes
    -----
    Colours: O(n_samples) to count, and then the cost of the distinct colours. Other rows:
    O(n_samples * n_features * n_colors) per iteration and restart.

    Examples
    --------
    >>> import dask_quant as dq
    >>> pixels = np.array([[0, 0, 0], [2, 2, 2], [0, 0, 2], [200, 0, 0]], dtype=np.uint8)
    >>> quantizer = dq.ColorQuantizer(n_colors=2).fit(pixels)
    >>> quantizer.labels_.tolist(), quantizer.cluster_centers_[1].tolist()
    ([0, 0, 0, 1], [200.0, 0.0, 0.0])
    >>> quantizer.palette_.hex
    ['#010101', '#c80000']
    >>> quantizer.quantize(pixels.reshape(2, 2, 3))[0, 0].tolist()
    [1, 1, 1]
    """

    def __init__(
        self,
        n_colors: int = 16,
        *,
        effort: str = "default",
        method: str = "kmeans",
        space: str = "srgb",
        init: Any = "k-means++",
        random_state: int | np.random.RandomState | None = 0,
        n_init: int | None = None,
        max_iter: int | None = None,
        tol: float | None = None,
    ) -> None:
        self.n_colors = n_colors
        self.effort = effort
        self.method = method
        self.space = space
        self.init = init
        self.random_state = random_state
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit centres to samples.

        Parameters
        ----------
        X : array_like
            Finite real numbers ``(n_samples, n_features)``.
        y : Any
            Ignored.
        sample_weight : array_like, optional
            Weight of each sample, at least 0, ``(n_samples,)``. None: 1 each.

        Returns
        -------
        ColorQuantizer
            This estimator.

        Raises
        ------
        OptionError
            When a parameter or a weight is out of range, or a parameter is for colours alone.
        ValueError
            When the samples are not of that kind.
        """
        options = self._make_options()
        samples = self._check_samples(X, reset=True)
        weights = None if sample_weight is None else _check_weights(sample_weight, samples)
        self._keep(fit_samples(samples, weights, options))
        self.labels_ = self._find_nearest(samples)[0]
        return self

    def fit_image(self, image: ImageLike) -> Self:
        """Fit centres to the pixels of an image of any size, counted where they lie.

        Parameters
        ----------
        image : str, Path, NumPy or Dask array
            As `dask_quant.count_colors` takes it.

        Returns
        -------
        ColorQuantizer
            This estimator, without ``labels_``.

        Raises
        ------
        OptionError
            When a parameter is out of range.
        SourceError, PixelFormatError
            When the image cannot be read, or its pixels are of another kind.
        """
        options = self._make_options()
        found = fit_counted(count_colors(image, alpha=REFUSE), options, np.dtype(np.float64))
        for name in ("labels_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        self.n_features_in_ = 3
        self._keep(found)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Return the index of the nearest centre of every sample, the lowest on ties.

        Parameters
        ----------
        X : array_like
            Finite real numbers ``(n_samples, n_features)``.

        Returns
        -------
        ndarray
            int32 ``(n_samples,)``.
        """
        check_is_fitted(self)
        return self._find_nearest(self._check_samples(X))[0]

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the distance of every sample to every centre.

        Parameters
        ----------
        X : array_like
            Finite real numbers ``(n_samples, n_features)``.

        Returns
        -------
        ndarray
            In units of ``space``, float32 ``(n_samples, k)`` for float32 samples, else float64.
        """
        check_is_fitted(self)
        samples = self._check_samples(X)
        points, centers = (
            place_rows(each, self.space) for each in (samples, self.cluster_centers_)
        )
        return measure_distances(points, centers, float_type(samples.dtype))

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return minus the inertia of samples.

        Parameters
        ----------
        X : array_like
            Finite real numbers ``(n_samples, n_features)``.
        y : Any
            Ignored.
        sample_weight : array_like, optional
            Weight of each sample, at least 0, ``(n_samples,)``. None: 1 each.

        Returns
        -------
        float
            Minus the sum of weight times squared distance to the nearest centre.
        """
        check_is_fitted(self)
        samples = self._check_samples(X)
        _, distances = self._find_nearest(samples)
        if sample_weight is not None:
            distances *= _check_weights(sample_weight, samples)
        return -float(distances.sum())

    def quantize(self, image: ImageLike, *, dither: str = "none") -> NDArray[np.uint8] | da.Array:
        """Return an image in the colours of ``palette_``, the nearest in ``space``.

        Parameters
        ----------
        image : str, Path, NumPy or Dask array
            As `dask_quant.relabel` takes it.
        dither : {"none", "bayer", "blue-noise", "floyd-steinberg"}, default "none"
            As in `dask_quant.quantize`.

        Returns
        -------
        ndarray or dask.array.Array
            sRGB uint8 ``(y, x, 3)``: NumPy for a NumPy array; else lazy, chunked like the image.

        Raises
        ------
        FitError
            When the estimator was fitted to rows that are no 8-bit colours.
        OptionError
            When ``dither`` is not known.
        SourceError, PixelFormatError
            When the image cannot be read, or its pixels are of another kind.
        """
        check_is_fitted(self)
        if self.palette_ is None:
            message = (
                "Got an estimator fitted to rows that are no 8-bit colours, and so no palette; "
                "fit it to an image, or to integer rows (n, 3) from 0 to 255."
            )
            raise FitError(message)
        labels = relabel(image, self.palette_, space=self.space, dither=dither, alpha=REFUSE)
        picture = render(labels, self.palette_)
        if not isinstance(image, np.ndarray):
            return picture
        # Here: what is in memory need not travel to a cluster and back.
        pixels: NDArray[np.uint8] = Executor(None, "threads").compute(picture, stage="relabel")
        return pixels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        """Number of features that `transform` returns, as scikit-learn's mixin wants to know."""
        return len(self.cluster_centers_)

    def _make_options(self) -> FitOptions:
        """Return the parameters as options, or raise `OptionError`."""
        return FitOptions(
            n_colors=self.n_colors,
            effort=self.effort,
            method=self.method,
            space=self.space,
            init=self.init,
            seed=_draw_seed(self.random_state),
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
        )

    def _find_nearest(self, samples: Numbers) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the nearest centre of samples, and the squared distance to it, in the space."""
        points, centers = (
            place_rows(each, self.space) for each in (samples, self.cluster_centers_)
        )
        return find_nearest(points, centers)

    def _check_samples(self, X: ArrayLike, *, reset: bool = False) -> Numbers:
        """Return samples as an array ``(n_samples, n_features)`` of real numbers."""
        samples: Numbers = validate_data(self, X, reset=reset)
        return samples if samples.dtype.kind in "uif" else samples.astype(np.float64)

    def _keep(self, found: SampleFit) -> None:
        """Set the attributes that a fit sets, and warn about missing colours."""
        self.cluster_centers_ = found.ranked.centers
        self.inertia_ = found.ranked.inertia
        self.n_iter_ = found.n_iter
        self.engine_ = found.engine
        self.palette_ = found.palette
        n_found = len(found.ranked.centers)
        if n_found < self.n_colors:
            warnings.warn(
                f"{self.n_colors} colours were asked for, but there are only {n_found} "
                "distinct ones.",
                FewerColorsWarning,
                stacklevel=3,  # where the fit was asked for
            )


def _draw_seed(random_state: Any) -> int:
    """Return the seed that a ``random_state`` stands for, or raise `OptionError`."""
    if isinstance(random_state, Integral):
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError:
        message = (
            f"Got random_state {random_state!r}; use an integer from 0 to 2**63 - 1, "
            "a numpy.random.RandomState or None."
        )
        raise OptionError(message) from None


def _check_weights(sample_weight: ArrayLike, samples: Numbers) -> NDArray[np.float64]:
    """Return the weights of samples, float64 ``(n_samples,)``, or raise `OptionError`."""
    weights: NDArray[np.float64] = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.ndim != 1:
        message = f"Got sample weights of shape {weights.shape}; use one number for each sample."
        raise OptionError(message)
    check_consistent_length(samples, weights)
    if weights.min() < 0 or not weights.any():
        message = f"Got sample weights from {weights.min():g} to {weights.max():g}; "
        raise OptionError(message + "use numbers of 0 or more that are not all zero.")
    return weights
