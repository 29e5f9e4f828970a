import pytest

from dask_quant.errors import PixelFormatError
from dask_quant.sources.axis_order import AxisOrder, order_axes


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("yx", AxisOrder(0, 1, None)),
        ("xy", AxisOrder(1, 0, None)),
        ("yxc", AxisOrder(0, 1, 2)),
        ("cyx", AxisOrder(1, 2, 0)),
        ("ycx", AxisOrder(0, 2, 1)),
        ("CYX", AxisOrder(1, 2, 0)),
        ("zyx", AxisOrder(1, 2, None, (0,))),
        ("tczyx", AxisOrder(3, 4, 1, (0, 2))),
        (("latitude", "longitude", "band"), AxisOrder(0, 1, 2)),
        (("wavelength", "y", "x"), AxisOrder(1, 2, 0)),
        (("band", None, None), AxisOrder(1, 2, 0)),
        ((None, None, "channel"), AxisOrder(0, 1, 2)),
    ],
)
def test_names_say_which_axis_is_which(names, expected):
    assert order_axes([3] * len(names), list(names), name="it") == expected


@pytest.mark.parametrize(
    ("shape", "described"),
    [
        ((20, 30), "(y, x)"),
        ((3, 3), "(y, x)"),
        ((20, 30, 3), "(y, x, band)"),
        ((20, 30, 1), "(y, x, band)"),
        ((3, 20, 30), "(band, y, x)"),
        ((1, 20, 30), "(band, y, x)"),
        ((4, 20, 30), "(band, y, x)"),
        ((20, 3, 30), "(y, x, band)"),  # which is then refused, for 30 bands are none
        ((2, 20, 30), "(y, x, band)"),
    ],
)
@pytest.mark.parametrize("names", [None, (), ("dim_0", "dim_1"), ("dim_0", "dim_1", "dim_2")])
def test_without_names_the_shape_says_it(shape, described, names):
    order = order_axes(shape, names, name="it")
    assert order.describe() == described
    assert order.is_guess == (len(shape) == 3)
    assert order.is_plain == (described != "(band, y, x)")


@pytest.mark.parametrize("shape", [(3, 20, 3), (1, 20, 3), (4, 4, 4), (3, 20, 1)])
def test_a_shape_that_may_be_read_in_two_ways_is_refused(shape):
    with pytest.raises(PixelFormatError, match=r"\(y, x, band\) or \(band, y, x\); name its axes"):
        order_axes(shape, None, name="it")


@pytest.mark.parametrize(("shape", "names"), [((9,), None), ((1, 3, 9, 9), "abcd"), ((), None)])
def test_axes_that_nothing_tells_apart_are_refused(shape, names):
    with pytest.raises(PixelFormatError, match=r"Got it of shape .* name them"):
        order_axes(shape, names, name="it")
