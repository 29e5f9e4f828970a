"""What a measurement was made on: machine, commit, versions."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import dask_quant

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = {
    "numpy": ("numpy",),
    "numba": ("numba",),
    "dask": ("dask",),
    "distributed": ("distributed",),
    "dask-ml": ("dask-ml",),
    "scikit-learn": ("scikit-learn",),
    "pillow": ("pillow",),
    "opencv": ("opencv-python-headless", "opencv-python"),
    "faiss": ("faiss-cpu", "faiss-gpu"),
}
"""Distributions of the packages that a benchmark may use, the first that is installed counts."""

COMMANDS = {
    "pngquant": (("pngquant", "--version"),),
    # Debian's own name comes before the common one, under which anything may be found.
    "imagemagick": (
        ("magick", "-version"),
        ("convert-im6.q16", "-version"),
        ("convert", "-version"),
    ),
    "gdal": (("gdalinfo", "--version"),),
}
"""Commands that say the version of the tools that a benchmark may use."""


def read_cpu_model() -> str:
    """Return the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if names:
            return names[0].split(":")[1].strip()
    return platform.processor() or platform.machine()


def read_commit() -> str:
    """Return the commit of this tree, with ``-dirty`` where tracked files differ from it."""
    try:
        commit = _run_git("rev-parse", "--short=12", "HEAD")
        changed = _run_git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # an unpacked archive, or no git
    return f"{commit}-dirty" if changed else commit


def _run_git(*arguments: str) -> str:
    """Return what git says of the tree that this file is in."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@functools.cache
def find_versions() -> dict[str, str | None]:
    """Return the version of everything that a benchmark may use, None where not installed."""
    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "dask_quant": dask_quant.__version__,
    }
    versions |= {name: _find_package(names) for name, names in PACKAGES.items()}
    return versions | {name: _find_command(calls) for name, calls in COMMANDS.items()}


def _find_package(names: Sequence[str]) -> str | None:
    """Return the version of the first distribution that is installed."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _find_command(calls: Sequence[Sequence[str]]) -> str | None:
    """Return the version that the first command that exists says."""
    for call in calls:
        if shutil.which(call[0]) is not None:
            done = subprocess.run(call, capture_output=True, text=True, check=False)
            found = re.search(r"\d+(\.\d+)+(-\d+)?", done.stdout)
            return found[0] if found else "unknown"
    return None


def describe_host() -> str:
    """Return processor and cores in a few words."""
    return f"{read_cpu_model()}, {os.cpu_count()} cores"


def describe_machine(*programs: str) -> str:
    """Return the machine, and the versions of ``programs``, in one line."""
    versions = find_versions()
    told = [f"{name} {versions[name.lower()] or 'not installed'}" for name in programs]
    return ", ".join([describe_host(), *told])
