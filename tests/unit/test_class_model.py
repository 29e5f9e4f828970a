"""Classes: which pixel is in which, and what JSON keeps of them."""

import json
import pickle

import numpy as np
import pytest

from dask_quant.class_model import ClassModel
from dask_quant.errors import PixelFormatError
from dask_quant.fit.features import FeatureMap

DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32"]
DTYPES += ["float64", "float16", ">i2", ">f4"]


def make_model(k=5, n_bands=3, *, features=None, seed=0):
    centers = np.random.default_rng(seed).normal(0, 50, (k, n_bands))
    names = tuple(f"band {number}" for number in range(1, n_bands + 1))
    return ClassModel(centers, names, features or FeatureMap.plain(n_bands))


def label_slowly(model, pixels):
    """Nearest centre by comparison with all, a Python float at a time; the lowest on ties."""
    factor, offset = model.features.factor, model.features.offset
    centers = (model.centers - offset) * factor
    labels = np.empty(pixels.shape[:2], dtype=np.int64)
    for at in np.ndindex(*labels.shape):
        feature = (pixels[at].astype(np.float64) - offset) * factor
        distances = [
            sum(float(f - c) ** 2 for f, c in zip(feature, e, strict=True)) for e in centers
        ]
        labels[at] = distances.index(min(distances))
    return labels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scaled", [False, True])
def test_labels_are_those_of_brute_force(dtype, scaled):
    features = (
        FeatureMap(np.array([3.0, -7.5, 0.1]), np.array([0.02, 5.0, 1.0])) if scaled else None
    )
    model = make_model(features=features)
    pixels = np.random.default_rng(1).normal(0, 60, (9, 14, 3))
    pixels = np.abs(pixels).astype(dtype) if np.dtype(dtype).kind in "bu" else pixels.astype(dtype)
    labels = model.label(pixels)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, label_slowly(model, pixels))


def test_ties_go_to_the_lowest_class():
    model = ClassModel(np.array([[4.0], [0.0], [4.0], [8.0]]), ("b",), FeatureMap.plain(1))
    assert model.label(np.array([[[2], [6], [4], [9]]])).tolist() == [[0, 0, 0, 3]]


@pytest.mark.parametrize(
    ("k", "nodata", "dtype"),
    [(1, 255, "u1"), (255, 255, "u1"), (256, 65_535, "u2"), (300, 65_535, "u2")],
)
def test_pixels_that_mean_nothing_get_the_label_after_the_last(k, nodata, dtype):
    model = make_model(k, 1)
    assert (model.nodata, model.label_dtype) == (nodata, np.dtype(dtype))
    pixels = np.array([[[np.nan], [1.0]], [[np.inf], [2.0]]])
    by_itself = model.label(pixels)
    assert (by_itself == nodata).tolist() == [[True, False], [True, False]]
    told = model.label(pixels, np.array([[False, False], [False, True]]))
    assert (told == nodata).tolist() == [[True, True], [True, False]]
    assert by_itself.dtype == told.dtype == dtype


def test_the_last_of_65535_classes_is_told_from_nodata():
    model = ClassModel(np.arange(65_535.0)[:, np.newaxis], ("b",), FeatureMap.plain(1))
    assert model.label(np.array([[[65_534.0], [np.nan], [0.0]]])).tolist() == [[65_534, 65_535, 0]]


def test_nothing_valid_and_nothing_at_all_are_labelled():
    model = make_model()
    assert (model.label(np.ones((2, 3, 3)), np.zeros((2, 3), dtype=bool)) == 255).all()
    assert model.label(np.ones((0, 4, 3))).shape == (0, 4)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 2), (4, 5, 4), (3,), (1, 4, 5, 3)])
def test_another_number_of_bands_is_refused_with_both(shape):
    with pytest.raises(PixelFormatError) as caught:
        make_model().label(np.zeros(shape))
    assert str(shape) in str(caught.value)
    assert "3 bands: band 1, band 2, band 3" in str(caught.value)


def test_json_keeps_every_bit():
    values = [0.1, 1 / 3, 5e-324, -1.7976931348623157e308, -0.0, 2.0**-1074, np.pi]
    model = ClassModel(
        np.array([values, values[::-1]]),
        tuple(f'b"{number}, \N{GREEK SMALL LETTER MU}\n' for number in range(7)),
        FeatureMap(np.array(values), np.array([1e-300, 0.1, 1, 2, 3, 1e300, 5e-324])),
        "robust",
        2**63 - 1,
    )
    text = model.to_json()
    again = ClassModel.from_json(text)
    assert again.to_json() == text
    assert again.centers.tobytes() == model.centers.tobytes()
    assert again.features.offset.tobytes() == model.features.offset.tobytes()
    assert again.features.factor.tobytes() == model.features.factor.tobytes()
    assert (again.band_names, again.scale, again.seed) == (model.band_names, "robust", 2**63 - 1)
    assert all(ord(char) < 128 for char in text)


def test_what_was_read_labels_the_same():
    model = make_model(40, features=FeatureMap(np.ones(3) / 3, np.array([0.1, 0.7, 1.3])))
    pixels = np.random.default_rng(2).normal(0, 50, (30, 30, 3))
    for again in (ClassModel.from_json(model.to_json()), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.label(pixels), model.label(pixels))


DAMAGE = {
    "version": 2,
    "format": "another",
    "bands": ["a", "b"],
    "bands as text": "abc",
    "bands as numbers": [1, 2, 3],
    "no bands": [],
    "centers": [],
    "centers of one number": 5,
    "centers of two lengths": [[1, 2, 3], [1, 2]],
    "centers with NaN": [[1, 2, float("nan")]],
    "centers with infinity": [[1, 2, float("inf")]],
    "centers too large": [[1, 2, 10**400]],
    "centers with text": [[1, 2, "three"]],
    "centers with null": [[1, 2, None]],
    "centers too many": [[0, 0, 0]] * 65_536,
    "offset": [0, 0],
    "offset with infinity": [0, 0, float("inf")],
    "offset null": None,
    "factor": [1, 1],
    "factor of 0": [1, 1, 0],
    "factor below 0": [1, 1, -1],
    "factor with NaN": [1, 1, float("nan")],
    "factor with infinity": [1, 1, float("inf")],
    "components of two bands": [[1, 0]],
    "components that are no directions": [[1, 1, 0]],
    "components that are not orthogonal": [[1, 0, 0], [1, 0, 0]],
    "components with NaN": [[1, 0, float("nan")]],
    "components that are none": [],
    "components in a row": [1, 0, 0],
    "scale": "log",
    "scale as a list": ["none"],
    "seed": -1,
    "seed infinite": float("inf"),
    "seed null": None,
    "seed as text": "0",
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_value_is_refused(case):
    values = json.loads(make_model().to_json())
    name = "bands" if case == "no bands" else case.split()[0]
    values[name] = DAMAGE[case]
    with pytest.raises(PixelFormatError, match="no dask_quant class model of version 1"):
        ClassModel.from_json(json.dumps(values))
    if case != "version":
        del values[name]
        with pytest.raises(PixelFormatError, match="--model-out"):
            ClassModel.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "5", "null", '"text"', "[" * 100_000, "\0"])
def test_what_is_no_model_at_all_is_refused(text):
    with pytest.raises(PixelFormatError) as caught:
        ClassModel.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", [0.1, 0.5, 0.9])
def test_a_torn_text_is_refused(end):
    text = make_model().to_json()
    with pytest.raises(PixelFormatError):
        ClassModel.from_json(text[: int(end * len(text))])


@pytest.mark.parametrize("k", [1, 2, 24, 255, 256, 1000, 20_000])
def test_no_two_classes_look_the_same(k):
    colors = make_model(k, 1).colors
    assert colors.shape == (k, 3)
    assert colors.dtype == np.uint8
    assert len(np.unique(colors, axis=0)) == k


def test_a_class_keeps_its_color_when_there_are_more():
    np.testing.assert_array_equal(make_model(300, 1).colors[:7], make_model(7, 1).colors)


def test_the_first_colors_differ_at_a_glance():
    colors = make_model(12, 1).colors.astype(int)
    apart = np.abs(colors[:, np.newaxis] - colors).sum(axis=2) + 1000 * np.eye(12, dtype=int)
    assert apart.min() > 60


def test_it_says_what_it_is():
    assert repr(make_model()) == "<ClassModel of 5 classes in 3 bands>"
    assert len(make_model()) == 5
