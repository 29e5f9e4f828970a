import numpy as np
import palette_readers
import pytest

MISSING = palette_readers.find_missing(palette_readers.default_modules())


@pytest.mark.skipif(MISSING is not None, reason=f"optional: {MISSING}")
def test_anypalette_reads_our_files(tmp_path):
    rows = palette_readers.compare_files(tmp_path, palette_readers.default_modules())
    assert [row for row in rows if row["note"]] == []
    assert len(rows) == len(palette_readers.SUFFIXES) * len(palette_readers.SIZES)


def test_what_is_missing_is_said(tmp_path, capsys):
    assert palette_readers.main(["--modules", str(tmp_path)]) == 2
    assert "missing" in capsys.readouterr().err


def test_another_answer_is_found():
    colors = np.array([[0, 0, 0], [255, 128, 0]])
    assert palette_readers._compare(colors, [[0, 0, 0], [255, 128.0001, 0]], ".gpl") == ""
    assert palette_readers._compare(colors, [[0, 0, 0], [255, 127, 0]], ".gpl") == "other colours"
    assert palette_readers._compare(colors, [[0, 0, 0]], ".gpl") == "1 colours, not 2"
    assert palette_readers._compare(colors, "torn", ".gpl") == "torn"
