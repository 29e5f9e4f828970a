"""The page of the board in a real browser: what it shows of jobs, whatever they are called."""

import shutil
import socket
import subprocess
import threading

import numpy as np
import pytest
from PIL import Image
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application

from dask_quant.board import Board
from dask_quant.dashboard.handlers import JobsHandler, PageHandler
from dask_quant.dashboard.page import CONTENT_POLICY, PAGE

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"needs a browser: none of {', '.join(BROWSERS)} is installed"
)

EVIL = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"


def make_stage(name, **others):
    return {"name": name, "unit": "images", "started": 1000.0, **others}


JOBS = (
    {
        "name": "quantize-aaaaaa",
        "command": "quantize",
        "call": "dask-quant quantize photos/ -o out/ -k 3",
        "driver": {"user": "maria", "host": "login-2", "pid": 20412},
        "started": 1000.0,
        "updated": 1100.0,
        "n_images": 240,
        "n_pixels": 12_400_000,
        "n_quarantined": 3,
        "palette": ["#112233", "#445566", "#778899ff"],
        "n_colors": 3,
        "errors": [[10.0, 131.25], [12.0, 118.5], [14.0, 111.0]],
        "stages": [
            make_stage("count", done=1000, total=1000, ended=1040.0, rate=25.0),
            make_stage(
                "relabel",
                done=240,
                total=1000,
                rate=4.0,
                remaining_s=190.0,
                history=[[50.0, 3.0], [60.0, 4.0], [100.0, 4.0]],
            ),
        ],
    },
    {
        "name": EVIL,
        "command": EVIL,
        "call": EVIL,
        "driver": {"user": EVIL, "host": EVIL, "pid": EVIL},
        "status": "failed",
        "outcome": EVIL,
        "started": 900.0,
        "ended": 910.0,
        "palette": ["red;background:url(http://127.0.0.1:9/x)", EVIL, "#abcdef"],
        "stages": [make_stage(EVIL, unit=EVIL, done=EVIL, total=EVIL, rate=EVIL, history=[EVIL])],
        "errors": [[EVIL, EVIL], ["1", None]],
        "n_images": EVIL,
        "mse": EVIL,
    },
)


@pytest.fixture
def served():
    """A board that is served on loopback, and where."""
    board, loop = Board(), []
    (bound,) = bind_sockets(0, "127.0.0.1", family=socket.AF_INET)
    ready = threading.Event()

    def serve():
        loop.append(IOLoop(make_current=True))
        routes = [
            (r"/site/dask-quant/?", PageHandler),
            (r"/site/dask-quant/jobs\.json", JobsHandler, {"board": board}),
        ]
        HTTPServer(Application(routes)).add_socket(bound)
        loop[0].add_callback(ready.set)
        loop[0].start()
        loop[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(30)
    yield board, f"http://127.0.0.1:{bound.getsockname()[1]}/site/dask-quant"
    loop[0].add_callback(loop[0].stop)
    thread.join()
    bound.close()


def browse(link, folder, *options):
    """Have a browser draw the page; return what it prints."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder}", "--virtual-time-budget=3000", *options]
    done = subprocess.run([*command, link], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def draw(served, parse_page, tmp_path):
    """Return a function that puts jobs on a board and returns the page, taken apart."""
    board, link = served

    def draw(*jobs, path=""):
        for job in jobs:
            board.put(job, 1.0)
        return parse_page(without_scripts(browse(link + path, tmp_path / "browser", "--dump-dom")))

    return draw


def without_scripts(text):
    """Return a page without its own script, whose text is no HTML, and without templates."""
    for tag in ("script", "template", "template", "noscript", "style"):
        begin, end = text.index(f"<{tag}"), text.index(f"</{tag}>")
        text = text[:begin] + text[end + len(f"</{tag}>") :]
    return text


@needs_browser
@pytest.mark.parametrize("path", ["", "/"])
def test_a_job_is_drawn_with_its_stages_figures_charts_and_palette(draw, path):
    page = draw(JOBS[0], path=path)
    assert "1 running" in page.texts
    for text in (
        "Running",
        "quantize-aaaaaa",
        "relabel: 240 of 1,000 images, 3 min 10 s left",
        "dask-quant quantize photos/ -o out/ -k 3",
        "4.00/s",
        "took 40 s",
        "12.4 Mpx",
        "#112233",
    ):
        assert text in page.texts
    assert "maria on login-2, process 20412" in page.text
    over, now = page.find("progress")
    assert over["value"] == "1"
    assert (now["value"], now["aria-label"]) == ("0.24", "relabel: 240 of 1,000 images")
    labels = [drawing["aria-label"] for drawing in page.find("svg")]
    assert labels == [
        "Error, lowest mean squared error of the search so far: from 131 to 111 in 4.0 s",
        "Throughput, relabel, images a second: from 3.00 to 4.00 in 50 s",
    ]
    chips = [chip["title"] for chip in page.find("li") if "title" in chip]
    assert chips == ["#112233", "#445566", "#778899ff"]


@needs_browser
@pytest.mark.parametrize(("status", "share"), [("failed", "0.24"), ("done", "1")])
def test_a_job_that_is_cut_off_stands_where_it_was(draw, status, share):
    count, relabel = JOBS[0]["stages"]
    cut = relabel | {"ended": 1219.7, "started": 1040.0, "remaining_s": None}
    page = draw(JOBS[0] | {"status": status, "ended": 1219.7, "stages": [count, cut]})
    assert [bar["value"] for bar in page.find("progress")] == ["1", share]
    assert "took 3 min 0 s" in page.texts


@needs_browser
def test_nothing_that_a_job_says_becomes_markup(draw):
    page = draw(*JOBS)
    assert "pwned" not in "".join(page.texts[:2])  # the title is the first text
    assert page.find("img") == []
    assert page.find("script") == []
    assert page.text.count(EVIL) >= 4
    assert [chip["title"] for chip in page.find("li") if "title" in chip][-1] == "#abcdef"
    assert not any("url" in element.get("style", "") for _, element in page.elements)


@needs_browser
def test_a_board_without_jobs_says_how_to_start_one(draw):
    page = draw()
    assert "No job has run here yet" in page.texts
    assert "None on this scheduler" in page.texts


@needs_browser
@pytest.mark.parametrize(("scheme", "background"), [(0, (21, 23, 27)), (1, (246, 245, 242))])
@pytest.mark.parametrize("width", [380, 1200])
def test_it_fits_into_the_window_dark_and_light(served, tmp_path, width, scheme, background):
    board, link = served
    board.put(JOBS[0], 1.0)
    file = tmp_path / "page.png"
    look = (f"--window-size={width},1400", f"--blink-settings=preferredColorScheme={scheme}")
    browse(link, tmp_path / "browser", *look, "--hide-scrollbars", f"--screenshot={file}")
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (1400, width, 3)
    assert (pixels[:, [0, 5, -6, -1]] == background).all()  # nothing reaches over the edges
    for color in ((17, 34, 51), (68, 85, 102)):
        assert (pixels == color).all(axis=-1).sum() > 300


def test_the_policy_names_what_is_on_the_page_and_nothing_else():
    assert PAGE.count("<script") == PAGE.count("<style") == 1
    for part in ("'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "data:", "*"):
        assert part not in CONTENT_POLICY
    for attribute in (" style=", " onclick=", " onload=", "src=", "@import", "innerHTML"):
        assert attribute not in PAGE
