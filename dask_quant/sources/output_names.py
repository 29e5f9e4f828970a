"""Names of outputs: one for each input, and never two that a file system could take for one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

_DIGEST_CHARACTERS = 8
"""Hexadecimal characters of a digest that a name gets per further attempt (arbitrary)."""


def plan_output_names(
    relatives: Sequence[PurePosixPath], suffix: str, folders: Container[str] = frozenset()
) -> list[PurePosixPath]:
    """Plan where the output of each input goes.

    Parameters
    ----------
    relatives : sequence of PurePosixPath
        Places of the inputs, all different.
    suffix : str
        Suffix of the outputs, with its dot.
    folders : container of str, optional
        Folders, as `fold_folders` has them, that are there beside those of ``relatives``.

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
    own = fold_folders({place.folder for place in places})
    attempts = [0] * len(places)
    while True:
        names = [
            _name_output(place, suffix, attempt)
            for place, attempt in zip(places, attempts, strict=True)
        ]
        clashing = set(_find_clashes(places, names, attempts, (own, folders)))
        if not clashing:
            return [
                PurePosixPath(place.folder, name) for place, name in zip(places, names, strict=True)
            ]
        for index in clashing:
            attempts[index] += 1


def name_alone(place: str, suffix: str) -> str:
    """Return where the output of an input goes that has its name to itself.

    Examples
    --------
    >>> name_alone("a/b.jpg", ".png"), name_alone(".hidden", ".png")
    ('a/b.png', '.hidden.png')
    """
    folder, slash, name = place.rpartition("/")
    return folder + slash + _replace_suffix(name, suffix)


def _replace_suffix(name: str, suffix: str) -> str:
    """Return a name with another suffix; one that is nothing but a suffix keeps it."""
    stem, dot, _ = name.rpartition(".")
    return (stem if stem.strip(".") and dot else name) + suffix


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
    return _Place(folder, fold(folder) + "/", name, salt)


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
        return _replace_suffix(place.name, suffix)
    if attempt == 1:
        return place.name + suffix
    text = f"{place.folder}/{place.name}\0{place.salt}".encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(text).hexdigest()[: _DIGEST_CHARACTERS * (attempt - 1)]
    return f"{place.name}~{digest}{suffix}"


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Return what is equal for two names that some file system takes for one."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def fold_folders(folders: set[str]) -> set[str]:
    """Return these folders and all that they lie in, folded."""
    every: set[str] = set()
    for folder in folders:
        parts = fold(folder).split("/")
        every.update("/".join(parts[:stop]) for stop in range(1, len(parts) + 1))
    return every


def _find_clashes(
    places: Sequence[_Place],
    names: Sequence[str],
    attempts: Sequence[int],
    folders: Sequence[Container[str]],
) -> Iterator[int]:
    """Yield which names must change: of those that coincide the least changed, and file-folders."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (place, name) in enumerate(zip(places, names, strict=True)):
        groups[(place.folded + fold(name)).lstrip("/")].append(index)
    for folded, group in groups.items():
        if len(group) > 1:
            least = min(attempts[index] for index in group)
            yield from (index for index in group if attempts[index] == least)
        elif any(folded in each for each in folders):
            yield from group
