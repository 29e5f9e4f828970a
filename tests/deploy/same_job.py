"""A job that every deployment runs, and digests of all that it writes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from PIL import Image

from dask_quant.sinks.png import strip_rows
from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    Quantize = Callable[[Sequence[str]], None]

TIMEOUT_S = 240
"""Seconds that a job may take (arbitrary: it takes a few)."""

COMMANDS = {
    "strips.png": ("picture.zarr", "-k", "8", "--effort", "fast", "--seed", "3"),
    "labels.zarr": ("picture.zarr", "-k", "8", "--effort", "fast", "--dither", "blue-noise"),
    "folder": ("pieces", "-k", "12", "--effort", "fast"),
}
"""What is written, and by which arguments: strips, shards, and a palette for many files."""

STATE = ".dask-quant"

TIMED = ("manifest.jsonl",)
"""Files that say when something was done."""


def write_inputs(folder: Path) -> None:
    """Write a picture of several strips and shards, and pieces of it as files."""
    with Image.open(find_sample_images()[1]) as image:
        photo = np.asarray(image.convert("RGB"))[120:270, 200:370]
    rows = strip_rows(1000) + 100
    picture = np.tile(photo, (rows // 150 + 1, 6, 1))[:rows, :1000]
    marked = picture[::50, ::500, 1]
    marked[:] = np.arange(len(marked))[:, np.newaxis]  # no two blocks are alike
    array = zarr.create_array(
        folder / "picture.zarr", shape=picture.shape, chunks=(860, 500, 3), dtype=picture.dtype
    )
    array[:] = picture
    (folder / "pieces").mkdir()
    for number in range(6):
        Image.fromarray(picture[300 * number :][:90, :120]).save(
            folder / "pieces" / f"{number}.png"
        )


def run_job(
    quantize: Quantize, inputs: Path, out: Path, names: Iterable[str] = COMMANDS
) -> dict[str, str]:
    """Run some commands; return the digest of each file written, by its name below ``out``."""
    for name in names:
        source, *options = COMMANDS[name]
        quantize([str(inputs / source), "-o", str(out / name), *options])
    return digest_files(out)


def digest_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a folder that does not tell the time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if STATE not in path.parts and path.name not in TIMED
    }


def summarize(digests: dict[str, str]) -> str:
    """Return one digest of all names and digests."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def run_command(arguments: Sequence[str], **options: Any) -> None:
    """Run ``dask-quant quantize`` with arguments in a process of its own."""
    command = [sys.executable, "-m", "dask_quant.faces.cli", "quantize", *arguments, "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, **options
    )
    if done.returncode:
        message = f"quantize ended with {done.returncode}: {done.stdout}{done.stderr}"
        raise RuntimeError(message)
