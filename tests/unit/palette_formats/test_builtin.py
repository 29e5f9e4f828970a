import numpy as np
import pytest
from PIL import Image

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.builtin import BUILTIN_NAMES, builtin_palette


def test_the_web_safe_colors_are_those_that_pillow_converts_to():
    image = Image.new("RGB", (1, 1)).convert("P", palette=Image.Palette.WEB)
    levels = np.array(image.getpalette()[10 * 3 :][: 216 * 3]).reshape(-1, 3)
    palette = builtin_palette("web-safe")
    assert set(palette) == {tuple(row) for row in levels.tolist()}
    assert len(palette) == 216


@pytest.mark.parametrize("n_colors", [2, 4, 16, 256])
def test_ramps_go_from_black_to_white_in_equal_steps(n_colors):
    colors = builtin_palette(f"gray-{n_colors}").colors
    np.testing.assert_array_equal(colors[:, 0], np.linspace(0, 255, n_colors))
    assert (colors == colors[:, :1]).all()


def test_ega_is_the_irgb_of_its_index_but_for_brown():
    expected = [
        tuple(170 * (index >> bit & 1) + 85 * (index >> 3) for bit in (2, 1, 0))
        for index in range(16)
    ]
    expected[6] = (170, 85, 0)
    assert list(builtin_palette("ega")) == expected


def test_black_comes_first():
    assert builtin_palette("black-white").hex == ["#000000", "#ffffff"]
    assert {builtin_palette(name).hex[0] for name in BUILTIN_NAMES} == {"#000000"}


def test_names_are_told_when_one_is_not_known():
    with pytest.raises(PaletteError, match="black-white, ega, gray-2, gray-4"):
        builtin_palette("cube-216")
