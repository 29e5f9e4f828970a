"""Jobs on tar shards and Parquet files, from the shell."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

SCRIPTS = Path(sys.executable).parent


def encode(seed, form="png", side=24):
    """Bytes of a picture of some hundred colours."""
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 8, (side, side, 3), dtype=np.uint8) * 36).save(buffer, form)
    return buffer.getvalue()


def make_shards(folder, n_shards=2, n_images=3, side=24):
    """Write shards of WebDataset, and what is in them below ``plain``; return their images."""
    images = {}
    for shard in range(n_shards):
        with tarfile.open(folder / f"s-{shard:03}.tar", "w") as file:
            for number in range(n_images):
                key, data = f"{shard}/{number:04}", encode((shard, number), side=side)
                images[f"s-{shard:03}/{key}.png"] = data
                for name, content in ((f"{key}.cls", b"7"), (f"{key}.png", data)):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    file.addfile(entry, io.BytesIO(content))
    for name, data in images.items():
        path = folder / "plain" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return images


def read_outputs(folder):
    """Return the outputs below a folder by their places."""
    found = (path for path in folder.rglob("*.png") if ".dask-quant" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("options", [(), ("--per-image",), ("--workers", 2)], ids=str)
def test_shards_become_what_their_images_become(run, tmp_path, options):
    images = make_shards(tmp_path)
    done = run("quantize", "s-*.tar", "-o", "out", "-k", 5, "--json", *options).json
    assert (done["n_images"], done["n_ignored"]) == (6, 6)
    here = () if "--workers" in options else options
    expected = run("quantize", "plain", "-o", "expected", "-k", 5, "--json", *here).json
    outputs = read_outputs(tmp_path / "out")
    assert outputs == read_outputs(tmp_path / "expected")
    assert outputs.keys() == images.keys()
    assert {name: done[name] for name in ("palette", "mse", "input_bytes")} == {
        name: expected[name] for name in ("palette", "mse", "input_bytes")
    }
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    rows = list(map(json.loads, lines))
    assert {row["path"] for row in rows} >= {"s-000.tar::0/0000.png", "s-001.tar::1/0002.png"}
    assert all(row["digest"].startswith("sha256:") and row["modified"] for row in rows)
    again = run("quantize", "s-*.tar", "-o", "out", "-k", 5, "--json", "--resume", *here).json
    assert again["n_skipped"] == 6


def test_a_damaged_shard_costs_what_is_behind_the_damage(run, tmp_path):
    make_shards(tmp_path)
    data = (tmp_path / "s-001.tar").read_bytes()
    (tmp_path / "s-001.tar").write_bytes(data[: len(data) // 2])
    done = run("quantize", "s-000.tar", "s-001.tar", "-o", "out", "-k", 5, "--json")
    assert done.code == 3
    (bad,) = done.json["quarantined"]
    assert bad["path"].startswith("s-001.tar::")
    assert "Cannot read s-001.tar from byte " in bad["reason"]
    assert 3 < done.json["n_images"] < 6
    assert run("quantize", "s-001.tar", "-o", "out", "-k", 5, "--overwrite", "--strict").code == 1


def test_a_data_set_in_parquet_becomes_what_its_images_become(run, tmp_path):
    images = make_shards(tmp_path, n_shards=1)
    rows = [{"bytes": data, "path": name} for name, data in images.items()]
    rows.insert(1, {"bytes": b"no image", "path": "bad.png"})
    pq.write_table(pa.table({"label": range(4), "image": rows}), tmp_path / "train.parquet",
                   row_group_size=2)  # fmt: skip
    done = run("quantize", "train.parquet", "-o", "out", "-k", 5, "--json")
    assert done.code == 3
    (bad,) = done.json["quarantined"]
    assert bad["path"] == "train.parquet::bad.png"
    run("quantize", "plain/s-000", "-o", "expected", "-k", 5)
    expected = read_outputs(tmp_path / "expected")
    outputs = read_outputs(tmp_path / "out")
    assert outputs == {f"train/s-000/{name}": data for name, data in expected.items()}


def test_one_image_of_a_shard_is_an_image(run, tmp_path):
    images = make_shards(tmp_path)
    source = "s-001.tar::1/0001.png"
    (tmp_path / "one.png").write_bytes(images["s-001/1/0001.png"])
    for _ in range(2):
        done = run("quantize", source, "-o", "a.png", "-k", 5, "--resume", "--json").json
    assert done["n_skipped"] == 1
    run("quantize", "one.png", "-o", "b.png", "-k", 5)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    info = run("info", source, "--json").json
    assert (info["path"], info["width"]) == (source, 24)
    assert [each["path"] for each in run("info", "s-000.tar", "--json").json["images"]] == [
        f"s-000.tar::0/{number:04}.png" for number in range(3)
    ]
    refused = run("quantize", source, "-o", "c.zarr", "-k", 5, "--quiet")
    assert refused.code == 2
    assert f"Got {source} for a chunked" in refused.err
    assert run("segment", source, "-o", "c.tif", "-k", 2).code == 2
    assert run("palette", "s-*.tar", "-o", "p.gpl", "-k", 4, "--json").json["n_images"] == 6
    plan = run("quantize", "s-000.tar", "-o", "out", "--dry-run", "--json").json["plan"]
    assert (plan["n_images"], plan["n_pixels"]) == (3, 3 * 24 * 24)


def test_a_page_shows_images_of_shards(run, tmp_path):
    make_shards(tmp_path, n_shards=1)
    done = run("quantize", "s-000.tar", "-o", "out", "-k", 4, "--report", "page.html")
    assert done.code == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") == 6
    assert "No longer there" not in page


@pytest.mark.slow
def test_a_job_on_shards_that_is_killed_ends_at_the_same_bytes(run, tmp_path):
    make_shards(tmp_path, n_shards=3, n_images=40, side=64)
    run("quantize", "s-*.tar", "-o", "expected", "-k", 4, "--effort", "fast")
    command = ["quantize", "s-*.tar", "-o", "out", "-k", "4", "--effort", "fast", "--resume"]
    with subprocess.Popen([SCRIPTS / "dask-quant", *command], cwd=tmp_path,
                          stderr=subprocess.DEVNULL, env=os.environ) as job:  # fmt: skip
        limit = time.monotonic() + 120
        while not read_outputs(tmp_path / "out") and time.monotonic() < limit:
            assert job.poll() is None
            time.sleep(0.005)
        job.send_signal(signal.SIGKILL)
    assert job.returncode == -signal.SIGKILL
    n_before = len(read_outputs(tmp_path / "out"))
    assert 0 < n_before < 120
    done = run(*command, "--json").json
    assert done["n_images"] == 120
    assert read_outputs(tmp_path / "out") == read_outputs(tmp_path / "expected")
