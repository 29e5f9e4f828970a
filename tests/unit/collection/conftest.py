"""Indexes of folders, runs on them, and images to put in."""

import os

import numpy as np
import pytest
from PIL import Image

from dask_quant.collection.index import Index
from dask_quant.collection.manifest import Manifest
from dask_quant.collection.run import CollectionRun
from dask_quant.collection.task import COUNT, Work
from dask_quant.execute import Executor
from dask_quant.sinks.batch_files import LocalPlace
from dask_quant.sources.discover import find_images


@pytest.fixture
def open_index():
    """Return a function that indexes what sources name."""
    opened = []

    def make(*sources, suffix=".png", **options):
        index = Index(suffix)
        opened.append(index)
        index.add(find_images(list(map(os.fspath, sources))), **options)
        return index

    yield make
    for index in opened:
        index.close()


@pytest.fixture
def make_work(tmp_path):
    """Return a function that makes work whose outputs go to ``out`` in the test's folder."""

    def make(**fields):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "scratch").mkdir(exist_ok=True)
        place = LocalPlace(str(tmp_path / "out"), str(tmp_path / "scratch"))
        given = {"action": COUNT, "run_id": str(tmp_path), "folder": str(tmp_path), "place": place}
        return Work(**given | fields)

    return make


@pytest.fixture
def make_run(make_work, tmp_path):
    """Return a function that makes a run on an index, with a manifest in ``out``."""
    opened = []

    def make(index, executor=None, *, strict=False, **fields):
        work = make_work(**fields)
        manifest = Manifest(tmp_path / "out" / "manifest.jsonl", keeps=False)
        opened.append(manifest)
        return CollectionRun(
            index=index,
            executor=executor or Executor(),
            work=work,
            manifest=manifest,
            strict=strict,
        )

    yield make
    for manifest in opened:
        manifest.close()


@pytest.fixture
def images(tmp_path, open_index):
    """An index of six images, of which the second is torn and the fifth missing; their pixels."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    pixels = []
    for i in range(6):
        pixels.append(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8))
        Image.fromarray(pixels[i]).save(tmp_path / "in" / f"{i}.png")
    torn = tmp_path / "in" / "1.png"
    torn.write_bytes(torn.read_bytes()[:200])
    index = open_index(tmp_path / "in")
    (tmp_path / "in" / "4.png").unlink()
    return index, pixels
