"""Whole jobs with the dask-ml engine: on workers, from Python and from the command line."""

import json
import os

import dask.array as da
import dask_ml.cluster
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import dask_quant as dq
from dask_quant.errors import FewerColorsWarning, FitError
from dask_quant.faces.cli import cli
from dask_quant.graphs.scalable import draw_initial_centroids


@pytest.fixture
def fitted_on(monkeypatch):
    """What `KMeans.fit` received, call by call, and its rows as they were then."""
    received = []
    original = dask_ml.cluster.KMeans.fit

    def fit(self, X, y=None):
        received.append((X, X.compute()))
        return original(self, X, y)

    monkeypatch.setattr(dask_ml.cluster.KMeans, "fit", fit)
    return received


@pytest.fixture
def file(photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return path


def sort_rows(rows):
    rows = np.asarray(rows, dtype=np.int64).reshape(-1, 3)
    return rows[np.lexsort(rows.T)]


def assert_fitted_on_all(fitted_on, pixels):
    ((rows, values),) = fitted_on
    assert isinstance(rows, da.Array)
    assert rows.numblocks[0] >= 2
    np.testing.assert_array_equal(sort_rows(values), sort_rows(pixels))


def assert_holds(path, pixels, n_colors, mse):
    """Check that an indexed PNG has that many colours and is that far from the pixels."""
    with Image.open(path) as image:
        assert image.mode == "P"
        painted = np.asarray(image.convert("RGB"), dtype=np.int64)
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == n_colors
    error = np.square(painted - pixels).sum() / (painted.size / 3)
    assert mse == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("chunks", [None, (64, 100)])
def test_quantize_fits_on_every_pixel_on_the_workers(
    chunks, client, file, photo, fitted_on, tmp_path
):
    report = dq.quantize(
        file, tmp_path / "out.png", n_colors=7, engine="dask-ml", max_iter=4, chunks=chunks
    )
    assert_fitted_on_all(fitted_on, photo)
    assert report.engine == "dask-ml"
    assert report.n_colors == 7
    assert 1 <= report.n_iter <= 4
    assert_holds(tmp_path / "out.png", photo, 7, report.mse)
    assert client.status == "running"


def test_the_command_fits_on_every_pixel_on_a_scheduler(client, file, photo, fitted_on, tmp_path):
    out = tmp_path / "out.png"
    arguments = ["--engine=dask-ml", "-k6", "--max-iter=3", "--json"]
    arguments += [f"--scheduler={client.scheduler.address}"]
    done = CliRunner().invoke(cli, ["quantize", str(file), "-o", str(out), *arguments])
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert_fitted_on_all(fitted_on, photo)
    assert report["engine"] == "dask-ml"
    assert len(report["palette"]) == len(set(report["palette"])) == 6
    assert sum(report["counts"]) == report["n_pixels"] == photo.size // 3
    assert_holds(out, photo, 6, report["mse"])
    assert report["peak_rss_bytes"] > 3 * 100e6  # the driver and two workers
    assert sorted(os.listdir(tmp_path)) == ["out.png", "photo.png"]


def test_no_more_colors_than_there_are_come_back_exactly(client, tmp_path):
    pixels = np.repeat(np.arange(15, dtype=np.uint8).reshape(5, 1, 3), 40, axis=1)
    with pytest.warns(FewerColorsWarning, match="5 colours"):
        report = dq.quantize(pixels, tmp_path / "out.png", n_colors=9, engine="dask-ml")
    assert report.mse == 0
    assert_holds(tmp_path / "out.png", pixels, 5, 0)


@pytest.fixture(scope="module")
def rare():
    """Black pixels and, among 90,000, 40 of other colours: too rare to be drawn."""
    pixels = np.zeros((300, 300, 3), dtype=np.uint8)
    pixels[:280:7, 0, 0] = np.arange(100, 140)
    pixels[:280:7, 0, 1] = np.arange(140, 100, -1)
    return pixels


def test_rare_colors_that_draws_miss_are_found_in_the_counts(rare, tmp_path):
    with pytest.raises(FitError):
        draw_initial_centroids(
            da.from_array(rare), n_clusters=38, seed=0, compute=lambda task: task.compute()
        )
    reports = [
        dq.quantize(
            rare,
            tmp_path / f"{seed}-{chunks}.png",
            n_colors=38,
            engine="dask-ml",
            max_iter=1,
            seed=seed,
            chunks=chunks,
        )
        for seed, chunks in ((0, (300, 300)), (0, (70, 200)), (1, (150, 300)))
    ]
    for path in tmp_path.iterdir():
        assert_holds(path, rare, 38, next(r.mse for r in reports if r.outputs == (str(path),)))
    assert reports[0].palette.hex == reports[1].palette.hex
    assert reports[0].palette.hex != reports[2].palette.hex
