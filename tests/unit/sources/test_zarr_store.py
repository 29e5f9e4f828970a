import dask
import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec

from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.palette import Palette
from dask_quant.sinks.store_start import create_label_store, start_image_store
from dask_quant.sources import zarr_store
from dask_quant.sources.zarr_store import (
    describe_reading,
    find_zarr_image,
    find_zarr_source,
    open_zarr,
    open_zarr_array,
    open_zarr_samples,
    read_pixel_grid,
    read_zarr_header,
    read_zarr_image,
)


def store(path, pixels, **options):
    array = zarr.create_array(path, shape=pixels.shape, dtype=pixels.dtype, **options)
    array[...] = pixels
    return path


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(1, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("bands", [(), (1,), (3,), (4,)])
def test_every_accepted_shape_becomes_rgb(tmp_path, bands, zarr_format):
    pixels = np.random.default_rng(0).integers(1, 256, (20, 30, *bands), dtype=np.uint8)
    if bands == (4,):
        pixels[..., 3] = 255
    path = store(
        tmp_path / "a.zarr", pixels, chunks=(4, 5, 1)[: pixels.ndim], zarr_format=zarr_format
    )
    image = open_zarr(path, chunks=(8, 10))
    expected = pixels[..., :3] if len(bands) and bands[0] > 1 else np.dstack([pixels] * 3)
    assert image.chunks == ((8, 8, 4), (10, 10, 10), (3,))
    assert np.array_equal(image.compute(scheduler="synchronous"), expected)
    header = read_zarr_header(path)
    assert (header.format, header.mode) == ("ZARR", "uint8")
    assert (header.height, header.width) == (20, 30)
    assert header.bands == (bands[0] if bands else 1)
    assert header.input_bytes == sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def test_a_store_is_opened_once_for_all_that_it_says(tmp_path, rgb, monkeypatch):
    path = store(tmp_path / "a.zarr", rgb.transpose(2, 0, 1), chunks=(1, 5, 6))
    expected = (find_zarr_image(path), read_zarr_header(path), describe_reading(path))
    opened = []
    find_array = zarr_store.find_array
    monkeypatch.setattr(
        zarr_store, "find_array", lambda *given: opened.append(given) or find_array(*given)
    )
    found = find_zarr_source(path)
    assert len(opened) == 1
    assert (found.image.shape, found.header, found.notice) == (expected[0].shape, *expected[1:])
    assert found.notice is not None
    assert found.grid == read_pixel_grid(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_fill_value_is_no_nodata(tmp_path, rgb, zarr_format):
    path = store(tmp_path / "a.zarr", rgb, fill_value=7, zarr_format=zarr_format)
    assert open_zarr_samples(path)[1] is None
    zarr.open_array(path).attrs["_FillValue"] = 9
    assert open_zarr_samples(path)[1] == 9


def test_unit_is_the_shard_or_else_the_chunk(tmp_path, rgb):
    sharded = store(tmp_path / "s.zarr", rgb, chunks=(5, 5, 3), shards=(10, 15, 3))
    plain = store(tmp_path / "p.zarr", rgb, chunks=(5, 6, 3))
    assert find_zarr_image(sharded).unit == (10, 15)
    assert find_zarr_image(sharded).part == (5, 5)
    assert find_zarr_image(plain).unit == find_zarr_image(plain).part == (5, 6)


def test_one_task_reads_one_chunk_after_optimization(tmp_path, rgb):
    path = store(tmp_path / "a.zarr", rgb, chunks=(5, 5, 1), shards=(10, 10, 3))
    (image,) = dask.optimize(open_zarr(path, chunks=(20, 10)))
    assert len(dict(image.dask)) == 3


def test_building_computes_nothing(tmp_path, rgb):
    path = store(tmp_path / "a.zarr", rgb, chunks=(5, 5, 3))

    def never(*args):
        raise AssertionError("computed while building")

    with dask.config.set(scheduler=never):
        image = open_zarr(path, chunks=(10, 10))
    assert image.name == open_zarr(path, chunks=(10, 10)).name


def test_group_is_read_at_full_resolution(tmp_path, rgb):
    group = zarr.create_group(tmp_path / "g.zarr")
    array = group.create_array("0", shape=rgb.shape, dtype=rgb.dtype)
    array[...] = rgb
    image = open_zarr(tmp_path / "g.zarr", chunks=(20, 30))
    assert np.array_equal(image.compute(scheduler="synchronous"), rgb)


def test_group_without_an_image_is_refused(tmp_path):
    zarr.create_group(tmp_path / "g.zarr")
    with pytest.raises(SourceError, match="without an array '0'"):
        open_zarr_array(tmp_path / "g.zarr")


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "int64", "complex64"])
def test_types_without_a_white_are_refused_with_their_name(tmp_path, dtype):
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 4), dtype=dtype)
    with pytest.raises(PixelFormatError, match=rf"{dtype}.*segment"):
        open_zarr(tmp_path / "a.zarr")


@pytest.mark.parametrize("shape", [(20, 30, 2), (20, 30, 8), (0, 30), (20, 0, 3)])
def test_shapes_that_are_no_image_are_refused(tmp_path, shape):
    zarr.create_array(
        tmp_path / "a.zarr", shape=shape, dtype="uint8", chunks=(4, 4, 1)[: len(shape)]
    )
    with pytest.raises(PixelFormatError, match=r"Got .*a\.zarr of shape"):
        read_zarr_header(tmp_path / "a.zarr")


def test_transparency_is_refused_when_computed(tmp_path):
    path = store(tmp_path / "a.zarr", np.zeros((5, 6, 4), np.uint8))
    with pytest.raises(PixelFormatError, match="not opaque"):
        open_zarr(path, chunks=(4, 4)).compute(scheduler="synchronous")


def test_damaged_chunk_is_an_error_when_computed(tmp_path, rgb):
    path = store(
        tmp_path / "a.zarr",
        rgb,
        chunks=(20, 30, 3),
        serializer=BytesCodec(),
        compressors=[Crc32cCodec()],
    )
    (chunk,) = (p for p in path.rglob("*") if p.is_file() and p.name != "zarr.json")
    data = bytearray(chunk.read_bytes())
    data[100] ^= 1
    chunk.write_bytes(bytes(data))
    with pytest.raises(Exception, match=r"(?i)checksum"):
        open_zarr(path, chunks=(20, 30)).compute(scheduler="synchronous")


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(SourceNotFoundError):
        open_zarr_array(tmp_path / "none.zarr")
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("{")
    with pytest.raises(SourceError, match="not a Zarr store") as caught:
        open_zarr_array(tmp_path / "bad.zarr")
    assert "\n" not in str(caught.value)


def test_labels_are_not_read_as_a_grey_picture(tmp_path):
    path = tmp_path / "labels.zarr"
    palette = Palette.from_hex(["#102030", "#ffffff"])
    create_label_store(path, (9, 7), palette)
    for read in (
        open_zarr_array,
        read_zarr_header,
        read_zarr_image,
        lambda path: open_zarr(path, chunks=(9, 7)),
    ):
        with pytest.raises(PixelFormatError, match="holds labels, not pixels") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_store_of_decoded_pixels_is_read(tmp_path):
    path = start_image_store(tmp_path / "pixels.zarr", (9, 7), "0" * 64, overwrite=False)
    assert read_zarr_header(path).bands == 3


def test_a_strange_attribute_of_our_name_is_no_palette(tmp_path, rgb):
    path = store(tmp_path / "a.zarr", rgb, chunks=(4, 5, 3))
    zarr.open(path, mode="r+").attrs["dask_quant"] = "palette"
    assert np.array_equal(read_zarr_image(path), rgb)
