"""Law 2 for rasters: neither chunks, scheduler nor waves show in classes and files."""

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dask_quant as dq
from dask_quant import execute

HEIGHT, WIDTH = 60, 70


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(8)
    slopes = np.add.outer(np.arange(HEIGHT), 2 * np.arange(WIDTH))[..., np.newaxis]
    noisy = slopes * [1.0, 0.3, -0.5] + rng.normal(0, 9, (HEIGHT, WIDTH, 3))
    noisy[rng.random((HEIGHT, WIDTH)) < 0.05] = np.nan
    return noisy.astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "init", "pca"),
    [(".tif", "k-means++", None), (".zarr", "k-means||", None), (".zarr", "k-means++", 2)],
)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.tuples(st.integers(1, 70), st.integers(1, 80)),
    asked=st.none() | st.tuples(st.integers(5, 80), st.integers(5, 80)),
    scheduler=st.sampled_from(["threads", "synchronous"]),
    wave=st.sampled_from([3, 2048]),
)
def test_chunks_scheduler_and_waves_do_not_show(
    tmp_path_factory, samples, digest_output, suffix, init, pca, chunks, asked, scheduler, wave
):
    folder = tmp_path_factory.mktemp("same")
    options = {"n_clusters": 5, "init": init, "scale": "standard", "pca": pca}
    expected = dq.segment(samples, folder / f"whole{suffix}", **options)
    height, width = (max(5, size) for size in chunks)
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler=scheduler):
        patch.setattr(execute, "MAX_TASKS_PER_GRAPH", wave)
        cut = da.from_array(samples, chunks=(height, width, 2))
        found = dq.segment(cut, folder / f"cut{suffix}", chunks=asked, **options)
    assert digest_output(folder / f"cut{suffix}") == digest_output(folder / f"whole{suffix}")
    np.testing.assert_array_equal(found.model.centers, expected.model.centers)
    assert found.table.to_records() == expected.table.to_records()
    assert (found.inertia, found.n_iter) == (expected.inertia, expected.n_iter)
