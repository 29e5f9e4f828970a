"""What an earlier run of a job on a collection left, and what of it is done again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dask_quant.collection.compare import compare_rows
from dask_quant.collection.family_index import FamilyIndex
from dask_quant.collection.summaries import SUMMARIES_NAME
from dask_quant.errors import JobError
from dask_quant.events import Notice
from dask_quant.kept_outcome import OUTCOME_NAME
from dask_quant.routes.family_file import find_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask_quant.collection.compare import Comparison
    from dask_quant.collection.index import Index
    from dask_quant.collection.output import Output, State
    from dask_quant.collection.packing import Packing
    from dask_quant.routes.common import Job
    from dask_quant.routes.family_file import FamilyPlan

_COUNTS_NAME = "counts"
"""Beginning of the names of what is kept while colours are counted."""

_VERDICTS_NAME = "verdicts"
"""Beginning of the names of what is kept while images are measured."""

_AGAIN_NAME = "again.json"
"""What images are known by that were done, and are done again."""


@dataclass(frozen=True)
class Earlier:
    """What an earlier run of a job left."""

    names: frozenset[str] = frozenset()
    """Names of its state."""
    n_written: int = 0
    """Images that it wrote, and that are as they were."""
    again: frozenset[str] = frozenset()
    """What images are known by that were done, and are done again."""
    families: FamilyPlan | None = None
    """How far families are; None where there are none."""

    def has_palette(self, group: str | None) -> bool:
        """Return whether it fitted a palette to a group too large for one task, or to all."""
        return name_outcome(group) in self.names

    def is_bound(self, group: str | None) -> bool:
        """Return whether what is made of others depends on the images of a group, as they were."""
        return self.has_palette(group) or self.families is not None


def name_outcome(group: str | None) -> str:
    """Return what the palette of a group, or of all images, is kept as."""
    return OUTCOME_NAME.replace(".json", f"{_suffix_group(group)}.json")


def name_counts(group: str | None) -> str:
    """Return how names begin of what is kept while a group, or all images, are counted."""
    return f"{_COUNTS_NAME}{_suffix_group(group)}"


def name_verdicts(group: str) -> str:
    """Return how names begin of what is kept while the images of a family are measured."""
    return f"{_VERDICTS_NAME}{_suffix_group(group)}"


def _suffix_group(group: str | None) -> str:
    """Return how names of what is kept of a group end."""
    if group is None:
        return ""
    return f"-{hashlib.blake2b(group.encode(), digest_size=8).hexdigest()}"


def forget_progress(state: State) -> None:
    """Forget what is of no use once all images are done. **Eager**."""
    begins = (_COUNTS_NAME, SUMMARIES_NAME, _VERDICTS_NAME)
    used = [name for name in state.list_names() if name.startswith(begins)]
    state.discard(*used, _AGAIN_NAME)


def forget_palettes(state: State, groups: Iterable[str | None]) -> None:
    """Forget the palettes of groups that there are not any more. **Eager**."""
    known = {name_outcome(group) for group in groups}
    begin, end = OUTCOME_NAME.split(".")
    kept = [name for name in state.list_names() if name.startswith(begin) and name.endswith(end)]
    state.discard(*(name for name in kept if name not in known))


def go_on(
    job: Job,
    index: Index,
    output: Output,
    measure: Callable[[str], int | None],
    packing: Packing | None = None,
) -> Earlier:
    """Have the index take over what an earlier run did, if there was one. **Eager**.

    Parameters
    ----------
    job : Job
        What is done; its listener is told what is not as it was.
    index : Index
        The images there are now.
    output : Output
        Where they go. Rows of those that are done again leave the manifest.
    measure : callable
        Tells the bytes of an output, as `OutputFolder.measure` does.
    packing : Packing, optional
        What packs outputs into shards.

    Raises
    ------
    JobError
        When images changed since a palette was fitted to them and to others.
    """
    state = output.state
    if not state.is_resumed:
        return Earlier()
    families = None if job.budget is None else find_families(state, FamilyIndex(index))
    earlier = Earlier(frozenset(state.list_names()), families=families)
    found = compare_rows(index, output.manifest.read_rows(), measure)
    _check_unchanged(found, earlier)
    for line in (state.notice, *found.notices):
        if line is not None:
            job.listener(Notice(line))
    again = set(found.again)
    if job.run.retry_quarantined:
        again.update(index.list_quarantined())
    again.update(id for id, group in found.mended if not earlier.is_bound(group))
    again.update(state.read_json(_AGAIN_NAME) or ())
    index.reopen(again)
    n_pending = index.count_pending()
    again.update(_open_parted(index, earlier, packing))
    if again:  # their rows go now, and a run that is ended has to know of them
        state.write_json(_AGAIN_NAME, sorted(again))
    if again or index.count_pending() > n_pending:
        output.manifest.rewrite(lambda row: None if index.is_pending(row.id) else row)
    return replace(earlier, n_written=index.count_written(), again=frozenset(again))


def _open_parted(index: Index, earlier: Earlier, packing: Packing | None) -> Iterator[str]:
    """Have done again what is one with what is done again; yield images of shards that were done.

    A group may be of images of several shards, and a shard of images of several groups.
    """
    n_before = -1
    while (n_pending := index.count_pending()) != n_before:
        n_before = n_pending
        # Groups that were written in one task each, or not yet: their images have one palette.
        for group in index.list_open_groups():
            if not earlier.has_palette(group):
                index.open_group(group)
        if packing is not None:
            yield from packing.open_parted()


def _check_unchanged(found: Comparison, earlier: Earlier) -> None:
    """Raise `JobError` where images changed since a palette was fitted to them and to others."""
    for group, path in found.changed.items():
        if earlier.is_bound(group):
            message = (
                f"{found.n_changed:,} images changed since the palette was fitted, such as {path}; "
                "give them as they were, or start afresh with --overwrite."
            )
            raise JobError(message)
