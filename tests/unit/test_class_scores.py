"""Scores of numbers of classes: those of scikit-learn, and what they suggest."""

import csv
import io
import json

import numpy as np
import pytest
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

import dask_quant as dq


@pytest.fixture(scope="module")
def samples():
    """Four clumps of three bands, as far from one another, and some pixels that are none."""
    rng = np.random.default_rng(2)
    middles = 2000.0 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
    samples = middles[rng.integers(0, 4, (80, 90))] + rng.normal(0, 120, (80, 90, 3))
    samples[5:9] = np.nan
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def curve(samples):
    return dq.score_classes(samples, range(1, 9), max_iter=100, tol=0)


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_scores_are_those_of_scikit_learn_for_the_same_classes(samples, k):
    (score,) = dq.score_classes(samples, [k], max_iter=100, tol=0).scores
    report = dq.segment(samples, n_clusters=k, max_iter=100, tol=0)
    valid = np.isfinite(samples).all(axis=2)
    rows = samples[valid].astype(float)
    labels = dq.label_classes(samples, report.model).compute()[valid]
    assert score.inertia == pytest.approx(report.inertia, rel=1e-9)
    assert score.explained_variance == pytest.approx(report.explained_variance, rel=1e-9)
    assert score.calinski_harabasz == pytest.approx(calinski_harabasz_score(rows, labels), 1e-6)
    assert score.davies_bouldin == pytest.approx(davies_bouldin_score(rows, labels), rel=1e-6)
    assert score.silhouette == pytest.approx(silhouette_score(rows, labels), abs=0.01)  # a sample's


def test_all_indices_find_the_clumps(curve):
    assert (curve.elbow, curve.best_calinski_harabasz) == (4, 4)
    assert (curve.best_davies_bouldin, curve.best_silhouette) == (4, 4)
    inertias = [score.inertia for score in curve.scores]
    assert inertias == sorted(inertias, reverse=True)


def test_one_class_has_no_index(curve):
    first = curve.scores[0]
    assert (first.n_clusters, first.explained_variance) == (1, pytest.approx(0.0, abs=1e-9))
    assert (first.calinski_harabasz, first.davies_bouldin, first.silhouette) == (None,) * 3


def test_all_numbers_share_their_passes(samples):
    assert dq.score_classes(samples, range(2, 7), max_iter=1).n_passes <= 3


def test_files_of_scores_read_back(samples, tmp_path):
    for suffix in ("csv", "json", "png"):
        curve = dq.score_classes(samples, (3, 2), tmp_path / f"scores.{suffix}", scale="minmax")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text())))
    assert [int(row["n_clusters"]) for row in rows] == [2, 3]
    assert [float(row["inertia"]) for row in rows] == [score.inertia for score in curve.scores]
    assert json.loads((tmp_path / "scores.json").read_text()) == curve.to_json()
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(dq.OutputExistsError):
        dq.score_classes(samples, [2], tmp_path / "scores.csv")
    with pytest.raises(dq.OptionError, match=r"scores\.txt"):
        dq.score_classes(samples, [2], tmp_path / "scores.txt")
