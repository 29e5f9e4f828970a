"""`ScalableKMeans` as scikit-learn and dask-ml have estimators: their checks, and ours of Dask."""

import os
import pickle
import subprocess
import sys
from functools import partial

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from dask_quant.scalable import ScalableKMeans

ROWS = np.random.default_rng(0).normal(size=(300, 4))

LAZY = da.from_array(ROWS, chunks=(70, 3))

CANNOT_HOLD = {
    "check_sample_weight_equivalence_on_dense_data": (
        "first centres are drawn by the numbers of rows, and repeating a row gives those after it "
        "other numbers; given first centres, the check holds, see below"
    ),
}
"""Checks that fail, and why they cannot do else; scikit-learn's own KMeans fails this one, too."""

CANNOT_HOLD_OF_SAMPLES = CANNOT_HOLD | {
    "check_transformer_n_iter": (
        "n_iter_ counts moves on all rows, and the fit of the sample has left none to do"
    ),
}
"""The same where centres are fitted to a sample first."""

FAILURES = {"k-means||": CANNOT_HOLD, "k-means++": CANNOT_HOLD_OF_SAMPLES}
"""Checks that fail, by what the estimator begins with."""

NEEDS_ARRAY_API = "check_array_api_input"
"""The check that SciPy must be made ready for before it is imported, and so is run elsewhere."""

MORE_CHECKS = (
    estimator_checks.check_dataframe_column_names_consistency,
    estimator_checks.check_f_contiguous_array_estimator,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_inplace_ensure_writeable,
    estimator_checks.check_non_transformer_estimators_n_iter,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
)
"""Checks that scikit-learn runs on its own estimators alone."""


def fit(rows, weights=None, **options):
    options = {"n_clusters": 3, "random_state": 0} | options
    return ScalableKMeans(**options).fit(rows, sample_weight=weights)


@pytest.fixture(scope="module")
def model():
    return fit(LAZY)


def name_of(check):
    return (check.func if isinstance(check, partial) else check).__name__


@parametrize_with_checks(
    [ScalableKMeans(n_clusters=3, init=init) for init in FAILURES],
    expected_failed_checks=lambda estimator: FAILURES[estimator.init],
    xfail_strict=True,
)
def test_scikit_learn_finds_an_estimator(estimator, check):
    if name_of(check) != NEEDS_ARRAY_API:  # see the next test
        check(estimator)


def test_scikit_learn_finds_an_estimator_where_arrays_have_one_api():
    script = (
        "from sklearn.utils import estimator_checks\n"
        "from dask_quant.scalable import ScalableKMeans\n"
        f"check, model = estimator_checks.{NEEDS_ARRAY_API}, ScalableKMeans(n_clusters=3)\n"
        "check('ScalableKMeans', model, array_namespace='numpy')\n"
        "print('passed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == ["passed"]


# Some of the checks give frames to a model of arrays, or arrays to one of frames, on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize("check", MORE_CHECKS, ids=name_of)
def test_it_passes_what_scikit_learn_asks_of_its_own(check):
    check("ScalableKMeans", ScalableKMeans(n_clusters=3))


@pytest.mark.parametrize("init", FAILURES)
def test_no_check_is_left_out(init):
    results = estimator_checks.check_estimator(
        ScalableKMeans(n_clusters=3, init=init),
        expected_failed_checks=FAILURES[init],
        on_skip=None,
    )
    by_status = {}
    for result in results:
        by_status.setdefault(result["status"], set()).add(result["check_name"])
    assert by_status.pop("xfail") == set(FAILURES[init])
    assert by_status.pop("skipped", set()) <= {NEEDS_ARRAY_API}
    assert by_status.keys() == {"passed"}


def test_weights_are_repetition_where_the_first_centers_are_given():
    start = np.random.default_rng(1).uniform(size=(3, 30))
    estimator_checks.check_sample_weight_equivalence_on_dense_data(
        "ScalableKMeans", ScalableKMeans(n_clusters=3, init=start)
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.where(np.arange(300) == 7, -2.0, 1.0), "Got sample_weight from -2 to 1;"),
        (np.where(np.arange(300) == 7, np.nan, 1.0), "Got sample_weight from nan to nan;"),
        (np.where(np.arange(300) == 7, np.inf, 1.0), "Got sample_weight from 1 to inf;"),
        (np.zeros(300), "Got sample_weight that is zero for every row"),
        (np.ones((300, 1)), r"Got sample_weight of shape \(300, 1\); \(300,\)"),
        (np.ones(299), r"Got sample_weight of shape \(299,\)"),
        (1.0, r"Got sample_weight of shape \(\)"),
        (np.full(300, 1j), "Got sample_weight of complex128"),
        (["heavy"] * 300, "Got sample_weight of <U5"),
    ],
)
def test_weights_that_are_none_are_refused(model, weights, message):
    for given in (weights, da.from_array(np.asarray(weights), chunks=90)):
        with pytest.raises(ValueError, match=message):
            fit(LAZY, given)
        with pytest.raises(ValueError, match=message):
            model.score(LAZY, sample_weight=given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_clusters": 0}, "Got n_clusters=0; an integer of at least 1"),
        ({"n_clusters": 2.5}, r"Got n_clusters=2\.5"),
        ({"max_iter": -1}, "Got max_iter=-1"),
        ({"n_init": 0}, "Got n_init=0"),
        ({"n_init": None}, "Got n_init=None"),
        ({"init_max_iter": 0}, "Got init_max_iter=0"),
        ({"tol": -1e-4}, r"Got tol=-0\.0001"),
        ({"tol": float("nan")}, "Got tol=nan"),
        ({"oversampling_factor": "2"}, "Got oversampling_factor='2'"),
        ({"init": np.full((3, 4), np.nan)}, "Got an init with NaN"),
    ],
)
def test_parameters_out_of_range_are_refused_when_fitting(wrong, message):
    with pytest.raises(ValueError, match=message):
        fit(LAZY, **wrong)


METHODS = ["predict", "transform", "score"]


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_other_features_are_refused(model, method):
    for rows in (ROWS[:, :3], LAZY[:, :3], np.hstack([ROWS, ROWS])):
        with pytest.raises(ValueError, match=r"X has . features, but .* expecting 4"):
            getattr(model, method)(rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_rows_that_are_not_finite_are_refused_when_they_are_computed(model, method, value):
    spoilt = ROWS.copy()
    spoilt[250, 2] = value
    lazy = da.from_array(spoilt, chunks=(70, 3))
    for rows in (spoilt, lazy):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            np.asarray(getattr(model, method)(rows))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (da.zeros((0, 4)), r"0 sample\(s\)"),
        (da.zeros((9, 0)), r"0 feature\(s\)"),
        (da.zeros(9), "Expected 2D array"),
        (da.zeros((9, 4, 1)), "dim 3"),
        (LAZY + 1j, "Complex data not supported"),
        (LAZY.map_blocks(scipy.sparse.csr_matrix), "csr_matrix chunks; dense NumPy"),
        (LAZY[LAZY[:, 0] > 0], "unknown chunk sizes"),
        (scipy.sparse.csr_matrix(ROWS), "Sparse data was passed"),
    ],
    ids=["no rows", "no features", "1-d", "3-d", "complex", "sparse blocks", "unknown", "sparse"],
)
def test_what_are_no_rows_is_refused(model, rows, message):
    for ask in (fit, model.predict, model.transform, model.score):
        with pytest.raises((ValueError, TypeError), match=message):
            ask(rows)


def test_blocks_of_no_rows_do_no_harm(model):
    rows = da.from_array(ROWS, chunks=((0, 100, 0, 200, 0), 4))
    again = fit(rows)
    np.testing.assert_array_equal(again.cluster_centers_, model.cluster_centers_)
    np.testing.assert_array_equal(again.predict(rows), model.labels_)
    assert again.score(rows) == model.score(ROWS)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16"])
def test_distances_are_lazy_for_dask_and_numpy_for_numpy(dtype):
    rows = (ROWS * 20 + 90).astype(dtype)
    model = fit(rows)
    offsets = rows[:, np.newaxis].astype(float) - model.cluster_centers_.astype(float)
    expected = np.sqrt(np.square(offsets).sum(axis=2))
    at_once = model.transform(rows)
    lazy = model.transform(da.from_array(rows, chunks=(70, 3)))
    assert isinstance(at_once, np.ndarray)
    assert isinstance(lazy, da.Array)
    assert at_once.dtype == lazy.dtype == (np.float32 if dtype == "float32" else np.float64)
    assert lazy.shape == (300, 3)
    np.testing.assert_allclose(at_once, expected, rtol=1e-6)
    np.testing.assert_array_equal(lazy.compute(), at_once)
    np.testing.assert_array_equal(at_once.argmin(axis=1), model.labels_)
    np.testing.assert_array_equal(fit(rows).fit_transform(rows), at_once)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_score_is_minus_the_inertia_whatever_the_chunks(weighted):
    weights = np.random.default_rng(2).integers(0, 4, 300) / 3 if weighted else None
    model = fit(ROWS, weights)
    scores = {
        model.score(rows, sample_weight=weights)
        for rows in (ROWS, LAZY, da.from_array(ROWS, chunks=(1, 4)), pd.DataFrame(ROWS))
    }
    assert len(scores) == 1
    assert scores.pop() == pytest.approx(-model.inertia_, rel=1e-9)
    nearest = np.square(model.transform(ROWS)).min(axis=1)
    expected = nearest.sum() if weights is None else nearest @ weights
    # Weights are rounded to 22 bits.
    assert model.inertia_ == pytest.approx(expected, rel=1e-9 if weights is None else 1e-6)


def test_rows_without_weight_are_not_scored(model):
    spoilt = np.where(np.arange(300)[:, np.newaxis] % 3 == 0, np.nan, ROWS)
    weights = (np.arange(300) % 3 > 0).astype(float)
    assert model.score(spoilt, sample_weight=weights) == model.score(ROWS[weights > 0])


def test_fitting_and_predicting_in_one_go_is_as_lazy_as_the_rows(model):
    at_once = ScalableKMeans(3, random_state=0).fit_predict(ROWS)
    lazy = ScalableKMeans(3, random_state=0).fit_predict(LAZY)
    assert isinstance(at_once, np.ndarray)
    assert isinstance(lazy, da.Array)
    np.testing.assert_array_equal(at_once, model.labels_)
    np.testing.assert_array_equal(lazy, at_once)
    weights = np.arange(300.0)
    weighted = ScalableKMeans(3, random_state=0).fit_predict(ROWS, sample_weight=weights)
    np.testing.assert_array_equal(weighted, fit(ROWS, weights).labels_)


def test_frames_give_their_names_and_their_kind(model):
    frame = pd.DataFrame(ROWS, columns=list("abcd"))
    lazy_frame = dd.from_pandas(frame, npartitions=3)
    for rows, weights in ((frame, frame["a"].abs()), (lazy_frame, lazy_frame["a"].abs())):
        named = fit(rows, weights)
        assert named.feature_names_in_.tolist() == list("abcd")
        expected = fit(ROWS, np.abs(ROWS[:, 0])).cluster_centers_
        np.testing.assert_array_equal(named.cluster_centers_, expected)
        assert isinstance(named.predict(frame), np.ndarray)
        for ask in (named.predict, named.transform):
            assert isinstance(ask(lazy_frame), da.Array)
            np.testing.assert_array_equal(ask(lazy_frame), ask(frame))
        for other in (frame.rename(columns={"a": "z"}), lazy_frame.rename(columns={"a": "z"})):
            with pytest.raises(ValueError, match="feature names should match"):
                named.predict(other)


def test_it_is_a_clusterer_whose_distances_have_names(model):
    assert sklearn.base.is_clusterer(model)
    assert model.get_feature_names_out().tolist() == [f"scalablekmeans{n}" for n in range(3)]
    pipeline = make_pipeline(StandardScaler(), ScalableKMeans(3, random_state=0))
    frame = pipeline.set_output(transform="pandas").fit_transform(ROWS)
    assert frame.columns.tolist() == model.get_feature_names_out().tolist()
    assert pipeline.score(ROWS) == pytest.approx(-pipeline[-1].inertia_, rel=1e-9)


def test_clones_and_pickles_behave_the_same(model):
    loaded = pickle.loads(pickle.dumps(model))
    again = sklearn.base.clone(model).fit(LAZY)
    for other in (loaded, again):
        assert other.get_params() == model.get_params()
        assert (other.inertia_, other.n_iter_) == (model.inertia_, model.n_iter_)
        np.testing.assert_array_equal(other.labels_, model.labels_)
        np.testing.assert_array_equal(other.transform(ROWS), model.transform(ROWS))


def test_weights_are_routed_where_they_are_requested():
    weights = np.arange(300.0)
    with sklearn.config_context(enable_metadata_routing=True):
        last = ScalableKMeans(3, random_state=0).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(last).fit(ROWS, sample_weight=weights)
    np.testing.assert_array_equal(
        pipeline[-1].cluster_centers_, fit(ROWS, weights).cluster_centers_
    )
