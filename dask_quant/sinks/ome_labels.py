"""What makes a group of labels an OME-Zarr label image: viewers show it in its colours.

References
----------
OME-Zarr (NGFF) specification 0.5, sections "multiscales" and "labels", ngff.openmicroscopy.org.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.palette import show_color

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.pixel_grid import PixelGrid

VERSION = "0.5"
"""Version of OME-Zarr."""

_PYRAMID_SUFFIX = ".ome.zarr"

_OPAQUE = 255

_MOST_DESCRIBED = 4096
"""Labels that have properties of their own; of more, metadata would be many megabytes (arbitrary).
"""


def wants_levels(out: Path) -> bool:
    """Return whether a store of this name gets smaller levels beside the full resolution.

    Examples
    --------
    >>> from pathlib import Path
    >>> wants_levels(Path("scan.ome.zarr")), wants_levels(Path("scan.zarr"))
    (True, False)
    """
    return out.name.lower().endswith(_PYRAMID_SUFFIX)


def ome_attributes(n_levels: int, grid: PixelGrid, image_label: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a group of labels ``(y, x)``, ready for JSON.

    Parameters
    ----------
    n_levels : int
        Arrays ``0``, ``1``, ..., each of half the sides of the one before, rounded up.
    grid : PixelGrid
        Where the pixels of the first one lie.
    image_label : dict
        As `describe_labels` returns it.
    """
    axes = [
        {"name": name, "type": "space"} | ({} if unit is None else {"unit": unit})
        for name, unit in zip("yx", grid.units, strict=True)
    ]
    multiscale = {
        "name": "labels",
        "axes": axes,
        "datasets": [
            {"path": str(level), "coordinateTransformations": _place_pixels(grid.halve(level))}
            for level in range(n_levels)
        ],
        "type": "mode",
        "metadata": {"description": "The majority of two by two, of the lowest label on ties."},
    }
    return {"ome": {"version": VERSION, "multiscales": [multiscale], "image-label": image_label}}


def _place_pixels(grid: PixelGrid) -> list[dict[str, Any]]:
    """Return the transformations of one level."""
    scale = {"type": "scale", "scale": list(grid.scale)}
    if grid.offset == (0.0, 0.0):
        return [scale]
    return [scale, {"type": "translation", "translation": list(grid.offset)}]


def describe_labels(
    colors: NDArray[np.uint8],
    counts: Sequence[int] | None = None,
    nodata: int | None = None,
) -> dict[str, Any]:
    """Return what labels mean, as ``image-label`` of OME-Zarr.

    Parameters
    ----------
    colors : ndarray
        sRGB uint8 ``(n_colors, 3)``, or RGBA; the label of a colour is its row.
    counts : sequence of int, optional
        Pixels of each label; told, with the colour as text, of 4096 labels at most.
    nodata : int, optional
        Label of pixels that have none, which are transparent.

    Examples
    --------
    >>> import numpy as np
    >>> label = describe_labels(np.array([[255, 0, 16]], dtype=np.uint8), [7])
    >>> label["colors"]
    [{'label-value': 0, 'rgba': [255, 0, 16, 255]}]
    >>> label["properties"]
    [{'label-value': 0, 'hex': '#ff0010', 'count': 7}]
    """
    rows = colors.tolist()
    shown = [{"label-value": k, "rgba": [*row, _OPAQUE][:4]} for k, row in enumerate(rows)]
    if nodata is not None:
        shown.append({"label-value": nodata, "rgba": [0, 0, 0, 0]})
    if len(rows) > _MOST_DESCRIBED:
        return {"colors": shown}
    properties: list[dict[str, Any]] = [
        {"label-value": k, "hex": show_color(bytes(row))} for k, row in enumerate(rows)
    ]
    for entry, count in zip(properties, counts or (), strict=counts is not None):
        entry["count"] = count
    if nodata is not None:  # readers want properties of the very labels that have a colour
        properties.append({"label-value": nodata, "nodata": True})
    return {"colors": shown, "properties": properties}
