"""How values show themselves in a notebook: what draws them is loaded when one looks."""

from __future__ import annotations

import importlib
from typing import Any


def draw_html(value: Any, kind: str) -> str:
    """Return a value as HTML, drawn by the module of `dask_quant.displays` that ``kind`` names.

    Values stand far above what draws them, and most are never looked at in a notebook.
    """
    drawing: str = importlib.import_module(f"dask_quant.displays.{kind}").draw(value)
    return drawing
