"""Collections: images per second, memory by their number, tasks and time of very many: a command.

    python tests/benchmarks/collection.py speed --data kodak/ photographs/     # 5,000 crops
    python tests/benchmarks/collection.py memory --data kodak/ photographs/    # 1,000 to 20,000
    python tests/benchmarks/collection.py tasks                                # 100,000 tiny images

``speed`` turns a folder of crops into indexed PNG files, the tools one after the other in every
round, so that what else runs here hits them alike; the others run under ``xargs`` with as many
processes as there are cores. ``memory`` does it with more and more images, which are the same crops
under other names: colours do not grow in number, so that what grows is due to the images. ``tasks``
lists, plans and quantizes tiny images on worker processes, and counts the tasks of the scheduler.

Memory is that of the whole tree of processes, each page counted once; of ``tasks`` also that of the
first process alone, in which the scheduler runs, too. The exit code is 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import count_tasks
import numpy as np
from cli_job import print_rows
from folder import FILES_PER_PROCESS, PROGRAMS, SHELL, Folder, cut_crop, measure_mse
from machine import describe_machine
from PIL import Image
from process_tree import run_watched

from dask_quant.process import count_cpus
from dask_quant.sources.discover import discover
from dask_quant.sources.pillow import read_header, read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from process_tree import Run

    RunTool = Callable[[Folder, Path, int], Run]

EFFORTS = ("default", "fast")
"""Efforts of ours that are timed."""

MAX_JUDGED = 500
"""Images whose error is measured, evenly spread over all (arbitrary)."""

MAX_TASKS = 10_000
"""Tasks that the scheduler may hold at a time."""

MAX_DRIVER_MB = 500
"""Memory that the first process may take, whatever the number of images."""

MAX_GROWTH = 1.3
"""How much more memory the most images may take than the fewest: what is known of each is small."""

PER_FOLDER = 1000
"""Tiny images in a folder."""

TINY_SIDE = 8
"""Rows and columns of a tiny image."""

N_TINY_KINDS = 64
"""Tiny images that differ; the others are copies."""

LIST_SCRIPT = """
import sys
from dask_quant.sources.discover import discover
print(len(discover(sys.argv[1:]).inputs))
"""
"""Lists a folder, and says how many images are in it."""

TOLD_SHELL = """
import atexit, sys
from pathlib import Path
from dask_quant.process import peak_rss_bytes
atexit.register(lambda: Path(sys.argv.pop()).write_text(str(peak_rss_bytes())))
from dask_quant.faces.cli import cli, claim_process
claim_process()
cli(sys.argv[1:-1], prog_name="dask-quant")
"""
"""The command line, which at its end writes its own peak memory to the file named last."""


@dataclass(frozen=True)
class SpeedRow:
    """One tool."""

    tool: str
    """Its name and its settings."""
    images_per_s: float
    """Best of the rounds; 0: it is not installed, or does not read such files."""
    peak_mb: float
    """Most memory of all its processes together, over the rounds."""
    mse: float
    """Mean over images of the mse of the files as written."""
    times: float
    """Ours: how many times as fast as the fastest of the others; 0 for these."""

    @property
    def met(self) -> bool:
        """Whether ours is ahead of the others that are there."""
        return self.times == 0 or self.times > 1


@dataclass(frozen=True)
class MemoryRow:
    """One number of images."""

    palette: str
    """``shared`` or ``per image``."""
    n_images: int
    """Images."""
    peak_mb: float
    """Most memory of all processes together."""
    growth: float
    """Times the memory of the fewest images."""
    seconds: float
    """Wall seconds."""

    @property
    def met(self) -> bool:
        """Whether memory is flat."""
        return self.growth <= MAX_GROWTH


@dataclass(frozen=True)
class TasksRow:
    """One step of a job on very many images."""

    step: str
    """``list``, ``plan``, ``job``, a stage of it, or ``resume``, with nothing left to do."""
    seconds: float
    """Wall seconds."""
    peak_mb: float
    """Most memory of all processes together; 0 for a stage."""
    driver_mb: float
    """Most memory of the first process; 0 for a stage."""
    most_tasks: int
    """Tasks that the scheduler held at most; 0 without one."""

    @property
    def met(self) -> bool:
        """Whether neither the scheduler is flooded nor the first process too large."""
        return self.most_tasks <= MAX_TASKS and self.driver_mb <= MAX_DRIVER_MB


def find_large(data: Sequence[Path], size: int) -> list[str]:
    """Return the paths of the pictures below ``data`` that are large enough, in order."""
    inputs = sorted(entry.path for entry in discover(list(data)).inputs)
    headers = [read_header(path) for path in inputs]
    found = [h.path for h in headers if min(h.height, h.width) >= size]
    if not found:
        message = f"Found no picture of at least {size} x {size} pixels below {data}."
        raise SystemExit(message)
    return found


def write_crops(
    data: Sequence[Path], folder: Path, *, n_images: int, size: int, suffix: str
) -> Folder:
    """Write crops of pictures, the same every time; each picture is decoded once."""
    folder.mkdir()
    paths = find_large(data, size)
    for place, path in enumerate(paths[:n_images]):
        pixels = read_image(path)
        for number in range(place, n_images, len(paths)):
            crop = cut_crop(pixels, number, size)
            Image.fromarray(crop).save(folder / f"{number:05}{suffix}")
    return Folder(folder, tuple(sorted(folder.iterdir())))


def run_ours(*options: str) -> RunTool:
    """Return a run of our command line."""

    def run(folder: Folder, out: Path, k: int) -> Run:
        command = [sys.executable, "-c", SHELL, "quantize", str(folder.path), "-o", str(out)]
        return run_watched([*command, "-k", str(k), "--quiet", *options])

    return run


def run_xargs(command: Sequence[str], folder: Folder, out: Path) -> Run:
    """Run a command on files, as many processes of one thread each as there are cores."""
    names = out.with_name("names")
    names.write_bytes(b"\0".join(os.fsencode(file) for file in folder.files))
    alone = ["env", "OMP_NUM_THREADS=1", "MAGICK_THREAD_LIMIT=1"]
    spread = ["xargs", "-0", "-a", str(names), f"-P{count_cpus()}", f"-n{FILES_PER_PROCESS}"]
    return run_watched([*alone, *spread, *command])


def run_pngquant(folder: Folder, out: Path, k: int) -> Run:
    """Run pngquant, whose files, beside its inputs, are moved away when it has been timed."""
    ending = "-quantized.png"
    command = ["pngquant", "--speed", "3", "--nofs", "--ext", ending, str(k), "--"]
    run = run_xargs(command, folder, out)
    for file in folder.files:
        os.rename(file.with_name(file.stem + ending), folder.output_of(file, out))
    return run


def run_mogrify(folder: Folder, out: Path, k: int) -> Run:
    """Run ImageMagick."""
    command = ["mogrify", "-path", str(out), "-format", "png", "-dither", "None", "-colors", str(k)]
    return run_xargs(command, folder, out)


def list_tools(suffix: str, efforts: Sequence[str] = EFFORTS) -> dict[str, RunTool]:
    """Return how to run each tool that is there and reads such files."""
    tools: dict[str, RunTool] = {}
    for effort in efforts:
        tools[f"dask_quant --effort {effort}"] = run_ours("--effort", effort)
        tools[f"dask_quant --per-image --effort {effort}"] = run_ours(
            "--per-image", "--effort", effort
        )
    if suffix == ".png" and shutil.which("pngquant"):
        tools["pngquant --speed 3 --nofs"] = run_pngquant
    if shutil.which("mogrify"):
        tools["mogrify -dither None -colors"] = run_mogrify
    return tools


def measure_speed(given: argparse.Namespace, root: Path) -> Iterator[SpeedRow]:
    """Yield a row for each tool."""
    suffix = ".png" if given.format == "png" else ".jpg"
    sizes = {"n_images": given.n_images, "size": given.size, "suffix": suffix}
    folder, tools = (
        write_crops(given.data, root / "crops", **sizes),
        list_tools(suffix, given.efforts),
    )
    warm_up(folder, root, given.colors)
    runs: dict[str, list[Run]] = {tool: [] for tool in tools}
    for _ in range(given.repeats):
        for number, (tool, run) in enumerate(tools.items()):
            runs[tool].append(run(folder, fresh_folder(root / str(number)), given.colors))
    best = {tool: min(run.seconds for run in each) for tool, each in runs.items()}
    others = [seconds for tool, seconds in best.items() if not tool.startswith("dask_quant")]
    step = -(-len(folder.files) // MAX_JUDGED)
    judged = Folder(folder.path, folder.files[::step])
    for number, (tool, each) in enumerate(runs.items()):
        is_ours = tool.startswith("dask_quant") and others
        yield SpeedRow(
            tool,
            images_per_s=len(folder.files) / best[tool],
            peak_mb=max(run.peak_bytes for run in each) / 1e6,
            mse=measure_mse(judged, root / str(number)),
            times=min(others) / best[tool] if is_ours else 0.0,
        )


def warm_up(folder: Folder, root: Path, k: int) -> None:
    """Compile the kernels, which the first run after an installation alone does."""
    few = Folder(fresh_folder(root / "few"), folder.files[:2])
    for file in few.files:
        shutil.copy(file, few.path)
    for options in ([], ["--per-image"]):
        run_ours(*options)(few, fresh_folder(root / "warm"), k)


def fresh_folder(path: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def measure_memory(given: argparse.Namespace, root: Path) -> Iterator[MemoryRow]:
    """Yield a row for each number of images, with a shared palette and with one for each."""
    sizes = {"n_images": min(given.sizes), "size": given.size, "suffix": ".png"}
    crops = write_crops(given.data, root / "crops", **sizes)
    warm_up(crops, root, given.colors)
    for palette, options in (("shared", []), ("per image", ["--per-image"])):
        first = 0.0
        for n_images in sorted(given.sizes):
            folder = link_files(crops, fresh_folder(root / "many"), n_images)
            workers = ["--workers", str(given.workers)] if given.workers else []
            tool = run_ours(*options, *workers, "--effort", given.effort)
            run = tool(folder, fresh_folder(root / "out"), given.colors)
            peak = run.peak_bytes / 1e6
            first = first or peak
            yield MemoryRow(palette, n_images, peak, peak / first, run.seconds)


def link_files(crops: Folder, folder: Path, n_files: int) -> Folder:
    """Return a folder of as many files, which are the same few under other names."""
    for number in range(n_files):
        os.link(crops.files[number % len(crops.files)], folder / f"{number:06}.png")
    return Folder(folder, tuple(sorted(folder.iterdir())))


def write_tiny(folder: Path, n_images: int) -> None:
    """Write tiny images, some in each of many folders."""
    rng = np.random.default_rng(0)
    kinds = folder.with_name("kinds")
    kinds.mkdir()
    for kind in range(N_TINY_KINDS):
        pixels = rng.integers(0, 256, (TINY_SIDE, TINY_SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(kinds / f"{kind:02}.png")
    contents = [file.read_bytes() for file in sorted(kinds.iterdir())]
    for number in range(n_images):
        place = folder / f"{number // PER_FOLDER:04}"
        if number % PER_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"{number:07}.png").write_bytes(contents[number % N_TINY_KINDS])


def measure_tasks(given: argparse.Namespace, root: Path) -> Iterator[TasksRow]:
    """Yield a row for each step of a job on tiny images, and the stages that it tells of."""
    write_tiny(root / "tiny", given.n_images)
    listed = run_watched([sys.executable, "-c", LIST_SCRIPT, str(root / "tiny")])
    _check_number(int(listed.output), given.n_images)
    peak = listed.peak_bytes / 1e6
    yield TasksRow("list", listed.seconds, peak, peak, 0)
    job = ["quantize", str(root / "tiny"), "-o", str(root / "out"), "-k", str(given.colors)]
    job += ["--workers", str(given.workers), "--json", *(["--per-image"] * given.per_image)]
    planned = run_watched([sys.executable, "-c", SHELL, *job, "--dry-run"])
    peak = planned.peak_bytes / 1e6
    yield TasksRow("plan", planned.seconds, peak, peak, 0)
    run, driver, tasks = run_counted(job, root)
    yield TasksRow("job", run.seconds, run.peak_bytes / 1e6, driver / 1e6, tasks["most"])
    report = json.loads(run.output)
    _check_number(report["n_images"], given.n_images)
    for stage, seconds in report["seconds"].items():
        yield TasksRow(f"job: {stage}", seconds, 0.0, 0.0, 0)
    if report["manifest"] is not None:
        run, driver, tasks = run_counted([*job, "--resume"], root)
        _check_number(json.loads(run.output)["n_images"], given.n_images)
        yield TasksRow("resume", run.seconds, run.peak_bytes / 1e6, driver / 1e6, tasks["most"])


def _check_number(found: int, wanted: int) -> None:
    """End with a message where images are missing."""
    if found != wanted:
        message = f"Got {found} of {wanted} images."
        raise SystemExit(message)


def run_counted(job: Sequence[str], root: Path) -> tuple[Run, int, dict[str, int]]:
    """Run a job, with the peak memory of its first process and the tasks of its scheduler."""
    driver, tasks = root / "driver", root / "tasks.json"
    names = {
        "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": json.dumps([count_tasks.__file__]),
        count_tasks.TASKS_FILE: str(tasks),
    }
    given = [f"{name}={value}" for name, value in names.items()]
    run = run_watched(["env", *given, sys.executable, "-c", TOLD_SHELL, *job, str(driver)])
    return run, int(driver.read_text()), json.loads(tasks.read_text())


MODES: dict[str, Callable[[argparse.Namespace, Path], Iterator[Any]]] = {
    "speed": measure_speed,
    "memory": measure_memory,
    "tasks": measure_tasks,
}
"""What is measured."""


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    speed, memory, tasks = (modes.add_parser(mode) for mode in MODES)
    for each in (speed, memory):
        each.add_argument("--data", type=Path, nargs="+", required=True, help="folders of pictures")
        each.add_argument("--size", type=int, default=256, help="side of a crop in pixels")
        each.add_argument("-k", "--colors", type=int, default=64)
    speed.add_argument("--n-images", type=int, default=5000)
    speed.add_argument("--format", choices=("png", "jpeg"), default="png")
    speed.add_argument("--repeats", type=int, default=1)
    speed.add_argument("--efforts", nargs="+", choices=EFFORTS, default=EFFORTS)
    memory.add_argument("--sizes", type=int, nargs="+", default=(1000, 5000, 20_000))
    memory.add_argument("--effort", choices=EFFORTS, default="fast")
    memory.add_argument("--workers", type=int, default=2, help="worker processes; 0: threads")
    tasks.add_argument("--n-images", type=int, default=100_000)
    tasks.add_argument("-k", "--colors", type=int, default=16)
    tasks.add_argument("--workers", type=int, default=2, help="worker processes")
    tasks.add_argument("--per-image", action="store_true", help="a palette for each image")
    for each in (speed, memory, tasks):
        each.add_argument("--work", type=Path, help="folder to work in; by default a temporary one")
        each.add_argument("--json", action="store_true", dest="as_json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; return 1 when an aim was missed."""
    given = parse_arguments(arguments)
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        rows = list(MODES[given.mode](given, Path(name)))
    if not given.as_json:
        print(f"{given.mode}; {describe_machine(*PROGRAMS)}\n")
    return print_rows(rows, as_json=given.as_json)


if __name__ == "__main__":
    sys.exit(main())
