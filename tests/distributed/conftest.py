"""A cluster of two worker processes, pictures to give it, and what they leave on disk."""

import json

import numpy as np
import pytest
import zarr
from outputs import MANIFEST, list_outputs, read_manifest
from PIL import Image

from dask_quant.cluster import open_client
from dask_quant.options import ClusterOptions
from dask_quant.sinks.png import strip_rows
from dask_quant.sinks.store_layout import label_shards
from dask_quant.sources.samples import find_sample_images


@pytest.fixture(scope="module")
def client():
    """The active client of a `LocalCluster` of two one-thread processes.

    For a module and not for the session: an active client is used by all that runs meanwhile.
    """
    with open_client(ClusterOptions(workers=2)) as client:
        yield client


@pytest.fixture(scope="session")
def photo():
    """A piece of a photograph, uint8 (150, 170, 3) of thousands of colours."""
    with Image.open(find_sample_images()[1]) as image:
        return np.asarray(image.convert("RGB"))[120:270, 200:370].copy()


@pytest.fixture(scope="session")
def picture(photo):
    """A picture of the least size that is written in three shards and in three strips."""
    picture = np.tile(photo, (58, 6, 1))[:8600, :1000]
    picture[::50, ::500, 1] = np.arange(172)[:, None]  # no two blocks are alike
    assert -(-8600 // strip_rows(1000)) == -(-8600 // label_shards((8600, 1000))[0]) == 3
    return picture


@pytest.fixture(scope="session")
def store(picture, tmp_path_factory):
    """That picture as a Zarr store."""
    path = tmp_path_factory.mktemp("store") / "picture.zarr"
    array = zarr.create_array(
        path, shape=picture.shape, chunks=(430, 500, 3), dtype=picture.dtype, compressors=None
    )
    array[:] = picture
    return path


@pytest.fixture(scope="session")
def raster(tmp_path_factory):
    """A Zarr store of five bands, int16 (900, 700, 5), in 6 chunks, -1 where there is nothing."""
    rng = np.random.default_rng(4)
    slopes = np.add.outer(np.arange(900), np.arange(700))[..., np.newaxis] * np.arange(1, 6)
    samples = (slopes + rng.normal(0, 300, (900, 700, 5))).astype(np.int16).clip(0)
    samples[100:150, 300:420] = -1
    path = tmp_path_factory.mktemp("raster") / "raster.zarr"
    array = zarr.create_array(path, shape=samples.shape, chunks=(300, 350, 5), dtype=samples.dtype)
    array[:] = samples
    return path


@pytest.fixture(scope="session")
def folder(photo, tmp_path_factory):
    """Twelve different pieces of the photograph as files, some in a folder below."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "below").mkdir()
    for number in range(12):
        piece = photo[5 * number : 5 * number + 40, 3 * number : 3 * number + 50]
        Image.fromarray(piece).save(root / ("below" if number % 3 == 0 else "") / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def read_tree():
    """Return the bytes of a file, or of every file below a folder by its path.

    Of the folder of a collection, the manifest is what it says, and the state is left out.
    """

    def read(path):
        if path.is_file():
            return {"": path.read_bytes()}
        if (path / MANIFEST).is_file():
            files = {name: (path / name).read_bytes() for name in list_outputs(path)}
            return files | {MANIFEST: read_manifest(path)}
        files = sorted(item for item in path.rglob("*") if item.is_file())
        return {item.relative_to(path).as_posix(): item.read_bytes() for item in files}

    return read


@pytest.fixture(scope="session")
def figures():
    """Return what a report says, less what it may say differently each time."""

    def strip(report):
        values = json.loads(json.dumps(report.to_json()))
        values.pop("projected_bytes", None)  # of the workers that there are
        values.pop("manifest", None)  # which lies in the folder of the outputs
        for name in ("seconds", "peak_rss_bytes", "outputs"):
            assert values.pop(name), name
        for scene in values.get("scenes", ()):
            assert scene.pop("output")
        return values

    return strip
