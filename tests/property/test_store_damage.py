"""Whatever the metadata of a store hold, or a file of labels, it is read or refused in one line.

`DASK_QUANT_FUZZ=5000 pytest tests/property/test_store_damage.py` looks at more, drawn anew.
"""

import json
import math
from functools import partial

import numpy as np
import pytest
import zarr
from fuzzing import call_or_refuse, damaged, fuzzed
from hypothesis import given
from hypothesis import strategies as st

import dask_quant as dq
from dask_quant.options import Page
from dask_quant.sinks.store_marker import holds_rasters, is_our_store, read_store_source
from dask_quant.sources.reading import read_any_header
from dask_quant.sources.written_labels import open_label_png, open_label_store
from dask_quant.sources.zarr_store import (
    describe_reading,
    open_zarr,
    open_zarr_samples,
    read_pixel_grid,
    read_zarr_image,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)

MAX_PIXELS = 1 << 16
"""More are not read: metadata may claim any size, whose chunks are then missing."""

OME = {
    "multiscales": [
        {
            "version": "0.4",
            "axes": [
                {"name": "y", "type": "space", "unit": "micrometer"},
                {"name": "x", "type": "space"},
                {"name": "c", "type": "channel"},
            ],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [2.0, 3.0, 1.0]}],
                }
            ],
        }
    ]
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Sound stores of pixels by a name: Zarr 2 and 3, OME-Zarr, shards, ours."""
    root = tmp_path_factory.mktemp("stores")
    zarr.save_array(root / "two", PIXELS, zarr_format=2)
    zarr.save_array(root / "three", PIXELS, zarr_format=3)
    sharded = zarr.create_array(
        root / "sharded", shape=(8, 8, 3), chunks=(4, 4, 3), shards=(8, 8, 3), dtype="u1"
    )
    sharded[:] = 7
    for number in (2, 3):
        attributes = OME if number == 2 else {"ome": {"version": "0.5"} | OME}
        group = zarr.create_group(root / f"ome{number}", zarr_format=number, attributes=attributes)
        group.create_array("0", data=PIXELS)
    dq.quantize(PIXELS, root / "labels.zarr", n_colors=4)
    return sorted(path for path in root.iterdir() if path.is_dir())


def use(path):
    """Ask a store all there is to ask, then read it."""
    header = call_or_refuse(partial(read_any_header, path), path.name)
    for page in (Page(), Page(number=1), Page(level=1)):
        call_or_refuse(partial(describe_reading, path, page=page), path.name)
        call_or_refuse(partial(read_pixel_grid, path, page=page), path.name)
    call_or_refuse(partial(open_zarr_samples, path), path.name)
    call_or_refuse(partial(dq.read_palette, path), path.name)
    assert is_our_store(path) in (True, False)
    assert holds_rasters(path) in (True, False)
    assert read_store_source(path) is None
    call_or_refuse(partial(open_zarr, path), path.name)
    if header is not None and header.n_pixels <= MAX_PIXELS:
        pixels = call_or_refuse(partial(read_zarr_image, path), path.name)
        assert pixels is None or pixels.shape == (header.height, header.width, 3)
    labels = call_or_refuse(partial(open_label_store, path, (4, 4)), path.name)
    if labels is not None and math.prod(labels.shape) <= MAX_PIXELS:
        assert labels.ndim == 2


def copy(store, target):
    """Copy a store; the files of its metadata."""
    for file in store.rglob("*"):
        if file.is_file():
            copied = target / file.relative_to(store)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(file.read_bytes())
    names = (".zarray", ".zgroup", ".zattrs", "zarr.json")
    return sorted(file for file in target.rglob("*") if file.name in names)


def list_places(value, place=()):
    """The place of every value inside parsed JSON."""
    yield place
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from list_places(value[key], (*place, key))


def replace_at(value, place, new):
    """Parsed JSON with another value at a place."""
    if not place:
        return new
    value[place[0]] = replace_at(value[place[0]], place[1:], new)
    return value


@fuzzed(50)
@given(data=st.data())
def test_metadata_of_other_values_are_read_or_refused(stores, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged")
    files = copy(data.draw(st.sampled_from(stores)), path)
    file = data.draw(st.sampled_from(files))
    metadata = json.loads(file.read_text())
    place = data.draw(st.sampled_from(list(list_places(metadata))))
    file.write_text(json.dumps(replace_at(metadata, place, data.draw(VALUES))))
    use(path)


@fuzzed(50)
@given(data=st.data())
def test_damaged_stores_are_read_or_refused(stores, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged")
    copy(data.draw(st.sampled_from(stores)), path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(files))
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    use(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000, "\ud800"])
@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zgroup"])
def test_metadata_nested_without_end_are_refused(tmp_path, name, text):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / name).write_text(text, errors="surrogatepass")
    assert call_or_refuse(partial(read_any_header, path), "a.zarr") is None
    use(path)


@fuzzed(40)
@given(data=st.data())
def test_damaged_labels_are_read_or_refused(tmp_path, data):
    path = tmp_path / "labels.png"
    dq.quantize(PIXELS, path, n_colors=4, overwrite=True)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    call_or_refuse(lambda: open_label_png(path, (9, 7), 9).compute(), path.name)
