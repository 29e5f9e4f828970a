"""What a job on a large image should take on a cluster: a model of few measured numbers.

A stage is done in waves of tasks, of which a cluster has two at a time; each task handles a block
of pixels, and costs the scheduler and the driver time of theirs. The seconds of a stage are

    first + max(begin + rounds x block, blocks x scheduler, further x driver) + tail

where ``first`` is the driver's time to build and send the first wave (the ``further`` blocks it
sends while workers have some), ``begin`` the scheduler's to hand each worker its first block,
``rounds`` how many blocks each worker has to do, and ``tail`` what remains when the last block is
done: the merges on the way to the root of the tree, or nothing for relabelling. The fit, on one
worker, comes once.

What is left out: disks and networks that give less than the workers ask for, which the bytes that
each pixel takes say enough about to see; workers that are slower than others; and the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dask_quant.chunking import TARGET_PIXELS
from dask_quant.execute import MAX_TASKS_PER_GRAPH
from dask_quant.waves import WAVES_AHEAD


@dataclass(frozen=True)
class StageCosts:
    """What a stage costs, measured."""

    pixel_s: float
    """Seconds that a worker of one core needs for a pixel: read, decoded, counted, or labelled,
    encoded and written; its share of merges included."""
    driver_s: float = 0.0
    """Seconds of the driver to build and send a block's tasks."""
    scheduler_s: float = 0.0
    """Seconds of the scheduler for all tasks of a block."""
    merge_s: float = 0.0
    """Seconds of a merge at the end of a tree, where each has all colours; 0 without a tree."""
    stored_bytes: float = 0.0
    """Bytes of storage for a pixel, read or written."""
    moved_bytes: float = 0.0
    """Bytes between workers for a pixel."""

    def predict(self, n_pixels: float, n_workers: int, block_pixels: int = TARGET_PIXELS) -> float:
        """Return the seconds of the stage."""
        n_blocks = math.ceil(n_pixels / block_pixels)
        n_busy = min(n_blocks, n_workers)
        wave = min(n_blocks, MAX_TASKS_PER_GRAPH // WAVES_AHEAD)
        block_s = self.pixel_s * n_pixels / n_blocks
        workers_s = n_busy * self.scheduler_s + math.ceil(n_blocks / n_workers) * block_s
        others_s = max(n_blocks * self.scheduler_s, (n_blocks - wave) * self.driver_s)
        tail_s = self.merge_s * math.log2(max(1, n_busy))
        return wave * self.driver_s + max(workers_s, others_s) + tail_s
