"""The methods that segment a raster: dask_quant, and what else does k-means on its pixels.

    python tests/benchmarks/segmentation_methods.py METHOD STORE.zarr K

Fits one method in this process and prints seconds, passes and centres as JSON. Every package is
imported when its method begins, so that none pays for another's memory. A method fits a piece of
the raster first, which compiles what is compiled.

Seconds are those of the fit. Methods that hold all pixels in memory get them before the clock
starts, float32, those without data left out. dask-ml reads them from the store in every pass, as
dask_quant does; it can leave none out: it gets blocks whose pixels with data were counted before.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from raster_rows import Raster, load_rows, open_raster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from raster_rows import Window

REFERENCE = "ours"
"""The method that all others are compared with."""

WARM_SIDE = 64
"""Rows and columns of the piece that a method is warmed up on (arbitrary)."""

FAISS_ITERATIONS = 25
"""Iterations of faiss: its default."""

MINIBATCH_STARTS = 3
"""Starts that MiniBatchKMeans chooses from."""


@dataclass(frozen=True)
class Fitted:
    """What a method came to."""

    centers: NDArray[np.floating[Any]]
    """``(k, band)``."""
    passes: float
    """Times that it went over all pixels."""


@dataclass(frozen=True)
class Method:
    """One way to fit centres."""

    name: str
    """As ``--methods`` takes it."""
    what: str
    """How it is called, for the reader of a table."""
    needs: tuple[str, ...]
    """What it takes, keys of `machine.find_versions`; the first may be missing."""
    prepare: Callable[[Raster], Any]
    """Makes of a raster what is fitted, before the clock starts."""
    fit: Callable[[Any, int], Fitted]
    """Fits so many centres to that."""

    def find_missing(self, versions: Mapping[str, str | None]) -> str | None:
        """Return why the method cannot run here, None when it can."""
        return None if versions[self.needs[0]] else f"{self.needs[0]} is not installed"


@dataclass(frozen=True)
class CountedRows:
    """Lazy rows of all pixels that hold data, and how often they are read."""

    raster: Raster
    """Where they are from."""
    sizes: tuple[int, ...]
    """Rows of each block."""
    n_read: list[int] = field(default_factory=list)
    """Rows of each block that was read, in any order."""

    @classmethod
    def of(cls, raster: Raster) -> CountedRows:
        """Return the rows of a raster, which is read once."""
        return cls(raster, tuple(len(raster.read_valid(w)) for w in raster.list_windows()))

    @property
    def passes(self) -> float:
        """Times that all rows were read."""
        return sum(self.n_read) / sum(self.sizes)

    def read(self, window: Window) -> NDArray[np.float32]:
        """Return the rows of a block, and count them."""
        rows = self.raster.read_valid(window).astype(np.float32)
        self.n_read.append(len(rows))
        return rows

    def to_dask(self) -> da.Array:
        """Return them as float32 ``(n, band)``. **Lazy**."""
        windows = zip(self.raster.list_windows(), self.sizes, strict=True)
        return stack_blocks(self.read, [pair for pair in windows if pair[1]], self.raster.n_bands)


def stack_blocks(
    read: Callable[[Window], NDArray[np.float32]],
    windows: Sequence[tuple[Window, int]],
    n_bands: int,
) -> da.Array:
    """Return blocks of so many rows, one below the other, ``(n, band)``. **Lazy**."""
    task = delayed(read, pure=False)
    blocks = [
        da.from_delayed(task(window), shape=(n_rows, n_bands), dtype=np.float32)
        for window, n_rows in windows
    ]
    return da.concatenate(blocks)


def keep_raster(raster: Raster) -> Raster:
    """Return the raster itself: nothing is prepared."""
    return raster


def fit_ours(raster: Raster, n_clusters: int, init: str) -> Fitted:
    """Fit dask_quant to all pixels, and describe the classes, as it always does."""
    dq = importlib.import_module("dask_quant")
    pixels = da.from_array(raster.pixels, chunks=(raster.side, raster.side, raster.n_bands))
    report = dq.segment(pixels, n_clusters=n_clusters, init=init, nodata=raster.nodata)
    return Fitted(report.model.centers, report.n_passes + 1)


def fit_dask_ml(rows: CountedRows, n_clusters: int) -> Fitted:
    """Fit dask-ml's k-means as it comes, on threads."""
    kind = importlib.import_module("dask_ml.cluster").KMeans
    model = kind(n_clusters=n_clusters, random_state=0).fit(rows.to_dask())
    return Fitted(model.cluster_centers_, rows.passes)


def fit_sklearn(rows: NDArray[np.float32], n_clusters: int) -> Fitted:
    """Fit scikit-learn's k-means once."""
    kind = importlib.import_module("sklearn.cluster").KMeans
    model = kind(n_clusters=n_clusters, n_init=1, random_state=0).fit(rows)
    return Fitted(model.cluster_centers_, model.n_iter_)


def fit_minibatch(rows: NDArray[np.float32], n_clusters: int) -> Fitted:
    """Fit scikit-learn's k-means on batches."""
    kind = importlib.import_module("sklearn.cluster").MiniBatchKMeans
    model = kind(n_clusters=n_clusters, n_init=MINIBATCH_STARTS, random_state=0).fit(rows)
    n_seen = model.n_steps_ * min(model.batch_size, len(rows))
    return Fitted(model.cluster_centers_, n_seen / len(rows))


def fit_faiss(rows: NDArray[np.float32], n_clusters: int) -> Fitted:
    """Fit faiss to all rows; by default it would take 256 a centre."""
    faiss = importlib.import_module("faiss")
    model = faiss.Kmeans(
        rows.shape[1],
        n_clusters,
        niter=FAISS_ITERATIONS,
        max_points_per_centroid=len(rows),
        seed=0,
    )
    model.train(rows)
    return Fitted(model.centroids, FAISS_ITERATIONS)


def _ours(name: str, init: str) -> Method:
    """Return dask_quant from a way to begin."""
    needs = ("dask_quant", "dask", "numba")
    return Method(name, f"dask_quant, {init}", needs, keep_raster, partial(fit_ours, init=init))


_DASK_ML = ("dask-ml", "dask", "scikit-learn", "numba")
_SKLEARN = ("scikit-learn",)
_MINIBATCH = f"scikit-learn MiniBatchKMeans, n_init={MINIBATCH_STARTS}"
_FAISS = f"faiss Kmeans, niter={FAISS_ITERATIONS}, all points"

METHODS = (
    _ours(REFERENCE, "k-means++"),
    _ours("ours-parallel", "k-means||"),
    Method("dask-ml", "dask-ml KMeans, defaults", _DASK_ML, CountedRows.of, fit_dask_ml),
    Method("sklearn", "scikit-learn KMeans, n_init=1", _SKLEARN, load_rows, fit_sklearn),
    Method("sklearn-minibatch", _MINIBATCH, _SKLEARN, load_rows, fit_minibatch),
    Method("faiss", _FAISS, ("faiss",), load_rows, fit_faiss),
)
"""All methods, in the order in which they run."""


def measure_method(method: Method, raster: Raster, n_clusters: int) -> dict[str, Any]:
    """Return seconds, passes and centres of a fit of the whole raster."""
    method.fit(method.prepare(raster.cut_middle(WARM_SIDE)), n_clusters)
    prepared = method.prepare(raster)
    begin = time.perf_counter()
    fitted = method.fit(prepared, n_clusters)
    seconds = time.perf_counter() - begin
    centers = np.asarray(fitted.centers, dtype=np.float64).tolist()
    return {"seconds": seconds, "passes": float(fitted.passes), "centers": centers}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one method and print it."""
    name, store, n_clusters = sys.argv[1:] if arguments is None else arguments
    (method,) = (method for method in METHODS if method.name == name)
    print(json.dumps(measure_method(method, open_raster(Path(store)), int(n_clusters))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
