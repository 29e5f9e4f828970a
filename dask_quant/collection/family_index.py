"""Which family each image of a collection is in, in the index of the collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.collection.index import change_together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dask_quant.collection.index import Index
    from dask_quant.collection.task import SummarizedImage, Verdict


class FamilyIndex:
    """The families of an index: groups that are made while a job runs. **Eager**.

    Parameters
    ----------
    index : Index
        Of the collection.
    """

    def __init__(self, index: Index) -> None:
        self._database = index.database
        self._database.execute(
            "CREATE INDEX IF NOT EXISTS by_group ON items (COALESCE(grp, ''), position)"
        )

    def note_summarized(self, images: Iterable[SummarizedImage]) -> None:
        """Take over which images were told of in brief, those that are as they were then."""
        with change_together(self._database):
            self._database.executemany(
                "UPDATE items SET checksum = ?, content = ?, counted = 1"
                " WHERE id = ? AND modified IS ?",
                ((each.checksum, each.content, each.id, each.modified) for each in images),
            )

    def find_summarized(self, image: SummarizedImage) -> int | None:
        """Return where an image is, None where it is gone, or another now."""
        row = self._database.execute(
            "SELECT position FROM items WHERE id = ? AND checksum = ? AND content = ?",
            (image.id, image.checksum, image.content),
        ).fetchone()
        return None if row is None else int(row[0])

    def find_last(self) -> int:
        """Return the highest place of an image."""
        return int(self._database.execute("SELECT MAX(position) FROM items").fetchone()[0] or 0)

    def forget_counted(self) -> None:
        """Have images counted again, which are to be as they were told of in brief."""
        self._database.execute("UPDATE items SET counted = 0")

    def set_family(self, name: str, positions: NDArray[np.int64]) -> None:
        """Put images into a family, on which no palette was tried."""
        with change_together(self._database):
            self._database.executemany(
                "UPDATE items SET grp = ?, is_met = NULL WHERE position = ?",
                ((name, int(each)) for each in positions),
            )

    def set_families(self, members: Iterable[tuple[str, str]]) -> None:
        """Put images into families: names of these, and what the images are known by."""
        with change_together(self._database):
            self._database.executemany("UPDATE items SET grp = ? WHERE id = ?", members)

    def list_members(self) -> Iterator[tuple[str, str]]:
        """Yield the family of every image, and what the image is known by."""
        yield from self._database.execute(
            "SELECT grp, id FROM items WHERE grp IS NOT NULL ORDER BY COALESCE(grp, ''), position"
        )

    def note_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Take over for which images a palette meets the target."""
        with change_together(self._database):
            self._database.executemany(
                "UPDATE items SET is_met = ? WHERE id = ? AND status = 0",
                ((each.is_met, each.id) for each in verdicts),
            )

    def is_missed(self, group: str) -> bool:
        """Return whether the palette of a family misses the target for an image of it.

        Not where all have the very same colours: no other palette would be more their own.
        """
        row = self._database.execute(
            "SELECT MIN(is_met), COUNT(DISTINCT content) FROM items WHERE grp = ?", (group,)
        ).fetchone()
        return bool(row[0] == 0 and row[1] != 1)

    def list_missed(self) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """Return images of families that are not written, and for which the target is missed."""
        groups = self._database.execute(
            "SELECT DISTINCT grp FROM items WHERE status = 0 AND is_met IS NOT NULL ORDER BY grp"
        ).fetchall()
        return [self._list_verdicts(group) for (group,) in groups]

    def _list_verdicts(self, group: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the images of a family that are not written, and which miss the target."""
        rows = self._database.execute(
            "SELECT position, COALESCE(is_met, 1) FROM items WHERE grp = ? AND status = 0"
            " ORDER BY position",
            (group,),
        ).fetchall()
        positions, is_met = np.array(rows, dtype=np.int64).T
        return positions, is_met == 0

    def list_strays(self) -> Iterator[tuple[str, bytes, int, str | None]]:
        """Yield id, path, place and family of images to be written that nothing is known of."""
        yield from self._database.execute(
            "SELECT id, path, position, grp FROM items WHERE status = 0 AND NOT counted"
            " ORDER BY position"
        )
