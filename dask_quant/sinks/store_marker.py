"""What makes a folder a store of ours: the palette, or a digest, in its ``zarr.json``.

Kept apart from `zarr_store`, so that looking at a folder does not import Zarr.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.json_format import parse_colors

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.palette import Palette

ATTRIBUTE = "dask_quant"
"""Name of the group's attribute that holds version, palette and counts."""

VERSION = 1
"""Version of that attribute."""

_RASTERS = "rasters"
"""What a group of stores of rasters says that it holds."""

METADATA_NAME = "zarr.json"
"""Where Zarr v3 keeps a group's attributes."""


def store_attributes(palette: Palette) -> dict[str, Any]:
    """Return the attributes of a label store's group, ready for JSON."""
    counts = None if palette.counts is None else palette.counts.tolist()
    return {ATTRIBUTE: {"version": VERSION, "palette": palette.hex, "counts": counts}}


def source_attributes(digest: str) -> dict[str, Any]:
    """Return the attributes of a store of decoded pixels, ready for JSON."""
    return {ATTRIBUTE: {"version": VERSION, "source_sha256": digest}}


def group_attributes() -> dict[str, Any]:
    """Return the attributes of a group of stores of rasters, ready for JSON."""
    return {ATTRIBUTE: {"version": VERSION, "holds": _RASTERS}}


def holds_rasters(path: Path) -> bool:
    """Return whether ``path`` is a group of stores of rasters. **Eager**; reads one file."""
    marker = _read_marker(path)
    return marker is not None and marker.get("holds") == _RASTERS


def read_store_source(path: Path) -> str | None:
    """Return the digest of the file whose pixels a store holds, None when it is no such store.

    **Eager**; reads one file.
    """
    marker = _read_marker(path)
    digest = None if marker is None else marker.get("source_sha256")
    return digest if isinstance(digest, str) else None


def is_our_store(path: Path) -> bool:
    """Return whether ``path`` is a folder that carries our marker. **Eager**; reads one file."""
    return _read_marker(path) is not None


def read_store_palette(path: Path) -> Palette:
    """Return the palette of a label store. **Eager**; reads one file.

    Raises
    ------
    PaletteError
        When the folder does not carry our marker, or its palette is damaged.
    """
    marker = _read_marker(path)
    if marker is None:
        message = f"Got {str(path)!r}, which is no label store of dask_quant; it holds no palette."
        raise PaletteError(message)
    return parse_colors(marker.get("palette"), marker.get("counts"))


def _read_marker(path: Path) -> dict[str, Any] | None:
    """Return our attribute of the group at ``path``, or None when there is none."""
    try:
        metadata = json.loads((path / METADATA_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    is_group = isinstance(metadata, dict) and metadata.get("node_type") == "group"
    attributes = metadata.get("attributes") if is_group else None
    marker = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    return marker if isinstance(marker, dict) and "version" in marker else None
