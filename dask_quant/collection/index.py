"""The images of a collection, with the names of their outputs and how far each of them is.

There may be a million, which as objects of Python would take a gigabyte. They are rows of an SQLite
database without a name instead, which is in memory while it is small and in a temporary file
beyond; it goes with the process. What lasts is the manifest.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dask_quant.collection.items import Item, make_id
from dask_quant.image_rows import QUARANTINED, WRITTEN
from dask_quant.sources.addresses import hide_login, hide_secrets, is_url, is_web
from dask_quant.sources.found import Found
from dask_quant.sources.frames import name_frames
from dask_quant.sources.output_names import fold, fold_folders, name_alone, plan_output_names
from dask_quant.sources.places import place_all, take_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dask_quant.collection.task import CountedImage
    from dask_quant.image_rows import ImageRow

BY_FOLDER = "folder"
"""Grouping by the folder that an output lies in."""

_CACHE_KB = 32_000
"""Kilobytes of the database that stay in memory (arbitrary)."""

_PAGE_ROWS = 1_000
"""Images taken out of the database at a time (arbitrary)."""

_STATUS = {WRITTEN: 1, QUARANTINED: 2}
"""Numbers in the database; 0 is what there is still to do."""

_SCHEMA = """
CREATE TABLE items (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, path BLOB, identity BLOB, below BLOB,
    folder BLOB, named INTEGER, n_above INTEGER, frame INTEGER, modified TEXT, size INTEGER,
    place BLOB, out BLOB, folded BLOB, plain TEXT, shard INTEGER, member BLOB, grp TEXT,
    status INTEGER DEFAULT 0, checksum INTEGER, counted INTEGER DEFAULT 0, content TEXT,
    is_met INTEGER
);
CREATE TABLE folders (folded BLOB PRIMARY KEY) WITHOUT ROWID;
"""

_INSERT = """
INSERT OR IGNORE INTO items (id, path, identity, below, folder, named, n_above, frame, modified,
    size, place, out, folded, plain, shard, member)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_ITEM = "position, id, path, out, frame, modified, grp, checksum"
"""What an item is made of."""

_TAKE_PLAIN = """
UPDATE OR IGNORE items SET id = plain WHERE plain IN
    (SELECT plain FROM items WHERE plain IS NOT NULL GROUP BY plain HAVING COUNT(*) = 1)
"""

_SHARED_PLACES = """
SELECT position FROM items WHERE place IN
    (SELECT place FROM items GROUP BY place HAVING COUNT(*) > 1)
"""

_SHARED_NAMES = """
SELECT position FROM items WHERE folded IN
    (SELECT folded FROM items GROUP BY folded HAVING COUNT(*) > 1)
UNION SELECT position FROM items WHERE folded IN (SELECT folded FROM folders)
"""


class Index:
    """The images of a collection, in the order of the sources.

    Parameters
    ----------
    suffix : str
        Suffix of the outputs.
    """

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.executescript(_SCHEMA)

    @property
    def database(self) -> sqlite3.Connection:
        """The database, for what tells more of its images."""
        return self._database

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def __len__(self) -> int:
        return self._count("1")

    def add(self, found: Iterable[Found], *, all_frames: bool = False) -> None:
        """Add images, each once, and plan what their outputs are called. **Eager**.

        ``all_frames``: every frame of an animation is an image; else the first is.
        """
        with change_together(self._database):
            self._database.executemany(_INSERT, self._make_rows(found, all_frames))
            self._database.execute(_TAKE_PLAIN)
            self._tell_all_apart()

    def _tell_all_apart(self) -> None:
        """Have no two images go to the same place."""
        self._database.execute("CREATE INDEX by_place ON items (place)")
        self._tell_apart(_SHARED_PLACES, self._place_anew)
        self._add_folders()
        self._database.execute("CREATE INDEX by_folded ON items (folded)")
        self._tell_apart(_SHARED_NAMES, self._name_anew)

    def _make_rows(self, found: Iterable[Found], all_frames: bool) -> Iterator[tuple[Any, ...]]:
        """Yield the row of every image as it is when there are no others."""
        for each in found:
            frames = name_frames(each.path, each.below) if all_frames else [(0, each.below)]
            for frame, below in frames:
                place = take_parts(each._replace(below=below), each.n_above)
                out, shard, member = self._name_alone(each, place)
                id, plain = _identify(each.identity, frame)
                yield (
                    id,
                    *map(os.fsencode, (each.path, each.identity, below, each.folder)),
                    *(each.named, each.n_above, frame, each.modified, each.size),
                    *map(os.fsencode, (place, out, fold(out))),
                    *(plain, shard, member),
                )

    def _name_alone(self, found: Found, place: str) -> tuple[str, int | None, bytes | None]:
        """Return what an image becomes that has its name to itself.

        Of one in a shard that is packed anew also which shard, and its name there.
        """
        return name_alone(place, self._suffix), None, None

    def _tell_apart(self, clashing: str, rename: Callable[[Sequence[int]], None]) -> None:
        """Rename images until a query for those that clash finds no others than were renamed.

        What is renamed depends on all that clash together, so that each time it starts afresh.
        """
        renamed: set[int] = set()
        while True:
            found = {position for (position,) in self._database.execute(clashing)}
            if found <= renamed:
                return
            renamed |= found
            rename(sorted(renamed))

    def _place_anew(self, positions: Sequence[int]) -> None:
        """Put parents in front of images until they differ in their places."""
        columns = "path, identity, below, folder, named, n_above"
        found = []
        for position in positions:
            *texts, named, n_above = self._get(position, columns)
            path, identity, below, folder = map(os.fsdecode, texts)
            found.append(Found(path, identity, below, folder, bool(named), n_above))
        places = [str(place) for place in place_all(found)]
        names = [name_alone(each, self._suffix) for each in places]
        for position, place, name in zip(positions, places, names, strict=True):
            self._rename(position, name, place)

    def _name_anew(self, positions: Sequence[int]) -> None:
        """Give images names that no file system takes for one another's, nor for a folder's."""
        places = [os.fsdecode(self._get(position, "place")[0]) for position in positions]
        relatives = [PurePosixPath(place) for place in places]
        names = plan_output_names(relatives, self._suffix, _Folders(self._database))
        for position, place, name in zip(positions, places, names, strict=True):
            self._rename(position, str(name), place)

    def _rename(self, position: int, name: str, place: str) -> None:
        """Set what the output of an image is called."""
        self._database.execute(
            "UPDATE items SET place = ?, out = ?, folded = ? WHERE position = ?",
            (*map(os.fsencode, (place, name, fold(name))), position),
        )

    def _add_folders(self) -> None:
        """Keep the folders that outputs lie in."""
        last = None
        for (out,) in self._database.execute("SELECT out FROM items"):
            folder = os.path.dirname(os.fsdecode(out))
            if folder == last:
                continue
            last = folder
            self._database.executemany(
                "INSERT OR IGNORE INTO folders VALUES (?)",
                ((os.fsencode(each),) for each in fold_folders({folder}) if each),
            )

    def set_groups(self, group_by: str) -> None:
        """Put images into groups. **Eager**.

        ``folder``, or a regular expression that is searched for in the place of an output, with the
        suffix of the input: its first group, or all of it, names the group. What it is not found in
        is one more.
        """
        pattern = None if group_by == BY_FOLDER else re.compile(group_by)
        with change_together(self._database):
            self._database.create_function(
                "name_group", 1, lambda place: _name_group(place, pattern)
            )
            self._database.execute("UPDATE items SET grp = name_group(place)")
            self._database.execute("CREATE INDEX by_group ON items (COALESCE(grp, ''), position)")

    def list_groups(self) -> Iterator[tuple[str | None, int]]:
        """Yield every group and how many images it has; None is that of all."""
        yield from self._database.execute("SELECT grp, COUNT(*) FROM items GROUP BY grp").fetchall()

    def note_rows(self, rows: Iterable[ImageRow]) -> None:
        """Take over what rows of the manifest say. **Eager**."""
        with change_together(self._database):
            self._database.executemany(
                "UPDATE items SET status = ? WHERE id = ?",
                ((_STATUS[row.status], row.id) for row in rows),
            )

    def note_counted(self, counted: Iterable[CountedImage]) -> None:
        """Take over which images were counted."""
        with change_together(self._database):
            self._database.executemany(
                "UPDATE items SET checksum = ?, counted = 1 WHERE id = ?",
                ((each.checksum, each.id) for each in counted),
            )

    def is_as_then(self, id: str, modified: str | None) -> bool:
        """Return whether an image is there, and was not changed since."""
        return self._count("id = ? AND modified IS ?", (id, modified)) > 0

    def count_group(self, group: str) -> int:
        """Return how many images a group has."""
        return self._count("grp = ?", (group,))

    def list_open_groups(self) -> list[str]:
        """Return the groups of which some images are done, and some are not."""
        rows = self._database.execute(
            "SELECT grp FROM items WHERE grp IS NOT NULL GROUP BY grp"
            " HAVING SUM(status = 0) BETWEEN 1 AND COUNT(*) - 1"
        )
        return [group for (group,) in rows.fetchall()]

    def open_group(self, group: str) -> None:
        """Have all images of a group done again. **Eager**."""
        self._database.execute("UPDATE items SET status = 0 WHERE grp = ?", (group,))

    def is_pending(self, id: str) -> bool:
        """Return whether an image is there, and there is something to do with it."""
        return self._count("id = ? AND status = 0", (id,)) > 0

    def list_largest(self, n: int) -> list[str]:
        """Return the paths of the largest files, those of unknown size among them."""
        rows = self._database.execute(
            "SELECT path FROM items ORDER BY size IS NOT NULL, size DESC LIMIT ?", (n,)
        )
        return [os.fsdecode(path) for (path,) in rows]

    def find(self, id: str) -> Item | None:
        """Return an image; None: it is gone."""
        query = f"SELECT shard, {_ITEM} FROM items WHERE id = ?"
        row = self._database.execute(query, (id,)).fetchone()
        return None if row is None else self._make_item(*row)

    def reopen(self, ids: Iterable[str]) -> None:
        """Have images done again. **Eager**."""
        with change_together(self._database):
            self._database.executemany(
                "UPDATE items SET status = 0 WHERE id = ?", ((id,) for id in ids)
            )

    def list_quarantined(self) -> list[str]:
        """Return what images are known by that were set aside."""
        return [id for (id,) in self._database.execute("SELECT id FROM items WHERE status = 2")]

    def sort_rows(self, rows: Iterable[ImageRow]) -> list[ImageRow]:
        """Return rows in the order of the sources, with paths as these are, printable or not.

        Those of images that are gone come last, as they are.
        """
        query = "SELECT position, path FROM items WHERE id = ?"
        found = []
        for row in rows:
            place, path = self._database.execute(query, (row.id,)).fetchone() or (math.inf, None)
            if path is not None:
                row = replace(row, path=hide_secrets(os.fsdecode(path)))
            found.append((place, row))
        return [row for _, row in sorted(found, key=lambda each: each[0])]

    def list_counted(self) -> Iterator[tuple[str, int | None]]:
        """Yield path and size of every image that was counted."""
        query = "SELECT path, size FROM items WHERE counted"
        for path, size in self._database.execute(query):
            yield os.fsdecode(path), size

    def count_counted(self) -> int:
        """Return how many images were counted."""
        return self._count("counted")

    def count_pending(
        self, *, uncounted: bool = False, unjudged: bool = False, group: str | None = None
    ) -> int:
        """Return how many images `iterate_pending` yields."""
        where, values = _pending(uncounted, unjudged, group)
        return self._count(where, values)

    def count_palettes(self) -> int:
        """Return how many groups have images that were written; those of none are one each."""
        query = "SELECT COUNT(DISTINCT grp), COUNT(*) - COUNT(grp) FROM items WHERE status = 1"
        return sum(self._database.execute(query).fetchone())

    def count_written(self) -> int:
        """Return how many images were written."""
        return self._count("status = 1")

    def iterate_pending(
        self,
        *,
        uncounted: bool = False,
        unjudged: bool = False,
        group: str | None = None,
        grouped: bool = False,
    ) -> Iterator[tuple[Item, int]]:
        """Yield the images there is still something to do with, and the bytes of each.

        Parameters
        ----------
        uncounted : bool
            Those alone that were not counted.
        unjudged : bool
            Those alone of which it is not known whether a palette meets a target.
        group : str, optional
            Those alone of a group; None: all.
        grouped : bool
            Group by group, rather than in the order of the sources.
        """
        where, values = _pending(uncounted, unjudged, group)
        # Where there are no groups, theirs is NULL, which compares with nothing.
        key, last = ("COALESCE(grp, '')", "position") if grouped else ("position",), None
        columns = ", ".join(key)
        while True:
            after = f" AND ({columns}) > ({', '.join('?' * len(key))})" if last else ""
            rows = self._database.execute(
                f"SELECT size, shard, {_ITEM} FROM items"
                f" WHERE {where}{after} ORDER BY {columns} LIMIT {_PAGE_ROWS}",
                (*values, *(last or ())),
            ).fetchall()
            if not rows:
                return
            for size, *row in rows:
                item = self._make_item(*row)
                yield item, size or 0
            last = (item.group or "", item.position) if grouped else (item.position,)

    def _make_item(self, shard: int | None, *columns: Any) -> Item:
        """Return the image that a row is of."""
        position, id, path, out, *others = columns
        return Item(position, id, os.fsdecode(path), os.fsdecode(out), *others)

    def list_outputs(self, at_most: int, *, planned: bool = False) -> list[str]:
        """Return the outputs that were written, or all, in the order of the sources.

        None where there are more than ``at_most``.
        """
        where = "1" if planned else "status = 1"
        query = f"SELECT out FROM items WHERE {where} ORDER BY position LIMIT {at_most + 1}"
        names = [os.fsdecode(out) for (out,) in self._database.execute(query)]
        return names if len(names) <= at_most else []

    def _get(self, position: int, columns: str) -> tuple[Any, ...]:
        """Return some columns of an image."""
        query = f"SELECT {columns} FROM items WHERE position = ?"
        row: tuple[Any, ...] = self._database.execute(query, (position,)).fetchone()
        return row

    def _count(self, where: str, values: Sequence[Any] = ()) -> int:
        """Return how many images there are of a kind."""
        query = f"SELECT COUNT(*) FROM items WHERE {where}"
        return int(self._database.execute(query, values).fetchone()[0])


@contextmanager
def change_together(database: sqlite3.Connection) -> Iterator[None]:
    """Make one change of all that the block changes, which is quicker."""
    database.execute("BEGIN")
    yield
    database.execute("COMMIT")


class _Folders:
    """Whether a name is that of a folder which outputs lie in."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __contains__(self, folded: object) -> bool:
        query = "SELECT 1 FROM folders WHERE folded = ?"
        return self._database.execute(query, (os.fsencode(str(folded)),)).fetchone() is not None


def _identify(identity: str, frame: int) -> tuple[str, str | None]:
    """Return what an image is known by; at an address with a query also what it would be without.

    Queries are signatures, which are others in the next run, or say which image it is; of those
    that differ in nothing else, it is the latter. In object stores they are a part of the name.
    """
    id = make_id(hide_login(identity, identity) if is_url(identity) else identity, frame)
    if not is_url(identity) or not is_web(identity):
        return id, None
    plain = make_id(hide_secrets(identity), frame)
    return id, plain if plain != id else None


def _pending(uncounted: bool, unjudged: bool, group: str | None) -> tuple[str, tuple[Any, ...]]:
    """Return the condition for images there is still something to do with, and its values."""
    where = "status = 0" + (" AND NOT counted" if uncounted else "")
    where += " AND is_met IS NULL" if unjudged else ""
    return (where, ()) if group is None else (f"{where} AND grp = ?", (group,))


def _name_group(place: bytes, pattern: re.Pattern[str] | None) -> str:
    """Return the group of an image from its place below OUT."""
    text = os.fsdecode(place)
    if pattern is None:
        return os.path.dirname(text).encode("utf-8", "backslashreplace").decode() or "."
    match = pattern.search(text)
    if match is None:
        return ""
    found = match[1] if pattern.groups else match[0]
    return (found or "").encode("utf-8", "backslashreplace").decode()
