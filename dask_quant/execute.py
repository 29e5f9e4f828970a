"""The one place that computes: bounded graphs, retries, progress.

The same calls run on threads, on the synchronous scheduler and on a distributed cluster.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask
import dask.local
import dask.threaded
from dask.base import get_scheduler
from dask.callbacks import Callback

from dask_quant.cluster import is_started_here
from dask_quant.cluster_tasks import (
    RETRIES,
    fetch_result,
    is_held,
    keep_graph,
    run_task,
    stream_tasks,
    submit_early,
    telling_lost_work,
)
from dask_quant.events import Event, Notice, ignore_event
from dask_quant.graphs.layers import gather_tasks
from dask_quant.process import count_cpus, peak_rss_bytes
from dask_quant.scaling import count_side_by_side
from dask_quant.thread_tasks import find_get, own_threads, stream_on_threads
from dask_quant.waves import WAVES_AHEAD, Wave, compute_waves

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence

    from dask.delayed import Delayed
    from distributed import Client

    from dask_quant.events import Listener

MAX_TASKS_PER_GRAPH = 2_048
"""Leaf tasks on the way at a time, so that schedulers stay quick however large the job."""


@dataclass(frozen=True)
class Executor:
    """Computes delayed values somewhere, and tells a listener how far it is."""

    client: Client | None = None
    """Client of a distributed cluster; None for Dask's local schedulers."""
    scheduler: str | None = None
    """``threads`` or ``synchronous``; None for what Dask is configured for (threads)."""
    listener: Listener = ignore_event
    """Told of finished tasks."""
    most_workers: int = 0
    """Workers that the cluster may scale up to; 0: it has those that it has."""

    def compute(
        self,
        root: Delayed,
        *,
        stage: str,
        leaves: Sequence[Delayed] = (),
        sizes: Sequence[int] | None = None,
        unit: str = "tasks",
    ) -> Any:
        """Compute ``root``, reporting progress as its ``leaves`` finish. **Eager**.

        Parameters
        ----------
        root : Delayed
            What is wanted.
        stage : str
            Name of the stage in the events.
        leaves : sequence of Delayed
            Tasks below ``root`` that count as progress.
        sizes : sequence of int, optional
            Units that each leaf stands for; 1 when not given.
        unit : str
            What ``sizes`` counts.

        Raises
        ------
        ClusterError
            When workers keep dying, or the cluster is gone.
        """
        wave = Wave(root, leaves, [1] * len(leaves) if sizes is None else sizes)
        found: list[Any] = []
        total = sum(wave.sizes)
        self.compute_waves([wave], found.append, stage=stage, total=total, unit=unit)
        return found[0]

    def compute_waves(
        self,
        waves: Iterable[Wave],
        take: Callable[[Any], object],
        *,
        stage: str,
        total: int,
        unit: str = "tasks",
        keeps: bool = False,
    ) -> None:
        """Compute waves of tasks, and hand what each comes to over to ``take``. **Eager**.

        Results are taken in the order of the waves, as soon as there are some. A cluster gets a
        wave while it still has the one before, lest its workers wait for the slowest of them.

        Parameters
        ----------
        waves : iterable of Wave
            Asked for one after another, as there is room for them; of `wave_tasks` tasks at most.
        take : callable
            Called in the thread that calls this.
        stage, unit : str
            Name of the stage in the events, and what sizes count.
        total : int
            Units of all waves together.
        keeps : bool, default False
            Whether results stay where `hold` would leave them.

        Raises
        ------
        ClusterError
            When workers keep dying, or the cluster is gone.
        """
        progress = _Progress(stage, total, unit, self.listener)
        begun = map(progress.begin, waves)
        if self.client is not None:
            keeps = keeps and self.is_distant
            compute_waves(self.client, begun, progress.count, take, keeps=keeps)
        else:
            with self.activate(), progress:
                for wave in begun:
                    take(dask.compute(wave.root, scheduler=find_get())[0])
        progress.finish()

    def wave_tasks(self, limit: int | None = None) -> int:
        """Return how many leaves a wave may have, at least 1, where ``limit`` may be on the way."""
        most = min(limit or MAX_TASKS_PER_GRAPH, MAX_TASKS_PER_GRAPH)
        return max(1, most // (1 if self.client is None else WAVES_AHEAD))

    def compute_all(
        self, tasks: Sequence[Delayed], *, stage: str, sizes: Sequence[int], unit: str
    ) -> list[Any]:
        """Compute ``tasks``, a bounded number of them at a time. **Eager**.

        Parameters and errors are those of `compute`; results come in the order of the tasks.
        """
        results: list[Any] = []
        waves = (
            Wave(gather_tasks(list, tasks[part]), tasks[part], sizes[part])
            for part in self.split_tasks(len(tasks))
        )
        self.compute_waves(waves, results.extend, stage=stage, total=sum(sizes), unit=unit)
        return results

    def split_tasks(self, n_tasks: int) -> list[slice]:
        """Return which of so many tasks make a wave each."""
        width = self.wave_tasks()
        return [slice(begin, begin + width) for begin in range(0, n_tasks, width)]

    def keep(
        self, tasks: Sequence[Delayed], *, stage: str, sizes: Sequence[int], unit: str
    ) -> list[Delayed]:
        """Compute ``tasks`` and keep what they return where it is, in memory. **Eager**.

        Parameters and errors are those of `compute`. What comes back stands for the results: tasks
        that need them find them on the workers, or in this process.
        """
        progress = _Progress(stage, sum(sizes), unit, self.listener)
        progress.add(tasks, sizes)
        if self.client is None:
            with self.activate(), progress:
                return list(dask.persist(*tasks, scheduler=find_get()))
        return keep_graph(self.client, tasks, progress.count)

    def stream(
        self,
        function: Callable[[Any], Any],
        tasks: Iterable[Any],
        *,
        stop: Callable[[], object] | None = None,
        brief: Callable[[Any], Any] | None = None,
    ) -> Generator[Any]:
        """Yield ``function(task)`` for every task, as they end. **Eager**.

        Tasks are taken as there is room for them, so that neither they nor what they return pile
        up: what is yielded may decide what comes next.

        Parameters
        ----------
        function : callable
            What is done to each; it can be pickled where there is a cluster.
        tasks : iterable
            Asked for one after another, in the thread that asks for results.
        stop : callable, optional
            Called in this process, and on every worker, when the results are given up before their
            end, to have the tasks that run end soon.
        brief : callable, optional
            What of each result comes to this process in any case. It is yielded in a pair, beside
            the result, which stays where `hold` would leave it.

        Raises
        ------
        ClusterError
            When workers keep dying, or the cluster is gone.
        """
        if self.client is None:
            stream = stream_on_threads(self.n_threads, function, iter(tasks), stop)
        else:
            there = brief if self.is_distant else None
            stream = stream_tasks(
                self.client, function, iter(tasks), stop, there, count=lambda: self.n_threads
            )
        return stream if brief is None or self.is_distant else _add_briefs(stream, brief)

    @property
    def is_distant(self) -> bool:
        """Whether what is merged stays on the workers: their cluster is not of this process."""
        return self.client is not None and not is_started_here(self.client)

    def hold(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return ``function(*args)``, or what stands for it on a worker of a distant cluster.

        **Eager** here, **Lazy** there, where an error comes up in what needs the result. Among
        ``args``, and in lists of them, may be what this returned.
        """
        if self.client is None or not self.is_distant:
            return function(*args)
        return submit_early(self.client, function, args)

    def fetch(self, held: Any) -> Any:
        """Return in this process what `hold` returned. **Eager**; errors are those of `call`."""
        return fetch_result(held) if self.is_distant else held

    def call(self, function: Callable[..., Any], *args: Any, listens: bool = False) -> Any:
        """Return ``function(*args)``, called on a worker if `hold` left one of ``args`` there.

        **Eager**. With ``listens`` it is given a listener as well, as its last argument.

        Raises
        ------
        ClusterError
            When workers keep dying, or the cluster is gone.
        """
        if self.is_distant and any(map(is_held, args)):
            return self.run_task(function, *args, listens=listens, retries=0)
        return function(*args, *([self.listener] if listens else []))

    def run_task(
        self,
        function: Callable[..., Any],
        *args: Any,
        listens: bool = False,
        keeps: bool = False,
        retries: int = RETRIES,
    ) -> Any:
        """Return ``function(*args)``, called by a worker where there is one. **Eager**.

        Parameters and errors are those of `call`; with ``keeps`` the result stays where `hold`
        would leave it, and a worker tries ``retries`` times more when it fails.
        """
        listener = self.listener if listens else None
        if self.client is None:
            return function(*args, *([] if listener is None else [listener]))
        keeps = keeps and self.is_distant
        return run_task(self.client, function, args, listener, retries=retries, keeps=keeps)

    @property
    def n_threads(self) -> int:
        """Tasks that can run side by side, at least 1, once the cluster has all its workers."""
        if self.client is not None:
            return count_side_by_side(self.client, self.most_workers)[1]
        return 1 if self.scheduler == "synchronous" else count_cpus()

    @property
    def n_processes(self) -> int:
        """Worker processes beside this one, once the cluster has all its workers."""
        return 0 if self.client is None else count_side_by_side(self.client, self.most_workers)[0]

    @property
    def shares_memory(self) -> bool:
        """Whether tasks run in this process, each of them exactly once."""
        if self.client is not None:
            return False
        with self.activate():
            # None: what delayed values choose by themselves, which is threads.
            return get_scheduler() in (None, dask.threaded.get, dask.local.get_sync)

    def part_of(self, total: int, n_done: int) -> Executor:
        """Return an executor for one part of a stage: ``n_done`` of ``total`` units are done."""

        def forward(event: Event | Notice) -> None:
            if isinstance(event, Event):
                event = replace(event, done=n_done + event.done, total=total)
            self.listener(event)

        return replace(self, listener=forward)

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Make third parties that call ``compute`` themselves run where this executor does."""
        if self.client is not None:
            here = dask.config.set(scheduler=self.client)
            with self.client.as_current(), here, telling_lost_work():
                yield
        elif self.scheduler is not None:
            with dask.config.set(scheduler=self.scheduler), own_threads():
                yield
        else:
            with own_threads():
                yield

    def run_everywhere(self, function: Callable[[], object]) -> None:
        """Call a function once in each worker process, where there are any and they answer."""
        if self.client is not None and self.client.status == "running":
            self.client.run(function, on_error="ignore")

    def ask_hosts(self, function: Callable[[], Any]) -> dict[str, Any]:
        """Return what a function returns on a worker of every host, by the worker's address.

        Nothing where this process started the workers, which see and have what it does.
        """
        if self.client is None or is_started_here(self.client):
            return {}
        workers = self.client.scheduler_info()["workers"]
        chosen = {info["host"]: worker for worker, info in workers.items()}
        found: dict[str, Any] = self.client.run(function, workers=sorted(chosen.values()))
        return found

    def peak_rss_bytes(self) -> int:
        """Return the peak resident memory of this process and all workers together, in bytes.

        Workers that are gone, killed or not needed any more, are not in it.
        """
        total = peak_rss_bytes()
        if self.client is not None:
            # A worker that has just died must not cost a finished job its report.
            total += sum(self.client.run(peak_rss_bytes, on_error="ignore").values())
        return total


def _add_briefs(stream: Generator[Any], brief: Callable[[Any], Any]) -> Generator[Any]:
    """Yield what ``brief`` makes of each result, and the result."""
    with closing(stream):
        for result in stream:
            yield brief(result), result


class _Progress(Callback):  # type: ignore[misc]  # Dask is not annotated
    """Counts finished leaves; for local schedulers it is also the callback that hears of them."""

    def __init__(self, stage: str, total: int, unit: str, listener: Listener) -> None:
        self._sizes: dict[Hashable, int] = {}
        self._stage, self._unit, self._listener = stage, unit, listener
        self._done, self._total, self._is_begun = 0, total, False
        super().__init__(posttask=self.count)

    def begin(self, wave: Wave) -> Wave:
        """Return a wave that is handed over, having noted its leaves."""
        self.add(wave.leaves, wave.sizes, wave.n_before)
        return wave

    def add(self, leaves: Sequence[Delayed], sizes: Sequence[int], n_before: int = 0) -> None:
        """Note leaves, the units that each stands for, and those that were done before."""
        self._sizes |= zip((leaf.key for leaf in leaves), sizes, strict=True)
        self._done += n_before
        if not self._is_begun:
            self._is_begun = True
            self._tell()

    def finish(self) -> None:
        """Tell that all is done, units after the last leaf included."""
        if self._is_begun and self._done < self._total:
            self._done = self._total
            self._tell()

    def count(self, key: Hashable, *_: Any) -> None:
        """Report ``key`` if it is a leaf."""
        size = self._sizes.pop(key, None)
        if size is not None:
            self._done += size
            self._tell()

    def _tell(self) -> None:
        """Tell the listener how far it is."""
        self._listener(Event(self._stage, self._done, self._total, self._unit))
