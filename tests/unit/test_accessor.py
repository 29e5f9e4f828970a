"""xarray in, xarray out."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import dask_quant as dq
import dask_quant.accessor


@pytest.fixture(scope="module")
def cube():
    """Three bands, int16 (band, y, x), -1 where there is nothing, with coordinates."""
    rng = np.random.default_rng(0)
    middles = rng.uniform(100, 900, (4, 3))
    samples = middles[rng.integers(0, 4, (30, 40))] + rng.normal(0, 9, (30, 40, 3))
    samples = samples.astype(np.int16).transpose(2, 0, 1)
    samples[:, :3, :5] = -1
    return xr.DataArray(
        samples,
        dims=("band", "y", "x"),
        coords={
            "band": ["red", "nir", "swir"],
            "y": np.arange(30) * -10.0,
            "x": np.arange(40) * 10.0,
            "spatial_ref": 0,
        },
        attrs={"_FillValue": -1},
    )


def expected_labels(cube, model, bands=(0, 1, 2)):
    samples = cube.values.transpose(1, 2, 0)[..., list(bands)]
    return model.label(samples, (samples != -1).all(axis=2))


def test_an_array_gives_labels_with_its_coordinates(cube):
    labels = cube.quant.segment(n_clusters=4)
    model = dq.ClassModel.from_json(labels.attrs["dask_quant_model"])
    np.testing.assert_array_equal(labels.values, expected_labels(cube, model))
    assert labels.dims == ("y", "x")
    assert set(labels.coords) == {"y", "x", "spatial_ref"}
    np.testing.assert_array_equal(labels.y, cube.y)
    assert labels.attrs["_FillValue"] == 255
    assert (labels.values == 255).sum() == 15


def test_a_data_set_takes_its_variables_for_bands(cube):
    data = cube.to_dataset(dim="band")
    for name in data:
        data[name].attrs["_FillValue"] = -1
    xr.testing.assert_equal(data.quant.segment(n_clusters=4), cube.quant.segment(n_clusters=4))


def test_chunked_arrays_stay_lazy_and_give_the_same(cube):
    chunked = cube.chunk({"band": 1, "y": 7, "x": 40})
    labels = chunked.quant.segment(n_clusters=4, scale="standard")
    assert isinstance(labels.data, da.Array)
    xr.testing.assert_equal(labels.compute(), cube.quant.segment(n_clusters=4, scale="standard"))


def test_bands_are_chosen_by_name_or_number(cube):
    labels = cube.quant.segment(n_clusters=3, bands=["swir", 1])
    model = dq.ClassModel.from_json(labels.attrs["dask_quant_model"])
    np.testing.assert_array_equal(labels.values, expected_labels(cube, model, (2, 0)))


def test_one_band_needs_no_dimension_for_it(cube):
    labels = cube.sel(band="nir").quant.segment(n_clusters=2)
    assert sorted(np.unique(labels)) == [0, 1, 255]


def test_scores_are_those_of_the_array(cube):
    curve = cube.quant.score_classes([2, 4])
    samples = cube.values.transpose(1, 2, 0)
    assert curve == dq.score_classes(samples, [2, 4], nodata=-1)


def test_dimensions_that_say_nothing_are_refused(cube):
    with pytest.raises(dq.PixelFormatError, match="one of them must be called y or lat"):
        cube.rename(y="up").quant.segment()
    with pytest.raises(dq.PixelFormatError, match=r"choose one of \['time', 'band'\]"):
        cube.expand_dims(time=2).quant.segment()


def test_without_the_accessor_names_and_nodata_are_read_as_well(cube):
    report = dq.segment(cube, n_clusters=4)
    assert report.table.band_names == ("red", "nir", "swir")
    assert report.n_excluded == 15
    np.testing.assert_array_equal(
        dq.label_classes(cube, report.model), cube.quant.segment(n_clusters=4)
    )


@pytest.fixture(scope="module")
def picture(photo):
    """A photograph, uint8 (band, y, x), with coordinates."""
    return xr.DataArray(
        photo[200:240, 300:350].transpose(2, 0, 1),
        dims=("band", "y", "x"),
        coords={"band": ["red", "green", "blue"], "y": np.arange(40) * -1.0, "spatial_ref": 0},
    )


@pytest.mark.parametrize(("space", "dither"), [("lab", "floyd-steinberg"), ("srgb", "none")])
def test_a_picture_keeps_its_dimensions_in_few_colours(picture, space, dither):
    options = {"space": space, "dither": dither}
    found = picture.quant.quantize(5, n_init=1, **options)
    pixels = picture.values.transpose(1, 2, 0)
    palette = dq.fit_palette(pixels, 5, n_init=1, space=space)
    expected = palette.colors[dq.relabel(pixels, palette, **options).compute()]
    np.testing.assert_array_equal(found.values, expected.transpose(2, 0, 1))
    assert (found.dims, found.dtype) == (picture.dims, np.uint8)
    assert found.attrs["palette"] == palette.hex
    assert set(found.coords) == set(picture.coords)
    lazy = picture.chunk({"band": 1, "y": 7}).quant.quantize(palette=palette, **options)
    assert isinstance(lazy.data, da.Array)
    xr.testing.assert_equal(lazy.compute(), found)


def test_grey_gets_three_bands_and_other_numbers_are_refused(picture, cube):
    grey = picture.isel(band=0, drop=True)
    found = grey.quant.quantize(palette=[[0, 0, 0], [255, 255, 255]], dither="bayer")
    assert (found.dims, found.shape) == (("y", "x", "band"), (40, 50, 3))
    assert set(np.unique(found)) == {0, 255}
    assert found.sel(y=-3.0).shape == (50, 3)
    with pytest.raises(dq.PixelFormatError):
        cube.quant.quantize(4)
    with pytest.raises(dq.OptionError, match="known are none, bayer"):
        picture.quant.quantize(4, dither="noise")


@pytest.mark.parametrize("chunks", [{}, {"y": 7}])
@pytest.mark.parametrize(("alpha", "n_bands"), [("keep", 4), ("drop", 3), ("matte:#204060", 3)])
def test_a_picture_keeps_its_transparency_or_loses_it(chunks, alpha, n_bands):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    pixels[:5, :, 3] = 0
    array = xr.DataArray(pixels, dims=("y", "x", "band"), coords={"band": list("rgba")})
    array = array.chunk(chunks) if chunks else array
    picture = array.quant.quantize(5, alpha=alpha).compute()
    assert picture.shape == (20, 30, n_bands)
    assert ("band" in picture.coords) == (n_bands == 4)
    image = dq.open_image(pixels, alpha=alpha)
    palette = dq.fit_palette(pixels, 5, alpha=alpha)
    expected = dq.render(dq.relabel(image, palette), palette).compute()
    np.testing.assert_array_equal(picture.values, expected)
