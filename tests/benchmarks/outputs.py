"""What the folder of a collection holds: its images, and what the job keeps of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifest.jsonl"
"""What became of every image."""

STATE = ".dask-quant"
"""Folder of what a job goes on with."""

KEPT = (f"{STATE}/job.json", f"{STATE}/lock", MANIFEST)
"""What any job leaves beside its images."""

KEPT_SHARED = (f"{STATE}/job.json", f"{STATE}/lock", f"{STATE}/outcome.json", MANIFEST)
"""The same where all images share one palette."""


def list_outputs(folder: Path) -> list[str]:
    """Return the files below a folder that are not the job's own, in order."""
    return [name for name in _list_files(folder) if not _is_own(name)]


def list_own(folder: Path) -> list[str]:
    """Return the files of the job's own, in order, and folders among them that are empty."""
    return [name for name in _list_files(folder) if _is_own(name)]


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a manifest by path and frame, without what is never the same twice."""
    rows = [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]
    for row in rows:
        assert row.pop("finished") > 0
        assert row.pop("seconds") >= 0
    return sorted(rows, key=lambda row: (row["path"], row["frame"]))


def _is_own(name: str) -> bool:
    """Return whether a file is the manifest, or in the state."""
    return name == MANIFEST or name.startswith(f"{STATE}/")


def _list_files(folder: Path) -> list[str]:
    """Return what is below a folder, but for folders that hold something."""
    found = [path for path in folder.rglob("*") if not path.is_dir() or not any(path.iterdir())]
    return sorted(path.relative_to(folder).as_posix() for path in found)
