"""Few families, each served by one palette, against all ways of parting a few images."""

import numpy as np
import pytest

import dask_quant.fit.families as families_module
from dask_quant.color_difference import ciede2000
from dask_quant.color_spaces import lab_from_srgb
from dask_quant.fit.color_summary import ColorSummary
from dask_quant.fit.families import FamilyFinder
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.quick_fit import find_quick_options
from dask_quant.fit.summary_table import SummaryTable
from dask_quant.fit.target import find_limit
from dask_quant.fit_options import FitOptions, Target
from dask_quant.histogram import ColorHistogram


def make_histogram(rng, colors, n_colors, spread=3):
    """Some of the colours, each a few pixels around it."""
    chosen = colors[rng.permutation(len(colors))[:n_colors]]
    noisy = np.repeat(chosen, 4, axis=0) + rng.integers(-spread, spread + 1, (4 * n_colors, 3))
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return ColorHistogram.from_colors(pixels, rng.integers(1, 30, len(pixels)))


def make_table(histograms, n_images=None):
    summaries = [ColorSummary(each, 0.0, False) for each in histograms]
    return SummaryTable.from_summaries(summaries, n_images)


def measure(target, histogram, palette):
    """The mean error of an image with a palette, by comparison with every entry."""
    offsets = histogram.colors.astype(int)[:, np.newaxis] - palette.colors.astype(int)
    distances = np.square(offsets).sum(axis=2)
    errors = distances.min(axis=1)
    if target.kind == "delta_e":
        painted = palette.colors[distances.argmin(axis=1)]
        errors = ciede2000(lab_from_srgb(histogram.colors), lab_from_srgb(painted))
    return float((errors * histogram.counts).sum() / histogram.n_pixels)


def is_served(histograms, members, options, target):
    """Whether one palette serves some images, one alone in any case."""
    if len(members) == 1:
        return True
    merged = ColorHistogram.merge_all(histograms[i] for i in members)
    palette = fit_histogram(merged, options).palette
    errors = [measure(target, histograms[i], palette) for i in members]
    return max(errors) <= find_limit(target) * (1 + 1e-12)


def list_partitions(items):
    """Yield all ways of parting a list."""
    if not items:
        yield []
        return
    first, *others = items
    for parts in list_partitions(others):
        yield [[first], *parts]
        for i, part in enumerate(parts):
            yield [*parts[:i], [first, *part], *parts[i + 1 :]]


def find_fewest(histograms, options, target):
    """The fewest families that there can be, of all ways."""
    known = {}

    def check(part):
        key = tuple(sorted(part))
        if key not in known:
            known[key] = is_served(histograms, key, options, target)
        return known[key]

    ways = list_partitions(list(range(len(histograms))))
    return min(len(way) for way in ways if all(map(check, way)))


def test_all_ways_of_parting_are_tried():
    assert [len(list(list_partitions(list(range(n))))) for n in range(6)] == [1, 1, 2, 5, 15, 52]


@pytest.mark.parametrize("seed", range(12))
def test_families_are_about_as_few_as_can_be(seed):
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (8, 3))
    histograms = [make_histogram(rng, colors, int(rng.integers(2, 4))) for _ in range(6)]
    options, target = FitOptions(n_colors=4), Target("mse", float(rng.choice([60, 200, 600])))
    found = FamilyFinder(make_table(histograms), options, target).find(np.arange(6))
    assert sorted(np.concatenate(found).tolist()) == list(range(6))
    quick = find_quick_options(options)
    assert all(is_served(histograms, each, quick, target) for each in found)
    assert len(found) <= find_fewest(histograms, quick, target) + 1


def test_families_of_many_small_cases_are_hardly_more_than_the_fewest():
    n_found = n_fewest = 0
    for seed in range(100, 130):
        rng = np.random.default_rng(seed)
        colors = rng.integers(0, 256, (7, 3))
        histograms = [make_histogram(rng, colors, int(rng.integers(2, 4))) for _ in range(5)]
        options, target = FitOptions(n_colors=4, effort="fast"), Target("mse", 120.0)
        n_found += len(FamilyFinder(make_table(histograms), options, target).find(np.arange(5)))
        n_fewest += find_fewest(histograms, options, target)
    assert n_fewest <= n_found <= 1.1 * n_fewest


def make_themes(rng, n_themes, n_images, n_colors=6):
    """Images of a few colours of a theme each, and the theme of each."""
    themes = rng.integers(0, 256, (n_themes, n_colors, 3))
    chosen = rng.integers(0, n_themes, n_images)
    return [make_histogram(rng, themes[i], int(rng.integers(3, n_colors))) for i in chosen], chosen


@pytest.mark.parametrize("n_images", [60, 300])
def test_themes_are_found(n_images):
    rng = np.random.default_rng(3)
    histograms, themes = make_themes(rng, 5, n_images)
    finder = FamilyFinder(make_table(histograms), FitOptions(n_colors=6), Target("psnr", 36))
    found = finder.find(np.arange(n_images))
    assert len(found) == len(set(themes))
    assert all(len(set(themes[each])) == 1 for each in found)
    assert [len(each) for each in found] == sorted((len(each) for each in found), reverse=True)


def test_families_do_not_depend_on_how_often_it_is_asked_nor_on_the_order():
    histograms, _ = make_themes(np.random.default_rng(4), 4, 40)
    finder = FamilyFinder(make_table(histograms), FitOptions(n_colors=5), Target("psnr", 30))
    found = [each.tolist() for each in finder.find(np.arange(40))]
    turned = [each.tolist() for each in finder.find(np.arange(40)[::-1])]
    assert found == turned


def test_an_image_that_is_there_often_weighs_as_much():
    rng = np.random.default_rng(5)
    histograms, _ = make_themes(rng, 1, 2)
    table = make_table(histograms, [3, 1])
    merged = table.merge(np.arange(2))
    assert merged == ColorHistogram.merge_all([*[histograms[0]] * 3, histograms[1]])


@pytest.mark.parametrize("is_last", [False, True])
def test_a_family_that_failed_is_parted(is_last):
    histograms, _ = make_themes(np.random.default_rng(6), 1, 10)
    finder = FamilyFinder(make_table(histograms), FitOptions(n_colors=6), Target("psnr", 30))
    beyond = np.arange(10) < 3
    parts = finder.part_again([(np.arange(10), beyond)], is_last=is_last)
    assert np.array_equal(parts[0], np.arange(3, 10))
    assert sorted(np.concatenate(parts[1:]).tolist()) == [0, 1, 2]
    assert [len(each) for each in parts[1:]] == ([1, 1, 1] if is_last else [3])
    parts = finder.part_again([(np.arange(10), np.ones(10, dtype=bool))], is_last=is_last)
    assert sorted(np.concatenate(parts).tolist()) == list(range(10))
    assert len(parts) == 2


def test_images_as_alike_as_can_be_are_parted_all_the_same():
    histogram = make_histogram(np.random.default_rng(7), np.eye(3, dtype=int) * 200, 3)
    finder = FamilyFinder(make_table([histogram] * 5), FitOptions(n_colors=2), Target("mse", 0))
    parts = finder.find(np.arange(5))  # nothing serves any of them
    assert [each.tolist() for each in parts] == [[0], [1], [2], [3], [4]]
    assert finder.find(np.arange(0)) == []


@pytest.mark.parametrize(
    ("options", "target"),
    [
        (FitOptions(n_colors=5), Target("delta_e", 3)),
        (FitOptions(n_colors=5, space="oklab"), Target("delta_e", 3)),
        (FitOptions(n_colors=5, space="lab"), Target("psnr", 30)),
        (FitOptions(n_colors=5, method="median-cut"), Target("mse", 150)),
        (FitOptions(n_colors=5, keep=["#000", "#fff"]), Target("psnr", 25)),
        (FitOptions(n_colors=5, weight_power=0.5), Target("psnr", 30)),
    ],
    ids=["delta_e", "oklab", "lab", "median-cut", "keep", "weight_power"],
)
def test_what_comes_of_it_is_served_in_any_space_by_any_method(options, target):
    histograms, _ = make_themes(np.random.default_rng(8), 3, 24)
    finder = FamilyFinder(make_table(histograms), options, target)
    found = finder.find(np.arange(24))
    assert 3 <= len(found) < 24
    for members in found:
        palette = finder._fit(members)
        for item in members:
            table = make_table([histograms[item]])
            error = finder._meter.measure(table, np.arange(1), palette)[0]
            if options.space == "srgb":
                assert error == pytest.approx(measure(target, histograms[item], palette))
            assert len(members) == 1 or error <= find_limit(target)


def test_more_images_than_a_palette_is_fitted_to(monkeypatch):
    monkeypatch.setattr(families_module, "FIT_ITEMS", 8)
    monkeypatch.setattr(families_module, "_MANY", 10)
    histograms, themes = make_themes(np.random.default_rng(9), 3, 90)
    finder = FamilyFinder(make_table(histograms), FitOptions(n_colors=6), Target("psnr", 34))
    found = finder.find(np.arange(90))
    assert all(len(set(themes[each])) == 1 for each in found)
    assert len(found) <= 6


def test_transparent_images_find_their_families():
    rng = np.random.default_rng(10)
    histograms = []
    for number in range(20):
        colors = np.array([[250, 40, 40, 255], [20, 20, 90, 128], [0, 0, 0, 0], [240, 240, 20, 60]])
        colors = colors if number % 2 else 255 - colors
        noisy = np.clip(colors + rng.integers(-2, 3, colors.shape), 0, 255).astype(np.uint8)
        histograms.append(ColorHistogram.from_colors(noisy, rng.integers(5, 20, 4)))
    table = make_table(histograms)
    assert table.has_alpha
    finder = FamilyFinder(table, FitOptions(n_colors=4), Target("psnr", 34))
    found = finder.find(np.arange(20))
    assert [{int(i) % 2 for i in each} for each in found] in ([{0}, {1}], [{1}, {0}])


def test_it_tells_how_far_it_is():
    rng, told = np.random.default_rng(2), []
    table = make_table([make_histogram(rng, rng.integers(0, 256, (6, 3)), 5) for _ in range(12)])
    options, target = FitOptions(n_colors=6), Target("psnr", 30)
    FamilyFinder(table, options, target, told.append).find(np.arange(12))
    assert {event.stage for event in told} == {"gather", "merge", "absorb"}
    assert all(0 <= event.done <= event.total for event in told)
    assert told[0].total == 12
