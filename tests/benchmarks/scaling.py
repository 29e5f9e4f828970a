"""How time falls with workers: measured on one and two, and a model of many: a command.

    python tests/benchmarks/scaling.py efficiency --data PHOTOGRAPHS/ --work FOLDER
    python tests/benchmarks/scaling.py model --data PHOTOGRAPHS/ --work FOLDER
    python tests/benchmarks/scaling.py check

``efficiency`` turns a store of photographs into labels on a cluster of one worker and on one of
two, in turn, each worker being a process on a core of its own; scheduler and driver run beside
them, on the same cores. Efficiency is the time of one over twice the time of two in the same round,
for the speed of a machine that others use as well changes; the median of the rounds is what counts.
What two workers lose to memory and caches that they share no cluster can win back: so two jobs of
one worker each, on two clusters that know nothing of one another, run at the same time as well.
Clusters that have nothing to do are stopped meanwhile: idle, they take a tenth of two cores.

``model`` measures what `scaling_model` is made of, and says what follows for a terapixel. ``check``
has the engine itself pass over images of blocks that only wait, with as many tasks at a time as
larger clusters run, and compares the seconds with those that the model says from what the driver,
the scheduler and workers took for blocks that did not wait, all on the cores of this machine. The
exit code is 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from cli_job import print_rows
from dask.delayed import delayed
from distributed import Client
from machine import describe_machine
from mosaic import make_store
from scaling_model import StageCosts
from small_cluster import count_received_bytes, start_cluster, sum_cpu_seconds
from waiting_blocks import make_waiting_image

import dask_quant as dq
from dask_quant.array_flow import count_image, run_on_blocks
from dask_quant.chunking import TARGET_PIXELS
from dask_quant.execute import Executor
from dask_quant.histogram import BYTES_PER_COLOR, ColorHistogram
from dask_quant.options import ClusterOptions
from dask_quant.sources.discover import discover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from small_cluster import SmallCluster

STAGES = ("count", "relabel")
"""Stages that are spread over workers."""

MIN_EFFICIENCY = 0.85
"""Of two workers."""

MAX_MODEL_RATIO = 1.3
"""What is measured over what the model says, at most, or the other way round."""

TERAPIXEL = 10**12

WORKERS = (1, 10, 100, 1000)
"""Numbers of workers that the model is asked for."""

BLOCK_PIXELS = (TARGET_PIXELS, 4 * TARGET_PIXELS)
"""Pixels of a task that the model is asked for: what is chosen unasked, and ``--chunks 8192``."""

NETWORK_BYTES_PER_S = 1.25e9
"""What a line between two machines carries: 10 gigabit a second (assumed, not measured)."""

PROGRAMS = ("Python", "NumPy", "Numba", "dask", "distributed", "dask_quant")
"""What the results depend on."""


@dataclass(frozen=True)
class Measured:
    """A job on a cluster."""

    seconds: dict[str, float]
    """Wall seconds of each stage."""
    received_bytes: int
    """Bytes that workers received from one another."""


def run_job(address: str, store: Path, out: Path) -> Measured:
    """Relabel a store on a cluster."""
    shutil.rmtree(out, ignore_errors=True)
    options = ClusterOptions(scheduler=address)
    with Client(address, set_as_default=False) as client:
        received = count_received_bytes(client)
        report = dq.quantize(store, out, n_colors=64, effort="fast", cluster=options)
        received = count_received_bytes(client) - received
    return Measured(report.seconds, received)


def run_jobs(
    drivers: Sequence[ProcessPoolExecutor], clusters: Sequence[SmallCluster], store: Path, out: Path
) -> list[Measured]:
    """Relabel a store on each of some clusters at the same time, by a driver of its own."""
    jobs = [
        driver.submit(run_job, each.address, store, out.with_name(f"{number}-{out.name}"))
        for number, (driver, each) in enumerate(zip(drivers, clusters, strict=False))
    ]
    return [job.result() for job in jobs]


@dataclass(frozen=True)
class EfficiencyRow:
    """A stage on one worker and on two."""

    stage: str
    """The stage."""
    round: str
    """The number of the round, or "median": that of each column."""
    one_s: float
    """Seconds on one worker."""
    two_s: float
    """Seconds on two."""
    efficiency: float
    """The former over twice the latter."""
    apart_s: float
    """Seconds on one worker while another job runs on one of another cluster."""
    apart: float
    """Efficiency of the two that share nothing but the machine: ``one_s`` over ``apart_s``."""

    @property
    def met(self) -> bool:
        """Whether the aim was met, which is for the median."""
        return self.efficiency >= MIN_EFFICIENCY or self.round != "median"


def measure_efficiency(store: Path, work: Path, repeats: int) -> list[EfficiencyRow]:
    """Return the rows of each stage."""
    rounds: list[dict[str, dict[str, float]]] = []
    with (
        start_cluster(work / "one", 1) as one,
        start_cluster(work / "other", 1, first_core=1) as other,
        start_cluster(work / "two", 2) as two,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as driver,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other_driver,
    ):
        shapes = {"one": [one], "two": [two], "apart": [one, other]}
        for _ in range(repeats + 1):
            rounds.append({})
            for name, clusters in shapes.items():
                with ExitStack() as stack:
                    for each in {one, other, two}.difference(clusters):
                        stack.enter_context(each.standing_still())
                    jobs = run_jobs([driver, other_driver], clusters, store, work / "out.zarr")
                rounds[-1][name] = {s: fmean(each.seconds[s] for each in jobs) for s in STAGES}
    # The first of each compiles, or loads what was compiled.
    return [row for stage in STAGES for row in compare_rounds(stage, rounds[1:])]


def compare_rounds(
    stage: str, rounds: Sequence[dict[str, dict[str, float]]]
) -> list[EfficiencyRow]:
    """Return a row for each round of a stage, and one of their medians."""
    rows = []
    for number, seconds in enumerate(rounds, start=1):
        one_s, two_s, apart_s = (seconds[name][stage] for name in ("one", "two", "apart"))
        found = (one_s, two_s, one_s / 2 / two_s, apart_s, one_s / apart_s)
        rows.append(EfficiencyRow(stage, str(number), *found))
    medians = np.median([astuple(row)[2:] for row in rows], axis=0).tolist()
    return [*rows, EfficiencyRow(stage, "median", *medians)]


# --- What blocks cost apart from what is done to them.


@dataclass(frozen=True)
class BlockCosts:
    """What a pass over blocks took."""

    driver_s: float
    """Processor seconds of the driver for each block."""
    scheduler_s: float
    """Processor seconds of the scheduler for each block."""
    worker_s: float
    """Processor seconds of workers for each block."""
    wall_s: float
    """Wall seconds of all."""

    @property
    def machine_s(self) -> float:
        """Seconds of this machine for each block, where its cores have to do all of that."""
        return (self.driver_s + self.scheduler_s + self.worker_s) / (os.cpu_count() or 1)


def time_blocks(
    cluster: SmallCluster, client: Client, stage: str, n_blocks: int, seconds: float
) -> BlockCosts:
    """Have the engine pass over an image of blocks that wait."""
    image, executor = make_waiting_image(n_blocks, seconds), Executor(client)
    groups = (psutil.Process(),), (cluster.scheduler,), cluster.workers
    begin, before = time.perf_counter(), [sum_cpu_seconds(*group) for group in groups]
    if stage == "count":
        assert count_image(image, executor).n_pixels == n_blocks
    else:
        task = delayed(np.size, pure=False)
        run_on_blocks(image, executor, lambda block, at: task(block))
    wall_s, after = time.perf_counter() - begin, [sum_cpu_seconds(*group) for group in groups]
    return BlockCosts(*((b - a) / n_blocks for a, b in zip(before, after, strict=True)), wall_s)


def start_threads(work: Path, n_workers: int) -> AbstractContextManager[SmallCluster]:
    """Start a cluster that has a thread in the place of each worker, in two processes.

    Each has as many tasks ahead as a worker of one thread.
    """
    n_threads = max(1, n_workers // 2)
    return start_cluster(work, 2, n_threads=n_threads, is_pinned=False, saturation=2.0)


def measure_blocks(work: Path, n_blocks: int) -> dict[str, BlockCosts]:
    """Return what blocks cost that do not wait, for each stage."""
    with (
        start_threads(work / "blocks", 100) as cluster,
        cluster.connect() as client,
        client.as_current(),
    ):
        for stage in STAGES:
            time_blocks(cluster, client, stage, 100, 0.0)  # the first imports
        return {stage: time_blocks(cluster, client, stage, n_blocks, 0.0) for stage in STAGES}


@dataclass(frozen=True)
class CheckRow:
    """Blocks that wait, on as many threads."""

    stage: str
    """The stage."""
    workers: int
    """Tasks at a time."""
    blocks: int
    """Blocks of the image."""
    block_s: float
    """Seconds that each waits."""
    predicted_s: float
    """Seconds that the model says."""
    measured_s: float
    """Seconds that it took."""
    ratio: float
    """The latter over the former."""

    @property
    def met(self) -> bool:
        """Whether the model is right within its bounds."""
        return 1 / MAX_MODEL_RATIO <= self.ratio <= MAX_MODEL_RATIO


def check_model(
    work: Path, costs: dict[str, BlockCosts], shapes: Sequence[tuple[int, int, float]]
) -> list[CheckRow]:
    """Return a row for each stage and each number of workers, blocks for each, and seconds."""
    rows = []
    for n_workers, n_each, seconds in shapes:
        n_blocks = n_workers * n_each
        with (
            start_threads(work / "check", n_workers) as cluster,
            cluster.connect() as client,
            client.as_current(),
        ):
            for stage in STAGES:
                time_blocks(cluster, client, stage, 100, 0.0)  # the first imports
                # Scheduler, driver and workers have the same cores here.
                slowest = max(costs[stage].scheduler_s, costs[stage].machine_s)
                model = StageCosts(seconds, costs[stage].driver_s, slowest)
                predicted = model.predict(n_blocks, n_workers, block_pixels=1)
                measured = time_blocks(cluster, client, stage, n_blocks, seconds).wall_s
                shape = (stage, n_workers, n_blocks, seconds)
                rows.append(CheckRow(*shape, predicted, measured, measured / predicted))
    return rows


# --- What a job costs, and what that says of larger ones.


def time_merge(store: Path) -> float:
    """Return the seconds of sending all colours of an image, and of merging them with as many."""
    counts = dq.count_colors(store)
    begin = time.perf_counter()
    ColorHistogram.merge_all([counts, pickle.loads(pickle.dumps(counts))])
    return time.perf_counter() - begin + len(counts) * BYTES_PER_COLOR / NETWORK_BYTES_PER_S


def count_stored_bytes(store: Path) -> int:
    """Return the bytes of all files of a store."""
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def measure_costs(
    store: Path, work: Path, n_pixels: float, blocks: dict[str, BlockCosts]
) -> tuple[dict[str, StageCosts], float]:
    """Return the costs of each stage, and the seconds of the fit."""
    out, measured = work / "out.zarr", {}
    for n_workers in (1, 2):
        with start_cluster(work / str(n_workers), n_workers) as cluster:
            run_job(cluster.address, store, out)  # the first compiles, or loads what was compiled
            measured[n_workers] = run_job(cluster.address, store, out)
    n_read, n_written = count_stored_bytes(store), count_stored_bytes(out)
    seconds = measured[1].seconds
    count = StageCosts(
        pixel_s=seconds["count"] / n_pixels,
        driver_s=blocks["count"].driver_s,
        scheduler_s=blocks["count"].scheduler_s,
        merge_s=time_merge(store),
        stored_bytes=n_read / n_pixels,
        moved_bytes=measured[2].received_bytes / n_pixels,
    )
    relabel = StageCosts(
        pixel_s=seconds["relabel"] / n_pixels,
        driver_s=blocks["relabel"].driver_s,
        scheduler_s=blocks["relabel"].scheduler_s,
        stored_bytes=(n_read + n_written) / n_pixels,
    )
    return {"count": count, "relabel": relabel}, seconds["fit"]


@dataclass(frozen=True)
class ModelRow:
    """What the model says of a terapixel on a cluster."""

    workers: int
    """Workers of one core."""
    block_megapixels: float
    """Pixels of a task."""
    stage: str
    """The stage."""
    predicted_s: float
    """Seconds."""
    efficiency: float
    """Time of one worker over that of all, times their number."""
    storage_mb_s: float
    """Megabytes a second that storage has to give or take."""
    network_mb_s: float
    """Megabytes a second between workers."""

    @property
    def met(self) -> bool:
        """No aim was set."""
        return True


def tell_model(costs: dict[str, StageCosts]) -> list[ModelRow]:
    """Return what the model says of a terapixel."""
    rows = []
    for n_workers, block_pixels in product(WORKERS, BLOCK_PIXELS):
        for stage, each in costs.items():
            seconds = each.predict(TERAPIXEL, n_workers, block_pixels)
            megapixels_per_s = TERAPIXEL / seconds / 1e6
            row = ModelRow(
                *(n_workers, block_pixels / 1e6, stage, seconds),
                efficiency=TERAPIXEL * each.pixel_s / n_workers / seconds,
                storage_mb_s=each.stored_bytes * megapixels_per_s,
                network_mb_s=each.moved_bytes * megapixels_per_s,
            )
            rows.append(row)
    return rows


def print_costs(costs: dict[str, StageCosts], fit_s: float) -> None:
    """Print what the model is made of."""
    for stage, each in costs.items():
        print(
            f"{stage}: {each.pixel_s * 1e9:.1f} ns a pixel on a worker; for a block "
            f"{each.driver_s * 1e3:.2f} ms of the driver, {each.scheduler_s * 1e3:.2f} ms of the "
            f"scheduler; {each.merge_s:.3f} s for a merge of all colours; "
            f"{each.stored_bytes:.2f} stored and {each.moved_bytes:.3f} moved bytes a pixel"
        )
    print(f"fit: {fit_s:.1f} s\n")


# --- The command.


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("efficiency", "model", "check"))
    parser.add_argument("--data", nargs="+", default=[], help="folders of photographs")
    parser.add_argument("--work", type=Path, help="folder of stores, which are kept")
    parser.add_argument("--megapixels", type=float, default=400.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=2000, help="blocks that do not wait")
    parser.add_argument(
        "--shapes",
        type=parse_shape,
        nargs="+",
        default=[(10, 10, 1.0), (100, 20, 1.0), (1000, 4, 4.0)],
        help="workers, blocks for each, and seconds of a block, such as 100x20x1",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.command != "check" and not (options.data and options.work):
        parser.error("give --data and --work")
    return options


def parse_shape(text: str) -> tuple[int, int, float]:
    """Return workers, blocks for each, and seconds of a block."""
    workers, blocks, seconds = text.split("x")
    return int(workers), int(blocks), float(seconds)


def find_store(options: argparse.Namespace) -> Path:
    """Return a store of photographs, made now unless it is there."""
    options.work.mkdir(parents=True, exist_ok=True)
    photographs = sorted(Path(entry.path) for entry in discover(options.data).inputs)
    return make_store(options.work, options.megapixels / 1000, photographs, layout="persist")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure."""
    options = parse_arguments(arguments)
    rows: Sequence[Any]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaling-")))
        if options.command == "check":
            rows = check_model(scratch, measure_blocks(scratch, options.blocks), options.shapes)
        elif options.command == "efficiency":
            rows = measure_efficiency(find_store(options), scratch, options.repeats)
        else:
            blocks, n_pixels = measure_blocks(scratch, options.blocks), options.megapixels * 1e6
            costs, fit_s = measure_costs(find_store(options), scratch, n_pixels, blocks)
            rows = tell_model(costs)
            if not options.json:
                print_costs(costs, fit_s)
    if not options.json:
        print(describe_machine(*PROGRAMS), end="\n\n")
    return print_rows(rows, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
