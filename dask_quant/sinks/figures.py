"""Figures of Matplotlib, an optional package, as bytes that are the same for the same figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from dask_quant.errors import OutputError

if TYPE_CHECKING:
    from typing import Any

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
"""Suffixes of the pictures that can be drawn."""

_DOTS_PER_INCH = 120


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure, sizes in inches, or raise `OutputError` without Matplotlib."""
    try:
        import matplotlib.figure
    except ImportError:
        message = 'Cannot draw without Matplotlib; pip install "dask-quant[plot]".'
        raise OutputError(message) from None
    return matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, suffix: str) -> bytes:
    """Return the file of a figure: neither dates nor random identifiers are in it."""
    import matplotlib

    metadata = {".png": None, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    kind, data = suffix.lower(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "dask_quant"}):
        figure.savefig(data, format=kind[1:], dpi=_DOTS_PER_INCH, metadata=metadata[kind])
    return data.getvalue()
