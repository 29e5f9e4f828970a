"""``--report``: a page about the job, beside what it writes."""

import json

from PIL import Image


def test_quantize_writes_a_page(run, pictures, tmp_path, parse_page):
    done = run("quantize", pictures / "cat.png", "-o", "cat.png", "-k", 3, "--report", "cat.html")
    assert done.code == 0
    page = parse_page((tmp_path / "cat.html").read_text("utf-8"))
    assert len(page.find("img")) == 2
    assert "dask-quant quantize: 1 image" in page.text


def test_apply_writes_a_page(run, pictures, tmp_path, parse_page):
    command = ("apply", pictures / "cat.png", "--palette", "#000,#fff", "-o", "cat.png")
    assert run(*command, "--report", "cat.html").code == 0
    assert "2 colours" in parse_page((tmp_path / "cat.html").read_text("utf-8")).text


def test_a_folder_has_a_page(run, pictures, tmp_path, parse_page):
    (pictures / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\ntorn")
    command = ("quantize", pictures, "-o", "out", "-k", 3, "--report", "out/report.html", "--json")
    done = run(*command)
    assert (done.code, done.json["n_images"]) == (3, 3)
    page = parse_page((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert "3 images" in page.text
    assert "Set aside: 1" in page.text


def test_the_name_of_the_page_is_looked_at_first(run, pictures, tmp_path):
    (tmp_path / "old.html").write_text("old")
    for name, code, reason in (("old.html", 1, "exists"), ("a.pdf", 2, "must end in .html")):
        for more in ([], ["--dry-run"]):
            done = run("quantize", pictures, "-o", "out", "--report", name, *more)
            assert done.code == code
            assert reason in done.err
    assert not (tmp_path / "out").exists()


def test_classes_have_no_page(run, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.tif")
    (tmp_path / "m.json").write_text(json.dumps({}))
    command = ("apply", "a.tif", "--model", "m.json", "-o", "b.tif", "--report", "a.html")
    done = run(*command)
    assert done.code != 0
    assert "it is for --palette" in done.err
