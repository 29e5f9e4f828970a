"""Options of a segmentation: what is refused is refused as `OptionError`, in one line."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dask_quant.errors import OptionError
from dask_quant.segment_options import (
    MAX_BANDS,
    BandOptions,
    SegmentOptions,
    parse_bands,
    parse_numbers,
)

REFUSED = {
    "no class": ({"n_clusters": 0}, "Got 0 classes; ask for 1 to 65535"),
    "fewer than none": ({"n_clusters": -3}, "Got -3 classes"),
    "too many classes": ({"n_clusters": 65_536}, "Got 65536 classes; ask for 1 to 65535"),
    "half a class": ({"n_clusters": 2.5}, "Got n_clusters 2.5; use an integer"),
    "classes as text": ({"n_clusters": "8"}, "Got n_clusters '8'; use an integer"),
    "classes as truth": ({"n_clusters": True}, "Got n_clusters True; use an integer"),
    "classes left out": ({"n_clusters": None}, "Got n_clusters None; use an integer"),
    "unknown scale": ({"scale": "log"}, "known are none, standard, minmax, robust"),
    "no scale": ({"scale": None}, "Got scale None; known are"),
    "scales": ({"scale": ["none"]}, "Got scale ['none']; known are"),
    "array of scales": ({"scale": np.array(["none", "minmax"])}, "Got scale array"),
    "unknown init": ({"init": "random"}, "Got init 'random'; known are k-means++, k-means||"),
    "init as truth": ({"init": True}, "Got init True; known are"),
    "negative seed": ({"seed": -1}, "Got seed -1; use an integer from 0 to 2**63 - 1"),
    "large seed": ({"seed": 2**63}, "from 0 to 2**63 - 1"),
    "seed as truth": ({"seed": False}, "Got seed False; use an integer"),
    "no restarts": ({"n_init": 0}, "Got n_init 0; use at least 1"),
    "restarts as text": ({"n_init": "3"}, "Got n_init '3'; use an integer"),
    "no pass": ({"max_iter": 0}, "Got max_iter 0; use at least 1"),
    "passes left out": ({"max_iter": None}, "Got max_iter None; use an integer"),
    "negative tol": ({"tol": -1e-9}, "Got tol -1e-09; use a finite number of 0 or more"),
    "tol is NaN": ({"tol": math.nan}, "Got tol nan; use a finite number of 0 or more"),
    "tol is infinite": ({"tol": math.inf}, "Got tol inf; use a finite number of 0 or more"),
    "tol as text": ({"tol": "1e-4"}, "Got tol '1e-4'; use a number"),
    "tol as truth": ({"tol": True}, "Got tol True; use a number"),
    "no tol": ({"tol": None}, "Got tol None; use a number"),
    "tols": ({"tol": np.array([1.0, 2.0])}, "use a number"),
    "one weight": ({"band_weights": 2.0}, "Got band weights 2.0; give a number above 0 for each"),
    "weights as text": ({"band_weights": "11"}, "Got a band weight '1'; use a number"),
    "weights as truths": ({"band_weights": (True, 1)}, "Got a band weight True; use a number"),
    "weight of 0": ({"band_weights": (1, 0)}, "Got band weights [1.0, 0.0]; use numbers above 0"),
    "negative weight": ({"band_weights": (-1, 1)}, "use numbers above 0, and leave bands out"),
    "weight is NaN": ({"band_weights": (math.nan,)}, "Got band weights [nan]"),
    "weight is infinite": ({"band_weights": (math.inf,)}, "Got band weights [inf]"),
    "weight too large for a float": ({"band_weights": (10**400,)}, "beyond 1.8e308"),
}

REFUSED_BANDS = {
    "half a band": ({"bands": (1.5,)}, "Got bands (1.5,); give numbers from 1 or names"),
    "infinite band": ({"bands": (math.inf,)}, "give numbers from 1 or names"),
    "a mask of bands": ({"bands": (True, False)}, "give numbers from 1 or names"),
    "a truth": ({"bands": True}, "Got bands (True,)"),
    "a number that is none": ({"bands": 1.0}, "Got bands 1.0"),
    "bytes": ({"bands": (b"red",)}, "give numbers from 1 or names"),
    "lists": ({"bands": ([1], [2])}, "give numbers from 1 or names"),
    "no band": ({"bands": ()}, "Got no band; leave bands out to use all"),
    "the same twice": ({"bands": (2, 1, 2)}, "Got bands [2, 1, 2]; name each of them once"),
    "a name twice": ({"bands": ("red", "red")}, "name each of them once"),
    "nodata as text": ({"nodata": "0"}, "Got nodata '0'; use a number"),
    "nodata as truth": ({"nodata": True}, "Got nodata True; use a number"),
    "nodata for each": ({"nodata": (0, 1)}, "Got nodata (0, 1); use a number"),
    "nodata too large": ({"nodata": 10**400}, "beyond 1.8e308 for nodata"),
    "nodata as a large fraction": ({"nodata": Fraction(10**400)}, "beyond 1.8e308 for nodata"),
    "a mask that is no path": ({"mask": 5}, "Got int for mask; use a path"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_out_of_its_range_is_refused_with_the_range(case):
    given, text = REFUSED[case]
    with pytest.raises(OptionError) as caught:
        SegmentOptions(**given)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", REFUSED_BANDS)
def test_odd_bands_nodata_and_masks_are_refused(case):
    given, text = REFUSED_BANDS[case]
    with pytest.raises(OptionError) as caught:
        BandOptions(**given)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"n_clusters": 1, "seed": 0, "n_init": 1, "max_iter": 1, "tol": 0},
        {"n_clusters": 65_535, "seed": 2**63 - 1, "n_init": 10**6, "max_iter": 10**6, "tol": 1e300},
        {"n_clusters": np.uint16(9), "seed": np.int64(3), "tol": np.float32(0.5)},
    ],
)
def test_limits_themselves_pass_as_plain_numbers(given):
    options = SegmentOptions(**given)
    for name, value in given.items():
        assert getattr(options, name) == value
        assert type(getattr(options, name)) is (float if name == "tol" else int)


def test_any_sequence_of_weights_becomes_a_tuple_of_floats():
    for weights in ([1, 0.5], np.array([1, 0.5], dtype=np.float32), iter((1, 0.5))):
        assert SegmentOptions(band_weights=weights).band_weights == (1.0, 0.5)


def test_bands_are_kept_in_their_order_as_plain_values():
    options = BandOptions(bands=[np.int64(3), "nir", 1], nodata=np.int16(-9999), mask="m.tif")
    assert options.bands == (3, "nir", 1)
    assert type(options.bands[0]) is int
    assert options.nodata == -9999.0
    assert type(options.nodata) is float
    assert options.mask == Path("m.tif")


def test_one_band_needs_no_sequence():
    assert BandOptions(bands="red").bands == ("red",)
    assert BandOptions(bands=4).bands == (4,)


def test_nodata_may_be_nan():
    assert math.isnan(BandOptions(nodata=math.nan).nodata)


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("4,3,2", (4, 3, 2)),
        (" 4 , 3 ", (4, 3)),
        ("1:4", (1, 2, 3, 4)),
        (" 2 : 3 ", (2, 3)),
        ("7:7", (7,)),
        ("1:3,7,9:10", (1, 2, 3, 7, 9, 10)),
        ("red, nir", ("red", "nir")),
        ("1,nir", (1, "nir")),
        ("007", (7,)),
        ("band 1", ("band 1",)),
        ("-1", ("-1",)),
        ("1.5", ("1.5",)),
        ("\N{SUPERSCRIPT TWO}", ("\N{SUPERSCRIPT TWO}",)),
        ("a:b", ("a:b",)),
        ("1:2:3", ("1:2:3",)),
        (f"1:{MAX_BANDS}", tuple(range(1, MAX_BANDS + 1))),
        ("9" * 5000, ("9" * 5000,)),
        (f"1:{'9' * 5000}", (f"1:{'9' * 5000}",)),
    ],
)
def test_a_list_of_bands_is_read_as_written(text, bands):
    assert parse_bands(text) == bands


@pytest.mark.parametrize("text", ["", "  ", ",", "1,", ",1", "1,,2"])
def test_an_empty_part_of_a_list_of_bands_is_refused(text):
    with pytest.raises(OptionError, match="write 4,3,2 or 1:4 or names") as caught:
        parse_bands(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["4:1", "1,4:1", "2:65536", "1:999999999"])
def test_an_empty_or_huge_range_of_bands_is_refused(text):
    with pytest.raises(OptionError, match="up to 65535") as caught:
        parse_bands(text)
    assert repr(text.split(",")[-1]) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1,1,0.5", (1.0, 1.0, 0.5)), (" 2 , 1e-3 ", (2.0, 0.001)), ("3", (3.0,))],
)
def test_a_list_of_numbers_is_read_as_written(text, numbers):
    assert parse_numbers(text, "--band-weights") == numbers


@pytest.mark.parametrize("text", ["", " ", "1,,2", "1,", "1;2", "one", "1:3", "0x10"])
def test_no_list_of_numbers_is_refused_by_the_name_of_its_option(text):
    with pytest.raises(OptionError, match="for --band-weights; write numbers") as got:
        parse_numbers(text, "--band-weights")
    assert repr(text) in str(got.value)


def test_numbers_that_are_no_weights_are_read_and_then_refused():
    with pytest.raises(OptionError, match="use numbers above 0"):
        SegmentOptions(band_weights=parse_numbers("nan,inf", "--band-weights"))
