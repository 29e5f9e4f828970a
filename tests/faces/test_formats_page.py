"""docs/formats.md tells what happens; the table in it is what does."""

import format_table
import messy
import pytest
from PIL import Image

from dask_quant.sources.signatures import FORMATS


def test_the_table_of_formats_is_what_comes_out():
    text = format_table.PAGE.read_text("utf-8")
    assert format_table.put_table(text, format_table.make_table()) == text


def test_the_table_has_every_format():
    names = {case.form.split(",")[0].split(" of ")[0].upper() for case in format_table.list_cases()}
    spelled = {name.replace(" ", "") for name in names} | {"PPM"} - {"PBM", "PGM"}
    assert set(FORMATS) <= spelled


@pytest.mark.parametrize(
    ("name", "outcome", "said", "broken"),
    [
        ("a.png", "written", "PNG RGB", ""),
        ("a.png", "refused", "one line", ""),
        ("a.png", "refused", "two\nlines", "one line"),
        ("a.png", "traceback", "KeyError: 1", "ends in a traceback"),
        ("a.png", "hang", "no answer within 3 s", "ends in a hang"),
        ("ok_a.png", "refused", "one line", "must be written"),
        ("ok_a.png", "refused", "3 of 4 pixels not opaque", "must be written"),
        ("bad_a.png", "written", "PNG RGB", "must be reported"),
        ("xs1n0g01.png", "written", "PNG RGB", "must be reported"),
        ("bad_bitflips_in_scan.jpg", "written", "JPEG RGB", ""),
    ],
)
def test_the_survey_of_messy_files_judges_by_name(name, outcome, said, broken):
    found = messy.judge(name, outcome, said)
    assert broken in found
    assert bool(found) == bool(broken)


def test_the_survey_of_messy_files_runs(tmp_path, capsys):
    Image.new("RGB", (5, 4), (1, 2, 3)).save(tmp_path / "ok_a.png")
    data = (tmp_path / "ok_a.png").read_bytes()
    (tmp_path / "bad_a.png").write_bytes(data[:-20])
    (tmp_path / "ok_b.png").write_bytes(b"nonsense")
    assert messy.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "written   ok_a.png: PNG RGB" in printed
    assert "BROKEN ok_b.png: a good file must be written: Cannot read ok_b.png" in printed
    assert "1 written" in printed


def test_a_process_that_ends_or_takes_too_long_is_told_and_replaced(tmp_path):
    Image.new("RGB", (5, 4), (1, 2, 3)).save(tmp_path / "a.png")
    worker = messy.Worker(timeout_s=0.0)
    assert worker.run(str(tmp_path / "a.png"))[0] == "hang"
    worker.timeout_s = 120.0
    assert worker.run(str(tmp_path / "a.png")) == ("written", "PNG RGB")
    worker.process.kill()
    worker.process.join()
    assert worker.run(str(tmp_path / "a.png"))[0] == "crash"
    assert worker.process is None
    worker.close()
