"""On a cluster that this process did not start, counts stay there, and the palette comes back."""

import selectors
import socket
import threading
import time
from contextlib import closing
from functools import partial
from itertools import count

import numpy as np
import pytest
import zarr
from distributed import Client
from PIL import Image
from small_cluster import start_cluster

import dask_quant as dq
from dask_quant.errors import FitError, OptionError, SourceError
from dask_quant.events import Event
from dask_quant.execute import Executor
from dask_quant.histogram import ColorHistogram
from dask_quant.options import ClusterOptions
from dask_quant.sources.histogram_file import read_histogram


class Tap:
    """A door to a scheduler that counts the bytes which go through, both ways."""

    def __init__(self, address):
        host, port = address.removeprefix("tcp://").split(":")
        self._target = host, int(port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.n_bytes = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._pass_on, args=(connection,), daemon=True).start()

    def _pass_on(self, near):
        with near, socket.create_connection(self._target) as far:
            selector = selectors.DefaultSelector()
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    try:
                        data = key.fileobj.recv(1 << 16)
                        key.data.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
                    self.n_bytes += len(data)

    def close(self):
        self._server.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a scheduler that has two workers, each a process of its own."""
    with start_cluster(tmp_path_factory.mktemp("cluster"), 2, is_pinned=False) as running:
        yield running.address


@pytest.fixture
def tap(cluster):
    with closing(Tap(cluster)) as tap:
        yield tap


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """An image of nearly as many colours as pixels, as a store, a file, and pieces of it."""
    root = tmp_path_factory.mktemp("noise")
    pixels = np.random.default_rng(1).integers(0, 256, (1100, 1000, 3), dtype=np.uint8)
    store = zarr.create_array(
        root / "noise.zarr", shape=pixels.shape, chunks=(100, 1000, 3), dtype=pixels.dtype
    )
    store[:] = pixels
    Image.fromarray(pixels).save(root / "noise.png", compress_level=1)
    pieces = root / "pieces"
    pieces.mkdir()
    for number in range(24):
        rows = slice(45 * number, 45 * number + 45)
        Image.fromarray(pixels[rows]).save(pieces / f"{number:02}.png", compress_level=1)
    n_colors = len(ColorHistogram.from_pixels(pixels))
    assert n_colors > 1_000_000
    return root


@pytest.fixture
def in_strips(monkeypatch):
    """Large files are decoded in strips, and here this is one."""
    monkeypatch.setattr("dask_quant.routes.streams.SMALL_PIXELS", 1 << 20)


QUICK = {"n_colors": 16, "effort": "fast"}

JOBS = {
    "store": ("noise.zarr", "out.png", {}),
    "file in strips": ("noise.png", "out.png", {}),
    "collection": ("pieces", "out", {}),
    "dithered": ("noise.zarr", "out.zarr", {"dither": "bayer"}),
    "resumable": ("noise.zarr", "out.png", {"resume": True}),
    "resumable file": ("noise.png", "out.zarr", {"resume": True}),
}

MAX_CLIENT_BYTES = 1_000_000
"""The counts are 12 times a million bytes, the pixels 3.3 million, the labels a million."""


@pytest.mark.parametrize("name", JOBS)
def test_neither_pixels_nor_counts_go_through_the_client(
    tap, noise, name, in_strips, tmp_path, read_tree, figures
):
    source, out, options = JOBS[name]
    job = {**QUICK, **options}
    here = dq.quantize(noise / source, tmp_path / "here" / out, **job)
    there = dq.quantize(
        noise / source,
        tmp_path / "there" / out,
        **job,
        cluster=ClusterOptions(scheduler=tap.address),
    )
    assert figures(there) == figures(here)
    assert read_tree(tmp_path / "there" / out) == read_tree(tmp_path / "here" / out)
    assert 1000 < tap.n_bytes < MAX_CLIENT_BYTES


@pytest.mark.parametrize("source", ["noise.zarr", "noise.png", "pieces"])
def test_a_palette_alone_comes_back(tap, noise, source, in_strips, tmp_path):
    dq.make_palette(noise / source, tmp_path / "here.json", **QUICK)
    dq.make_palette(
        *(noise / source, tmp_path / "there.json"),
        **QUICK,
        cluster=ClusterOptions(scheduler=tap.address),
    )
    assert (tmp_path / "there.json").read_bytes() == (tmp_path / "here.json").read_bytes()
    assert 1000 < tap.n_bytes < MAX_CLIENT_BYTES


@pytest.mark.parametrize("source", ["noise.zarr", "noise.png", "pieces"])
def test_a_curve_and_a_number_of_colors_alone_come_back(tap, noise, source, in_strips, tmp_path):
    options, numbers = ClusterOptions(scheduler=tap.address), (2, 3, 5)
    heard = []
    there = dq.elbow(noise / source, numbers, cluster=options, listener=heard.append)
    here = dq.elbow(noise / source, numbers)
    assert there.to_json() == here.to_json()
    fits = [event for event in heard if isinstance(event, Event) and event.stage == "fit"]
    assert (fits[-1].done, fits[-1].total) == (3, 3)
    found = dq.describe_images(noise / source, cluster=options)
    assert found == dq.describe_images(noise / source)
    assert 1000 < tap.n_bytes < MAX_CLIENT_BYTES


def test_counts_that_are_asked_for_come_back(tap, noise, tmp_path):
    saved, options = tmp_path / "saved.npz", ClusterOptions(scheduler=tap.address)
    here = dq.quantize(noise / "pieces", tmp_path / "here", **QUICK)
    there = dq.quantize(
        noise / "pieces", tmp_path / "there", **QUICK, save_histogram=saved, cluster=options
    )
    assert there.palette == here.palette
    assert read_histogram(saved).n_pixels == there.n_pixels == 24 * 45 * 1000
    with Client(tap.address):
        assert dq.count_colors(noise / "noise.zarr").n_pixels == 1_100_000


def test_a_client_that_is_given_does_the_work_and_stays(cluster, noise, tmp_path):
    with Client(cluster, set_as_default=False) as given:
        for call in (
            partial(dq.quantize, noise / "pieces", tmp_path / "out", **QUICK),
            partial(dq.make_palette, noise / "noise.png", tmp_path / "out.json", **QUICK),
            partial(dq.count_colors, noise / "noise.png"),
            partial(dq.fit_palette, noise / "noise.png", **QUICK),
            partial(dq.write, [[0, 1]], tmp_path / "out.png", palette=[[0, 0, 0], [255, 255, 255]]),
        ):
            begin = time.time()
            given.get_task_stream(start=begin)  # has the scheduler take note
            call(client=given)
            assert given.get_task_stream(start=begin), "no task ran there"
            assert given.status == "running"
        with pytest.raises(OptionError, match="a client together with workers"):
            dq.quantize(noise, tmp_path / "x", client=given, cluster=ClusterOptions(workers=1))
    with pytest.raises(OptionError, match="Got str as a client"):
        dq.quantize(noise, tmp_path / "x", client=cluster)


def test_what_a_worker_does_is_told_here(cluster, noise, in_strips, tmp_path):
    heard = []
    dq.quantize(
        *(noise / "noise.png", tmp_path / "out.png"),
        **{**QUICK, "effort": "default"},
        cluster=ClusterOptions(scheduler=cluster),
        listener=heard.append,
    )
    fits = [event for event in heard if isinstance(event, Event) and event.stage == "fit"]
    errors = [event.error for event in fits if event.error is not None]
    assert len(errors) >= 2
    assert errors == sorted(errors, reverse=True)
    assert all(len(event.palette) == 16 for event in fits if event.palette is not None)
    assert (fits[-1].done, fits[-1].total) == (fits[-1].total, fits[-1].total)
    decoded = [event for event in heard if isinstance(event, Event) and event.stage == "decode"]
    assert decoded[-1].done == decoded[-1].total == 1_100_000


def test_an_error_of_a_worker_is_the_same_here(cluster, noise, in_strips, tmp_path):
    job = {"n_colors": 2, "target_psnr": 60.0, "effort": "fast"}
    messages = []
    for number, options in enumerate([ClusterOptions(), ClusterOptions(scheduler=cluster)]):
        with pytest.raises(FitError) as caught:
            dq.quantize(noise / "noise.zarr", tmp_path / f"{number}.png", **job, cluster=options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    (tmp_path / "bad.png").write_bytes((noise / "noise.png").read_bytes()[:500_000])
    with pytest.raises(SourceError):
        dq.quantize(
            tmp_path / "bad.png",
            tmp_path / "bad-out.png",
            cluster=ClusterOptions(scheduler=cluster),
        )


def tell_for_ever(folder, listener):
    """Tell how it goes until the listener ends that, and keep a record of it."""
    try:
        for number in count():
            (folder / "told").touch()
            listener(Event("fit", number, None, "steps"))
    finally:
        (folder / "ended").touch()


def test_a_job_that_is_interrupted_ends_what_a_worker_tells_of(cluster, tmp_path):
    def interrupt(event):
        raise KeyboardInterrupt

    with Client(cluster, set_as_default=False) as distant:
        executor = Executor(distant, listener=interrupt)
        with pytest.raises(KeyboardInterrupt):
            executor.run_task(tell_for_ever, tmp_path, listens=True)
        assert {path.name for path in tmp_path.iterdir()} == {"told", "ended"}
        (tmp_path / "told").unlink()
        assert executor.fetch(executor.hold(sorted, [2, 1])) == [1, 2]
        assert not (tmp_path / "told").exists()


def test_results_are_held_by_workers_and_not_here(cluster, client):
    with Client(cluster, set_as_default=False) as distant:
        executor = Executor(distant)
        held = executor.hold(sorted, [3, 1, 2])
        assert not isinstance(held, list)
        assert executor.call(sum, held) == 6
        assert executor.fetch(executor.hold(max, [held, held])) == [1, 2, 3]
        with pytest.raises(ZeroDivisionError):
            executor.call(divmod, 1, executor.hold(int))
        assert executor.run_task(sum, held, keeps=True).result() == 6
    for executor in (Executor(), Executor(client)):
        assert executor.hold(sorted, [3, 1, 2]) == [1, 2, 3]
        assert executor.call(sum, [1, 2]) == executor.run_task(sum, [1, 2], keeps=True) == 3
