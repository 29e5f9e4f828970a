"""Images per second on a folder of small images, against other tools: a command, not a test.

    python tests/benchmarks/folder.py --data photographs/              # 200 crops of 256 x 256
    python tests/benchmarks/folder.py --data photographs/ -k 16 --format jpeg --json

Crops are cut out of the pictures of a folder, the same ones every time, and written as files. Every
tool then turns the folder into indexed PNG files of at most ``k`` colours without dithering: wall
time from before its process starts until it has ended, the best of a few repeats. The others run
under ``xargs`` with as many processes as there are cores, each of which takes many files. The mean
error is that of the files as written. The floor is what no fit can undercut: to decode the crops
and encode finished labels, on threads of this process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import describe_machine
from PIL import Image

from dask_quant.errors import DaskQuantError
from dask_quant.fit_options import EFFORTS
from dask_quant.palette import Palette
from dask_quant.process import count_cpus
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.png import label_chunks
from dask_quant.sources.discover import discover
from dask_quant.sources.pillow import read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Run = Callable[["Folder", Path, int], None]

FILES_PER_PROCESS = 25
"""Files that xargs hands to one process: its start then costs little, and both cores stay busy."""

GOLDEN = (0.754877666, 0.569840291)
"""Steps of Roberts's sequence in two dimensions, which spreads crops evenly over the pictures."""

SHELL = "import sys; from dask_quant.faces.cli import main; sys.argv[0] = 'dask-quant'; main()"
"""What the entry point of the package runs."""

PILLOW_LOOP = """
import sys
from pathlib import Path
from PIL import Image
source, out, k = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for file in sorted(source.iterdir()):
    image = Image.open(file).convert("RGB")
    image.quantize(k, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        out / f"{file.stem}.png")
"""


PROGRAMS = ("Python", "NumPy", "Numba", "Pillow", "pngquant", "ImageMagick", "dask_quant")
"""What the results depend on."""


@dataclass(frozen=True)
class Folder:
    """The crops."""

    path: Path
    """Where they lie, and nothing else."""
    files: tuple[Path, ...]
    """All of them, in order."""

    def output_of(self, file: Path, out: Path) -> Path:
        """Return what every tool writes for a crop."""
        return out / f"{file.stem}.png"


@dataclass(frozen=True)
class Row:
    """One tool."""

    what: str
    """Its name and its settings."""
    images_per_s: float | None
    """Best of the repeats; None: it is not installed, or does not read such files."""
    mse: float | None
    """Mean over the images of their mse; None for the floor, which fits nothing."""
    note: str = ""
    """What to know about it."""


def find_pictures(data: Path, size: int) -> list[NDArray[np.uint8]]:
    """Return the pictures below ``data`` that can be read and are large enough, by their paths."""
    pictures = []
    for entry in sorted(discover([data]).inputs, key=lambda entry: entry.path):
        try:
            pixels = read_image(entry.path)
        except DaskQuantError:
            continue
        if min(pixels.shape[:2]) >= size:
            pictures.append(pixels)
    if not pictures:
        message = f"Found no picture of at least {size} x {size} pixels below {data}."
        raise SystemExit(message)
    return pictures


def cut_crops(data: Path, folder: Path, *, n_images: int, size: int, suffix: str) -> Folder:
    """Write ``n_images`` crops of ``size`` by ``size`` pixels, from one picture after another."""
    pictures = find_pictures(data, size)
    files = []
    for i in range(n_images):
        files.append(folder / f"{i:05}{suffix}")
        Image.fromarray(cut_crop(pictures[i % len(pictures)], i, size)).save(files[-1])
    return Folder(folder, tuple(files))


def cut_crop(pixels: NDArray[np.uint8], number: int, size: int) -> NDArray[np.uint8]:
    """Return a crop of a picture, at the place that its number in the sequence says."""
    room = np.array(pixels.shape[:2]) - size
    top, left = ((0.5 + (number + 1) * np.array(GOLDEN)) % 1 * (room + 1)).astype(int)
    return pixels[top : top + size, left : left + size]


def run_ours(*arguments: str) -> Run:
    """Return a run of our command line."""

    def run(folder: Folder, out: Path, k: int) -> None:
        names = [str(folder.path), "-o", str(out), "-k", str(k), "--quiet"]
        command = [sys.executable, "-c", SHELL, "quantize", *names, *arguments]
        subprocess.run(command, check=True)

    return run


def run_xargs(command: Sequence[str], files: Sequence[Path]) -> None:
    """Run a command on files, as many processes side by side as there are cores."""
    names = b"\0".join(os.fsencode(file) for file in files)
    spread = ["xargs", "-0", f"-P{count_cpus()}", f"-n{FILES_PER_PROCESS}"]
    # One thread each: the processes fill the cores.
    alone = os.environ | {"OMP_NUM_THREADS": "1", "MAGICK_THREAD_LIMIT": "1"}
    subprocess.run([*spread, *command], input=names, env=alone, check=True)


def run_pngquant(folder: Folder, out: Path, k: int) -> None:
    """Run pngquant, which writes beside its inputs and is moved away afterwards."""
    ending = "-quantized.png"
    run_xargs(["pngquant", "--speed", "3", "--nofs", "--ext", ending, str(k), "--"], folder.files)
    for file in folder.files:
        os.rename(file.with_name(file.stem + ending), folder.output_of(file, out))


def run_mogrify(folder: Folder, out: Path, k: int) -> None:
    """Run ImageMagick."""
    colors = ["-dither", "None", "-colors", str(k)]
    run_xargs(["mogrify", "-path", str(out), "-format", "png", *colors], folder.files)


def run_pillow(folder: Folder, out: Path, k: int) -> None:
    """Run Pillow's median cut in a loop in one process."""
    subprocess.run([sys.executable, "-c", PILLOW_LOOP, folder.path, out, str(k)], check=True)


def read_indexed(path: Path) -> tuple[NDArray[np.uint8], Palette]:
    """Return the labels and the palette of an indexed PNG."""
    with Image.open(path) as image:
        colors = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
        return np.asarray(image), Palette(colors)


def measure_floor(folder: Folder, finished: Path, out: Path) -> float:
    """Return the seconds that decoding the crops and encoding ``finished`` labels takes."""
    indexed = [read_indexed(folder.output_of(file, finished)) for file in folder.files]

    def rewrite(i: int) -> None:
        read_image(folder.files[i])
        chunks = label_chunks(*indexed[i])
        write_file_atomically(out / f"{i}.png", chunks, overwrite=True)

    begin = time.perf_counter()
    with ThreadPoolExecutor(count_cpus()) as pool:
        list(pool.map(rewrite, range(len(indexed))))
    return time.perf_counter() - begin


def measure_mse(folder: Folder, out: Path) -> float:
    """Return the mean over the images of the mse of the files as written."""
    errors = []
    for file in folder.files:
        difference = read_image(file).astype(np.int64) - read_image(folder.output_of(file, out))
        errors.append((difference * difference).sum(axis=-1).mean())
    return float(np.mean(errors))


def list_runs(suffix: str, efforts: Sequence[str]) -> list[tuple[str, str, Run | None, str]]:
    """Return name, program, run (None where it cannot) and note of every tool."""
    ours = {effort: run_ours("--per-image", "--effort", effort) for effort in efforts}
    return [
        *(
            (f"dask_quant --per-image --effort {effort}", sys.executable, run, "")
            for effort, run in ours.items()
        ),
        ("dask_quant, one shared palette", sys.executable, run_ours(), "one palette for all"),
        ("pngquant --speed 3 --nofs", "pngquant", run_pngquant if suffix == ".png" else None, ""),
        ("mogrify -dither None -colors", "mogrify", run_mogrify, ""),
        ("Pillow, median cut, a loop", sys.executable, run_pillow, "one process, one core"),
    ]


def run_benchmark(
    data: Path,
    *,
    n_images: int,
    size: int,
    k: int,
    suffix: str,
    efforts: Sequence[str],
    repeats: int,
) -> list[Row]:
    """Return the rows of all tools, and the floor as the last one."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "crops").mkdir()
        folder = cut_crops(data, root / "crops", n_images=n_images, size=size, suffix=suffix)
        tools = list_runs(suffix, efforts)
        warm_up(folder, root, k)
        best = [float("inf")] * len(tools)
        floor = float("inf")
        for _ in range(repeats):  # all tools in every round: what else runs here hits them alike
            for i, (_, program, run, _) in enumerate(tools):
                if run is not None and shutil.which(program):
                    best[i] = min(best[i], time_run(run, folder, fresh_folder(root, str(i)), k))
            floor = min(floor, measure_floor(folder, root / "0", fresh_folder(root, "floor")))
        rows = [describe_run(tool, folder, root / str(i), best[i]) for i, tool in enumerate(tools)]
        note = "threads of this process, without its start"
        return [*rows, Row("floor: decode and encode only", n_images / floor, None, note)]


def warm_up(folder: Folder, root: Path, k: int) -> None:
    """Compile the kernels, which the first run after an installation alone does."""
    few = fresh_folder(root, "few")
    for file in folder.files[:2]:
        shutil.copy(file, few)
    for arguments in (["--per-image"], []):
        out = fresh_folder(root, "warm")
        run_ours(*arguments)(Folder(few, folder.files[:2]), out, k)


def fresh_folder(root: Path, name: str) -> Path:
    """Return an empty folder."""
    shutil.rmtree(root / name, ignore_errors=True)
    (root / name).mkdir()
    return root / name


def time_run(run: Run, folder: Folder, out: Path, k: int) -> float:
    """Return the seconds of one run."""
    begin = time.perf_counter()
    run(folder, out, k)
    return time.perf_counter() - begin


def describe_run(
    tool: tuple[str, str, Run | None, str], folder: Folder, out: Path, seconds: float
) -> Row:
    """Return the row of a tool."""
    what, program, run, note = tool
    if not shutil.which(program):
        return Row(what, None, None, "not installed")
    if run is None:
        return Row(what, None, None, "does not read such files")
    return Row(what, len(folder.files) / seconds, measure_mse(folder, out), note)


def print_table(rows: Sequence[Row], what: str) -> None:
    """Print the rows as a Markdown table."""
    print(f"{what}; {describe_machine(*PROGRAMS)}\n")
    print("| tool | images/s | mean mse | |\n|---|---:|---:|---|")
    for row in rows:
        speed = "-" if row.images_per_s is None else f"{row.images_per_s:.1f}"
        mse = "-" if row.mse is None else f"{row.mse:.2f}"
        print(f"| {row.what} | {speed} | {mse} | {row.note} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures to cut up")
    parser.add_argument("--n-images", type=int, default=200)
    parser.add_argument("--size", type=int, default=256, help="side of a crop in pixels")
    parser.add_argument("-k", "--colors", type=int, default=64)
    parser.add_argument("--format", choices=("png", "jpeg"), default="png")
    parser.add_argument(
        "--efforts", nargs="+", choices=EFFORTS, default=EFFORTS, help="ours to run; best is slow"
    )
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    rows = run_benchmark(
        given.data,
        n_images=given.n_images,
        size=given.size,
        k=given.colors,
        suffix=".png" if given.format == "png" else ".jpg",
        efforts=given.efforts,
        repeats=given.repeats,
    )
    if given.as_json:
        print(
            json.dumps(
                {"machine": describe_machine(*PROGRAMS), "rows": [asdict(row) for row in rows]}
            )
        )
    else:
        crops = f"{given.n_images} crops of {given.size} x {given.size}, {given.format}"
        print_table(rows, f"{crops}, k={given.colors}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
