import numpy as np
import pytest

from dask_quant.errors import OptionError
from dask_quant.fit_options import FitOptions
from dask_quant.given_colors import as_colors
from dask_quant.palette import Palette

COLORS = ((255, 136, 0), (0, 0, 0))


@pytest.mark.parametrize(
    "given",
    [
        "#ff8800,#000000",
        " FF8800 , #000",
        ["#f80", "000"],
        [(255, 136, 0), "#000000"],
        np.array(COLORS),
        np.array(COLORS, dtype=np.uint8),
        Palette(np.array(COLORS)),
        COLORS,
    ],
    ids=repr,
)
def test_every_way_to_give_colors_is_understood(given):
    assert as_colors(given, "keep") == COLORS
    assert FitOptions(keep=given).keep == COLORS


def test_nothing_given_is_no_color():
    assert as_colors(None, "keep") == as_colors([], "keep") == as_colors((), "keep") == ()


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("", "Got ''"),
        ("#ff880", "Got '#ff880' for keep"),
        ("red", "Got 'red' for keep; write colours as '#rrggbb'"),
        (["#000", None], "Got None"),
        ([(0, 0)], r"Got \(0, 0\)"),
        ([(0, 0, 256)], "256"),
        ([(0, 0, -1)], "-1"),
        ([(0.0, 0.5, 1.0)], "0.5"),
        (np.zeros((2, 2, 3)), "write colours as"),
        (7, "Got int for keep"),
        ("#000,#000000", "Got #000000 twice for keep"),
        ([(1, 2, 3), (4, 5, 6), "#010203"], "Got #010203 twice"),
    ],
    ids=repr,
)
def test_what_is_no_color_is_refused_in_one_line(given, match):
    with pytest.raises(OptionError, match=match) as caught:
        as_colors(given, "keep")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_colors": 1, "keep": "#000,#fff"}, "Got 2 colours to keep among 1; ask for at least 2"),
        ({"keep": "#000", "engine": "scalable"}, "Got keep with the scalable engine"),
        ({"keep": "#000", "engine": "dask-ml"}, "Got keep with the dask-ml engine"),
        ({"keep": "#000,#000"}, "twice for keep"),
        ({"recolor": "#000,#fff"}, "Got 2 colours for recolor and 16 to fit; ask for 2 colours"),
        ({"n_colors": 2, "recolor": "#000,#000"}, "twice for recolor"),
        ({"n_colors": 2, "recolor": "#000,#fff", "keep": "#f00"}, "Got both keep and recolor"),
    ],
)
def test_given_colors_that_cannot_be_used_are_refused(options, match):
    with pytest.raises(OptionError, match=match):
        FitOptions(**options)
