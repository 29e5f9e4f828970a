"""The notebooks run as they are, on what a user calls, and are kept as they ran."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

import dask_quant as dq

REPOSITORY = Path(__file__).parents[2]

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))

CELL_TIMEOUT_S = 300
"""Seconds after which a cell hangs; the slowest takes some forty, on a busy machine."""

MAX_BYTES = 600_000
"""Bytes of a notebook, pictures and all: what a page may take to load (arbitrary)."""

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def read_streams(cell, name="stdout"):
    """Return what a cell printed, as one text."""
    found = [out["text"] for out in cell["outputs"] if out.get("name") == name]
    return "".join(text if isinstance(text, str) else "".join(text) for text in found)


def parse_code(path):
    """Return the code of all cells as one tree."""
    cells = read_cells(json.loads(path.read_text("utf-8")))
    return ast.parse("\n".join("".join(cell["source"]) for cell in cells))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    for module in ("nbclient", "nbformat", "ipykernel", "matplotlib", "skimage"):
        pytest.importorskip(module, reason=f"{module} of the extra `notebook` is not installed")
    import nbformat
    from nbclient import NotebookClient

    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    then = nbformat.read(path, as_version=4)
    now = nbformat.read(path, as_version=4)
    NotebookClient(
        now,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
    ).execute()

    for before, after in zip(read_cells(then), read_cells(now), strict=True):
        assert read_streams(after, "stderr") == ""
        if "exact" in before["metadata"].get("tags", ()):
            assert read_streams(after) == read_streams(before) != ""
    assert os.listdir(work) == []


def test_a_notebook_is_kept_as_it_ran(path):
    cells = read_cells(json.loads(path.read_text("utf-8")))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {out["output_type"] for cell in cells for out in cell["outputs"]}
    assert (
        {"display_data", "execute_result"} <= kinds <= {"display_data", "execute_result", "stream"}
    )
    assert all(read_streams(cell, "stderr") == "" for cell in cells)


def test_a_notebook_is_small_and_tells_nothing_of_the_machine(path):
    text = path.read_text("utf-8")
    assert len(text.encode()) < MAX_BYTES
    assert [
        place for place in ("/tmp/", "/home/", "/root/", str(REPOSITORY)) if place in text
    ] == []


def test_a_notebook_uses_the_public_names_alone(path):
    tree = parse_code(path)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
                for alias in node.names} | {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }  # fmt: skip
    assert {name for name in imported if name.startswith("dask_quant")} == {"dask_quant"}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {a.attr for a in attributes if isinstance(a.value, ast.Name) and a.value.id == "dq"}
    assert used
    assert used <= set(dq.__all__)
    assert not {a.attr for a in attributes if a.attr.startswith("_")}
