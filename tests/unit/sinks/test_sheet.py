from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dask_quant.errors import OutputError, OutputExistsError
from dask_quant.palette import Palette
from dask_quant.sinks.sheet import Panel, draw_sheet, write_sheet

PALETTE = Palette(np.array([[200, 0, 0], [0, 0, 100]]), np.array([3, 1]))
CAPTION = ("k = 2", "mse 123.4, 31.2 dB", "34.5 kB")


def make_panel(shape=(60, 90), *, color=(10, 200, 30), palette=PALETTE, caption=CAPTION):
    return Panel(np.full((*shape, 3), color, np.uint8), caption, palette)


def count_pixels(sheet, color):
    return int((np.asarray(sheet) == color).all(axis=2).sum())


def test_every_panel_is_on_the_sheet_at_the_same_size():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
    panels = [make_panel((300, 400), color=color, palette=None) for color in colors]
    sheet = draw_sheet(panels, title="five")
    assert sheet.mode == "RGB"
    assert [count_pixels(sheet, color) for color in colors] == [300 * 400] * 5


def test_the_bar_shares_its_width_by_counts():
    sheet = draw_sheet([make_panel((300, 400))])
    red, blue = count_pixels(sheet, (200, 0, 0)), count_pixels(sheet, (0, 0, 100))
    assert red + blue == pytest.approx(400 * 16, rel=0.3)
    assert red / blue == pytest.approx(3, rel=0.05)


def test_rare_colors_show_in_the_bar():
    palette = Palette(np.array([[200, 0, 0], [0, 0, 100]]), np.array([10**9, 1]))
    assert count_pixels(draw_sheet([make_panel(palette=palette)]), (0, 0, 100)) > 10


@pytest.mark.parametrize("counts", [None, [0, 0]])
def test_a_bar_without_counts_has_equal_shares(counts):
    palette = Palette(PALETTE.colors, counts)
    sheet = draw_sheet([make_panel((300, 400), palette=palette)])
    assert count_pixels(sheet, (200, 0, 0)) == count_pixels(sheet, (0, 0, 100)) > 0


def test_a_palette_of_more_colors_than_pixels_is_drawn():
    codes = np.arange(5000)
    palette = Palette(np.stack([codes >> 8, codes & 255, codes * 0], axis=1))
    draw_sheet([make_panel(palette=palette)])


def test_large_pictures_are_averaged_to_the_limit():
    image = np.zeros((2000, 2000, 3), np.uint8)
    image[::2] = 200
    sheet = draw_sheet([Panel(image, (), None)], max_panel_pixels=10_000)
    assert count_pixels(sheet, (100, 100, 100)) == 100 * 100


def test_small_pictures_are_enlarged_by_whole_factors():
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    sheet = np.asarray(draw_sheet([Panel(image, (), None)]))
    (rows, columns) = np.nonzero((sheet == image[0, 0]).all(axis=2))
    factor = int(np.ptp(columns)) + 1
    assert factor == np.ptp(rows) + 1 > 20
    top, left = rows.min(), columns.min()
    shown = sheet[top : top + 3 * factor : factor, left : left + 4 * factor : factor]
    np.testing.assert_array_equal(shown, image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_odd_shapes_are_drawn(shape):
    sheet = draw_sheet([make_panel(shape), make_panel(shape)], title="odd")
    assert max(sheet.size) < 3000


@pytest.mark.parametrize(("columns", "wider"), [(1, False), (4, True), (99, True)])
def test_columns_are_as_asked_for(columns, wider):
    width, height = draw_sheet([make_panel()] * 4, columns=columns).size
    assert (width > height) == wider


def test_six_panels_make_two_rows_of_three():
    narrow = draw_sheet([make_panel((300, 451))] * 6)
    assert narrow.size == draw_sheet([make_panel((300, 451))] * 6, columns=3).size


@pytest.mark.parametrize("text", ["x" * 500, "日本語 \udcff", "two\nlines", ""])
def test_any_text_is_drawn_within_the_sheet(text):
    plain = draw_sheet([make_panel()], title="x" if text else None)
    assert draw_sheet([make_panel(caption=(text,) * 3)], title=text).size == plain.size


def test_sheets_are_the_same_every_time():
    panels = [make_panel(), make_panel(palette=None)]
    assert draw_sheet(panels, title="t").tobytes() == draw_sheet(panels, title="t").tobytes()


@pytest.mark.parametrize("options", [{"columns": 0}, {"max_panel_pixels": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(OutputError, match="at least 1 of each"):
        draw_sheet([make_panel()], **options)
    with pytest.raises(OutputError, match="Got 0 panels"):
        draw_sheet([])


def test_write_sheet_reads_back(tmp_path):
    sheet, path = draw_sheet([make_panel()]), tmp_path / "sheet.png"
    assert write_sheet(sheet, path, overwrite=False) == path.stat().st_size
    with Image.open(path) as again:
        assert again.tobytes() == sheet.tobytes()
    with pytest.raises(OutputExistsError):
        write_sheet(sheet, path, overwrite=False)
