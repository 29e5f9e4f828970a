import numpy as np
import pytest

from dask_quant.errors import OptionError
from dask_quant.fit_options import FitOptions
from dask_quant.method_options import METHODS, keep_taken, parse_methods
from dask_quant.palette import Palette


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("wu", ("wu",)),
        (" octree , kmeans,octree", ("octree", "kmeans")),
        ("all", METHODS),
    ],
)
def test_lists_of_methods_are_parsed(text, names):
    assert parse_methods(text) == names


@pytest.mark.parametrize("text", ["", "kmeans,", "all,wu", "median cut", "KMEANS"])
def test_what_names_no_method_is_refused(text):
    with pytest.raises(OptionError, match="known are kmeans, median-cut"):
        parse_methods(text)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"method": "magic"}, "known are"),
        ({"method": None}, "known are"),
        ({"method": "wu", "engine": "scalable"}, "scalable engine"),
        ({"method": "mini-batch", "engine": "dask-ml"}, "dask-ml engine"),
        ({"init": "random", "engine": "dask-ml"}, "dask-ml engine"),
        ({"init": [(1, 2, 3)], "n_colors": 1, "engine": "scalable"}, "scalable engine"),
        ({"method": "octree", "effort": "best"}, "effort 'best' with the method octree"),
        ({"method": "mini-batch", "effort": "fast"}, "effort 'fast'"),
        ({"method": "wu", "n_init": 2}, "n_init 2"),
        ({"method": "wu", "max_iter": 2}, "max_iter 2"),
        ({"method": "wu", "tol": 0.0}, "tol 0.0"),
        ({"method": "uniform", "init": "random"}, "init 'random'"),
        ({"method": "uniform", "init": [(0, 0, 0)], "n_colors": 1}, "init first colours"),
        ({"init": "k-means||"}, "known are k-means"),
        ({"init": 3}, "Got int for init"),
        ({"init": None}, "Got NoneType for init"),
        ({"init": []}, "Got list for init"),
        ({"init": [(1, 2)]}, "three sRGB levels"),
        ({"init": [(1, 2, 256)]}, "three sRGB levels"),
        ({"init": [(1, 2, float("nan"))]}, "three sRGB levels"),
        ({"init": ["abc"]}, "three sRGB levels"),
        ({"init": [(1, 2, 3)], "n_colors": 2}, "1 first colours for a palette of 2"),
        ({"init": [(1, 2, 3)], "n_colors": 1, "n_init": 2}, "n_init 2"),
        ({"init": "random", "effort": "best"}, "effort 'best' with another init"),
    ],
)
def test_options_that_contradict_a_method_are_refused(wrong, text):
    with pytest.raises(OptionError, match=r"^Got ") as caught:
        FitOptions(**wrong)
    assert text in str(caught.value)


def test_first_colors_may_be_an_array_or_a_palette():
    rows = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    for given in (rows, np.array(rows), Palette(np.array(rows, dtype=np.uint8))):
        options = FitOptions(n_colors=2, init=given, n_init=1, max_iter=3, tol=1)
        assert options.init == rows
        assert hash(options) == hash(FitOptions(n_colors=2, init=rows, n_init=1, max_iter=3, tol=1))


def test_methods_keep_what_they_take():
    given = {"effort": "best", "n_init": 1, "max_iter": 2, "tol": 1.0, "init": "random", "seed": 1}
    assert keep_taken("kmeans", given) == given
    assert "effort" not in keep_taken("mini-batch", given)
    assert keep_taken("wu", given) == {"seed": 1}
