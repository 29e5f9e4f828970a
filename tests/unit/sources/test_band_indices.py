"""Normalised differences: of the bands that are meant, and nothing where they are nothing."""

import numpy as np
import pytest

import dask_quant as dq
from dask_quant.errors import OptionError
from dask_quant.segment_options import BandIndex, BandOptions, parse_index
from dask_quant.sources.band_indices import KNOWN_INDICES, append_indices, place_indices
from dask_quant.sources.rasters import open_raster, raster_from_array, split_raster

NAMES = ("Blue", "green", "red", "NIR", "SWIR 1", "swir-2")


def ratio(a, b):
    return (a - b) / (a + b)


@pytest.mark.parametrize("name", sorted(KNOWN_INDICES))
def test_known_indices_find_their_bands_by_name(name):
    (placed,) = place_indices([BandIndex(name)], NAMES, "scene")
    plain = [band.lower().replace(" ", "").replace("-", "") for band in NAMES]
    assert (plain[placed.first], plain[placed.second]) == KNOWN_INDICES[name]


def test_bands_go_by_number_among_those_that_are_used():
    samples = np.random.default_rng(0).integers(1, 900, (6, 7, 4)).astype(np.uint16)
    raster = open_raster(samples, BandOptions(bands=(4, 2), indices=("wet=1/2",)))
    (part,) = split_raster(raster, (6, 7))
    pixels, valid = part.pixels.compute(scheduler="synchronous")
    a, b = samples[..., 3].astype(np.float32), samples[..., 1].astype(np.float32)
    np.testing.assert_array_equal(pixels, np.stack([a, b, ratio(a, b)], axis=2))
    assert (pixels.dtype, raster.dtype, raster.band_names) == (
        *(np.float32, np.float32),
        ("band 4", "band 2", "wet"),
    )
    assert valid.all()


@pytest.mark.parametrize(("dtype", "result"), [("int16", "f4"), ("int32", "f8"), ("f8", "f8")])
def test_what_is_nothing_by_nothing_means_nothing(dtype, result):
    block = np.array([[[5, 3], [0, 0], [4, -4]]], dtype=dtype), np.ones((1, 3), dtype=bool)
    (index,) = place_indices([parse_index("i=1/2")], ("a", "b"), "scene")
    pixels, valid = append_indices(block, [index])
    assert pixels.dtype == np.dtype(result)
    assert pixels[0, 0, 2] == np.dtype(result).type(0.25)
    assert valid.tolist() == [[True, False, False]]


def test_classes_are_fitted_to_indices_as_to_any_band():
    rng = np.random.default_rng(1)
    red, nir = rng.integers(1, 2000, (2, 40, 50))
    samples = np.stack([red, nir], axis=2).astype(np.int16)
    report = dq.segment(samples, n_clusters=4, indices=["green=2/1"], scale="standard")
    by_hand = np.dstack([samples, ratio(nir.astype("f4"), red.astype("f4"))]).astype(np.float32)
    expected = dq.segment(by_hand, n_clusters=4, scale="standard")
    np.testing.assert_array_equal(report.model.centers, expected.model.centers)
    assert report.model.band_names == ("band 1", "band 2", "green")
    labels = dq.label_classes(samples, report.model, indices=["green=2/1"]).compute()
    np.testing.assert_array_equal(labels, dq.label_classes(by_hand, expected.model).compute())


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("nonsense", "known are ndvi"),
        ("ndvi", "say which bands are meant, by number: ndvi=4/3"),
        ("x=1/9", "of a band 9"),
        ("band 2=1/2", "a band of 'an array' is called so"),
    ],
)
def test_what_cannot_be_made_is_refused(index, message):
    samples = np.ones((2, 2, 3), dtype=np.uint8)
    with pytest.raises(OptionError, match=message):
        open_raster(samples, BandOptions(indices=(index,)))
    assert raster_from_array(samples).indices == ()


@pytest.mark.parametrize("text", ["", "=1/2", "a=", "a=1", "a=1/2/3", "a=/2", "a=1:2/3"])
def test_texts_that_are_no_index_are_refused(text):
    with pytest.raises(OptionError):
        parse_index(text)


@pytest.mark.parametrize("given", [["ndvi", "ndvi=2/1"], [3], 7])
def test_indices_are_texts_each_named_once(given):
    with pytest.raises(OptionError):
        BandOptions(indices=given)
