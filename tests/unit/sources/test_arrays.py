import dask
import dask.array as da
import numpy as np
import pytest

import dask_quant as dq
from dask_quant.errors import OptionError, PixelFormatError
from dask_quant.sources.arrays import as_image


def never(*args):
    raise AssertionError("computed while building")


@pytest.mark.parametrize("bands", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("kind", ["numpy", "dask"])
def test_every_accepted_shape_becomes_rgb(bands, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, *bands), dtype=np.uint8)
    if bands == (4,):
        pixels[..., 3] = 255
    array = pixels if kind == "numpy" else da.from_array(pixels, chunks=(3, 4, 1)[: pixels.ndim])
    image = as_image(array, chunks=(4, 5))
    expected = (
        pixels[..., :3] if bands in ((3,), (4,)) else np.repeat(pixels.reshape(7, 9, 1), 3, 2)
    )
    assert image.chunks == ((4, 3), (5, 4), (3,))
    assert image.dtype == np.uint8
    assert image._meta.dtype == np.uint8
    assert np.array_equal(image.compute(scheduler="synchronous"), expected)


def test_chunks_of_a_dask_array_are_kept_and_bands_joined():
    array = da.zeros((6, 6, 3), chunks=(2, 3, 1), dtype=np.uint8)
    assert as_image(array).chunks == ((2, 2, 2), (3, 3), (3,))


def test_building_computes_nothing():
    with dask.config.set(scheduler=never):
        as_image(da.zeros((8, 8, 4), chunks=(4, 4, 2), dtype=np.uint8), chunks=(2, 2))


def test_blocks_of_a_numpy_array_are_views():
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    image = as_image(pixels, chunks=(4, 8))
    blocks = dask.compute(*image.to_delayed().ravel(), scheduler="synchronous")
    assert all(np.shares_memory(block, pixels) for block in blocks)


def test_equal_arrays_have_equal_names():
    pixels = np.zeros((8, 8), dtype=np.uint8)
    assert as_image(pixels).name == as_image(pixels.copy()).name
    assert as_image(pixels).name != as_image(pixels + 1).name


def test_transparency_is_refused_when_computed():
    image = as_image(np.zeros((4, 4, 4), dtype=np.uint8))
    with pytest.raises(PixelFormatError, match="16 of 16 pixels not opaque"):
        image.compute(scheduler="synchronous")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
        da.zeros((4, 4), dtype=np.int16),
        [[1, 2]],
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(PixelFormatError):
        as_image(array)


def test_unknown_chunk_sizes_are_refused_with_the_way_out():
    array = da.zeros((8, 8), dtype=np.uint8)
    with pytest.raises(PixelFormatError, match="compute_chunk_sizes"):
        as_image(array[array[:, 0] == 0])


def test_query_planning_is_refused(monkeypatch):
    monkeypatch.setattr(da, "ARRAY_EXPR_ENABLED", True)
    with pytest.raises(OptionError, match=r"array\.query-planning"):
        as_image(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("dims", ["yxc", "cyx", "xcy", "tczyx"])
@pytest.mark.parametrize("is_dask", [False, True])
def test_named_dimensions_say_which_axis_is_which(dims, is_dask):
    xarray = pytest.importorskip("xarray")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 7, 3), dtype=np.uint8)
    moved = pixels.transpose(["yxc".index(name) for name in dims if name in "yxc"])
    data = moved[tuple(slice(None) if name in "yxc" else None for name in dims)]
    if is_dask:
        data = da.from_array(data, chunks=2)
    array = xarray.DataArray(data, dims=tuple(dims))
    assert np.array_equal(as_image(array).compute(scheduler="synchronous"), pixels)
    histogram = dq.count_colors(array)
    assert (histogram.n_pixels, len(histogram)) == (
        21,
        len(np.unique(pixels.reshape(-1, 3), axis=0)),
    )


def test_several_pictures_in_an_array_are_refused():
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(np.zeros((2, 9, 9), np.uint8), dims=("z", "y", "x"))
    with pytest.raises(PixelFormatError, match=r"several pictures"):
        as_image(array)


def test_an_array_of_named_dimensions_is_relabelled_like_its_pixels(tmp_path, photo):
    xarray = pytest.importorskip("xarray")
    pixels = np.ascontiguousarray(photo[:40, :50])
    array = xarray.DataArray(pixels.transpose(2, 1, 0), dims=("band", "x", "y"))
    report = dq.quantize(array, tmp_path / "a.png", n_colors=5)
    dq.quantize(pixels, tmp_path / "b.png", n_colors=5)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert report.n_pixels == 2000
