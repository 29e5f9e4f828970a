import numpy as np
import pytest

from dask_quant.errors import OutputError
from dask_quant.sinks.parts import is_whole_part, open_part, write_part
from dask_quant.sinks.row_files import GifFile, make_png_file
from dask_quant.sinks.tiff import make_tiff_file

PIECES = [b"one", b"", bytes(1000)]


def test_pieces_come_back(tmp_path):
    write_part(tmp_path / "a.part", PIECES)
    with open_part(tmp_path / "a.part") as part:
        assert [part.read(number) for number in range(3)] == PIECES
    assert is_whole_part(tmp_path / "a.part")
    assert [path.name for path in tmp_path.iterdir()] == ["a.part"]


@pytest.mark.parametrize("place", [0, 500, -1, -20, -60])
def test_one_changed_byte_is_found(tmp_path, place):
    path = tmp_path / "a.part"
    write_part(path, PIECES)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert not is_whole_part(path)


@pytest.mark.parametrize("n_bytes", [0, 10, 900, 1003])
def test_a_part_that_is_cut_or_gone_is_not_whole(tmp_path, n_bytes):
    path = tmp_path / "a.part"
    assert not is_whole_part(path)
    with pytest.raises(OutputError, match="missing"), open_part(path):
        pass
    write_part(path, PIECES)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert not is_whole_part(path)


@pytest.mark.parametrize("kind", ["png", "gif", "tif"])
def test_parts_have_the_names_that_are_asked_for(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("dask_quant.sinks.png.STRIP_PIXELS", 1000)
    monkeypatch.setattr("dask_quant.sinks.tiff_layout.BLOCK_SIDE", 64)
    monkeypatch.setattr("dask_quant.sinks.tiff_layout.TILE_SIDE", 32)
    labels = np.zeros((150, 100), np.uint8)
    file = {
        "png": lambda: make_png_file(labels.shape, labels.dtype, 3),
        "gif": lambda: GifFile(labels.shape, labels.dtype),
        "tif": lambda: make_tiff_file(labels.shape, labels.dtype),
    }[kind]()
    file.put(tmp_path, labels, (0, 0))
    rows, columns = file.unit
    places = [(y, x) for y in range(0, 150, rows) for x in range(0, 100, columns)]
    assert len(places) >= 6
    names = {file.name_part(place) for place in places}
    assert names == {path.name for path in tmp_path.iterdir()}
