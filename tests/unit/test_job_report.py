import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dask_quant as dq

WILD = '<b onclick="x">&\'.png'


def write_manifest(out, rows):
    """Write rows as a job does, the last line torn as by a killed one."""
    lines = [json.dumps({"id": f"id-{number}"} | row) for number, row in enumerate(rows)]
    (out / "manifest.jsonl").write_text("\n".join([*lines, '{"path": "to']))
    return str(out / "manifest.jsonl")


def measure_row(source, output):
    """Return what the manifest says of an image that was written, measured by NumPy."""
    before, after = (
        np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (source, output)
    )
    return {
        "path": str(source), "frame": 0, "output": output.name, "group": None,
        "status": "written", "error": None, "width": before.shape[1], "height": before.shape[0],
        "n_unique_colors": len(np.unique(before.reshape(-1, 3), axis=0)),
        "n_colors": len(np.unique(after.reshape(-1, 3), axis=0)),
        "mse": float(np.square(before - after).sum(-1).mean()),
        "input_bytes": source.stat().st_size, "output_bytes": output.stat().st_size,
        "seconds": 0.25, "finished": 1_700_000_000.0,
    }  # fmt: skip


@pytest.fixture
def collection(tmp_path, photo):
    """A report of a job on three images and a torn one, with the manifest that belongs to it."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i, name in enumerate(["0.png", WILD, "2.png"]):
        Image.fromarray(photo[: 40 + i, i * 100 : i * 100 + 50]).save(source / name)
    (source / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\ntorn")
    report = dq.quantize(source, out, n_colors=4)
    rows = [
        measure_row(source / os.path.basename(o), out / o)
        for o in map(os.path.basename, report.outputs)
    ]
    ((torn,),) = [report.quarantined]
    rows += [{"path": torn.path, "status": "quarantined", "error": torn.reason, "mse": None}]
    return dataclasses.replace(report, manifest=write_manifest(out, rows))


def test_a_page_shows_a_collection(tmp_path, parse_page, collection):
    n_bytes = dq.write_report(collection, tmp_path / "report.html")
    data = (tmp_path / "report.html").read_bytes()
    assert len(data) == n_bytes
    page = parse_page(data.decode())
    images = page.find("img")
    assert len(images) == 6
    assert all(image["alt"] for image in images)
    assert any(WILD in image["alt"] for image in images)
    assert f"{collection.n_images} images" in page.text
    assert "Set aside: 1" in page.text
    assert "2023-11-14 22:13 UTC" in page.text
    lines = Path(collection.manifest).read_text().splitlines()
    rows = [json.loads(line) for line in lines[:3]]
    shown = [page.text.index(f"{row['mse']:,.2f}") for row in sorted(rows, key=lambda r: -r["mse"])]
    assert shown == sorted(shown)


def test_the_same_job_gives_the_same_page(tmp_path, collection):
    for name in ("a.html", "b.html"):
        dq.write_report(collection, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_images_that_are_gone_leave_a_remark(tmp_path, parse_page, collection):
    (tmp_path / "in" / "0.png").unlink()
    (tmp_path / "out" / "2.png").write_bytes(b"torn")
    dq.write_report(collection, tmp_path / "report.html")
    page = parse_page((tmp_path / "report.html").read_text())
    assert len(page.find("img")) == 4
    assert "No longer there." in page.text
    assert "Not shown: Cannot read" in page.text


def test_an_output_that_leads_out_of_the_folder_is_not_read(tmp_path, parse_page, collection):
    row = {"path": "a.png", "status": "written", "mse": 9.0, "output": "../in/0.png"}
    moved = dataclasses.replace(collection, manifest=write_manifest(tmp_path / "out", [row]))
    dq.write_report(moved, tmp_path / "report.html")
    page = parse_page((tmp_path / "report.html").read_text())
    assert page.find("img") == []
    assert "must lie below" in page.text


def test_secrets_of_addresses_do_not_show(tmp_path, collection):
    url = "https://me:pass@host.invalid/a.png?key=1"
    row = {"path": url, "status": "quarantined", "error": f"Cannot read {url}: gone."}
    secret = dataclasses.replace(
        collection,
        manifest=write_manifest(tmp_path / "out", [row]),
        quarantined=(dq.Quarantined(url, f"Cannot read {url}: gone."),),
        outputs=(url,),
    )
    dq.write_report(secret, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "host.invalid" in text
    assert "pass" not in text
    assert "key=1" not in text


def test_a_page_shows_one_image_before_and_after(tmp_path, parse_page, photo_path):
    report = dq.quantize(photo_path, tmp_path / "a.png", n_colors=4)
    dq.write_report(report, tmp_path / "report.html", source=photo_path)
    page = parse_page((tmp_path / "report.html").read_text())
    assert [image["width"] for image in page.find("img")] == ["640", "640"]
    dq.write_report(report, tmp_path / "report.html", overwrite=True)
    assert len(parse_page((tmp_path / "report.html").read_text()).find("img")) == 1


def test_a_palette_alone_has_a_page_too(tmp_path, parse_page, photo_path):
    report = dq.make_palette(photo_path, tmp_path / "a.png", n_colors=4)
    dq.write_report(report, tmp_path / "report.html")
    page = parse_page((tmp_path / "report.html").read_text())
    assert page.find("img") == []
    assert len(page.find("code")) == 4


def test_a_page_that_exists_is_kept(tmp_path, photo):
    report = dq.quantize(photo, tmp_path / "a.png", n_colors=2)
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(dq.OutputExistsError, match="exists"):
        dq.write_report(report, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "mine"


@pytest.mark.parametrize("name", ["report.png", "report", "report.html.gz"])
def test_a_page_is_named_html(tmp_path, photo, name):
    report = dq.quantize(photo, tmp_path / "a.png", n_colors=2)
    with pytest.raises(dq.OptionError, match=r"must end in \.html"):
        dq.write_report(report, tmp_path / name)


def test_a_manifest_that_is_gone_is_told(tmp_path, collection):
    os.unlink(collection.manifest)
    with pytest.raises(dq.SourceNotFoundError, match="manifest"):
        dq.write_report(collection, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_job_writes_its_page(tmp_path, parse_page, photo):
    dq.quantize(photo, tmp_path / "a.png", n_colors=4, report=tmp_path / "a.html")
    assert len(parse_page((tmp_path / "a.html").read_text()).find("img")) == 2
    dq.apply_palette(photo, tmp_path / "b.png", [[0, 0, 0]], report=tmp_path / "b.html")
    assert "dask-quant apply: 1 image" in parse_page((tmp_path / "b.html").read_text()).text


@pytest.mark.parametrize("call", [dq.quantize, dq.plan_job])
def test_a_page_that_cannot_be_written_is_told_before_the_job(tmp_path, photo_path, call):
    (tmp_path / "old.html").write_text("old")
    out = tmp_path / "a.png"
    for name, error in (("old.html", dq.OutputExistsError), ("a.pdf", dq.OptionError)):
        with pytest.raises(error):
            call(photo_path, out, report=tmp_path / name)
    with pytest.raises(dq.OptionError, match="which is the output"):
        call(photo_path, tmp_path / "a.zarr", report=tmp_path / "a.zarr" / "a.html")
    assert sorted(os.listdir(tmp_path)) == ["old.html"]


def test_a_job_that_goes_on_replaces_its_page_and_no_other_file(tmp_path, photo_path):
    run = {"n_colors": 4, "report": tmp_path / "a.html"}
    dq.quantize(photo_path, tmp_path / "a.png", **run)
    (tmp_path / "a.png").unlink()
    dq.quantize(photo_path, tmp_path / "a.png", **run, resume=True)
    (tmp_path / "a.html").write_text("mine")
    with pytest.raises(dq.OutputExistsError):
        dq.quantize(photo_path, tmp_path / "b.png", **run, resume=True)
    dq.quantize(photo_path, tmp_path / "b.png", **run, overwrite=True)
    assert (tmp_path / "a.html").read_text() != "mine"
