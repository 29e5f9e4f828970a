"""Whether a program that is not ours reads the palette files that we write: npm's anypalette.

    npm install --prefix /tmp/readers anypalette
    .venv/bin/python tests/benchmarks/palette_readers.py --modules /tmp/readers/node_modules

Needs Node.js, which the project does not. Every format is written in a few sizes, read by
anypalette, and compared colour for colour.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dask_quant.palette import Palette
from dask_quant.sinks.palette_file import write_palette

SUFFIXES = (".gpl", ".pal", ".riff.pal", ".act", ".ase")
"""Formats that anypalette reads, too."""

SIZES = (1, 2, 16, 40, 256)

TABLE_COLORS = 256
"""Colours that anypalette finds in every ``.act``: it does not look at their number."""

_SCRIPT = """
const { loadPalette } = require("anypalette");
const levels = (color) => [color.red, color.green, color.blue].map((part) => part * 255);
const read = (file) => new Promise((done) => loadPalette({ filePath: file }, (error, palette) =>
  done(error ? String(error) : Array.from(palette, levels))));
Promise.all(process.argv.slice(1).map(read)).then((all) => console.log(JSON.stringify(all)));
"""


def find_missing(modules: Path | None) -> str | None:
    """Return what is missing to run this, or None."""
    if shutil.which("node") is None:
        return "node, of Node.js, is missing"
    if modules is None or not (modules / "anypalette").is_dir():
        return "npm's anypalette is missing; install it and name its node_modules"
    return None


def default_modules() -> Path | None:
    """Return the folder of modules that Node.js is told of, or None."""
    given = os.environ.get("NODE_PATH")
    return Path(given.split(os.pathsep)[0]) if given else None


def read_with_anypalette(files: list[Path], modules: Path) -> list[list[list[float]] | str]:
    """Return the colours that anypalette finds in each file, or what it says of it."""
    done = subprocess.run(
        ["node", "-e", _SCRIPT, *map(str, files)],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[list[list[float]] | str] = json.loads(done.stdout)
    return found


def compare_files(folder: Path, modules: Path) -> list[dict[str, object]]:
    """Write palettes into ``folder`` and return, for each file, whether anypalette agrees."""
    rng = np.random.default_rng(0)
    codes = rng.choice(1 << 24, size=max(SIZES), replace=False)
    colors = np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], axis=1)
    cases = [(suffix, size, folder / f"{size}{suffix}") for suffix in SUFFIXES for size in SIZES]
    for _, size, file in cases:
        write_palette(Palette(colors[:size]), file)
    read = read_with_anypalette([file for _, _, file in cases], modules)
    return [
        {"suffix": suffix, "colors": size, "note": _compare(colors[:size], found, suffix)}
        for (suffix, size, _), found in zip(cases, read, strict=True)
    ]


def _compare(colors: np.ndarray, found: list[list[float]] | str, suffix: str) -> str:
    """Return what is wrong with the colours found, or nothing."""
    if isinstance(found, str):
        return found
    n_expected = TABLE_COLORS if suffix == ".act" else len(colors)
    if len(found) != n_expected:
        return f"{len(found)} colours, not {n_expected}"
    same = np.array_equal(np.rint(found[: len(colors)]), colors)
    return "" if same else "other colours"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when anypalette agrees, 1 when not, 2 when it is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=Path, default=default_modules(), metavar="FOLDER")
    options = parser.parse_args(arguments)
    missing = find_missing(options.modules)
    if missing:
        print(missing, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rows = compare_files(Path(folder), options.modules)
    for row in rows:
        print(f"{row['suffix']:10} {row['colors']:4} colours  {row['note'] or 'the same'}")
    return int(any(row["note"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
