"""Where the outputs of inputs go below OUT, with the inputs' own suffixes.

- a file or a Zarr store given by name or by its address: its own name;
- a file below one folder, or matched by one glob: its path below that folder, or below the part of
  the glob that has no wildcard;
- with several such folders, each keeps its own name in front, and as many parents of it as tell
  the folders apart. That depends on the folders named alone, not on what is in them, so that a
  job that is resumed finds its outputs where it left them;
- inputs that would still coincide get parents in front until they differ, files given by name
  first.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dask_quant.sources.found import Found, Root


def place_all(found: Sequence[Found]) -> list[PurePosixPath]:
    """Return where each input goes below OUT, all different."""
    n_above = [item.n_above for item in found]
    while True:
        places = [take_parts(item, n) for item, n in zip(found, n_above, strict=True)]
        groups: dict[str, list[int]] = defaultdict(list)
        for index, place in enumerate(places):
            groups[place].append(index)
        growing = list(_choose_growing(groups.values(), found, n_above))
        if not growing:
            return [PurePosixPath(place) for place in places]
        for index in growing:
            n_above[index] += 1


def _choose_growing(
    groups: Iterable[list[int]], found: Sequence[Found], n_above: list[int]
) -> Iterator[int]:
    """Yield those that share a place and can take one more parent, files given by name first."""
    for group in groups:
        if len(group) < 2:
            continue
        able = [
            index for index in group if n_above[index] < len(Path(found[index].folder).parts) - 1
        ]
        named = [index for index in able if found[index].named]
        yield from named or able


def take_parts(item: Found, n_above: int) -> str:
    """Return the last ``n_above`` parts of an input's folder, and its path below it."""
    if n_above == 0:
        return item.below
    return os.path.join(*Path(item.folder).parts[-n_above:], item.below)


def plan_own_parts(roots: Iterable[Root]) -> dict[str, int]:
    """Return how many trailing parts of each folder stand in front of what is below it.

    A folder that lies in one named before it contributes nothing new, unless it is hidden there,
    and has no say: it is missing.

    Examples
    --------
    >>> from dask_quant.sources.found import Root
    >>> plan_own_parts([Root("/a/x", True), Root("/b/x", True), Root("/a/x/y", True)])
    {'/a/x': 2, '/b/x': 2}
    """
    own: dict[str, None] = {}
    deep: set[str] = set()
    for folder, is_deep in roots:
        if folder in own or not _is_covered(folder, deep):
            own[folder] = None
        if is_deep:
            deep.add(folder)
    return count_own_parts(sorted(own))


def _is_covered(folder: str, deep: set[str]) -> bool:
    """Return whether a folder lies in one of those that are searched as a whole."""
    while not (name := os.path.basename(folder)).startswith(".") and name:
        folder = os.path.dirname(folder)
        if folder in deep:
            return True
    return False


def count_own_parts(roots: Sequence[str]) -> dict[str, int]:
    """Return how many trailing parts tell each of several folders from the others; of one, none.

    Examples
    --------
    >>> count_own_parts(["/a/x"]), count_own_parts(["/a/x", "/b/x", "/c"])
    ({'/a/x': 0}, {'/a/x': 2, '/b/x': 2, '/c': 1})
    """
    if len(roots) < 2:
        return dict.fromkeys(roots, 0)
    parts = {root: Path(root).parts[1:] for root in roots}
    counts = dict.fromkeys(roots, 1)
    while True:
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for root, count in counts.items():
            groups[parts[root][-count:]].append(root)
        shared = [
            root
            for group in groups.values()
            for root in group
            if len(group) > 1 and counts[root] < len(parts[root])
        ]
        if not shared:
            return {root: min(count, len(parts[root])) for root, count in counts.items()}
        for root in shared:
            counts[root] += 1
