"""Zarr stores by their addresses."""

import numpy as np
import pytest
import range_server
import zarr

import dask_quant as dq
from dask_quant.errors import SourceError
from dask_quant.sources import patient_store
from dask_quant.sources.opening import open_image
from dask_quant.sources.patient_store import open_store

pytest.importorskip("aiohttp")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(patient_store, "FIRST_WAIT_S", 0.001)
    with range_server.serve() as served:
        yield served


def put(server, folder, name="a.zarr"):
    """Serve what is in a folder; return its address."""
    for path in folder.rglob("*"):
        if path.is_file():
            server.files[f"/{name}/{path.relative_to(folder)}"] = path.read_bytes()
    return f"{server.url}/{name}"


def make_pixels(shape=(60, 90)):
    return np.random.default_rng(0).integers(0, 4, (*shape, 3), dtype=np.uint8) * np.uint8(80)


def write(path, pixels, **options):
    array = zarr.create_array(path, data=pixels, chunks=(20, 30, 3), **options)
    array.attrs["said"] = "something"
    return path


@pytest.mark.parametrize("options", [{}, {"zarr_format": 2}, {"shards": (40, 60, 3)}], ids=str)
def test_an_array_is_read_by_its_chunks(server, tmp_path, options):
    pixels = make_pixels()
    url = put(server, write(tmp_path / "a.zarr", pixels, **options))
    image = open_image(url)
    n_before = server.n_bytes
    assert n_before < 10_000  # metadata alone
    assert np.array_equal(image.compute(scheduler="threads"), pixels)
    dq.quantize(url, tmp_path / "there.png", n_colors=5)
    dq.quantize(tmp_path / "a.zarr", tmp_path / "here.png", n_colors=5)
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()


def test_a_level_of_an_ome_zarr_is_read_without_the_others(server, tmp_path):
    pixels = make_pixels((256, 256))
    group = zarr.create_group(tmp_path / "a.ome.zarr")
    scales = []
    for level in range(3):
        group.create_array(str(level), data=pixels[:: 2**level, :: 2**level, 0], chunks=(32, 32))
        factor = float(2**level)
        scale = [{"type": "scale", "scale": [factor, factor]}]
        scales.append({"path": str(level), "coordinateTransformations": scale})
    axes = [{"name": name, "type": "space"} for name in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": scales}]}
    url = put(server, tmp_path / "a.ome.zarr", "deep/a.ome.zarr")
    found = open_image(url, level=2).compute(scheduler="threads")
    assert np.array_equal(found[..., 0], pixels[::4, ::4, 0])
    read = {path for path, _, n_bytes in server.requests if n_bytes}
    assert not any(
        path.startswith(("/deep/a.ome.zarr/0/c", "/deep/a.ome.zarr/1/c")) for path in read
    )
    inside = open_image(f"{url}/1").compute(scheduler="threads")
    assert np.array_equal(inside[..., 0], pixels[::2, ::2, 0])


@pytest.mark.parametrize("fault", ["503", "cut"])
def test_a_server_that_fails_now_and_then_is_asked_again(server, tmp_path, fault):
    pixels = make_pixels()
    url = put(server, write(tmp_path / "a.zarr", pixels))
    server.misbehave = lambda times: fault if times == 0 else ""
    assert np.array_equal(open_image(url).compute(scheduler="threads"), pixels)


def test_chunks_that_cannot_be_read_are_not_taken_for_missing_ones(server, tmp_path):
    url = put(server, write(tmp_path / "a.zarr", make_pixels()))
    url = url.replace("http://", "http://me:secret@")
    image = open_image(url)
    server.misbehave = lambda times: "503"
    with pytest.raises(SourceError, match=r"asked 5 times; try again later\.$") as caught:
        image.compute(scheduler="synchronous")
    assert "secret" not in str(caught.value)


def test_what_is_no_store_says_so(server):
    with pytest.raises(SourceError, match=r"not a Zarr store that opens") as caught:
        open_image(f"{server.url.replace('http://', 'http://me:secret@')}/none.zarr")
    assert "secret" not in str(caught.value)
    with pytest.raises(SourceError, match="no scheme"):
        open_image("nothing://host/a.zarr")


def test_a_store_does_not_show_where_it_is():
    store = open_store("http://me:secret@127.0.0.1:1/a.zarr?key=abc")
    assert str(store) == repr(store) == "a Zarr store by its address"
