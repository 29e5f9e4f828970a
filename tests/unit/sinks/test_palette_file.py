from __future__ import annotations

import json

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
from dask_quant.palette_formats import PALETTE_SUFFIXES
from dask_quant.sinks.palette_file import read_palette, write_palette
from dask_quant.sinks.png import encode_labels, write_png
from dask_quant.sinks.store_start import start_store
from dask_quant.sinks.zarr_store import finish_store, store_block

PALETTE = Palette(np.array([[9, 8, 7], [0, 128, 255], [3, 2, 1]]), np.array([4, 3, 2]))
LABELS = np.array([[0, 1, 2], [1, 2, 0]], np.uint8)


@pytest.mark.parametrize("suffix", [*PALETTE_SUFFIXES, ".GPL"])
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
    with pytest.raises(PaletteError, match=r"\.gpl, \.hex, \.json, \.png, \.zarr"):
        read_palette(tmp_path / "a.tif")
