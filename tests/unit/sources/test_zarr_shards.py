import pickle

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Zstd
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from dask_quant.sources import zarr_shards
from dask_quant.sources.zarr_shards import ShardedArray, can_read
from dask_quant.sources.zarr_store import open_zarr

CODECS = (ZstdCodec(level=1), Crc32cCodec())
SHAPE, CHUNKS, SHARDS = (70, 50, 3), (8, 10, 3), (24, 20, 3)
PIXELS = np.random.default_rng(0).integers(0, 9, SHAPE, dtype=np.uint8)


def make_array(store, *, shards=SHARDS, compressors=CODECS, dtype="uint8", **options):
    return zarr.create_array(
        store,
        shape=SHAPE,
        chunks=CHUNKS,
        shards=shards,
        compressors=compressors,
        dtype=dtype,
        **options,
    )


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    array = make_array(tmp_path_factory.mktemp("stores") / "a.zarr")
    array[:] = PIXELS
    return array


@pytest.fixture
def refuse_zarr(monkeypatch):
    """Fail where a part is left to zarr."""

    def refuse(*_):
        raise AssertionError("zarr was asked")

    monkeypatch.setattr(zarr.Array, "__getitem__", refuse)


SPAN = st.tuples(st.integers(0, 80), st.integers(0, 80)).map(lambda ends: slice(*sorted(ends)))


@given(rows=SPAN, columns=SPAN, bands=st.sampled_from([slice(None), slice(1, 2), slice(0, 3)]))
def test_any_part_is_that_of_the_whole(array, rows, columns, bands):
    part = ShardedArray(array)._read((rows, columns, bands))
    np.testing.assert_array_equal(part, PIXELS[rows, columns, bands])


@pytest.mark.parametrize(
    "selection", [(3, slice(4), slice(None)), (slice(None, None, 2),) * 3, (slice(9, 20),)]
)
def test_other_selections_are_left_to_zarr(array, selection):
    np.testing.assert_array_equal(ShardedArray(array)[selection], array[selection])


def test_a_store_is_opened_to_be_read_so(tmp_path, refuse_zarr):
    make_array(tmp_path / "a.zarr")[:] = PIXELS
    image = open_zarr(tmp_path / "a.zarr", chunks=(24, 40))
    np.testing.assert_array_equal(image.compute(scheduler="synchronous"), PIXELS)


def test_it_travels_to_workers(array):
    again = pickle.loads(pickle.dumps(ShardedArray(array)))
    np.testing.assert_array_equal(again[0:9, 0:9, 0:3], PIXELS[:9, :9])


def test_what_was_never_written_is_fill_value(tmp_path):
    array = make_array(tmp_path / "a.zarr", fill_value=7)
    array[:24, :10] = PIXELS[:24, :10]
    expected = np.full(SHAPE, 7, dtype=np.uint8)
    expected[:24, :10] = PIXELS[:24, :10]
    np.testing.assert_array_equal(ShardedArray(array)[:, :, :], expected)


@pytest.mark.parametrize("at", [5, -20, -2])
def test_damage_is_what_zarr_says_it_is(tmp_path, at):
    array = make_array(tmp_path / "a.zarr")
    array[:] = PIXELS
    shard = tmp_path / "a.zarr" / "c" / "1" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[at] ^= 1
    shard.write_bytes(data)
    with pytest.raises(Exception, match=r".") as expected:
        array[24:48]
    with pytest.raises(type(expected.value)) as caught:
        ShardedArray(array)[24:48, :, :]
    assert str(caught.value) == str(expected.value)


def test_only_what_is_known_is_read_so(array, tmp_path):
    assert can_read(array)
    others = {
        "memory": make_array(MemoryStore()),
        "plain": make_array(tmp_path / "plain", shards=None),
        "unchecked": make_array(tmp_path / "unchecked", compressors=CODECS[:1]),
        "uint16": make_array(tmp_path / "uint16", dtype="uint16"),
        "version 2": zarr.create_array(tmp_path / "v2", data=PIXELS, zarr_format=2),
    }
    assert {name for name, other in others.items() if can_read(other)} == set()


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 65_791, 65_792, 1_000_000])
@pytest.mark.parametrize("level", [1, 19])
def test_a_frame_says_what_it_holds(n, level):
    frame = np.frombuffer(Zstd(level=level).encode(bytes(n)), dtype=np.uint8)
    assert zarr_shards._content_bytes(frame) == n


def test_a_chunk_of_another_size_is_not_taken_for_one(array, tmp_path):
    path = tmp_path / "chunk"
    frame = Zstd().encode(bytes(100))
    path.write_bytes(frame + google_crc32c.value(frame).to_bytes(4, "little"))
    with path.open("rb") as file, pytest.raises(zarr_shards._Unexpected):
        zarr_shards._read_chunk(file, 0, len(frame) + 4, np.empty(240, dtype=np.uint8))
