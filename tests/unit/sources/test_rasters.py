"""Rasters of any bands: arrays, Zarr stores, files, and the blocks that they are cut into."""

import base64
import os
import struct
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

from dask_quant.errors import (
    OptionError,
    PixelFormatError,
    SourceError,
    SourceNotFoundError,
)
from dask_quant.segment_options import BandOptions
from dask_quant.sources.rasters import open_raster, raster_from_array, split_raster

rasterio = pytest.importorskip("rasterio")

SHAPE = (23, 31)
CHUNKS = [(23, 31), (1, 31), (7, 9), (8, 8), (23, 1), (400, 400)]
ALL = BandOptions()


def make_samples(n_bands=3, dtype=np.int16, seed=0):
    return np.random.default_rng(seed).integers(0, 90, (*SHAPE, n_bands)).astype(dtype)


def collect(raster, chunks=(7, 9)):
    """The samples of a raster, where they are valid, and how often each pixel came."""
    seen = np.zeros(raster.shape, dtype=int)
    samples = np.empty((*raster.shape, len(raster.band_names)), dtype=raster.dtype)
    valid = np.zeros(raster.shape, dtype=bool)
    for part in split_raster(raster, chunks):
        pixels, means = part.pixels.compute(scheduler="synchronous")
        assert pixels.shape == (*part.shape, samples.shape[2])
        assert pixels.dtype == raster.dtype
        assert (means.shape, means.dtype) == (part.shape, bool)
        rows, columns = part.shape
        window = (slice(part.row, part.row + rows), slice(part.column, part.column + columns))
        seen[window] += 1
        samples[window], valid[window] = pixels, means
    return samples, valid, seen


@pytest.fixture
def write_tif(tmp_path):
    """Return a function that writes a GeoTIFF with rasterio alone."""

    def write(name, samples, *, names=(), alpha=None, mask=None, **profile):
        path = tmp_path / name
        cube = samples if samples.ndim == 3 else samples[..., np.newaxis]
        height, width, count = cube.shape
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=count,
            dtype=cube.dtype.name, crs="EPSG:32633",
            transform=rasterio.Affine(30, 0, 5e5, 0, -30, 5e6), **profile,
        ) as dataset:  # fmt: skip
            if alpha is not None:
                kinds = [rasterio.enums.ColorInterp.undefined] * count
                kinds[alpha - 1] = rasterio.enums.ColorInterp.alpha
                dataset.colorinterp = kinds
            dataset.write(cube.transpose(2, 0, 1))
            for number, text in enumerate(names, 1):
                dataset.set_band_description(number, text)
            if mask is not None:
                dataset.write_mask(mask)
        return path

    return write


@pytest.fixture
def write_zarr(tmp_path):
    """Return a function that writes a Zarr array."""

    def write(samples, *, chunks=None, axes=None, attributes=None, **more):
        path = tmp_path / "samples.zarr"
        array = zarr.create_array(
            path, shape=samples.shape, dtype=samples.dtype, chunks=chunks or samples.shape,
            dimension_names=axes, attributes=attributes or {}, **more,
        )  # fmt: skip
        array[...] = samples
        return path

    return write


# Arrays


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2",
                                   "f4", "f8", ">i2", ">f4"])  # fmt: skip
@pytest.mark.parametrize("kind", ["numpy", "dask"])
@pytest.mark.parametrize("n_bands", [0, 1, 4])
def test_arrays_of_any_real_type_come_out_as_they_are(dtype, kind, n_bands):
    samples = make_samples(n_bands or 1, dtype)
    given = samples[..., 0] if n_bands == 0 else samples
    if kind == "dask":
        given = da.from_array(given, chunks=(5, 6, 1)[: given.ndim])
    raster = open_raster(given, ALL)
    assert raster.shape == SHAPE
    assert raster.band_names == tuple(f"band {n}" for n in range(1, samples.shape[2] + 1))
    assert raster.nodata == (None,) * samples.shape[2]
    assert raster.input_bytes == samples.nbytes
    found, valid, _ = collect(raster)
    np.testing.assert_array_equal(found, samples)
    assert valid.all()


@pytest.mark.parametrize("dtype", ["bool", "u1", "i4", "f4"])
def test_nodata_of_an_array_is_what_is_given(dtype):
    samples = make_samples(2, dtype)
    for nodata in (0, 1):
        _, valid, _ = collect(open_raster(samples, BandOptions(nodata=nodata)))
        np.testing.assert_array_equal(valid, (samples != nodata).all(axis=2))


@pytest.mark.parametrize("nodata", [-9999, 0.5, 1e300, np.nan, np.inf])
def test_nodata_that_a_type_cannot_hold_stands_for_nothing(nodata):
    _, valid, _ = collect(open_raster(make_samples(2, np.uint8), BandOptions(nodata=nodata)))
    assert valid.all()


def test_what_is_not_finite_is_never_valid():
    samples = make_samples(2, np.float32)
    samples[3, 4, 1], samples[5, 6, 0], samples[0, 0] = np.nan, -np.inf, np.inf
    _, valid, _ = collect(open_raster(samples, ALL))
    assert np.argwhere(~valid).tolist() == [[0, 0], [3, 4], [5, 6]]


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "datetime64[s]", "V4", "m8[s]"])
def test_samples_that_are_no_numbers_are_refused(dtype):
    with pytest.raises(PixelFormatError, match="samples must be integers or floats") as caught:
        open_raster(np.zeros((4, 5), dtype=dtype), ALL)
    assert str(np.dtype(dtype)) in str(caught.value)


@pytest.mark.parametrize("shape", [(), (4,), (1, 4, 5, 3), (0, 5), (4, 0, 3), (4, 5, 0)])
@pytest.mark.parametrize("make", [np.zeros, da.zeros])
def test_other_shapes_are_refused(shape, make):
    with pytest.raises(PixelFormatError, match=r"\(y, x, band\)|at least 1") as caught:
        open_raster(make(shape), ALL)
    assert str(shape) in str(caught.value)


def test_an_unknown_size_is_refused_with_the_way_out():
    rows = da.ones((9, 5, 2), chunks=3)
    with pytest.raises(PixelFormatError, match="compute_chunk_sizes"):
        open_raster(rows[rows[:, 0, 0] > 0], ALL)


@pytest.mark.parametrize("given", [None, 5, [[1, 2]], b"a.tif", {}])
def test_what_is_neither_path_nor_array_is_refused(given):
    with pytest.raises(OptionError, match="use a path, or a NumPy or Dask array"):
        open_raster(given, ALL)


def test_an_array_with_a_mask_is_refused_rather_than_taken_without():
    masked = np.ma.masked_less(make_samples(), 50)
    with pytest.raises(PixelFormatError, match="filled"):
        open_raster(masked, ALL)


def test_an_array_keeps_what_is_said_of_it():
    raster = raster_from_array(
        make_samples(2), name="mine", band_names=("a", "b"), nodata=7, pixel_area_m2=900.0
    )
    assert (raster.name, raster.band_names, raster.nodata) == ("mine", ("a", "b"), (7, 7))
    assert raster.pixel_area_m2 == 900.0
    assert raster.pixel_bytes == 4


def test_opening_and_splitting_computes_nothing():
    def refuse(*_, **__):
        raise AssertionError("something was computed")

    array = da.zeros((40, 50, 3), chunks=(9, 11, 1), dtype=np.uint8)
    with dask.config.set(scheduler=refuse):
        raster = open_raster(array, BandOptions(bands=(3, 1), nodata=0))
        assert len(split_raster(raster, (16, 16))) == 12


# Zarr stores


@pytest.mark.parametrize("shards", [None, (16, 16, 3)])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_a_store_is_read_with_and_without_shards(shards, dtype, write_zarr):
    samples = make_samples(3, dtype)
    path = write_zarr(samples, chunks=(8, 8, 3), shards=shards, axes=("y", "x", "band"))
    raster = open_raster(path, ALL)
    assert raster.unit == (shards or (8, 8, 3))[:2]
    assert raster.name == str(path)
    assert raster.input_bytes == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    found, valid, _ = collect(raster)
    np.testing.assert_array_equal(found, samples)
    assert valid.all()


@pytest.mark.parametrize(
    ("axes", "order"),
    [
        (("band", "y", "x"), (2, 0, 1)),
        (("channel", "row", "column"), (2, 0, 1)),
        (("C", "Y", "X"), (2, 0, 1)),
        (("time", "y", "x"), (2, 0, 1)),
        (("y", "band", "x"), (0, 2, 1)),
        (("x", "y", "band"), (1, 0, 2)),
        (("y", "x", "band"), (0, 1, 2)),
        (("y", "x", None), (0, 1, 2)),
        (None, (0, 1, 2)),
    ],
)
def test_axes_are_brought_into_order_by_their_names(axes, order, write_zarr):
    samples = make_samples()
    chunks = tuple((8, 10, 1)[axis] for axis in order)
    path = write_zarr(samples.transpose(order), chunks=chunks, axes=axes)
    raster = open_raster(path, ALL)
    assert raster.unit == (8, 10)
    np.testing.assert_array_equal(collect(raster)[0], samples)


def test_an_array_of_one_band_needs_no_third_axis(write_zarr):
    samples = make_samples(1)
    path = write_zarr(samples[..., 0].T, axes=("x", "y"))
    np.testing.assert_array_equal(collect(open_raster(path, ALL))[0], samples)


def encode(number):
    """A float as xarray writes it to a store of version 3."""
    return base64.standard_b64encode(struct.pack("<d", number)).decode()


@pytest.mark.parametrize(
    ("dtype", "attributes", "nodata"),
    [
        ("i2", {"_FillValue": 7}, 7),
        ("i2", {"nodata": 7}, 7),
        ("i2", {"_FillValue": 7, "nodata": 8}, 7),
        ("f4", {"_FillValue": 7.0}, 7),
        ("f4", {"_FillValue": encode(7.0)}, 7),
        ("f4", {"_FillValue": encode(np.nan)}, np.nan),
        ("i2", {"_FillValue": None}, None),
        ("i2", {"_FillValue": "none"}, None),
        ("i2", {"nodata": [7]}, None),
        ("i2", {"nodata": 10**400}, None),
        ("i2", {}, None),
    ],
)
def test_attributes_say_what_means_nothing(dtype, attributes, nodata, write_zarr):
    samples = make_samples(2, dtype)
    raster = open_raster(write_zarr(samples, attributes=attributes), ALL)
    np.testing.assert_equal(raster.nodata, (nodata,) * 2)
    _, valid, _ = collect(raster)
    np.testing.assert_array_equal(valid, (samples != (-1 if nodata is None else nodata)).all(2))


def test_given_nodata_replaces_that_of_a_store(write_zarr):
    samples = make_samples(2)
    raster = open_raster(write_zarr(samples, attributes={"nodata": 7}), BandOptions(nodata=9))
    np.testing.assert_array_equal(collect(raster)[1], (samples != 9).all(axis=2))


def test_nodata_of_a_store_of_truths_is_one_of_them(write_zarr):
    samples = make_samples(2) > 40
    raster = open_raster(write_zarr(samples, attributes={"nodata": 0}), ALL)
    np.testing.assert_array_equal(collect(raster)[1], samples.all(axis=2))


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5)])
def test_a_store_of_another_shape_is_refused(shape, write_zarr):
    with pytest.raises(PixelFormatError, match=r"the shape must be \(y, x\) or \(y, x, band\)"):
        open_raster(write_zarr(np.zeros(shape)), ALL)


def test_a_store_of_no_numbers_is_refused(write_zarr):
    with pytest.raises(PixelFormatError, match="samples must be integers or floats"):
        open_raster(write_zarr(np.zeros((4, 5), dtype=np.complex64)), ALL)


def test_a_store_is_found_from_another_folder(write_zarr, monkeypatch, tmp_path):
    samples = make_samples()
    path = write_zarr(samples)
    monkeypatch.chdir(path.parent)
    raster = open_raster(path.name, ALL)
    assert raster.name == path.name
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    np.testing.assert_array_equal(collect(raster)[0], samples)


# Files


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"]
)
def test_a_file_is_read_as_stored(dtype, write_tif):
    samples = make_samples(3, dtype)
    path = write_tif("a.tif", samples, names=("red", "green"), nodata=7)
    raster = open_raster(path, ALL)
    assert raster.band_names == ("red", "green", "band 3")
    assert raster.dtype == dtype
    assert raster.shape == SHAPE
    assert raster.pixel_area_m2 == 900.0
    assert raster.geo.transform == (30.0, 0.0, 5e5, 0.0, -30.0, 5e6)
    assert raster.input_bytes == path.stat().st_size
    found, valid, _ = collect(raster)
    np.testing.assert_array_equal(found, samples)
    np.testing.assert_array_equal(valid, (samples != 7).all(axis=2))


def test_a_file_is_found_from_another_folder(write_tif, monkeypatch, tmp_path):
    samples = make_samples()
    write_tif("a.tif", samples)
    write_tif("m.tif", np.ones(SHAPE, dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    raster = open_raster("a.tif", BandOptions(mask=Path("m.tif")))
    assert raster.name == "a.tif"
    assert os.path.isabs(raster.samples.path)
    assert os.path.isabs(raster.mask.path)
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(collect(raster)[0], samples)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(SourceNotFoundError, match="there is no such file"):
        open_raster(tmp_path / "none.tif", ALL)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(SourceError, match="text"):
        open_raster(tmp_path / "text.tif", ALL)


# Bands


@pytest.fixture
def with_alpha(write_tif):
    """A file whose second band is alpha: bands 1, 3 and 4 hold data."""
    samples = make_samples(4, np.uint8)
    samples[..., 1] = 255
    samples[2, 3, 1] = 0
    names = ("red", "", "nir", "7")
    path = write_tif("alpha.tif", samples, names=names, alpha=2, photometric="minisblack")
    return path, samples


@pytest.mark.parametrize(
    ("bands", "places"),
    [
        (None, [0, 2, 3]),
        ((4, 1), [3, 0]),
        (("nir",), [2]),
        (("nir", 1), [2, 0]),
        (("7", 3), [3, 2]),
        ((3, 4, 1), [2, 3, 0]),
    ],
)
def test_bands_are_chosen_by_their_number_in_the_file_or_by_name(bands, places, with_alpha):
    path, samples = with_alpha
    raster = open_raster(path, BandOptions(bands=bands))
    assert raster.band_names == tuple(("red", "", "nir", "7")[place] for place in places)
    found, valid, _ = collect(raster)
    np.testing.assert_array_equal(found, samples[..., places])
    assert np.argwhere(~valid).tolist() == [[2, 3]]  # transparent, whichever bands are read


@pytest.mark.parametrize("band", [2, 5, 0, -1, "green", "3 (nir)", ""])
def test_an_unknown_band_is_refused_with_those_that_there_are(band, with_alpha):
    with pytest.raises(OptionError) as caught:
        open_raster(with_alpha[0], BandOptions(bands=(1, band)))
    assert f"Got the band {band!r} for " in str(caught.value)
    assert str(caught.value).endswith("which has 1 (red), 3 (nir), 4 (7).")


def test_a_band_by_number_and_by_name_is_one_band(with_alpha):
    with pytest.raises(OptionError, match="name each of them once"):
        open_raster(with_alpha[0], BandOptions(bands=(3, "nir")))
    with pytest.raises(OptionError, match=r"\[1, 'band 1'\]"):
        open_raster(make_samples(), BandOptions(bands=(1, "band 1")))


def test_bands_of_arrays_and_stores_are_chosen_alike(write_zarr):
    samples = make_samples(4)
    for source in (samples, da.from_array(samples, chunks=(9, 9, 1)), write_zarr(samples)):
        raster = open_raster(source, BandOptions(bands=(4, "band 2")))
        assert raster.band_names == ("band 4", "band 2")
        np.testing.assert_array_equal(collect(raster)[0], samples[..., [3, 1]])


def test_nodata_of_bands_that_are_left_out_leaves_nothing_out(write_tif):
    samples = make_samples(3)
    samples[..., 1] = 7
    path = write_tif("a.tif", samples, nodata=7)
    assert not collect(open_raster(path, ALL))[1].any()
    _, valid, _ = collect(open_raster(path, BandOptions(bands=(1, 3))))
    np.testing.assert_array_equal(valid, (samples[..., [0, 2]] != 7).all(axis=2))


def test_given_nodata_replaces_that_of_a_file(write_tif):
    samples = make_samples(2)
    raster = open_raster(write_tif("a.tif", samples, nodata=7), BandOptions(nodata=9))
    assert raster.nodata == (9, 9)
    np.testing.assert_array_equal(collect(raster)[1], (samples != 9).all(axis=2))


# Masks


@pytest.mark.parametrize("kind", ["file", "array"])
def test_pixels_where_the_mask_is_0_are_left_out(kind, write_tif):
    samples = make_samples(2)
    shown = np.random.default_rng(5).integers(0, 3, SHAPE, dtype=np.uint8)
    path = write_tif("m.tif", shown)
    source = write_tif("a.tif", samples, nodata=7) if kind == "file" else samples
    raster = open_raster(source, BandOptions(mask=path, nodata=7))
    for chunks in CHUNKS[:3]:
        _, valid, _ = collect(raster, chunks)
        np.testing.assert_array_equal(valid, (samples != 7).all(axis=2) & (shown != 0))


def test_where_the_mask_means_nothing_itself_pixels_are_left_out(write_tif):
    shown = np.random.default_rng(6).integers(0, 3, SHAPE, dtype=np.uint8)
    path = write_tif("m.tif", shown, nodata=2)
    _, valid, _ = collect(open_raster(make_samples(), BandOptions(mask=path)))
    np.testing.assert_array_equal(valid, shown == 1)


def test_a_mask_of_several_bands_shows_where_one_of_them_does(write_tif):
    shown = np.random.default_rng(7).integers(0, 2, (*SHAPE, 2), dtype=np.uint8)
    _, valid, _ = collect(open_raster(make_samples(), BandOptions(mask=write_tif("m.tif", shown))))
    np.testing.assert_array_equal(valid, shown.any(axis=2))


def test_a_mask_of_another_size_is_refused_with_both(write_tif):
    path = write_tif("m.tif", np.ones((SHAPE[1], SHAPE[0]), dtype=np.uint8))
    with pytest.raises(OptionError, match="both must be of one size") as caught:
        open_raster(make_samples(), BandOptions(mask=path))
    assert str(SHAPE) in str(caught.value)
    assert str(SHAPE[::-1]) in str(caught.value)


def test_a_mask_that_is_missing_is_named(tmp_path):
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        open_raster(make_samples(), BandOptions(mask=tmp_path / "nowhere.tif"))


# Blocks


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr", "tif"])
def test_blocks_hold_every_pixel_once_whatever_their_size(chunks, kind, write_zarr, write_tif):
    samples = make_samples(2, np.float32)
    samples[samples[..., 0] > 80, 0] = np.nan
    sources = {
        "numpy": lambda: samples,
        "dask": lambda: da.from_array(samples, chunks=((3, 20), (30, 1), (1, 1))),
        "zarr": lambda: write_zarr(samples, chunks=(5, 6, 1)),
        "tif": lambda: write_tif("a.tif", samples, tiled=True, blockxsize=16, blockysize=16),
    }
    raster = open_raster(sources[kind](), BandOptions(nodata=3))
    found, valid, seen = collect(raster, chunks)
    assert (seen == 1).all()
    np.testing.assert_array_equal(found, samples)
    np.testing.assert_array_equal(valid, ((samples != 3) & np.isfinite(samples)).all(axis=2))
    parts = split_raster(raster, chunks)
    assert [(part.row, part.column) for part in parts] == sorted(
        (part.row, part.column) for part in parts
    )
    assert all(a <= b for part in parts for a, b in zip(part.shape, chunks, strict=True))


def test_a_mask_in_a_file_leaves_pixels_out_whatever_the_blocks(write_tif):
    samples = make_samples(2, np.uint8)
    mask = np.random.default_rng(8).integers(0, 2, SHAPE).astype(np.uint8) * 255
    path = write_tif("a.tif", samples, mask=mask)
    for chunks in CHUNKS:
        np.testing.assert_array_equal(collect(open_raster(path, ALL), chunks)[1], mask != 0)


def test_attributes_that_are_a_list_are_refused_in_one_line(tmp_path):
    zarr.save_array(tmp_path / "a.zarr", make_samples(2, "i2"), zarr_format=2)
    (tmp_path / "a.zarr" / ".zattrs").write_text("[]")
    with pytest.raises(SourceError, match=r"a\.zarr: it is not a Zarr store that opens"):
        open_raster(tmp_path / "a.zarr", ALL)
