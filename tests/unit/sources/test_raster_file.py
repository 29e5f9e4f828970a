import dataclasses
import os
import pickle
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.georeference import GeoReference
from dask_quant.sources.gdal_state import borrow_gdal
from dask_quant.sources.raster_file import (
    measure_pixel_area,
    read_raster_block,
    read_raster_header,
)

rasterio = pytest.importorskip("rasterio")

from rasterio.control import GroundControlPoint  # noqa: E402
from rasterio.enums import ColorInterp  # noqa: E402
from rasterio.transform import Affine  # noqa: E402

UTM = Affine(10.0, 0.0, 500000.0, 0.0, -20.0, 4000000.0)
WHOLE = (slice(None), slice(None))


def make_pixels(bands=3, dtype="uint8", shape=(70, 90), seed=0):
    return np.random.default_rng(seed).integers(0, 200, (bands, *shape)).astype(dtype)


def write_raster(path, pixels, *, mask=None, internal=True, alpha=None, colors=None, **options):
    """Write ``(band, y, x)``; ``alpha`` is the number of the band that becomes it."""
    shape = dict(zip(("count", "height", "width"), pixels.shape, strict=True))
    options = {"driver": "GTiff", "dtype": pixels.dtype, **shape, **options}
    with (
        borrow_gdal(GDAL_TIFF_INTERNAL_MASK="YES" if internal else "NO"),
        rasterio.open(path, "w", **options) as dataset,
    ):
        if colors is not None:
            dataset.write_colormap(1, colors)
        if alpha is not None:
            kinds = [ColorInterp.undefined] * len(pixels)
            kinds[alpha - 1] = ColorInterp.alpha
            dataset.colorinterp = kinds
        dataset.write(pixels)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def read_masks(path):
    """rasterio's own answer: whether any band is masked."""
    with borrow_gdal(), rasterio.open(path) as dataset:
        return (dataset.read_masks() != 0).all(axis=0)


def read_whole(path):
    return read_raster_block(read_raster_header(path), *WHOLE)


LAYOUTS = {
    "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate"},
    "stripped": {"blockysize": 8},
    "planar": {"tiled": True, "blockxsize": 32, "blockysize": 16, "interleave": "band"},
}
UNITS = {"tiled": (16, 32), "stripped": (8, 90), "planar": (16, 32)}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64", "int8"])
def test_samples_are_read_as_they_are_stored(tmp_path, layout, dtype):
    pixels = make_pixels(5, dtype)
    path = write_raster(tmp_path / "a.tif", pixels, **LAYOUTS[layout])
    header = read_raster_header(path)
    assert (header.height, header.width, header.dtype) == (70, 90, np.dtype(dtype))
    assert header.band_numbers == (1, 2, 3, 4, 5)
    assert header.unit == UNITS[layout]
    assert header.format == "GTiff"
    assert header.path == str(path)
    assert header.input_bytes == path.stat().st_size
    assert not header.has_mask
    read, valid = read_raster_block(header, *WHOLE)
    assert read.dtype == pixels.dtype
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, pixels.transpose(1, 2, 0))
    assert valid.dtype == bool
    assert valid.all()


def test_the_unit_is_at_most_the_image(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels(), tiled=True)
    assert read_raster_header(path).unit == (70, 90)


def test_what_is_decoded_from_the_top_is_one_unit(tmp_path):
    path = write_raster(tmp_path / "a.png", make_pixels(3, shape=(300, 40)), driver="PNG")
    assert read_raster_header(path).unit == (300, 40)


@pytest.mark.parametrize(
    ("options", "unit"),
    [
        ({"blockysize": 3000, "compress": "deflate"}, (3000, 4000)),  # GDAL says one row
        ({"blockysize": 1, "compress": "deflate"}, (1, 4000)),
    ],
)
def test_a_large_strip_is_one_unit_if_it_is_compressed(tmp_path, options, unit):
    pixels = np.zeros((1, 3000, 4000), dtype=np.uint8)
    path = write_raster(tmp_path / "a.tif", pixels, **options)
    with borrow_gdal(), rasterio.open(path) as dataset:
        assert dataset.block_shapes == [(1, 4000)]
    assert read_raster_header(path).unit == unit


@pytest.mark.parametrize("layout", LAYOUTS)
def test_blocks_make_up_the_image(tmp_path, layout):
    pixels = make_pixels(2)
    alpha = np.random.default_rng(1).integers(0, 2, (1, 70, 90), dtype=np.uint8) * 255
    path = tmp_path / "a.tif"
    write_raster(path, np.concatenate([pixels, alpha]), alpha=3, nodata=7, **LAYOUTS[layout])
    header = read_raster_header(path)
    expected, expected_valid = read_raster_block(header, *WHOLE)
    assert not expected_valid.all()
    for top in range(0, 70, 24):
        for left in range(0, 90, 50):
            part = slice(top, top + 24), slice(left, left + 50)
            read, valid = read_raster_block(header, *part)
            np.testing.assert_array_equal(read, expected[part])
            np.testing.assert_array_equal(valid, expected_valid[part])


def test_an_empty_block_is_empty(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels(), mask=np.zeros((70, 90), dtype=bool))
    read, valid = read_raster_block(read_raster_header(path), slice(70, 80), slice(0, 90))
    assert (read.shape, valid.shape) == ((0, 90, 3), (0, 90))


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 0),
        ("uint8", 255),
        ("int16", -9999),
        ("uint16", 65535),
        ("float32", float("nan")),
        ("float32", 0.1),
        ("float32", -3.4028234663852886e38),
        ("float64", 1e300),
        ("int32", -(2**31)),
    ],
)
def test_nodata_in_any_band_is_not_valid(tmp_path, dtype, nodata):
    pixels = make_pixels(3, dtype)
    hole = np.random.default_rng(2).integers(0, 4, pixels.shape) == 0
    pixels[hole] = nodata
    path = write_raster(tmp_path / "a.tif", pixels, nodata=nodata)
    read, valid = read_whole(path)
    assert not valid[hole.any(axis=0)].any()
    np.testing.assert_array_equal(valid, read_masks(path))
    np.testing.assert_array_equal(read, pixels.transpose(1, 2, 0))


def test_samples_that_are_not_finite_are_not_valid(tmp_path):
    pixels = make_pixels(2, "float32")
    pixels[0, 1, 2], pixels[1, 3, 4], pixels[1, 5, 6] = np.nan, np.inf, -np.inf
    _, valid = read_whole(write_raster(tmp_path / "a.tif", pixels))
    assert np.argwhere(~valid).tolist() == [[1, 2], [3, 4], [5, 6]]


VRT_BAND = """<VRTRasterBand dataType="{type}" band="{band}"><NoDataValue>{nodata}</NoDataValue>
<SimpleSource><SourceFilename relativeToVRT="1">{file}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand>"""


def write_vrt(path, bands):
    """Write a mosaic of the first bands of files: ``(GDAL's type, nodata, file)`` each."""
    parts = [
        VRT_BAND.format(type=kind, nodata=nodata, band=number, file=file)
        for number, (kind, nodata, file) in enumerate(bands, 1)
    ]
    size = 'rasterXSize="90" rasterYSize="70"'
    path.write_text(f"<VRTDataset {size}>{''.join(parts)}</VRTDataset>")
    return path


def test_each_band_has_a_nodata_value_of_its_own(tmp_path):
    write_raster(tmp_path / "a.tif", make_pixels(1))
    write_raster(tmp_path / "b.tif", make_pixels(1, seed=1))
    bands = [("Byte", 3, "a.tif"), ("Byte", 5, "b.tif")]
    path = write_vrt(tmp_path / "m.vrt", bands)
    header = read_raster_header(path)
    assert header.nodata == (3, 5)
    read, valid = read_raster_block(header, *WHOLE)
    np.testing.assert_array_equal(valid, (read[..., 0] != 3) & (read[..., 1] != 5))
    np.testing.assert_array_equal(valid, read_masks(path))
    assert 0 < valid.sum() < valid.size


def test_bands_of_several_types_get_one_that_holds_all(tmp_path):
    floats = make_pixels(1, "float32", seed=1) + np.float32(0.1)
    numbers = make_pixels(1, "int32") + 2**30
    write_raster(tmp_path / "a.tif", numbers)
    write_raster(tmp_path / "b.tif", floats)
    bands = [("Int32", 2**30, "a.tif"), ("Float32", 3.1, "b.tif")]
    header = read_raster_header(write_vrt(tmp_path / "m.vrt", bands))
    assert header.dtype == np.float64
    read, valid = read_raster_block(header, *WHOLE)
    np.testing.assert_array_equal(read, np.stack([numbers[0], floats[0]], axis=-1))
    expected = (numbers[0] != 2**30) & (floats[0] != np.float32(3.1))
    assert (floats[0] == np.float32(3.1)).any()
    np.testing.assert_array_equal(valid, expected)


@pytest.mark.parametrize("nodata", [-9999, 256, 1.5, float("nan"), float("inf"), 1e300])
def test_nodata_that_the_type_cannot_hold_stands_for_nothing(tmp_path, nodata):
    pixels = make_pixels(1)
    pixels[0, 0] = 0, *[1] * 88, 255  # what a cast would wrap to, or cut off to
    header = read_raster_header(write_raster(tmp_path / "a.tif", pixels))
    _, valid = read_raster_block(dataclasses.replace(header, nodata=(nodata,)), *WHOLE)
    assert valid.all()


def test_other_nodata_can_be_asked_for(tmp_path):
    pixels = make_pixels(2)
    header = read_raster_header(write_raster(tmp_path / "a.tif", pixels, nodata=9))
    assert header.nodata == (9, 9)
    for values in [(None, None), (4, None), (4, 6)]:
        _, valid = read_raster_block(dataclasses.replace(header, nodata=values), *WHOLE)
        expected = np.ones((70, 90), dtype=bool)
        for band, value in zip(pixels, values, strict=True):
            expected &= band != (-1 if value is None else value)
        np.testing.assert_array_equal(valid, expected)


def test_an_alpha_band_is_a_mask_and_no_data(tmp_path):
    pixels = make_pixels(4)
    pixels[1] = np.random.default_rng(3).integers(0, 3, (70, 90)) * 127
    path = write_raster(tmp_path / "a.tif", pixels, alpha=2, photometric="MINISBLACK")
    header = read_raster_header(path)
    assert header.band_numbers == (1, 3, 4)
    assert header.band_names == ("band 1", "band 3", "band 4")
    assert header.has_mask
    read, valid = read_raster_block(header, *WHOLE)
    np.testing.assert_array_equal(read, pixels[[0, 2, 3]].transpose(1, 2, 0))
    np.testing.assert_array_equal(valid, pixels[1] != 0)
    _, ignored = read_raster_block(dataclasses.replace(header, has_mask=False), *WHOLE)
    assert ignored.all()


@pytest.mark.parametrize("bands", [2, 4])
def test_an_alpha_band_at_the_end_masks_as_for_gdal(tmp_path, bands):
    pixels = make_pixels(bands)
    pixels[-1] = np.random.default_rng(3).integers(0, 3, (70, 90)) * 127
    path = write_raster(tmp_path / "a.tif", pixels, alpha=bands)
    _, valid = read_whole(path)
    assert not valid.all()
    np.testing.assert_array_equal(valid, read_masks(path))


@pytest.mark.parametrize("internal", [True, False])
def test_a_mask_is_applied(tmp_path, internal):
    mask = np.random.default_rng(4).integers(0, 2, (70, 90)) == 1
    path = tmp_path / "a.tif"
    write_raster(path, make_pixels(), mask=mask, internal=internal, tiled=True)
    assert (tmp_path / "a.tif.msk").exists() is not internal
    assert read_raster_header(path).has_mask
    _, valid = read_whole(path)
    np.testing.assert_array_equal(valid, mask)
    np.testing.assert_array_equal(valid, read_masks(path))


def test_mask_and_nodata_both_count(tmp_path):
    pixels = make_pixels()
    mask = np.random.default_rng(4).integers(0, 2, (70, 90)) == 1
    _, valid = read_whole(write_raster(tmp_path / "a.tif", pixels, mask=mask, nodata=3))
    np.testing.assert_array_equal(valid, mask & (pixels != 3).all(axis=0))


def test_a_value_of_all_bands_together_is_a_mask(tmp_path):
    pixels = make_pixels(2)
    pixels[:, 5:9, 5:9] = [[[1]], [[2]]]
    path = write_raster(tmp_path / "a.tif", pixels)
    with borrow_gdal(), rasterio.open(path, "r+") as dataset:
        dataset.update_tags(NODATA_VALUES="1 2")
    expected = ~((pixels[0] == 1) & (pixels[1] == 2))
    _, valid = read_whole(path)
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_array_equal(valid, read_masks(path))


def test_band_names_are_distinct(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels(5))
    with borrow_gdal(), rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("red", None, "band 2", "red", " near\ninfrared ")
    names = read_raster_header(path).band_names
    assert names == ("red (1)", "band 2 (2)", "band 2 (3)", "red (4)", "near infrared")


def test_georeferencing_is_read(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels(), crs="EPSG:32631", transform=UTM)
    header = read_raster_header(path)
    assert header.geo.transform == (10.0, 0.0, 500000.0, 0.0, -20.0, 4000000.0)
    assert header.geo.crs_wkt.startswith("PROJCRS[")  # WKT2; WKT1 has PROJCS
    assert rasterio.crs.CRS.from_wkt(header.geo.crs_wkt).to_epsg() == 32631
    assert (header.geo.gcps, header.geo.gcps_crs_wkt, header.geo.rpcs) == ((), None, ())
    assert header.pixel_area_m2 == 200.0


def test_a_plain_picture_has_no_georeferencing(tmp_path):
    header = read_raster_header(write_raster(tmp_path / "a.tif", make_pixels()))
    assert header.geo == GeoReference()
    assert header.pixel_area_m2 is None


def test_control_points_are_read(tmp_path):
    points = [GroundControlPoint(0, 0, 7.0, 45.5, 1.5), GroundControlPoint(69, 89, 8.0, 44.0)]
    points.append(GroundControlPoint(0, 89, 8.0, 45.5))
    path = write_raster(tmp_path / "a.tif", make_pixels(), gcps=points, crs="EPSG:4326")
    geo = read_raster_header(path).geo
    assert geo.gcps[:2] == ((0.0, 0.0, 7.0, 45.5, 1.5), (69.0, 89.0, 8.0, 44.0, 0.0))
    assert rasterio.crs.CRS.from_wkt(geo.gcps_crs_wkt).to_epsg() == 4326
    assert (geo.transform, geo.crs_wkt) == (None, None)
    assert measure_pixel_area(geo) is None


def test_world_files_are_found(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels())
    (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n500005\n3999995\n")
    transform = (10.0, 0.0, 500000.0, 0.0, -10.0, 4000000.0)
    assert read_raster_header(path).geo == GeoReference(transform=transform)


def test_what_other_programs_keep_beside_a_file_is_read_and_nothing_is_written(tmp_path):
    options = {"driver": "PNG", "nodata": 7, "crs": "EPSG:32631", "transform": UTM}
    path = write_raster(tmp_path / "a.png", make_pixels(1), **options)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert "a.png.aux.xml" in before
    header = read_raster_header(path)
    assert (header.nodata, header.pixel_area_m2) == ((7,), 200.0)
    read_raster_block(header, *WHOLE)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("driver", ["PNG", "GTiff", "JPEG", "BMP"])
def test_reading_leaves_nothing_behind(tmp_path, driver):
    path = write_raster(tmp_path / "a.img", make_pixels(), driver=driver)
    for file in tmp_path.glob("*.aux.xml"):
        file.unlink()
    read_whole(path)
    assert os.listdir(tmp_path) == ["a.img"]


@pytest.mark.parametrize(
    ("crs", "transform", "area"),
    [
        ("EPSG:32631", UTM, 200.0),
        ("EPSG:32631", Affine(6.0, 8.0, 5e5, 8.0, -6.0, 4e6), 100.0),  # turned
        ("EPSG:32631", Affine.translation(5, 6), 1.0),
        ("EPSG:2263", Affine.scale(2.0, -3.0), 6 * (1200 / 3937) ** 2),  # US survey feet
        ("EPSG:32631+5773", UTM, 200.0),
        ("EPSG:4326", Affine.scale(0.1, -0.1), None),
        ("EPSG:4978", UTM, None),
        (None, UTM, None),
        ("EPSG:32631", None, None),
    ],
)
def test_pixel_area_is_in_square_metres(crs, transform, area):
    geo = GeoReference(
        crs_wkt=crs and rasterio.crs.CRS.from_user_input(crs).to_wkt(version="WKT2_2019"),
        transform=transform and tuple(transform)[:6],
    )
    measured = measure_pixel_area(geo)
    assert measured == (None if area is None else pytest.approx(area, rel=1e-9))


def test_a_system_that_cannot_be_parsed_measures_nothing():
    assert measure_pixel_area(GeoReference(crs_wkt="PROJCRS[", transform=tuple(UTM)[:6])) is None


def test_headers_and_blocks_pickle(tmp_path):
    header = read_raster_header(write_raster(tmp_path / "a.tif", make_pixels(), crs="EPSG:4326"))
    assert pickle.loads(pickle.dumps(header)) == header


def test_threads_read_the_same(tmp_path):
    pixels = make_pixels(3, shape=(256, 256))
    path = write_raster(tmp_path / "a.tif", pixels, **LAYOUTS["tiled"])
    header = read_raster_header(path)
    parts = [slice(top, top + 16) for top in range(0, 256, 16)]
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda rows: read_raster_block(header, rows, slice(None)), parts))
    np.testing.assert_array_equal(
        np.concatenate([block for block, _ in blocks]), pixels.transpose(1, 2, 0)
    )


@pytest.mark.parametrize("name", ["a#b?c.tif", "zip:x!y.tif", "two\nlines.tif", "ä %20.tif"])
def test_any_name_of_a_file_will_do(tmp_path, name, monkeypatch):
    pixels = make_pixels()
    write_raster(tmp_path / name, pixels)
    monkeypatch.chdir(tmp_path)
    read, _ = read_whole(name)
    np.testing.assert_array_equal(read, pixels.transpose(1, 2, 0))


def expect_one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert "previous exception" not in message


@pytest.mark.parametrize(
    "layout", [LAYOUTS["tiled"], LAYOUTS["planar"], {"blockysize": 8}], ids=["tiled", "planar", "s"]
)
def test_a_truncated_file_is_refused_in_one_line(tmp_path, layout):
    path = write_raster(tmp_path / "a.tif", make_pixels(), **layout)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3000])
    header = read_raster_header(path)
    with pytest.raises(SourceError, match=r"a\.tif") as caught:
        read_raster_block(header, *WHOLE)
    expect_one_line(caught)


def test_a_tile_of_noise_is_refused_in_one_line(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels(), **LAYOUTS["tiled"])
    data = bytearray(path.read_bytes())
    data[-2000:-1000] = zlib.compress(b"other")[:10] * 100
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.tif") as caught:
        read_whole(path)
    expect_one_line(caught)


def test_a_file_that_is_no_raster_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("Dear diary,")
    with pytest.raises(SourceError, match="not recognized") as caught:
        read_raster_header(path)
    expect_one_line(caught)
    assert not isinstance(caught.value, SourceNotFoundError)


@pytest.mark.parametrize("name", ["none.tif", "none/a.tif", "/vsimem/a.tif", "GTIFF_DIR:1:a.tif"])
def test_a_file_that_does_not_exist_is_named(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFoundError, match="there is no such file"):
        read_raster_header(name)


@pytest.mark.parametrize("name", ["https://example.org/a.tif", "/vsicurl/https://example.org/a"])
def test_addresses_are_refused(name):
    with pytest.raises(SourceError, match="only local paths"):
        read_raster_header(name)


def test_folders_are_refused(tmp_path):
    with pytest.raises(SourceError, match="it is a folder"):
        read_raster_header(tmp_path)


def test_a_file_that_vanishes_is_not_found(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels())
    header = read_raster_header(path)
    path.unlink()
    with pytest.raises(SourceNotFoundError):
        read_raster_block(header, *WHOLE)


def test_without_rasterio_the_way_out_is_named(tmp_path, monkeypatch):
    path = write_raster(tmp_path / "a.tif", make_pixels())
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(SourceError, match=r"pip install \"dask-quant\[geo\]\""):
        read_raster_header(path)


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_samples_are_refused(tmp_path, dtype):
    pixels = make_pixels(2, "complex64")
    path = write_raster(tmp_path / "a.tif", pixels, dtype=dtype)
    with pytest.raises(PixelFormatError, match=f"{dtype} in band 1"):
        read_raster_header(path)


def test_colour_tables_are_refused(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels(1), colors={1: (255, 0, 0, 255)})
    with pytest.raises(PixelFormatError, match="expand"):
        read_raster_header(path)


def test_a_file_of_alpha_alone_is_refused(tmp_path):
    path = write_raster(tmp_path / "a.tif", make_pixels(1), alpha=1)
    with pytest.raises(PixelFormatError, match="none of data"):
        read_raster_header(path)
