"""Names of outputs: one for each input, and never two that a file system could take for one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIGEST_CHARACTERS = 8
"""Hexadecimal characters of a digest that a name gets per further attempt (arbitrary)."""


def plan_output_names(relatives: Sequence[PurePosixPath], suffix: str) -> list[PurePosixPath]:
    """Plan where the output of each input goes.

    Parameters
    ----------
    relatives : sequence of PurePosixPath
        Places of the inputs, all different.
    suffix : str
        Suffix of the outputs, with its dot.

    Returns
    -------
    list of PurePosixPath
        In the order of ``relatives``; each name depends on the set of them, not on their order.
        An input's own suffix is replaced. Inputs that would share a name, also after case folding
        or Unicode normalisation, or whose name is the folder of another, keep their full name, and
        where that is not enough, a digest of it behind a ``~``.

    Examples
    --------
    >>> names = plan_output_names([PurePosixPath("a/b.jpg"), PurePosixPath("a/c.jpg")], ".png")
    >>> [str(name) for name in names]
    ['a/b.png', 'a/c.png']
    >>> names = plan_output_names([PurePosixPath("a/b.jpg"), PurePosixPath("a/B.gif")], ".png")
    >>> [str(name) for name in names]
    ['a/b.jpg.png', 'a/B.gif.png']
    """
    places = [_split_place(relative, salt) for relative, salt in _count_repeats(relatives)]
    folders = _fold_folders({place.folder for place in places})
    attempts = [0] * len(places)
    while True:
        names = [
            _name_output(place, suffix, attempt)
            for place, attempt in zip(places, attempts, strict=True)
        ]
        clashing = set(_find_clashes(places, names, attempts, folders))
        if not clashing:
            return [
                PurePosixPath(place.folder, name) for place, name in zip(places, names, strict=True)
            ]
        for index in clashing:
            attempts[index] += 1


class _Place(NamedTuple):
    """An input's place, taken apart once: there can be a million."""

    folder: str
    """Folder below OUT."""
    folded: str
    """The folder as `_fold` has it, with a slash behind it."""
    name: str
    """Full name."""
    salt: int
    """How often the same place came before; 0 throughout where all are different."""


def _split_place(relative: PurePosixPath, salt: int) -> _Place:
    """Return the place of an input, taken apart."""
    folder, _, name = str(relative).rpartition("/")
    return _Place(folder, _fold(folder) + "/", name, salt)


def _count_repeats(relatives: Sequence[PurePosixPath]) -> Iterator[tuple[PurePosixPath, int]]:
    """Yield each place and how often it came before."""
    seen: Counter[str] = Counter()
    for relative in relatives:
        text = str(relative)
        yield relative, seen[text]
        seen[text] += 1


def _name_output(place: _Place, suffix: str, attempt: int) -> str:
    """Return the name at one attempt: plain, full, then full with an ever longer digest."""
    if attempt == 0:
        stem, dot, _ = place.name.rpartition(".")
        return (stem if stem.strip(".") and dot else place.name) + suffix
    if attempt == 1:
        return place.name + suffix
    text = f"{place.folder}/{place.name}\0{place.salt}".encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(text).hexdigest()[: _DIGEST_CHARACTERS * (attempt - 1)]
    return f"{place.name}~{digest}{suffix}"


@lru_cache(maxsize=4096)
def _fold(text: str) -> str:
    """Return what is equal for two names that some file system takes for one."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def _fold_folders(folders: set[str]) -> set[str]:
    """Return these folders and all that they lie in, folded."""
    every: set[str] = set()
    for folder in folders:
        parts = _fold(folder).split("/")
        every.update("/".join(parts[:stop]) for stop in range(1, len(parts) + 1))
    return every


def _find_clashes(
    places: Sequence[_Place], names: Sequence[str], attempts: Sequence[int], folders: set[str]
) -> Iterator[int]:
    """Yield which names must change: of those that coincide the least changed, and file-folders."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (place, name) in enumerate(zip(places, names, strict=True)):
        groups[(place.folded + _fold(name)).lstrip("/")].append(index)
    for folded, group in groups.items():
        if len(group) > 1:
            least = min(attempts[index] for index in group)
            yield from (index for index in group if attempts[index] == least)
        elif folded in folders:
            yield from group
