"""Decoders that die of a real signal, hang and take all memory cost one file and one process."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from PIL import Image
from poison import install_poison, make_pictures

from dask_quant.errors import (
    ColorProfileWarning,
    DecoderError,
    PixelFormatError,
    SourceError,
    SourceNotFoundError,
)
from dask_quant.process import peak_rss_bytes
from dask_quant.sources import isolated
from dask_quant.sources.isolated import DecodeLimits, close_decoders, read_isolated
from dask_quant.sources.reading import read_pixels

SHORT = DecodeLimits(max_seconds=0.3)


@pytest.fixture
def poison(tmp_path, monkeypatch):
    """Have processes that decode come up with decoders that do harm; a folder for files."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setenv("PYTHONPATH", install_poison(site, dict(os.environ))["PYTHONPATH"])
    close_decoders()
    return tmp_path / "pictures"


@pytest.fixture(autouse=True)
def _end_decoders():
    yield
    close_decoders()


def test_pixels_are_those_of_this_process(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    Image.fromarray(photo[:50]).save(tmp_path / "b.jpg")
    for name in ("a.png", "b.jpg"):
        pixels = read_isolated(tmp_path / name)
        np.testing.assert_array_equal(pixels, read_pixels(tmp_path / name))
        assert pixels.flags.c_contiguous
        assert pixels.dtype == np.uint8
    assert len(isolated._idle) == 1


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("crash.png", "its decoder crashed (SIGSEGV)"),
        ("abort.png", "its decoder crashed (SIGABRT)"),
        ("exit.png", "its decoder ended (exit code 7)"),
        ("greedy.png", "decoding it takes more than 2.1 GB of memory"),
    ],
)
def test_a_decoder_that_dies_costs_one_file(poison, name, how):
    folder = make_pictures(poison, name, "good.png")
    with pytest.raises(DecoderError) as caught:
        read_isolated(folder / name)
    assert str(caught.value) == (
        f"Cannot read {folder / name}: {how}; the file is damaged or made to do harm."
    )
    np.testing.assert_array_equal(
        read_isolated(folder / "good.png"), read_pixels(folder / "good.png")
    )


@pytest.mark.parametrize("name", ["hang.png", "spin.png"])
def test_a_decoder_that_hangs_is_ended_by_the_kernel(poison, name):
    folder = make_pictures(poison, name, "good.png")
    read_isolated(folder / "good.png")  # now the process is up
    with pytest.raises(DecoderError, match=r"decoding it took more than 0\.3 s"):
        read_isolated(folder / name, limits=SHORT)
    assert read_isolated(folder / "good.png").shape == (6, 8, 3)


def test_a_process_killed_from_outside_costs_nothing(poison):
    folder = make_pictures(poison, "killed.png")
    assert read_isolated(folder / "killed.png").shape == (6, 8, 3)
    assert (folder / "killed.png.once").exists()


def test_errors_and_warnings_come_through(tmp_path):
    Image.new("RGBA", (3, 2), (1, 2, 3, 4)).save(tmp_path / "clear.png")
    (tmp_path / "text.png").write_text("text")
    for name, error in (
        ("none.png", SourceNotFoundError),
        ("text.png", SourceError),
        ("clear.png", PixelFormatError),
    ):
        with pytest.raises(error) as known:
            read_pixels(tmp_path / name)
        with pytest.raises(error) as found:
            read_isolated(tmp_path / name)
        assert (type(found.value), str(found.value)) == (type(known.value), str(known.value))
    Image.new("RGB", (3, 2)).save(tmp_path / "damaged.png", icc_profile=bytes(300))
    with pytest.warns(ColorProfileWarning, match="damaged.png is left out"):
        read_isolated(tmp_path / "damaged.png")
    assert len(isolated._idle) == 1


def test_a_name_that_is_no_text_is_found(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.png")
    Image.new("RGB", (3, 2), (1, 2, 3)).save(path, "PNG")
    assert read_isolated(path).tolist() == [[[1, 2, 3]] * 3] * 2


def test_processes_are_counted_and_end(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    close_decoders()
    alone = peak_rss_bytes()
    read_isolated(tmp_path / "a.png")
    [decoder] = isolated._idle
    assert peak_rss_bytes() > alone + 10_000_000
    close_decoders()
    assert decoder.process.returncode == -signal.SIGKILL
    assert peak_rss_bytes() < alone + 10_000_000


def test_a_process_ends_with_the_one_that_asks(tmp_path):
    code = (
        "from dask_quant.sources.isolated import DecoderProcess; decoder = DecoderProcess(); "
        "print(decoder.process.pid, flush=True); import os; os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)  # the test's own time limit ends it


def test_threads_have_a_process_each(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read_isolated(tmp_path / "a.png").shape, range(20)))
    assert found == [(2, 3, 3)] * 20
    assert 1 <= len(isolated._idle) <= 4
