"""Whole jobs with the engine ``scalable``, on workers and on threads."""

import dask
import dask.array as da
import pytest
from distributed import get_task_stream

import dask_quant as dq
from dask_quant import row_flow


@pytest.fixture
def small_sample(monkeypatch):
    """Samples of 3,000 pixels, so that there is something left to do in the passes."""
    monkeypatch.setattr(row_flow, "SAMPLE_NUMBERS", 3 * 3000)


@pytest.mark.parametrize("suffix", [".png", ".zarr"])
def test_workers_write_what_threads_write(
    suffix, client, photo, tmp_path, small_sample, figures, read_tree
):
    jobs = {"threads": None, "workers": (64, 100), "more": (31, 170)}
    found = {}
    for name, chunks in jobs.items():
        cluster = dq.ClusterOptions(scheduler="threads" if name == "threads" else None)
        out = tmp_path / f"{name}{suffix}"
        with get_task_stream(client) as stream:
            report = dq.quantize(
                photo, out, n_colors=7, engine="scalable", chunks=chunks, cluster=cluster
            )
        passes = [task for task in stream.data if "add_up_block" in str(task["key"])]
        assert bool(passes) == (name != "threads")
        found[name] = (figures(report), read_tree(out))
    assert found["threads"][0]["n_iter"] > 0
    assert found["threads"] == found["workers"] == found["more"]


def test_the_cluster_finds_what_threads_find(client, photo, small_sample):
    image = da.from_array(photo, chunks=(40, 60, 3))
    on_cluster = dq.fit_palette(image, 9, engine="scalable", n_init=2)
    with client.as_current(), dask.config.set(scheduler="threads"):
        again = dq.fit_palette(da.from_array(photo), 9, engine="scalable", n_init=2)
    assert on_cluster == again
