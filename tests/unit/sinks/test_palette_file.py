from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dask_quant.errors import (
    OptionError,
    OutputExistsError,
    PaletteError,
    SourceError,
    SourceNotFoundError,
)
from dask_quant.palette import Palette
from dask_quant.sinks import palette_file
from dask_quant.sinks.palette_file import WRITABLE_SUFFIXES, read_palette, write_palette
from dask_quant.sinks.png import encode_labels, write_png
from dask_quant.sinks.store_start import start_store
from dask_quant.sinks.zarr_store import finish_store, store_block

PALETTE = Palette(np.array([[9, 8, 7], [0, 128, 255], [3, 2, 1]]), np.array([4, 3, 2]))
LABELS = np.array([[0, 1, 2], [1, 2, 0]], np.uint8)


@pytest.mark.parametrize("suffix", [*WRITABLE_SUFFIXES, ".GPL", ".Riff.PAL", ".PNG"])
def test_palette_files_read_back(tmp_path, suffix):
    path = tmp_path / f"warm{suffix}"
    assert write_palette(PALETTE, path, overwrite=False) == path.stat().st_size
    assert read_palette(path) == PALETTE
    with pytest.raises(OutputExistsError):
        write_palette(PALETTE, path, overwrite=False)
    write_palette(PALETTE, path, overwrite=True)


def test_a_text_names_a_file_as_well_as_a_path(tmp_path):
    write_palette(PALETTE, str(tmp_path / "warm.gpl"))
    assert read_palette(str(tmp_path / "warm.gpl")) == PALETTE
    with pytest.raises(OutputExistsError):
        write_palette(PALETTE, str(tmp_path / "warm.gpl"))


def test_a_palette_may_be_given_as_its_colors(tmp_path):
    write_palette(PALETTE.colors.tolist(), tmp_path / "warm.gpl")
    assert read_palette(tmp_path / "warm.gpl") == PALETTE
    with pytest.raises(PaletteError, match=r"\(n_colors, 3\)"):
        write_palette([1, 2, 3], tmp_path / "cold.gpl")
    assert not (tmp_path / "cold.gpl").exists()


def test_what_is_no_path_is_refused():
    for call in (read_palette, lambda path: write_palette(PALETTE, path)):
        for wrong in (None, 3, PALETTE):
            with pytest.raises(OptionError, match="for path; use a path"):
                call(wrong)


def test_the_stem_is_the_title(tmp_path):
    write_palette(PALETTE, tmp_path / "warm.gpl", overwrite=False)
    assert b"\nName: warm\n" in (tmp_path / "warm.gpl").read_bytes()


def test_an_unknown_suffix_writes_nothing(tmp_path):
    with pytest.raises(PaletteError, match="known are"):
        write_palette(PALETTE, tmp_path / "a.aco", overwrite=False)
    assert not list(tmp_path.iterdir())


def test_the_palette_of_our_png_is_read(tmp_path):
    strips = encode_labels(LABELS, PALETTE)
    path = tmp_path / "a.png"
    write_png(path, strips, width=3, height=2, palette=PALETTE, overwrite=False)
    assert read_palette(path) == PALETTE


def test_the_palette_of_a_foreign_png_is_read_without_repeats(tmp_path):
    image = Image.new("P", (2, 2))
    image.putpalette([1, 2, 3, 4, 5, 6, 1, 2, 3])
    image.putpixel((0, 0), 2)
    image.save(tmp_path / "a.png")
    assert read_palette(tmp_path / "a.png").hex[:2] == ["#010203", "#040506"]


def test_the_palette_and_counts_of_our_store_are_read(tmp_path):
    temporary = start_store(tmp_path / "a.zarr", LABELS.shape, PALETTE, overwrite=False)
    store_block(temporary, LABELS, offset=(0, 0))
    finish_store(temporary, tmp_path / "a.zarr", overwrite=False)
    again = read_palette(tmp_path / "a.zarr")
    assert again == PALETTE
    assert again.counts.tolist() == [4, 3, 2]


def test_a_store_of_others_is_refused(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(json.dumps({"node_type": "group"}))
    with pytest.raises(PaletteError, match="no label store of dask_quant"):
        read_palette(tmp_path / "a.zarr")


@pytest.mark.parametrize("name", ["a.gpl", "a.png", "a.zarr"])
def test_a_missing_file_is_a_source_not_found(tmp_path, name):
    with pytest.raises(SourceNotFoundError, match="there is no such file"):
        read_palette(tmp_path / name)


def test_a_folder_with_the_name_of_a_file_is_a_source_error(tmp_path):
    (tmp_path / "a.gpl").mkdir()
    with pytest.raises(SourceError, match="directory"):
        read_palette(tmp_path / "a.gpl")


def test_errors_name_the_file_and_the_line(tmp_path):
    (tmp_path / "a.hex").write_text("000000\nred\n")
    with pytest.raises(PaletteError, match=r"a\.hex': Line 2: got 'red'"):
        read_palette(tmp_path / "a.hex")


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    with pytest.raises(PaletteError, match=r"\.gpl, \.hex, .*, \.qml, \.png, \.zarr"):
        read_palette(tmp_path / "a.tif")


def test_a_double_suffix_says_which_pal(tmp_path):
    for name, begin in (("warm.pal", b"JASC-PAL\r\n"), ("warm.riff.pal", b"RIFF")):
        write_palette(PALETTE, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)
    (tmp_path / "warm.riff.pal").rename(tmp_path / "cold.pal")
    assert read_palette(tmp_path / "cold.pal") == PALETTE


@pytest.mark.parametrize("n_colors", [1, 2, 15, 16, 17, 100, 256])
def test_a_swatch_shows_every_color_as_a_square_in_order(tmp_path, n_colors):
    codes = np.arange(n_colors) * 64_007 + 5
    palette = Palette(np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], axis=1))
    write_palette(palette, tmp_path / "a.png")
    assert read_palette(tmp_path / "a.png") == palette
    with Image.open(tmp_path / "a.png") as image:
        shown = np.asarray(image.convert("RGB"))
    assert shown.shape[0] % 32 == shown.shape[1] % 32 == 0
    squares = shown.reshape(shown.shape[0] // 32, 32, shown.shape[1] // 32, 32, 3)
    assert (squares == squares[:, :1, :, :1]).all()
    cells = squares[:, 0, :, 0].reshape(-1, 3)
    np.testing.assert_array_equal(cells[:n_colors], palette.colors)
    assert (cells[n_colors:] == palette.colors[-1]).all()
    assert shown.shape[1] <= 16 * 32


def test_a_palette_too_large_for_a_swatch_is_refused(tmp_path):
    codes = np.arange(257)
    with pytest.raises(PaletteError, match=r"Got 257 colours; a \.png swatch holds at most 256"):
        write_palette(np.stack([codes >> 8, codes & 255, codes & 1], axis=1), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".pal", ".act", ".ase", ".clr", ".qml", ".gpl"])
def test_a_damaged_file_is_named_in_one_line(tmp_path, suffix):
    path = tmp_path / f"torn{suffix}"
    path.write_bytes(b"RIFF\0\0")
    with pytest.raises(
        PaletteError, match=rf"Cannot read a palette from .*torn\{suffix}': "
    ) as got:
        read_palette(path)
    assert "\n" not in str(got.value)


def test_a_file_that_is_no_palette_by_its_size_is_not_read_on(tmp_path, monkeypatch):
    monkeypatch.setattr(palette_file, "MAX_FILE_BYTES", 1000)
    (tmp_path / "a.hex").write_bytes(b"000000\n" * 142)
    assert len(read_palette(tmp_path / "a.hex")) == 1
    (tmp_path / "a.hex").write_bytes(b"000000\n" * 143)
    with pytest.raises(PaletteError, match=r"a\.hex': Got more than 1.0 kB"):
        read_palette(tmp_path / "a.hex")


def test_a_name_without_suffix_is_a_palette_of_ours_whatever_files_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ega").write_text("000000\n")
    assert read_palette("ega") == read_palette(Path("EGA"))
    assert len(read_palette("ega")) == 16
    assert read_palette("#fa0, #000102").hex == ["#ffaa00", "#000102"]
    with pytest.raises(PaletteError, match="known suffixes"):
        read_palette(tmp_path / "ega")
    with pytest.raises(PaletteError, match="Got 'egg' for a palette; a name without a suffix is"):
        read_palette("egg")
