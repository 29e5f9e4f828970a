"""Waves of tasks: so many as a scheduler takes at a time, and the next while there is still work.

A stage of a large image is more tasks than a scheduler should hold, so that they are handed over in
waves. Were each waited for before the next is made, workers would idle while its slowest tasks and
its merges end, and while the driver makes the next. A cluster therefore has two of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.cluster_tasks import RETRIES, stopping_on_failure, telling_lost_work

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from dask.delayed import Delayed
    from distributed import Client, Future, as_completed

WAVES_AHEAD = 2
"""Waves that a cluster has at a time, those apart that only wait for their merges."""

MAX_WAVES = 2 * WAVES_AHEAD
"""Waves on the way at most, those included that are done before an earlier one: what each was
merged to waits for that, as results are taken in order."""


@dataclass(frozen=True)
class Wave:
    """Tasks that are handed over together."""

    root: Delayed
    """What is wanted of them."""
    leaves: Sequence[Delayed]
    """Tasks below ``root``, or that alone, that count as progress."""
    sizes: Sequence[int]
    """Units that each leaf stands for."""
    n_before: int = 0
    """Units between the wave before and this one that need not be done."""


@dataclass
class _SentWave:
    """A wave that a cluster has."""

    root: Future
    leaves: frozenset[Hashable]
    """Keys of its leaves."""
    n_open: int
    """Leaves that are not done."""

    @property
    def is_done(self) -> bool:
        """Whether its leaves were counted, and its root is done as well."""
        return self.n_open == 0 and self.root.done()


def compute_waves(
    client: Client,
    waves: Iterator[Wave],
    count: Callable[[Hashable], object],
    take: Callable[[Any], object],
    *,
    keeps: bool,
) -> None:
    """Compute waves on a cluster; see `dask_quant.execute.Executor.compute_waves`. **Eager**.

    ``count`` is called with the key of each leaf that is done. With ``keeps`` results stay on
    workers, and their futures are taken.
    """
    from distributed import as_completed

    waiting: as_completed = as_completed(loop=client.loop)
    sent: deque[_SentWave] = deque()
    owners: dict[Hashable, _SentWave] = {}

    def list_keys() -> list[set[Hashable]]:
        leaves: set[Hashable] = set().union(*(wave.leaves for wave in sent))
        return [{wave.root.key for wave in sent}, leaves]

    with stopping_on_failure(client, list_keys), telling_lost_work():
        while _send_ahead(client, waves, sent, owners, waiting):
            if waiting.is_empty():  # the first root was done, and then lost with its worker
                waiting.add(sent[0].root)
            future = next(waiting)
            if future.status == "lost":  # its worker died since, and it will be done again
                waiting.add(future)
                continue
            owner = owners.pop(future.key, None)
            if owner is not None:
                if future.status != "finished":
                    owner.root.result()  # raises what the leaf raised, or that it was cancelled
                count(future.key)
                owner.n_open -= 1
                if owner.n_open == 0:
                    waiting.add(owner.root)
            while sent and sent[0].is_done:
                root = sent[0].root
                # One that failed, or was cancelled, raises here even where it would stay there.
                stays = keeps and root.status not in ("error", "cancelled")
                take(root if stays else root.result())
                sent.popleft()


def _send_ahead(
    client: Client,
    waves: Iterator[Wave],
    sent: deque[_SentWave],
    owners: dict[Hashable, _SentWave],
    waiting: as_completed,
) -> bool:
    """Hand waves over while there is room for them; return whether any is under way."""
    while len(sent) < MAX_WAVES and sum(wave.n_open > 0 for wave in sent) < WAVES_AHEAD:
        wave = next(waves, None)
        if wave is None:
            break
        # Leaves are in the graph of the root: by themselves, each would be looked through again.
        keys = [wave.root.key, *(leaf.key for leaf in wave.leaves)]
        # Without a timeout of 0, all that is sent within a minute is one queue: of each wave the
        # first tasks would run before the last of the one before.
        root, *leaves = client.get(
            wave.root.dask, keys, sync=False, retries=RETRIES, fifo_timeout=0
        )
        sent.append(_SentWave(root, frozenset(keys[1:]), len(leaves)))
        owners |= dict.fromkeys(keys[1:], sent[-1])
        waiting.update(leaves or [root])
    return bool(sent)
