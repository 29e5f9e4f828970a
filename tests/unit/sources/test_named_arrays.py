"""Arrays of xarray and rioxarray: bands, nodata and place, into arrays and files and back."""

import numpy as np
import pytest
import rasterio
import rioxarray
import tifffile
import xarray as xr

import dask_quant as dq
import dask_quant.accessor
from dask_quant.georeference import GeoReference
from dask_quant.sinks.tiff_place import find_geo_tags
from dask_quant.sources.named_arrays import as_one_array, read_named_samples, read_place
from dask_quant.sources.reading import Origin

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -20, 5_000_000)

SHEARED = rasterio.Affine(10, 3, 500_000, 4, -20, 5_000_000)

NODATA = -9999


@pytest.fixture
def write(tmp_path):
    """Write samples ``(band, y, x)`` as a GeoTIFF; return its path."""

    def write_file(samples, transform=TRANSFORM, **options):
        path = tmp_path / "in.tif"
        given = {"crs": "EPSG:32633", "transform": transform, **options}
        n_bands, height, width = samples.shape
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=n_bands,
            dtype=samples.dtype.name, **given,
        ) as dataset:  # fmt: skip
            dataset.write(samples)
        return path

    return write_file


@pytest.fixture
def scene(write):
    """Four bands of int16, some pixels without a value."""
    samples = np.random.default_rng(0).integers(0, 4000, (4, 30, 50)).astype(np.int16)
    samples[:, 3:7, 5:9] = NODATA
    return write(samples, nodata=NODATA)


def read_place_of(path):
    with rasterio.open(path) as dataset:
        return dataset.crs.to_epsg(), dataset.transform, dataset.nodata


@pytest.mark.parametrize(
    "options", [{}, {"masked": True}, {"chunks": {"y": 16, "x": 20}}, {"band_as_variable": True}]
)
def test_classes_of_a_raster_are_those_of_its_file(scene, tmp_path, options):
    expected = dq.segment(scene, tmp_path / "file.tif", n_clusters=3)
    with rioxarray.open_rasterio(scene, **options) as data:
        report = dq.segment(data, tmp_path / "array.tif", n_clusters=3)
        labels = data.quant.segment(3)
    assert report.n_excluded == expected.n_excluded == 16
    assert read_place_of(tmp_path / "array.tif") == (32633, TRANSFORM, 255)
    with rasterio.open(tmp_path / "array.tif") as one, rasterio.open(tmp_path / "file.tif") as two:
        np.testing.assert_array_equal(one.read(), two.read())
        np.testing.assert_array_equal(labels, one.read(1))
    assert (labels.rio.crs.to_epsg(), labels.rio.transform()) == (32633, TRANSFORM)
    assert labels.rio.nodata == 255
    labels.rio.to_raster(tmp_path / "again.tif")
    assert read_place_of(tmp_path / "again.tif") == (32633, TRANSFORM, 255)


def test_a_part_of_a_raster_lies_where_it_did(scene, tmp_path):
    with rioxarray.open_rasterio(scene) as data:
        part = data.isel(y=slice(5, 25), x=slice(10, 50, 2))
        dq.segment(part, tmp_path / "o.tif", n_clusters=2)
        wanted = part.rio.transform(recalc=True)
    # Every other column: pixels are twice as wide, around the centres of those that are left.
    assert wanted == rasterio.Affine(20, 0, 500_095, 0, -20, 4_999_900)
    assert read_place_of(tmp_path / "o.tif")[1] == wanted


@pytest.mark.parametrize("transform", [TRANSFORM, SHEARED])
def test_a_picture_keeps_its_place_in_array_and_file(write, tmp_path, transform):
    pixels = np.random.default_rng(1).integers(0, 256, (3, 30, 50), dtype=np.uint8)
    with rioxarray.open_rasterio(write(pixels, transform)) as data:
        report = dq.quantize(data, tmp_path / "o.tif", n_colors=4, n_init=1)
        few = data.quant.quantize(palette=report.palette)
    assert read_place_of(tmp_path / "o.tif") == (32633, transform, None)
    with rasterio.open(tmp_path / "o.tif") as dataset:
        found = report.palette.colors[dataset.read(1)]
    np.testing.assert_array_equal(found.transpose(2, 0, 1), few)
    assert (few.rio.crs.to_epsg(), few.rio.transform()) == (32633, transform)


def test_what_has_no_reference_system_has_no_place(tmp_path, photo):
    data = xr.DataArray(photo[:20, :30], dims=("y", "x", "band"), coords={"x": np.arange(30.0)})
    assert read_place(data, ("y", "x")) == GeoReference()
    dq.quantize(data, tmp_path / "o.tif", n_colors=3, n_init=1)
    assert find_geo_tags(Origin(data), (20, 30)) is None
    unnamed = xr.DataArray(photo[:20, :30])
    dq.quantize(unnamed, tmp_path / "o.tif", n_colors=3, n_init=1, overwrite=True)
    with tifffile.TiffFile(tmp_path / "o.tif") as file:
        assert not file.pages[0].is_geotiff


def test_uneven_coordinates_have_no_transform():
    ys, xs = np.arange(4.0), np.array([0.0, 1.0, 3.0])
    data = xr.DataArray(np.zeros((4, 3)), dims=("lat", "lon"), coords={"lat": ys, "lon": xs})
    data = data.rio.write_crs(4326)
    assert read_place(data, ("lat", "lon")).transform is None
    even = read_place(data.isel(lon=slice(2)), ("lat", "lon"))
    assert even.transform == (1.0, 0.0, -0.5, 0.0, 1.0, -0.5)
    assert "WGS 84" in even.crs_wkt


def test_variables_are_bands_each_with_its_nodata():
    grid = (("y", "x"), np.arange(6, dtype=np.int16).reshape(2, 3))
    data = xr.Dataset({"red": grid, "nir": grid, "crs": ((), 0)}, attrs={"nodata": 4})
    data["red"].attrs["_FillValue"] = 2
    named = read_named_samples(data)
    assert named.band_names == ("red", "nir")
    assert named.nodata == (2, 4)
    assert named.samples.shape == (2, 3, 2)
    report = dq.segment(data, n_clusters=2)
    assert report.n_excluded == 2
    assert dq.segment(data, n_clusters=2, bands=["nir"]).n_excluded == 1
    labels = data.quant.label(report.model)
    assert labels.values.ravel()[[2, 4]].tolist() == [255, 255]


def test_variables_of_several_grids_are_refused_with_their_names():
    data = xr.Dataset(
        {"a": (("y", "x"), np.zeros((2, 3))), "b": (("time", "y", "x"), np.zeros((2, 2, 3)))}
    )
    with pytest.raises(dq.PixelFormatError, match=r"\['a', 'b'\].*choose those of one grid"):
        dq.segment(data)
    assert as_one_array(data[["b"]]).dims == ("time", "y", "x")
    with pytest.raises(dq.PixelFormatError, match="variables \\[\\]"):
        dq.segment(data[[]])


def test_a_data_set_of_colours_is_a_picture(tmp_path, photo):
    data = xr.Dataset(
        {name: (("y", "x"), photo[:20, :30, band]) for band, name in enumerate("rgb")}
    )
    report = dq.quantize(data, tmp_path / "o.png", n_colors=4, n_init=1)
    expected = dq.quantize(photo[:20, :30].copy(), tmp_path / "e.png", n_colors=4, n_init=1)
    assert report.palette == expected.palette
