"""k-means on dask-ml's interface: exact whatever the chunks, true to what it says of itself."""

import dask
import dask.array as da
import dask_ml.cluster
import numpy as np
import pytest
import sklearn.cluster
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import dask_quant as dq
from dask_quant.scalable import ScalableKMeans


@pytest.fixture(scope="module")
def clumps():
    """Seven clumps of five features, overlapping, float32."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 100, (7, 5))
    return (centers[rng.integers(0, 7, 6000)] + rng.normal(0, 9, (6000, 5))).astype(np.float32)


def fit(rows, *, chunks=1000, weights=None, **options):
    array = da.from_array(rows, chunks=(chunks, -1))
    return ScalableKMeans(**{"n_clusters": 7, "random_state": 0} | options).fit(
        array, sample_weight=weights
    )


def measure(rows, centers):
    """Squared distances of every row to every centre, feature after feature."""
    distances = np.zeros((len(rows), len(centers)))
    for feature in range(rows.shape[1]):
        offsets = rows[:, feature, np.newaxis].astype(float) - centers[:, feature].astype(float)
        distances += offsets * offsets
    return distances


INITS = ["k-means||", "k-means++"]


@pytest.mark.parametrize("init", INITS)
def test_neither_chunks_nor_scheduler_show_in_a_single_bit(clumps, init):
    found = []
    for chunks, scheduler in ((6000, "synchronous"), (1000, "threads"), (777, "threads")):
        with dask.config.set(scheduler=scheduler):
            model = fit(clumps, chunks=chunks, init=init, n_init=2)
        labels = model.labels_.compute().tobytes()
        found.append((model.cluster_centers_.tobytes(), labels, model.inertia_, model.n_passes_))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("init", INITS)
def test_labels_and_inertia_are_those_of_the_centers(clumps, init, dtype):
    rows = (clumps * 2).clip(0, 255).astype(dtype)
    model = fit(rows, init=init)
    distances = measure(rows, model.cluster_centers_)
    labels = model.labels_.compute()
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))
    assert model.inertia_ == pytest.approx(distances.min(axis=1).sum(), rel=1e-6)
    assert model.cluster_centers_.dtype == (np.float32 if dtype == "float32" else np.float64)


def test_it_is_dask_mls_and_takes_its_parameters():
    assert issubclass(ScalableKMeans, dask_ml.cluster.KMeans)
    ours, theirs = ScalableKMeans().get_params(), dask_ml.cluster.KMeans().get_params()
    assert ours == theirs
    assert dq.ScalableKMeans is ScalableKMeans


@pytest.mark.parametrize("init", INITS)
def test_it_ends_as_low_as_scikit_learn(clumps, init):
    theirs = sklearn.cluster.KMeans(7, n_init=10, random_state=0).fit(clumps)
    assert fit(clumps, init=init, n_init=5).inertia_ < 1.0005 * theirs.inertia_


def test_it_never_ends_above_where_it_began(clumps):
    start = clumps[:7].astype(float)
    began = measure(clumps, start).min(axis=1).sum()
    inertias = [fit(clumps, init=start, max_iter=n).inertia_ for n in (1, 2, 5, 30)]
    assert began > inertias[0] > inertias[1] > inertias[2] >= inertias[3]


def test_a_weight_of_three_is_three_rows(clumps):
    rows = np.rint(clumps[:500])
    weights = np.random.default_rng(1).integers(0, 4, 500)
    start = rows[weights > 0][:7].astype(float)
    weighted = fit(rows, chunks=90, weights=weights.astype(float), init=start)
    repeated = fit(np.repeat(rows, weights, axis=0), chunks=90, init=start)
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, rtol=1e-6)
    assert weighted.inertia_ == pytest.approx(repeated.inertia_, rel=1e-9)


@pytest.mark.parametrize("init", INITS)
def test_rows_of_no_weight_may_hold_anything(clumps, init):
    spoilt = clumps[:3000].copy()
    spoilt[::3] = np.nan
    weights = np.ones(3000)
    weights[::3] = 0.0
    model = fit(spoilt, weights=da.from_array(weights, chunks=700), init=init)
    distances = measure(spoilt[weights > 0], model.cluster_centers_)
    assert model.inertia_ == pytest.approx(distances.min(axis=1).sum(), rel=1e-6)


def test_centers_that_win_nothing_go_to_the_furthest_rows(clumps):
    start = np.concatenate([clumps[:2].astype(float), np.repeat(clumps[:1].astype(float), 5, 0)])
    model = fit(clumps, init=start)
    assert np.bincount(model.labels_.compute(), minlength=7).min() > 0


def test_fewer_distinct_rows_than_clusters_are_all_centers():
    rows = np.repeat([[0.0, 1.0], [5.0, 5.0], [9.0, 0.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="3 distinct clusters"):
        model = fit(rows, chunks=7)
    assert model.cluster_centers_.shape == (7, 2)
    assert set(map(tuple, model.cluster_centers_.tolist())) == {(0, 1), (5, 5), (9, 0)}
    assert model.inertia_ == 0.0


def test_passes_are_counted(clumps):
    reads = []

    def look(block):
        reads.append(len(block))
        return block

    rows = da.from_array(clumps, chunks=(6000, -1)).map_blocks(look, meta=clumps[:0])
    reads.clear()
    model = ScalableKMeans(7, init="k-means++", random_state=0).fit(rows)
    assert len(reads) == model.n_passes_ <= model.n_iter_ + 2
    reads.clear()
    model = ScalableKMeans(7, random_state=0, n_init=3, max_iter=2, tol=0).fit(rows)
    assert len(reads) == model.n_passes_ == 1 + 5 + 1 + 3  # look, draw, weigh; two moves


def test_prediction_is_lazy_for_dask_and_numpy_for_numpy(clumps):
    model = fit(clumps)
    lazy = model.predict(da.from_array(clumps[:50], chunks=(20, -1)))
    assert isinstance(lazy, da.Array)
    at_once = model.predict(clumps[:50])
    assert isinstance(at_once, np.ndarray)
    np.testing.assert_array_equal(lazy.compute(), at_once)
    np.testing.assert_array_equal(at_once, model.labels_[:50].compute())


def test_what_cannot_be_fitted_is_refused(clumps):
    with pytest.raises(ValueError, match="NaN"):
        fit(np.where(clumps > 50, np.nan, clumps))
    with pytest.raises(ValueError, match=r"n_samples=3 should be >= n_clusters=7"):
        fit(clumps[:3])
    with pytest.raises(ValueError, match=r"init of shape \(2, 5\); \(7, 5\)"):
        fit(clumps, init=np.zeros((2, 5)))
    with pytest.raises(ValueError, match="init='best'"):
        fit(clumps, init="best")
    with pytest.raises(ValueError, match=r"sample_weight of shape \(3,\)"):
        fit(clumps, weights=np.ones(3))
    with pytest.raises(NotFittedError):
        ScalableKMeans().predict(clumps)


def test_a_pass_reads_every_block_once(clumps):
    reads = []

    def read(block):
        reads.append(len(block))
        return block

    rows = da.from_array(clumps, chunks=(1000, -1)).map_blocks(
        read, dtype=clumps.dtype, meta=clumps[:0]
    )
    weights = (rows[:, 0] > 10).astype(float)
    model = ScalableKMeans(7, init="k-means++", random_state=0).fit(rows, sample_weight=weights)
    assert len(reads) == 6 * model.n_passes_
