"""The ``dask-ml`` engine: `dask_ml.cluster.KMeans` itself, unmodified, on all pixels.

Every pixel of the image goes as a float32 row of a Dask array into ``KMeans.fit``, which computes
on whatever scheduler is current. Centroids come back; palette, labels and errors are made from them
elsewhere. For users who want dask-ml's own k-means; the ``histogram`` engine is exact and faster.

What dask-ml's k-means does differently (2025.1.0, ``dask_ml/cluster/k_means.py``):

- A centroid that wins no pixel becomes (0, 0, 0), a black that the image may not have: its sum,
  zero, is divided by a count raised to 1.
- ``tol`` is compared with the *squared* Frobenius norm of the shift of all centroids, absolute, and
  strictly: ``tol=0`` never stops before ``max_iter``. When it stops early, the centroids are those
  before the last update.
- ``inertia_`` is a sum of *unsquared* distances unless that squared shift was below 1e-7.
- Integers are cut off: centroids are cast to the type of the data. Hence float32 rows.
- k-means||, its default start, takes ``X[0]`` and ignores how many pixels a candidate stands for.
  Hence a start given as an array, drawn from pixels by hash.
- No sample weights, and so no histogram: every iteration, and the check for NaN before and the
  inertia after them, reads all pixels.
- Nothing makes the result independent of the chunks: nearest centroids come from matrix products,
  whose last bits may depend on the rows beside a pixel. Its sums, float64, are exact for 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from dask_quant.errors import FitError, PixelFormatError
from dask_quant.graphs.sampling import draw_pixel_indices, gather_pixels

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dask.delayed import Delayed
    from numpy.typing import NDArray

MAX_CHUNK_ROWS = 2**20
"""Most pixels in a chunk of rows: 12.6 MB of float32, 70 MB in an iteration (arbitrary)."""

ROW_BYTES = 12
"""Bytes of a pixel as a float32 row."""

ITERATION_BYTES_PER_ROW = 70
"""Bytes per row of a chunk while dask-ml iterates (measured 67 at 16 clusters)."""

_FIRST_DRAWS_PER_COLOR = 8
"""Pixels drawn per colour in the first round (arbitrary: photographs repeat few colours)."""

_MAX_ROUNDS = 6
"""Rounds of draws, each of twice as many pixels as the last, before giving up (arbitrary)."""

_MAX_DRAWS_PER_ROUND = 2**20
"""Most pixels drawn in one round (arbitrary: 3 MB of pixels in the driver)."""


@dataclass(frozen=True)
class DaskMLFit:
    """What `dask_ml.cluster.KMeans` found."""

    centroids: NDArray[np.float64]
    """sRGB levels, float64 ``(k, 3)``, neither rounded nor repaired."""
    n_iter: int
    """Iterations done, each a pass over all pixels."""


def pixel_rows(image: da.Array, *, min_chunks: int = 2) -> da.Array:
    """Return the pixels of an image as rows of samples.

    **Lazy**.

    Parameters
    ----------
    image : dask.array.Array
        sRGB uint8 ``(y, x, 3)``, any chunks of known size.
    min_chunks : int, default 2
        Least number of chunks, at least 1; an image of fewer pixels gets a chunk per pixel.

    Returns
    -------
    dask.array.Array
        float32 ``(n_pixels, 3)``, chunked by rows only, at most `MAX_CHUNK_ROWS` a chunk. Every
        pixel is there once. They come block by block, each block in row-major order; that is the
        order of the image where its chunks span whole rows.

    Raises
    ------
    PixelFormatError
        When the image is not of that kind, or is empty.

    Notes
    -----
    One task a chunk, which makes 12 bytes a pixel out of 3. A block that is too large, as a decoded
    photograph is, is read by several such tasks and not copied in between.
    """
    _check_image(image)
    image = image.rechunk({2: 3})
    areas = [
        (rows, columns, height * width)
        for (rows, height), (columns, width) in product(*map(enumerate, image.chunks[:2]))
        if height * width
    ]
    n_pixels = image.shape[0] * image.shape[1]
    limit = MAX_CHUNK_ROWS
    if len(areas) < min_chunks:
        limit = min(limit, max(1, n_pixels // min_chunks))

    name = f"pixel-rows-{tokenize(image, min_chunks)}"
    graph: dict[Any, Any] = {}
    sizes: list[int] = []
    for rows, columns, area in areas:
        for start, stop in pairwise(_cut_evenly(area, limit)):
            source = (image.name, rows, columns, 0)
            graph[(name, len(sizes), 0)] = (_take_rows, source, start, stop)
            sizes.append(stop - start)
    return da.Array(
        HighLevelGraph.from_collections(name, graph, dependencies=[image]),
        name,
        chunks=(tuple(sizes), (3,)),
        meta=np.empty((0, 3), dtype=np.float32),
    )


def draw_initial_centroids(
    image: da.Array, *, n_clusters: int, seed: int, compute: Callable[[Delayed], Any]
) -> NDArray[np.float32]:
    """Draw distinct colours of an image by hash, to start k-means from.

    **Eager**: computes through ``compute``, once a round, reading only chunks with a drawn pixel.

    Parameters
    ----------
    image : dask.array.Array
        sRGB uint8 ``(y, x, 3)``, any chunks of known size.
    n_clusters : int
        Colours to draw, at least 1.
    seed : int
        0 to 2**63 - 1. With the image's pixels, and not its chunks, it determines the result.
    compute : callable
        Computes a `Delayed` where the caller wants it computed.

    Returns
    -------
    ndarray
        float32 ``(n_clusters, 3)``: the first distinct colours drawn, in draw order.

    Raises
    ------
    FitError
        When the draws hold too few distinct colours.
    PixelFormatError
        When the image is not of that kind, or is empty.
    """
    _check_image(image)
    n_pixels = image.shape[0] * image.shape[1]
    n_draws = _FIRST_DRAWS_PER_COLOR * n_clusters
    first_draw = 0
    colors: dict[tuple[int, int, int], None] = {}
    for _ in range(_MAX_ROUNDS):
        n_draws = min(n_draws, _MAX_DRAWS_PER_ROUND)
        indices = draw_pixel_indices(seed, n_pixels, n_draws, first_draw=first_draw)
        drawn = compute(gather_pixels(image, indices))
        colors |= dict.fromkeys(map(tuple, drawn.tolist()))
        if len(colors) >= n_clusters:
            return np.array(list(colors)[:n_clusters], dtype=np.float32)
        first_draw += n_draws
        n_draws *= 2
    message = (
        f"Found {len(colors)} distinct colours in {first_draw} drawn pixels, and dask-ml needs "
        f"{n_clusters} to start from; ask for at most {len(colors)} or use the histogram engine."
    )
    raise FitError(message)


def fit_dask_ml(
    image: da.Array,
    *,
    n_clusters: int,
    initial_centroids: NDArray[np.float32],
    max_iter: int,
    tol: float,
    seed: int,
    persist: bool = False,
) -> DaskMLFit:
    """Fit `dask_ml.cluster.KMeans` on all pixels of an image.

    **Eager**: computes on the current scheduler, the active client or what Dask is set to.

    Parameters
    ----------
    image : dask.array.Array
        sRGB uint8 ``(y, x, 3)``, any chunks of known size.
    n_clusters : int
        Number of centroids, at least 1.
    initial_centroids : ndarray
        sRGB levels, float32 ``(n_clusters, 3)``, see `draw_initial_centroids`.
    max_iter : int
        Most iterations, at least 1.
    tol : float
        dask-ml's own: stop once the squared shift, summed over all centroids and channels, is below
        it. The square of a largest shift in sRGB levels is a safe value for it.
    seed : int
        Passed on as ``random_state``, modulo 2**32; with initial centroids given, it draws nothing.
    persist : bool, default False
        Keep the float32 rows in memory, on the workers where there are any, instead of reading and
        decoding the image anew in each of the ``n_iter + 2`` or so passes.

    Returns
    -------
    DaskMLFit
        Centroids and iterations.

    Raises
    ------
    PixelFormatError
        When the image is not of that kind, or is empty.

    Notes
    -----
    Memory: 67 bytes per pixel of a chunk for each thread (measured, k = 16), its decoded block, and
    with ``persist`` 12 bytes a pixel over all workers for as long as the fit runs. Time:
    ``n_pixels * n_clusters`` an iteration.
    """
    import dask_ml.cluster

    assert initial_centroids.shape == (n_clusters, 3), "one initial centroid per cluster"
    rows = pixel_rows(image)
    if persist:
        rows = rows.persist()
    model = dask_ml.cluster.KMeans(
        n_clusters=n_clusters,
        init=np.asarray(initial_centroids, dtype=np.float32),
        max_iter=max_iter,
        tol=tol,
        random_state=seed % 2**32,
    ).fit(rows)
    return DaskMLFit(np.asarray(model.cluster_centers_, dtype=np.float64), int(model.n_iter_))


def _check_image(image: da.Array) -> None:
    """Raise `PixelFormatError` unless ``image`` is uint8 ``(y, x, 3)`` of known size, not empty."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        message = f"Got {image.dtype} pixels of shape {image.shape}; uint8 (y, x, 3) is needed."
        raise PixelFormatError(message)
    n_pixels = image.shape[0] * image.shape[1]
    if not n_pixels >= 1:  # False for an unknown size, NaN, as well
        message = f"Got an image of shape {image.shape}; known sizes of at least 1 are needed."
        raise PixelFormatError(message)


def _cut_evenly(length: int, limit: int) -> list[int]:
    """Return the bounds, both ends included, of the fewest even pieces of at most ``limit``."""
    n_pieces = -(-length // limit)
    return [length * piece // n_pieces for piece in range(n_pieces + 1)]


def _take_rows(block: NDArray[np.uint8], start: int, stop: int) -> NDArray[np.float32]:
    """Return pixels start to stop of a block ``(y, x, 3)`` as float32 ``(stop - start, 3)``."""
    return np.asarray(block).reshape(-1, 3)[start:stop].astype(np.float32)


def plan_fit_bytes(n_pixels: int, *, n_threads: int, persists: bool) -> int:
    """Return the bytes that `fit_dask_ml` takes in all processes, as an upper bound.

    Parameters
    ----------
    n_pixels : int
        Pixels of the image.
    n_threads : int
        Chunks that are worked on side by side.
    persists : bool
        Whether the rows are kept in memory.
    """
    rows = min(n_pixels, MAX_CHUNK_ROWS)
    kept = n_pixels * ROW_BYTES if persists else 0
    return kept + n_threads * rows * (ROW_BYTES + ITERATION_BYTES_PER_ROW)
