"""The images of tar shards that are packed anew, each shard as a shard of its own."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from dask_quant.collection.index import Index
from dask_quant.collection.items import make_id
from dask_quant.errors import OptionError, OutputError
from dask_quant.sinks.tar_shard import find_sample
from dask_quant.sources.addresses import is_url
from dask_quant.sources.header import show_path
from dask_quant.sources.held import DAMAGE, SEPARATOR, parse_held
from dask_quant.sources.output_names import name_alone, plan_output_names
from dask_quant.sources.shards import clean_parts, is_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dask_quant.collection.items import Item
    from dask_quant.sources.found import Found

_SUFFIX = ".tar"

_SHARED_MEMBERS = """
SELECT position FROM items WHERE (shard, out) IN
    (SELECT shard, out FROM items WHERE member IS NOT NULL GROUP BY shard, out
     HAVING COUNT(DISTINCT member) > 1)
"""


class Shard(NamedTuple):
    """A shard that is packed anew."""

    path: str
    """Where it is, as the user named it."""
    version: str
    """What changes with it, as in `dask_quant.sources.held.Held`."""
    place: str
    """Path of what is packed of it, below OUT."""

    @property
    def key(self) -> str:
        """What it is kept by while its images wait, the same from run to run."""
        return make_id(self.place, 0)


class ShardImage(NamedTuple):
    """An image of a shard."""

    start: int
    """Where its bytes begin in the shard as it is."""
    member: str
    """Its name there."""
    name: str
    """Its name in what is packed."""
    id: str
    """What it is known by."""
    is_written: bool
    """Whether it was written; else it was set aside."""


class ShardIndex(Index):
    """The images of tar shards, the outputs of which are members of shards again.

    A member keeps its name but for the last suffix, so that it belongs to the same sample as ever.
    Names that several members of a shard would share have a suffix more instead, ``1.jpg.png`` and
    ``1.png.png``; members of one and the same name keep sharing it.
    """

    def __init__(self, suffix: str) -> None:
        super().__init__(suffix)
        self.shards: list[Shard] = []
        self._numbers: dict[str, int] = {}

    def _name_alone(self, found: Found, place: str) -> tuple[str, int | None, bytes | None]:
        """Return the name that an image gets in its shard, which shard, and its name there now.

        What stands for damage is called nothing, and has no name.
        """
        held = parse_held(found.path)
        if held is None or found.named or is_parquet(held.file):
            message = (
                f"Got {show_path(found.path)} for tar output, which is made of whole tar shards; "
                "name these, such as 'shards/*.tar', or leave out --format tar."
            )
            raise OptionError(message)
        identity = found.identity.partition("\0")[0]
        number = self._numbers.setdefault(identity, len(self.shards))
        if number == len(self.shards):
            parts = PurePosixPath(place).parts[: -len(clean_parts(held.name))]
            self.shards.append(Shard(held.file, held.version, os.path.join(*parts) + _SUFFIX))
        if held.kind == DAMAGE:
            return "", number, None
        return name_alone(held.name, self._suffix), number, os.fsencode(held.name)

    def _tell_all_apart(self) -> None:
        """Have no two shards go to one place, and no two members of a shard that differ."""
        places = plan_output_names([PurePosixPath(each.place) for each in self.shards], _SUFFIX)
        self.shards = [
            shard._replace(place=str(place))
            for shard, place in zip(self.shards, places, strict=True)
        ]
        self._database.execute("CREATE INDEX by_shard ON items (shard, status)")
        self._tell_apart(_SHARED_MEMBERS, self._name_members_anew)

    def _name_members_anew(self, positions: Sequence[int]) -> None:
        """Have members keep their whole names, and a suffix behind."""
        suffix = os.fsencode(self._suffix)
        named = [(self._get(position, "member")[0] + suffix, position) for position in positions]
        self._database.executemany("UPDATE items SET out = ? WHERE position = ?", named)

    def check_apart(self, out: Path) -> None:
        """Raise `OutputError` where what is packed would take the place of a shard. **Eager**."""
        sources = {os.path.realpath(each.path) for each in self.shards if not is_url(each.path)}
        for shard in self.shards:
            if os.path.realpath(out / shard.place) in sources:
                message = (
                    f"Got {str(out / shard.place)!r} both as a source and as an output; name "
                    "another output folder."
                )
                raise OutputError(message)

    def _make_item(self, shard: int | None, *columns: Any) -> Item:
        """Return the image that a row is of."""
        item = super()._make_item(shard, *columns)
        assert shard is not None, "every image is in a shard"
        packed = self.shards[shard]
        out = f"{packed.place}{SEPARATOR}{item.out}"
        return item._replace(out=out, waiting=f"{packed.key}/{item.id}{self._suffix}")

    def list_outputs(self, at_most: int, *, planned: bool = False) -> list[str]:
        """Return the shards that were packed, or all; none where there are too many."""
        numbers = range(len(self.shards)) if planned else self.list_done()
        names = [self.shards[number].place for number in numbers]
        return names if len(names) <= at_most else []

    def list_images(self, number: int) -> Iterator[ShardImage]:
        """Yield the images of a shard, all of which are done."""
        query = "SELECT path, member, out, id, status FROM items WHERE shard = ?"
        for path, member, out, id, status in self._database.execute(query, (number,)):
            held = parse_held(os.fsdecode(path))
            if held is not None and member is not None:
                member, name = os.fsdecode(member), os.fsdecode(out)
                yield ShardImage(held.start, member, name, id, status == 1)

    def list_done(self, ids: Iterable[str] | None = None) -> list[int]:
        """Return the shards, or those of some images, whose images are done, and one written."""
        numbers: Iterable[int] = range(len(self.shards))
        if ids is not None:
            query = "SELECT shard FROM items WHERE id = ?"
            found = (self._database.execute(query, (id,)).fetchone() for id in ids)
            numbers = sorted({row[0] for row in found if row is not None})
        return [each for each in numbers if not self._has(each, 0) and self._has(each, 1)]

    def _has(self, shard: int, status: int) -> bool:
        """Return whether a shard has an image of a status."""
        query = "SELECT 1 FROM items WHERE shard = ? AND status = ?"
        return self._database.execute(query, (shard, status)).fetchone() is not None

    def list_open(self, numbers: Iterable[int]) -> list[int]:
        """Return those of shards of which an image is not done."""
        return [number for number in numbers if self._has(number, 0)]

    def open_shard(self, number: int) -> list[str]:
        """Have all images of a shard done again, and return those that were done. **Eager**."""
        query = "SELECT id FROM items WHERE shard = ? AND status > 0"
        ids = [id for (id,) in self._database.execute(query, (number,))]
        self.reopen(ids)
        return ids

    def list_companions(self) -> Iterator[tuple[str, str]]:
        """Yield images that were written and are left out with another, and why.

        That is one of the same sample that was set aside.
        """
        for number in self.list_done():
            if not self._has(number, 2):
                continue
            images, shard = list(self.list_images(number)), self.shards[number]
            bad = {find_sample(each.member): each.member for each in images if not each.is_written}
            for each in images:
                other = bad.get(find_sample(each.member))
                if each.is_written and other is not None:
                    shown = show_path(f"{shard.path}{SEPARATOR}{other}")
                    yield each.id, f"Left out of {shard.place} with {shown}, of the same sample."
