"""Which array of a Zarr store is the image: as OME-Zarr says, or the array ``0`` of a group."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import zarr
from zarr.storage import LocalStore

from dask_quant.errors import OptionError, PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.sources.addresses import is_url
from dask_quant.sources.axis_order import AxisOrder, order_axes
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.ome_zarr import (
    Multiscale,
    describe_images,
    is_label_image,
    list_images,
    read_multiscale,
    read_ome,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.sources.patient_store import PatientStore

FULL_RESOLUTION = "0"
"""Name of the array in a group that is the image, where no metadata name another."""

_LABEL_ATTRIBUTE = "dask_quant"
"""Name of the attribute in which a label store holds its palette."""


@dataclass(frozen=True)
class FoundArray:
    """The array of a store that is the image."""

    array: zarr.Array
    """The array."""
    name: str
    """What messages call it."""
    scales: Multiscale | None = None
    """What OME-Zarr says of it."""
    level: int = 0
    """Which of its levels the array is."""
    group: zarr.Group | None = None
    """What holds all of the levels, where they can be chosen from."""
    is_inside: bool = False
    """Whether it is an image inside the store that was named, the only one."""

    @property
    def axes(self) -> tuple[str | None, ...]:
        """Names of the axes where the store has them, else nothing."""
        if self.scales is not None and self.scales.axes:
            return self.scales.names
        names = getattr(self.array.metadata, "dimension_names", None)
        return tuple(names or self.array.attrs.get("_ARRAY_DIMENSIONS", ()))

    def order(self) -> AxisOrder:
        """Return which axis is which, or raise `PixelFormatError`."""
        return order_axes(self.array.shape, self.axes, name=f"the Zarr array {self.name}")

    def levels(self) -> list[zarr.Array]:
        """Return the arrays of all levels that can be chosen, or raise `SourceError`. **Eager**."""
        if self.group is None or self.scales is None:
            return [self.array]
        levels: list[zarr.Array] = []
        for path in self.scales.paths:
            try:
                levels.append(zarr.open_array(self.group.store_path / path, mode="r"))
            except Exception as error:  # zarr raises almost any type for damaged metadata
                cause = show_cause(error)
                message = f"Cannot read {self.name}: level {len(levels)} does not open ({cause})."
                raise SourceError(message) from error
        return levels


def find_array(path: str | Path, level: int) -> FoundArray:
    """Open a store and find the array that is the image, for reading.

    Parameters
    ----------
    path : str or Path
        A store, its address, or a path inside of one: an array, an OME-Zarr image, or a group that
        holds the array ``0``.
    level : int
        Level of an OME-Zarr image; 0: all its pixels.

    Raises
    ------
    SourceNotFoundError
        When there is no such folder.
    SourceError
        When it is no such store, cannot be read, or holds several images.
    PixelFormatError
        When it holds labels.
    OptionError
        When it has no such level.
    """
    name = show_path(str(path))
    if not is_url(path) and not os.path.exists(path):
        message = f"Cannot read {name}: there is no such Zarr store."
        raise SourceNotFoundError(message)
    try:
        node = zarr.open(_locate(path), mode="r")
        found = _find_in_node(node, path, level, name)
        if not isinstance(found.array.metadata.attributes, dict):  # zarr takes any JSON for them
            raise ValueError("the attributes of its array are no object")
        return found
    except (OptionError, PixelFormatError, SourceError):
        raise
    except Exception as error:  # zarr raises almost any type for damaged metadata
        message = f"Cannot read {name}: it is not a Zarr store that opens ({show_cause(error)})."
        raise SourceError(message) from error


def _locate(path: str | Path) -> str | PatientStore:
    """Return what zarr opens; workers may have another working folder."""
    if not is_url(path):
        return os.path.abspath(path)
    from dask_quant.sources.patient_store import open_store

    return open_store(path)


def _list_groups(node: zarr.Group) -> list[str]:
    """Return the names of the groups in a group; none where a server does not tell."""
    try:
        return sorted(node.group_keys())
    except Exception:  # few servers list folders, and each says so in its way
        if isinstance(node.store, LocalStore):
            raise
        return []


def _find_in_node(
    node: zarr.Array | zarr.Group, path: str | Path, level: int, name: str
) -> FoundArray:
    """Find the array that is the image in a node that is open."""
    ome = read_ome(node.attrs.asdict())
    if _has_palette(node) or is_label_image(ome):
        message = (
            f"Got {name}, which holds labels, not pixels; use its palette with apply, or render it "
            "to pixels first."
        )
        raise PixelFormatError(message)
    if isinstance(node, zarr.Array):
        _check_no_level(level, name)
        return _find_above(node, path, name)
    images = list_images(ome, _list_groups(node))
    if images is not None:
        return _find_inside(node, images, path, level, name)
    found = _find_level(node, level, name)
    if found is not None:
        return found
    _check_no_level(level, name)
    if FULL_RESOLUTION not in node or not isinstance(node[FULL_RESOLUTION], zarr.Array):
        inside = ", ".join(sorted(node.array_keys()))
        hint = f"; name one of its arrays: {inside}" if inside else ""
        message = (
            f"Cannot read {name}: it is a Zarr group without an array {FULL_RESOLUTION!r}{hint}."
        )
        raise SourceError(message)
    return FoundArray(node[FULL_RESOLUTION], name)


def _check_no_level(level: int, name: str) -> None:
    """Raise `OptionError` where a level is asked for of what has none."""
    if level:
        message = f"Got level {level} of {name}, which is no OME-Zarr image with levels; use 0."
        raise OptionError(message)


def _find_level(group: zarr.Group, level: int, name: str) -> FoundArray | None:
    """Return a level of an OME-Zarr image; None when a group is none."""
    ome = read_ome(group.attrs.asdict())
    if not ome.get("multiscales"):
        return None
    first = group[ome["multiscales"][0]["datasets"][0]["path"]]
    scales = read_multiscale(ome, first.ndim)
    assert scales is not None, "it has multiscales"
    return FoundArray(group[scales.choose_level(level, name)], name, scales, level, group)


def _find_above(array: zarr.Array, path: str | Path, name: str) -> FoundArray:
    """Return an array that is named itself, with what an OME-Zarr image above it says of it."""
    folder, key = os.path.split(path if is_url(path) else os.path.abspath(path))
    if is_zarr_store(folder):
        group = zarr.open(_locate(folder), mode="r")
        scales = read_multiscale(read_ome(group.attrs.asdict()), array.ndim)
        if scales is not None and key in scales.paths:
            return FoundArray(array, name, scales, scales.paths.index(key))
    return FoundArray(array, name)


def _find_inside(
    group: zarr.Group, images: tuple[str, list[str]], path: str | Path, level: int, name: str
) -> FoundArray:
    """Return the one image of a group of images, or raise `SourceError` with those inside."""
    what, paths = images
    if len(paths) != 1:
        raise SourceError(describe_images(what, paths, name))
    inside = f"{path}/{paths[0]}"
    found = _find_in_node(group[paths[0]], inside, level, f"{name}/{paths[0]}")
    return replace(found, is_inside=True)


def _has_palette(node: zarr.Array | zarr.Group) -> bool:
    """Return whether a node's attributes are those of a label store, colours for its values."""
    ours = node.attrs.get(_LABEL_ATTRIBUTE)
    return isinstance(ours, dict) and "palette" in ours
