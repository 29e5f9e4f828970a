"""Georeferencing tags, against GDAL."""

import numpy as np
import pytest
import tifffile

from dask_quant.options import Page
from dask_quant.sources.geotiff_tags import GeoTags, read_geo_tags

rasterio = pytest.importorskip("rasterio")

TRANSFORMS = [
    rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    rasterio.Affine(8, -6, 500_000, -6, -8, 5_000_000),  # turned: a matrix
]


def write(path, transform, crs="EPSG:32633", **options):
    profile = {"driver": "GTiff", "height": 60, "width": 80, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform, **options) as file:
        file.write(np.arange(3 * 60 * 80, dtype=np.uint8).reshape(3, 60, 80))
    return path


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("anchor", ["AREA", "POINT"])
@pytest.mark.parametrize(("crs", "epsg"), [("EPSG:32633", 32633), ("EPSG:4326", 4326)])
def test_tags_say_what_gdal_says(tmp_path, transform, anchor, crs, epsg):
    path = write(tmp_path / "a.tif", transform, crs)
    with rasterio.open(path, "r+") as file:
        file.update_tags(AREA_OR_POINT=anchor)
        file.transform = transform
    with rasterio.open(path) as file:
        assert file.tags()["AREA_OR_POINT"].upper() == anchor
        expected = tuple(file.transform)[:6]
    tags = read_geo_tags(path)
    assert tags.epsg == epsg
    assert tags.transform == pytest.approx(expected)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("anchor", ["AREA", "POINT"])
@pytest.mark.parametrize("step", [1, 2])
def test_copied_tags_are_read_by_gdal(tmp_path, transform, anchor, step):
    path = write(tmp_path / "a.tif", transform, nodata=7)
    with rasterio.open(path, "r+") as file:
        file.update_tags(AREA_OR_POINT=anchor)
        file.transform = transform
    tags = read_geo_tags(path)
    assert tags.nodata.strip() == "7"
    labels = np.zeros((60 // step, 80 // step), np.uint8)
    extra = tags.zoom(step, step).to_extra_tags()
    tifffile.imwrite(tmp_path / "b.tif", labels, photometric="minisblack", extratags=extra)
    with rasterio.open(path) as first, rasterio.open(tmp_path / "b.tif") as second:
        assert second.crs == first.crs
        wanted = first.transform @ rasterio.Affine.scale(step)
        assert tuple(second.transform) == pytest.approx(tuple(wanted))


def test_a_level_has_the_tags_of_its_page_in_larger_pixels(tmp_path):
    path = write(tmp_path / "a.tif", TRANSFORMS[0], tiled=True, blockxsize=16, blockysize=16)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    level = read_geo_tags(path, page=Page(level=2))
    assert level.transform == (40, 0, 500_000, 0, -40, 5_000_000)
    assert level.epsg == 32633


def test_a_file_without_tags_has_none(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), photometric="minisblack")
    tags = read_geo_tags(tmp_path / "a.tif")
    assert tags == GeoTags()
    assert (tags.epsg, tags.transform, tags.to_extra_tags()) == (None, None, [])


def test_tags_of_a_turned_file_are_left_out(tmp_path):
    extra = [
        *GeoTags(pixel_scale=(1, 1, 0), tiepoints=(0,) * 6).to_extra_tags(),
        (274, 3, 1, 6, True),
    ]
    zeros = np.zeros((4, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", zeros, photometric="minisblack", extratags=extra)
    assert read_geo_tags(tmp_path / "a.tif") == GeoTags()
