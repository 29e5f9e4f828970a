"""What OME-Zarr says of a group: the levels of an image, its axes, or the images inside.

References
----------
OME-Zarr (NGFF) specification, versions 0.1 to 0.5, ngff.openmicroscopy.org; J. Moore et al.,
"OME-Zarr: a cloud-optimized bioimaging file format with international community support",
Histochemistry and Cell Biology 160, 2023, doi:10.1007/s00418-023-02209-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OptionError
from dask_quant.pixel_grid import PixelGrid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dask_quant.sources.axis_order import AxisOrder

_OLD_AXES = ("t", "c", "z", "y", "x")
"""Axes of versions before 0.3, which do not name them."""

_SHOWN_IMAGES = 4
"""Images inside a store that a message names (arbitrary)."""


@dataclass(frozen=True)
class Multiscale:
    """An image at several levels of resolution."""

    axes: tuple[Mapping[str, Any], ...]
    """Name, and where they are said type and unit, of each axis."""
    paths: tuple[str, ...]
    """Paths of the arrays below the group, the full resolution first."""
    transforms: tuple[tuple[Mapping[str, Any], ...], ...]
    """Of each level, what brings its pixels to where they lie, in the order of application."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(str(axis["name"]) for axis in self.axes)

    def choose_level(self, level: int, name: str) -> str:
        """Return the path of a level, or raise `OptionError`."""
        if not 0 <= level < len(self.paths):
            message = f"Got level {level} of {name}; its levels are 0 to {len(self.paths) - 1}."
            raise OptionError(message)
        return self.paths[level]

    def read_grid(self, level: int, order: AxisOrder) -> PixelGrid:
        """Return where the pixels of a level lie, as far as scales and translations say."""
        axes = (order.rows, order.columns)
        scale, offset = [1.0, 1.0], [0.0, 0.0]
        for transform in self.transforms[level]:
            if transform["type"] == "scale":
                factors = [float(transform["scale"][axis]) for axis in axes]
                scale = [s * f for s, f in zip(scale, factors, strict=True)]
                offset = [o * f for o, f in zip(offset, factors, strict=True)]
            elif transform["type"] == "translation":
                shifts = [float(transform["translation"][axis]) for axis in axes]
                offset = [o + shift for o, shift in zip(offset, shifts, strict=True)]
        rows, columns = (self.axes[axis].get("unit") for axis in axes)
        return PixelGrid((scale[0], scale[1]), (offset[0], offset[1]), (rows, columns))


def read_ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what OME-Zarr says in the attributes of a group: up to 0.4 among all others."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, dict) else attributes


def read_multiscale(ome: Mapping[str, Any], n_axes: int) -> Multiscale | None:
    """Return the image of a group, the first of several; None when it has none.

    ``n_axes`` is how many axes its arrays have. Damaged metadata raise whatever they do.
    """
    if not ome.get("multiscales"):
        return None
    scales = ome["multiscales"][0]
    axes = scales.get("axes") or (_OLD_AXES if n_axes == len(_OLD_AXES) else ())
    datasets = scales["datasets"]
    last = scales.get("coordinateTransformations", ())
    return Multiscale(
        axes=tuple(
            {"name": axis} if isinstance(axis, str) else {"name": axis["name"], **axis}
            for axis in axes
        ),
        paths=tuple(dataset["path"] for dataset in datasets),
        transforms=tuple(
            (*dataset.get("coordinateTransformations", ()), *last) for dataset in datasets
        ),
    )


def is_label_image(ome: Mapping[str, Any]) -> bool:
    """Return whether a group holds labels of something else."""
    return "image-label" in ome


def list_images(ome: Mapping[str, Any], groups: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return what a group of images is, and the paths of the images or wells inside, if it is one.

    ``groups`` are the names of the groups right below it.
    """
    if "plate" in ome:
        return "a plate of wells", [str(well["path"]) for well in ome["plate"]["wells"]]
    if "well" in ome:
        return "a well of fields", [str(image["path"]) for image in ome["well"]["images"]]
    if "bioformats2raw.layout" in ome:
        series = ome.get("series") or sorted((g for g in groups if g.isdigit()), key=int)
        return "a collection of images", [str(path) for path in series]
    return None


def describe_images(what: str, paths: Sequence[str], name: str) -> str:
    """Return one line that refuses a group of images and names those inside."""
    shown = ", ".join(f"{name.rstrip('/')}/{path}" for path in paths[:_SHOWN_IMAGES])
    more = f" and {len(paths) - _SHOWN_IMAGES} more" if len(paths) > _SHOWN_IMAGES else ""
    return f"Got {name}, which is {what}, not one image; name one that is inside: {shown}{more}."
