"""Zarr arrays of any order of axes, type, version and cut, against the pixels they were made of."""

import pickle
from collections import Counter

import dask
import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from dask_quant.errors import OptionError, PixelFormatError
from dask_quant.options import Page
from dask_quant.sources import zarr_image
from dask_quant.sources.zarr_store import (
    describe_reading,
    find_zarr_image,
    open_zarr,
    read_zarr_header,
    read_zarr_image,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)

AXES = {"yxc": (0, 1, 2), "cyx": (2, 0, 1), "xcy": (1, 2, 0)}


def sample(pixels, dtype):
    """Return samples of a type whose nearest 8-bit levels are ``pixels``."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (pixels / 255).astype(kind)
    if kind.kind == "b":
        return pixels > 127
    if kind.itemsize == 2:  # off by less than half a level, up and down
        off = np.arange(pixels.size).reshape(pixels.shape) % 257 - 128
        return np.clip(pixels.astype(np.int64) * 257 + off, 0, 65535).astype(kind)
    return pixels


def write(path, samples, zarr_format=3, names=None, shards=None, chunks=None, **more):
    if names is not None and zarr_format == 3:
        more["dimension_names"] = names
    if names is not None and zarr_format == 2:
        more["attributes"] = {"_ARRAY_DIMENSIONS": list(names)}
    array = zarr.create_array(
        path, shape=samples.shape, dtype=samples.dtype, zarr_format=zarr_format,
        chunks=chunks or "auto", shards=shards, **more,
    )  # fmt: skip
    array[...] = samples
    return path


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "f4", "f8", "?"])
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("layout", ["v2", "v3", "shards"])
def test_pixels_come_out_of_any_layout(tmp_path, monkeypatch, layout, axes, dtype):
    monkeypatch.setattr(zarr_image, "PIECE_PIXELS", 400)
    sides = {"y": 7, "x": 10, "c": 1 if layout != "shards" else 2}
    samples = sample(PIXELS, dtype).transpose(AXES[axes])
    path = write(
        tmp_path / "a.zarr",
        samples,
        zarr_format=2 if layout == "v2" else 3,
        names=tuple(axes),
        chunks=tuple(sides[axis] for axis in axes),
        shards=tuple(2 * sides[axis] for axis in axes) if layout == "shards" else None,
    )
    expected = np.where(PIXELS > 127, 255, 0) if dtype == "?" else PIXELS
    for chunks in (None, (13, 17)):
        image = open_zarr(path, chunks=chunks)
        assert image.shape == PIXELS.shape
        assert np.array_equal(image.compute(scheduler="synchronous"), expected)
    part = image[5:19, 11:12, 1].compute(scheduler="synchronous")
    assert np.array_equal(part, expected[5:19, 11:12, 1])
    assert np.array_equal(read_zarr_image(path), expected)
    assert read_zarr_header(path).mode == str(np.dtype(dtype).newbyteorder("="))


@pytest.mark.parametrize("axes", ["yx", "xy"])
def test_one_band_becomes_grey(tmp_path, axes):
    grey = PIXELS[..., 0] if axes == "yx" else PIXELS[..., 0].T
    path = write(tmp_path / "a.zarr", grey, names=tuple(axes), chunks=(9, 8))
    pixels = open_zarr(path).compute(scheduler="synchronous")
    assert np.array_equal(pixels, np.dstack([PIXELS[..., 0]] * 3))


def test_every_chunk_is_read_once_for_all_bands(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zarr", PIXELS.transpose(2, 0, 1), chunks=(1, 8, 9))
    image = open_zarr(path)
    assert image.chunksize == (8, 9, 3)
    reads, get = Counter(), LocalStore.get

    async def counting_get(self, key, *args, **kwargs):
        reads[key] += 1
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", counting_get)
    image.compute(scheduler="synchronous")
    assert len(reads) == 3 * 3 * 4
    assert set(reads.values()) == {1}


def test_one_task_reads_one_chunk_and_the_graph_holds_no_pixels(tmp_path):
    path = write(tmp_path / "a.zarr", PIXELS.transpose(2, 0, 1), chunks=(1, 8, 9))
    (image,) = dask.optimize(open_zarr(path, chunks=(16, 31)))
    assert len(dict(image.dask)) == 2
    assert len(pickle.dumps(find_zarr_image(path))) < 5000


def test_the_reading_is_told_where_the_store_does_not_say_it(tmp_path):
    guessed = write(tmp_path / "a.zarr", PIXELS.transpose(2, 0, 1))
    assert describe_reading(guessed).endswith("a.zarr as (band, y, x): its axes have no names.")
    assert describe_reading(write(tmp_path / "d.zarr", PIXELS)) is None
    named = write(tmp_path / "b.zarr", PIXELS, names=("y", "x", "c"))
    assert describe_reading(named) is None
    assert describe_reading(write(tmp_path / "c.zarr", PIXELS[..., 0])) is None


def test_missing_chunks_are_their_fill_value(tmp_path):
    for zarr_format, fill in ((2, 200), (3, 200), (2, 0)):
        path = tmp_path / f"{zarr_format} {fill}.zarr"
        zarr.create_array(
            path, shape=(3, 20, 30), chunks=(1, 5, 5), dtype="u1", zarr_format=zarr_format,
            fill_value=fill,
        )[:, :5, :5] = 7  # fmt: skip
        pixels = read_zarr_image(path)
        assert (pixels[:5, :5] == 7).all()
        assert (pixels[5:] == fill).all()


@pytest.mark.parametrize("low", [-0.5, np.nan])
def test_samples_out_of_their_range_are_refused_with_what_was_found(tmp_path, low):
    samples = np.full((3, 20, 30), 0.5, np.float32)
    samples[1, 3, 4] = low
    path = write(tmp_path / "a.zarr", samples, chunks=(1, 10, 10))
    with pytest.raises(PixelFormatError, match=r"a.zarr with float samples of (-)?0\.5 to"):
        read_zarr_image(path)


def test_pictures_along_further_axes_are_chosen_by_page(tmp_path):
    samples = np.stack([PIXELS[..., band] + np.uint8(50) for band in range(3)])
    path = write(tmp_path / "a.zarr", samples[None, :, None], names=tuple("tzcyx"))
    with pytest.raises(PixelFormatError, match=r"3 pictures \(3 of z\).* --page 0 to 2"):
        find_zarr_image(path)
    for page in range(3):
        pixels = open_zarr(path, page=Page(number=page)).compute(scheduler="synchronous")
        assert np.array_equal(pixels, np.dstack([samples[page]] * 3))
    with pytest.raises(OptionError, match=r"page 3 .* 3 pictures"):
        find_zarr_image(path, page=Page(number=3))


def test_a_level_of_what_has_none_is_refused(tmp_path):
    path = write(tmp_path / "a.zarr", PIXELS)
    with pytest.raises(OptionError, match=r"level 1 .* no OME-Zarr"):
        open_zarr(path, page=Page(level=1))
