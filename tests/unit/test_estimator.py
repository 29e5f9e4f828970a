"""The estimator: scikit-learn's own checks, the same colours as elsewhere, pictures."""

import pickle
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import sklearn
from PIL import Image
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import dask_quant as dq
from dask_quant.color_spaces import find_space
from dask_quant.errors import FewerColorsWarning, FitError, OptionError, PixelFormatError

RNG = np.random.default_rng(0)

COLORS = RNG.integers(0, 256, (600, 3), dtype=np.uint8)

PICTURE = COLORS.reshape(20, 30, 3)

ROWS = RNG.normal(size=(300, 4))


@pytest.fixture(scope="module")
def quantizer():
    return dq.ColorQuantizer(6, n_init=1).fit(COLORS)


# Some of its data sets hold a single sample, or two.
@pytest.mark.filterwarnings("ignore::dask_quant.errors.FewerColorsWarning")
@parametrize_with_checks([dq.ColorQuantizer(n_colors=3)])
def test_scikit_learn_finds_an_estimator(estimator, check):
    check(estimator)


def test_only_the_estimators_load_scikit_learn():
    script = (
        "import sys, dask_quant as dq\n"
        "names = set(dq.__all__) - {'ColorQuantizer', 'ScalableKMeans'}\n"
        "[getattr(dq, name) for name in names]\n"
        "print('sklearn' in sys.modules)\n"
        "dq.ColorQuantizer\n"
        "print('sklearn' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("k", [4, 16])
def test_a_photo_is_fitted_no_worse_than_by_scikit_learn(photo, k):
    pixels = photo[::4, ::4].reshape(-1, 3)
    ours = dq.ColorQuantizer(k).fit(pixels)
    theirs = KMeans(k, n_init=3, random_state=0).fit(pixels)
    assert ours.inertia_ <= theirs.inertia_
    exact = ((pixels - ours.cluster_centers_[ours.labels_]) ** 2).sum()
    assert ours.inertia_ == pytest.approx(exact, rel=1e-12)


def test_rows_are_fitted_no_worse_than_by_scikit_learn():
    ours = dq.ColorQuantizer(10, n_init=8, tol=0).fit(ROWS)
    theirs = KMeans(10, n_init=1, random_state=0).fit(ROWS)
    assert ours.engine_ == "scikit-learn"
    assert ours.palette_ is None
    assert ours.inertia_ <= theirs.inertia_
    assert ours.score(ROWS) == pytest.approx(-ours.inertia_, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_levels_of_any_type_are_the_same_colors(quantizer, dtype):
    other = dq.ColorQuantizer(6, n_init=1).fit(COLORS.astype(dtype))
    assert other.engine_ == quantizer.engine_ == "histogram"
    assert other.palette_ == quantizer.palette_
    expected = quantizer.cluster_centers_.astype(other.cluster_centers_.dtype)
    np.testing.assert_array_equal(other.cluster_centers_, expected)


def test_the_palette_is_that_of_fit_palette(quantizer):
    palette = dq.fit_palette(PICTURE, 6, n_init=1)
    assert quantizer.palette_ == palette
    np.testing.assert_array_equal(quantizer.palette_.counts, palette.counts)
    assert np.abs(quantizer.cluster_centers_ - palette.colors).max() < 1


@pytest.mark.parametrize("samples", [COLORS, ROWS], ids=["colours", "rows"])
def test_labels_are_what_predict_says(samples):
    estimator = dq.ColorQuantizer(7, n_init=1)
    labels = estimator.fit_predict(samples)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, estimator.labels_)
    np.testing.assert_array_equal(labels, estimator.predict(samples))
    np.testing.assert_array_equal(labels, estimator.transform(samples).argmin(axis=1))
    counts = np.bincount(labels, minlength=7)
    assert (counts[:-1] >= counts[1:]).all()


def test_few_samples_are_centers_with_a_warning():
    samples = np.array([[0.1, 0.2], [5.0, 5.0], [0.1, 0.2]])
    with pytest.warns(FewerColorsWarning, match="16 colours were asked for, .* only 2") as warned:
        estimator = dq.ColorQuantizer().fit(samples)
    assert warned[0].filename == __file__
    np.testing.assert_array_equal(estimator.cluster_centers_, samples[:2])
    assert estimator.labels_.tolist() == [0, 1, 0]
    assert estimator.inertia_ == 0.0


@pytest.mark.parametrize("samples", [COLORS, ROWS], ids=["colours", "rows"])
def test_weights_are_repetition(samples):
    weights = RNG.integers(0, 4, len(samples))
    weighted = dq.ColorQuantizer(5, n_init=1).fit(samples, sample_weight=weights)
    repeated = dq.ColorQuantizer(5, n_init=1).fit(np.repeat(samples, weights, axis=0))
    np.testing.assert_array_equal(weighted.cluster_centers_, repeated.cluster_centers_)
    assert weighted.inertia_ == repeated.inertia_
    assert weighted.score(samples, sample_weight=weights) == pytest.approx(
        repeated.score(np.repeat(samples, weights, axis=0)), rel=1e-12
    )


@pytest.mark.parametrize(
    "weights", [[-1.0] * 600, [0.0] * 600, [[1.0]] * 600, [1.0] * 5, [np.nan] * 600]
)
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match=r"weight|inconsistent"):
        dq.ColorQuantizer().fit(COLORS, sample_weight=weights)


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_colors": 0},
        {"n_colors": 2.5},
        {"effort": "none"},
        {"n_init": 0},
        {"max_iter": 0},
        {"tol": -1},
        {"random_state": -1},
        {"random_state": "dice"},
    ],
)
def test_parameters_out_of_range_are_refused_when_fitting(parameters):
    estimator = dq.ColorQuantizer(**parameters)
    with pytest.raises(OptionError, match=r"^Got "):
        estimator.fit(COLORS)
    with pytest.raises(OptionError, match=r"^Got "):
        estimator.fit_image(PICTURE)


def test_a_random_state_draws_a_seed():
    def fit(random_state):
        return dq.ColorQuantizer(20, n_init=1, random_state=random_state, max_iter=1).fit(ROWS)

    drawn = [fit(np.random.RandomState(seed)).inertia_ for seed in (5, 5, 6)]
    assert drawn[0] == drawn[1] != drawn[2]
    state = np.random.get_state()
    np.random.seed(5)
    assert fit(None).inertia_ == drawn[0]
    np.random.set_state(state)


def test_clones_and_pickles_behave_the_same(quantizer):
    again = sklearn.base.clone(quantizer).fit(COLORS)
    loaded = pickle.loads(pickle.dumps(quantizer))
    for other in (again, loaded):
        assert other.get_params() == quantizer.get_params()
        assert other.palette_ == quantizer.palette_
        np.testing.assert_array_equal(other.transform(COLORS), quantizer.transform(COLORS))
    np.testing.assert_array_equal(loaded.quantize(PICTURE), quantizer.quantize(PICTURE))


def test_pipelines_name_columns_and_pass_weights_on():
    weights = RNG.integers(1, 4, len(ROWS))
    pipeline = make_pipeline(StandardScaler(), dq.ColorQuantizer(3, n_init=1))
    pipeline.set_output(transform="pandas")
    frame = pipeline.fit_transform(ROWS, colorquantizer__sample_weight=weights)
    assert frame.columns.tolist() == [f"colorquantizer{index}" for index in range(3)]
    scaled = StandardScaler().fit_transform(ROWS)
    alone = dq.ColorQuantizer(3, n_init=1).fit(scaled, sample_weight=weights)
    np.testing.assert_array_equal(frame.to_numpy(), alone.transform(scaled))


def test_weights_are_routed_where_they_are_requested():
    weights = RNG.integers(1, 4, len(ROWS))
    with sklearn.config_context(enable_metadata_routing=True):
        last = dq.ColorQuantizer(3, n_init=1).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(last).fit(ROWS, sample_weight=weights)
    alone = dq.ColorQuantizer(3, n_init=1).fit(ROWS, sample_weight=weights)
    np.testing.assert_array_equal(pipeline[-1].cluster_centers_, alone.cluster_centers_)


def test_an_image_is_fitted_as_its_pixels(quantizer, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    images = [PICTURE, tmp_path / "a.png"]
    images += [da.from_array(PICTURE, chunks=chunks) for chunks in (-1, (7, 11, 3), (20, 1, 2))]
    for image in images:
        fitted = dq.ColorQuantizer(6, n_init=1).fit_image(image)
        np.testing.assert_array_equal(fitted.cluster_centers_, quantizer.cluster_centers_)
        assert fitted.palette_ == quantizer.palette_
        assert fitted.inertia_ == quantizer.inertia_
        assert fitted.n_features_in_ == 3
        assert not hasattr(fitted, "labels_")


def test_a_second_fit_leaves_nothing_of_the_first():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, columns=list("abcd"))
    estimator = dq.ColorQuantizer(6, n_init=1).fit(frame)
    assert estimator.feature_names_in_.tolist() == list("abcd")
    estimator.fit_image(PICTURE)
    assert not hasattr(estimator, "feature_names_in_")
    fresh = dq.ColorQuantizer(6, n_init=1).fit_image(PICTURE)
    assert vars(estimator).keys() == vars(fresh).keys()
    np.testing.assert_array_equal(estimator.predict(COLORS), fresh.predict(COLORS))


def test_pictures_are_painted_by_the_palette(quantizer, tmp_path):
    palette = quantizer.palette_
    expected = palette.colors[dq.relabel(PICTURE, palette).compute()]
    found = quantizer.quantize(PICTURE)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    for chunks in (-1, (7, 11, 3), (20, 1, 2)):
        lazy = quantizer.quantize(da.from_array(PICTURE, chunks=chunks))
        assert isinstance(lazy, da.Array)
        np.testing.assert_array_equal(lazy.compute(), expected)
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    np.testing.assert_array_equal(quantizer.quantize(tmp_path / "a.png").compute(), expected)
    grey = quantizer.quantize(PICTURE[..., 0])
    assert grey.shape == (20, 30, 3)


def test_what_is_no_picture_is_refused(quantizer):
    with pytest.raises(PixelFormatError):
        quantizer.quantize(PICTURE / 2)
    with pytest.raises(NotFittedError):
        dq.ColorQuantizer().quantize(PICTURE)
    with pytest.raises(FitError, match="no palette"):
        dq.ColorQuantizer(3, n_init=1).fit(ROWS).quantize(PICTURE)


SPACES = ("linear", "oklab", "lab")


@pytest.mark.parametrize("space", SPACES)
def test_distances_are_those_of_the_space_everywhere(photo, space):
    working = find_space(space)
    pixels = photo[100:300:4, 200:400:4].reshape(-1, 3)
    quantizer = dq.ColorQuantizer(8, space=space, n_init=1).fit(pixels)
    assert quantizer.engine_ == "histogram"
    centers = quantizer.cluster_centers_
    assert centers.min() >= 0
    assert centers.max() <= 255
    offsets = working.from_srgb(pixels)[:, np.newaxis] - working.from_srgb(centers)
    squares = np.square(offsets).sum(axis=2)
    np.testing.assert_array_equal(quantizer.labels_, squares.argmin(axis=1))
    np.testing.assert_array_equal(quantizer.predict(pixels), quantizer.labels_)
    np.testing.assert_allclose(quantizer.transform(pixels), np.sqrt(squares), rtol=1e-9, atol=1e-12)
    assert quantizer.inertia_ == pytest.approx(squares.min(axis=1).sum(), rel=1e-9)
    assert quantizer.score(pixels) == pytest.approx(-quantizer.inertia_, rel=1e-9)
    assert quantizer.palette_ == dq.fit_palette(
        photo[100:300:4, 200:400:4], 8, space=space, n_init=1
    )
    # What a class is painted in is its mean there: within it is the best that there is.
    means = [working.from_srgb(pixels[quantizer.labels_ == i]).mean(axis=0) for i in range(8)]
    gaps = np.abs(working.from_srgb(centers) - means).max()
    assert gaps < 0.02 * working.from_srgb(np.array([255.0] * 3)).max()
    in_srgb = dq.ColorQuantizer(8, n_init=1).fit(pixels)
    assert (in_srgb.predict(pixels) != quantizer.labels_).mean() > 0.1
    assert in_srgb.palette_ != quantizer.palette_


@pytest.mark.parametrize("space", SPACES)
def test_few_colours_are_centres_exactly_in_every_space(space):
    colors = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 3], [0, 0, 0]], dtype=np.uint8)
    for dtype in (np.uint8, np.float32):
        quantizer = dq.ColorQuantizer(3, space=space).fit(colors.astype(dtype))
        centers = quantizer.cluster_centers_.tolist()
        assert centers == [[0, 0, 0], [255, 0, 3], [255, 255, 255]]
        assert quantizer.cluster_centers_.dtype == (np.float32 if dtype == np.float32 else float)
        assert quantizer.labels_.tolist() == [2, 0, 1, 0]
        assert quantizer.inertia_ == 0


@pytest.mark.parametrize("method", ["median-cut", "wu", "octree", "mini-batch", "uniform"])
def test_other_methods_give_the_colours_of_their_palette(method):
    quantizer = dq.ColorQuantizer(7, method=method).fit(COLORS)
    palette = dq.fit_palette(PICTURE, 7, method=method)
    assert quantizer.palette_ == palette
    assert sorted(quantizer.cluster_centers_.tolist()) == sorted(palette.colors.tolist())
    offsets = COLORS[:, np.newaxis].astype(int) - quantizer.cluster_centers_
    squares = np.square(offsets).sum(axis=2)
    np.testing.assert_array_equal(quantizer.labels_, squares.argmin(axis=1))
    assert quantizer.inertia_ == squares.min(axis=1).sum()


def test_a_start_is_that_of_the_palette():
    first = COLORS[:5]
    for init in ("random", first, dq.Palette(first)):
        quantizer = clone(dq.ColorQuantizer(5, init=init, max_iter=2)).fit(COLORS)
        assert quantizer.palette_ == dq.fit_palette(PICTURE, 5, init=init, max_iter=2)
        assert len(quantizer.cluster_centers_) == 5
    assert quantizer.palette_ != dq.ColorQuantizer(5, max_iter=2).fit(COLORS).palette_


@pytest.mark.parametrize(
    "given", [{"space": "lab"}, {"method": "wu"}, {"init": "random"}, {"init": COLORS[:3]}]
)
def test_other_rows_than_colours_take_none_of_these(given):
    name = next(iter(given))
    for samples, weights in ((ROWS, None), (COLORS + 0.5, None), (COLORS, np.full(600, 0.5))):
        with pytest.raises(OptionError, match=f"^Got {name} .* for samples that are no counted"):
            dq.ColorQuantizer(3, **given).fit(samples, sample_weight=weights)
    dq.ColorQuantizer(3, **given).fit(COLORS)


def test_wrong_names_are_refused_when_fitting():
    for given in ({"space": "hsv"}, {"method": "magic"}, {"init": "best"}):
        with pytest.raises(OptionError, match="known"):
            dq.ColorQuantizer(3, **given).fit(COLORS)
    with pytest.raises(OptionError, match="space 'lab' with the method wu"):
        dq.ColorQuantizer(3, method="wu", space="lab").fit(COLORS)


def test_pictures_are_painted_in_the_space_and_dithered(photo):
    pixels = photo[200:240, 300:360]
    quantizer = dq.ColorQuantizer(6, space="lab", n_init=1).fit_image(pixels)
    palette = quantizer.palette_
    for dither in ("none", "floyd-steinberg"):
        labels = dq.relabel(pixels, palette, space="lab", dither=dither).compute()
        np.testing.assert_array_equal(
            quantizer.quantize(pixels, dither=dither), palette.colors[labels]
        )
    lazy = quantizer.quantize(da.from_array(pixels, chunks=(7, 60, 3)), dither=dither)
    np.testing.assert_array_equal(lazy.compute(), palette.colors[labels])
    in_srgb = palette.colors[dq.relabel(pixels, palette, dither=dither).compute()]
    assert (quantizer.quantize(pixels, dither=dither) != in_srgb).any()
    with pytest.raises(OptionError, match="dither 'noise'"):
        quantizer.quantize(pixels, dither="noise")
