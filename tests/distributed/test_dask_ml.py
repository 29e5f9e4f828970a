import os

import dask
import dask.array as da
import dask_ml.cluster
import numpy as np
import pytest
from distributed import get_task_stream, wait

from dask_quant.cluster import open_client
from dask_quant.graphs.scalable import draw_initial_centroids, fit_dask_ml
from dask_quant.options import ClusterOptions

PIXELS = np.random.default_rng(5).integers(0, 256, (120, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def client():
    with open_client(ClusterOptions(workers=2)) as client:
        yield client


@pytest.fixture
def fitted_on(monkeypatch):
    """What `KMeans.fit` received, call by call; the real one still runs."""
    received = []
    original = dask_ml.cluster.KMeans.fit

    def fit(self, X, y=None):
        received.append(X)
        return original(self, X, y)

    monkeypatch.setattr(dask_ml.cluster.KMeans, "fit", fit)
    return received


def open_on_workers(chunks):
    """`PIXELS` as an image whose blocks cannot be made in this process."""
    driver = os.getpid()

    def forbid_driver(block):
        # Nested, so that it travels by value: workers cannot import this module.
        assert os.getpid() != driver, "a block was made in the client's process"
        return block

    return da.from_array(PIXELS, chunks=chunks).map_blocks(
        forbid_driver, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8)
    )


def fit(image, n_clusters=6, **options):
    start = draw_initial_centroids(
        image, n_clusters=n_clusters, seed=0, compute=lambda task: task.compute()
    )
    settings = {"max_iter": 3, "tol": 0.0, "seed": 0, **options}
    return fit_dask_ml(image, n_clusters=n_clusters, initial_centroids=start, **settings)


def sorted_rows(rows):
    rows = np.asarray(rows).reshape(-1, 3)
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("persist", [False, True])
@pytest.mark.parametrize("chunks", [-1, (50, 90, 3), (40, 40, 3)])
def test_kmeans_receives_every_pixel_in_chunks_made_on_the_workers(
    chunks, persist, client, fitted_on
):
    with get_task_stream(client) as stream:
        result = fit(open_on_workers(chunks), persist=persist)
    (rows,) = fitted_on
    workers = set(client.nthreads())
    assert len(workers) == 2
    assert os.getpid() not in client.run(os.getpid).values()

    assert isinstance(rows, da.Array)
    assert rows.dtype == np.float32
    assert rows.numblocks[0] >= 2
    np.testing.assert_array_equal(sorted_rows(rows.compute()), sorted_rows(PIXELS))

    made = [task for task in stream.data if "pixel-rows" in str(task["key"])]
    assert len({task["key"] for task in made}) >= 2
    assert {task["worker"] for task in made} <= workers
    assert result.n_iter == 3


def test_persisted_rows_lie_on_the_workers_and_are_read_once(client, fitted_on):
    with get_task_stream(client) as stream:
        fit(open_on_workers((30, 90, 3)), persist=True)
    (rows,) = fitted_on
    wait(rows)
    places = client.who_has(rows)
    assert len(places) == rows.numblocks[0] == 4
    assert all(places.values())
    assert {worker for holders in places.values() for worker in holders} <= set(client.nthreads())
    made = [task["key"] for task in stream.data if str(task["key"]).startswith("('pixel-rows-")]
    assert len(made) == 4


def test_the_cluster_finds_what_threads_find(client):
    image = da.from_array(PIXELS, chunks=(50, 90, 3))
    on_cluster = fit(image)
    with dask.config.set(scheduler="threads"):
        on_threads = fit(image)
    assert on_cluster.n_iter == on_threads.n_iter
    np.testing.assert_array_equal(on_cluster.centroids, on_threads.centroids)
