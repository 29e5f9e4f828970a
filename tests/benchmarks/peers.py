"""Quality and time of dask_quant beside other quantizers: a command, not a test.

    python tests/benchmarks/peers.py --data photos/ -k 16,64 --results peers.jsonl \\
        --markdown peers.md

Every method quantizes every image of the folders in every number of colours and writes an indexed
PNG, which Pillow reads back: the error is that of the file. The methods of one image run one after
the other, so that other users of the machine disturb all of them. Results are lines of a file; the
same command goes on where it stopped. ``pip install .[bench]`` installs what pip has of the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peer_methods import METHODS, Method, Task
from peer_results import Record, append_line, describe_run, open_results
from peer_tables import render_results
from PIL import Image
from published_tables import render_published

from dask_quant.color_difference import ciede2000
from dask_quant.color_spaces import lab_from_srgb
from dask_quant.errors import DaskQuantError, OptionError, SourceNotFoundError
from dask_quant.option_texts import parse_k_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SUFFIXES = (".png", ".jpg", ".jpeg")
"""Suffixes of the images that are taken from a folder."""

WARM_SIDE = 64
"""Rows and columns of the piece of an image that a method is warmed up on (arbitrary)."""

WARM_COLORS = 4
"""Colours that it is warmed up with (arbitrary)."""

COLORS_RANGE = (2, 256)
"""Numbers of colours that all methods take, and that a PNG holds."""


@dataclass(frozen=True)
class Sweep:
    """What is to be measured."""

    folders: tuple[tuple[Path, ...], ...]
    """Images to take, by folder."""
    n_colors: tuple[int, ...]
    """Numbers of colours."""
    methods: tuple[Method, ...]
    """Methods that can run here."""
    n_slow_images: int | None
    """Images of each folder that slow methods run on, the first ones. None: all."""


def spread_evenly(paths: Sequence[Path], n_images: int | None) -> tuple[Path, ...]:
    """Return ``n_images`` of ``paths``, both ends among them where there are two; None: all.

    Examples
    --------
    >>> [str(path) for path in spread_evenly([Path("a"), Path("b"), Path("c")], 2)]
    ['a', 'c']
    """
    if n_images is None or n_images >= len(paths):
        return tuple(paths)
    picked = np.rint(np.linspace(0, len(paths) - 1, n_images)).astype(int)
    return tuple(paths[index] for index in picked)


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder by name, or raise `SourceNotFoundError`."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        message = f"Found no image in {str(folder)!r}; give a folder of {', '.join(SUFFIXES)}."
        raise SourceNotFoundError(message)
    return found


def choose_methods(only: str | None, skip: str | None) -> tuple[Method, ...]:
    """Return the methods that two lists of names, separated by commas, leave."""
    known = [method.name for method in METHODS]
    wanted, unwanted = (text.split(",") if text else [] for text in (only, skip))
    unknown = [name for name in (*wanted, *unwanted) if name not in known]
    if unknown:
        message = f"Got the method {unknown[0]!r}; known are {', '.join(known)}."
        raise OptionError(message)
    return tuple(
        method
        for method in METHODS
        if (not wanted or method.name in wanted) and method.name not in unwanted
    )


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Return an image as Pillow decodes it, sRGB uint8 ``(y, x, 3)``."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def measure_mse(pixels: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean over pixels of the squared distance, summed over channels."""
    difference = pixels.astype(np.int32) - other
    return int((difference * difference).sum(dtype=np.int64)) / (pixels.size // 3)


def measure_delta_e(pixels: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean over pixels of the CIEDE2000 difference."""
    weights = np.array([1 << 16, 1 << 8, 1])
    codes = (pixels.reshape(-1, 3) @ weights) << 24 | other.reshape(-1, 3) @ weights
    pairs, counts = np.unique(codes, return_counts=True)
    levels = [pairs >> shift & 255 for shift in (40, 32, 24, 16, 8, 0)]
    colors = np.stack(levels, axis=1).reshape(-1, 2, 3)
    lab = lab_from_srgb(colors)
    return float(ciede2000(lab[:, 0], lab[:, 1]) @ counts / counts.sum())


def measure_file(pixels: NDArray[np.uint8], path: Path) -> dict[str, float | int]:
    """Return the figures of a file that was written for ``pixels``."""
    written = read_pixels(path)
    return {
        "mse": measure_mse(pixels, written),
        "delta_e": measure_delta_e(pixels, written),
        "n_used": len(np.unique(written.reshape(-1, 3), axis=0)),
        "file_bytes": path.stat().st_size,
    }


def run_method(method: Method, pixels: NDArray[np.uint8], n_colors: int) -> dict[str, object]:
    """Return the figures of one method on one image, or why it failed; in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.png"
        Image.fromarray(pixels).save(source, compress_level=1)
        task = Task(pixels, source, n_colors, Path(folder) / "out.png")
        try:
            seconds = method.run(task)
            figures = measure_file(pixels, task.out)
        except Exception as error:  # of any package: a row of its own, the others go on
            return {"error": " ".join(f"{type(error).__name__}: {error}".split())}
    return {**figures, "seconds": seconds}


def iterate_sweep(sweep: Sweep) -> Iterator[tuple[Path, int, Method]]:
    """Yield image, number of colours and method, all methods of an image side by side."""
    for paths in sweep.folders:
        for index, path in enumerate(paths):
            is_late = sweep.n_slow_images is not None and index >= sweep.n_slow_images
            methods = [m for m in sweep.methods if not (m.is_slow and is_late)]
            for n_colors in sweep.n_colors:
                yield from ((path, n_colors, method) for method in methods)


def run_sweep(sweep: Sweep, records: list[Record], results: Path) -> list[Record]:
    """Measure what ``records`` lack, write each line as it comes, and return all records."""
    done = {record.key for record in records}
    warm: set[str] = set()
    path_in_memory, pixels = None, np.empty((0, 0, 3), np.uint8)
    for path, n_colors, method in iterate_sweep(sweep):
        if (path.parent.name, path.name, n_colors, method.name) in done:
            continue
        if path != path_in_memory:
            path_in_memory, pixels = path, read_pixels(path)
        if method.name not in warm and not method.is_command:
            run_method(method, pixels[:WARM_SIDE, :WARM_SIDE], WARM_COLORS)
            warm.add(method.name)
        figures = run_method(method, pixels, n_colors)
        record = Record(path.parent.name, path.name, n_colors, method.name, **figures)
        append_line(results, asdict(record))
        records.append(record)
        print(describe_record(record), file=sys.stderr)
    return records


def describe_record(record: Record) -> str:
    """Return one line of progress."""
    what = f"{record.folder}/{record.image} k={record.n_colors} {record.method}"
    if record.error is not None:
        return f"{what}: {record.error}"
    return f"{what}: mse {record.mse:.3f}, {record.seconds:.3f} s"


def check_folders(folders: Sequence[Path]) -> None:
    """Raise `OptionError` when results of two folders would have the same name."""
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        message = f"Got folders named {', '.join(names)}; their results need different names."
        raise OptionError(message)


def check_n_colors(n_colors: Sequence[int]) -> None:
    """Raise `OptionError` unless every method takes all of ``n_colors``."""
    least, most = COLORS_RANGE
    beyond = [k for k in n_colors if not least <= k <= most]
    if beyond:
        message = f"Got {beyond[0]} colours; all methods take {least} to {most}."
        raise OptionError(message)


def run_benchmark(given: argparse.Namespace) -> int:
    """Measure, and write the tables where they are wanted."""
    folders = [folder.resolve() for folder in given.data]
    n_colors = parse_k_list(given.colors)
    check_folders(folders)
    check_n_colors(n_colors)
    wanted = choose_methods(given.methods, given.without)
    images = tuple(spread_evenly(list_images(folder), given.images) for folder in folders)
    header, records = open_results(given.results, describe_run(METHODS))
    runnable = tuple(method for method in wanted if method.name not in header.missing)
    sweep = Sweep(images, n_colors, runnable, given.slow_images)
    records = run_sweep(sweep, records, given.results)
    lines = render_results(header, records)
    if given.published is not None:
        lines += render_published(given.published, records)
    text = "\n".join(lines).rstrip() + "\n"
    if given.markdown is None:
        print(text, end="")
    else:
        given.markdown.write_text(text, encoding="utf-8")
    return 0


def count_images(text: str) -> int:
    """Return a number of images, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, action="append", required=True, help="folder of images; repeatable")
    add("-k", dest="colors", default="4,16,64,256", help="numbers of colours: 4,16 or 2:8")
    add("--images", type=count_images, help="so many of each folder, spread evenly")
    add("--slow-images", type=count_images, help="so many of them, the first, for slow methods")
    add("--methods", help="names, separated by commas; all by default")
    add("--skip", dest="without", help="names of methods to leave out")
    add("--published", type=Path, help="folder of published tables to set beside")
    add("--results", type=Path, required=True, help="JSON lines; gone on with where it exists")
    add("--markdown", type=Path, help="where the tables go; by default they are printed")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit with 2, and say why, when it cannot be run as asked."""
    try:
        return run_benchmark(make_parser().parse_args(arguments))
    except DaskQuantError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
