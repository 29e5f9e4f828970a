"""What a job on a large image should take on a cluster: a model of few measured numbers.

A stage is done in waves of tasks, one wave after the other; each task handles a block of pixels and
costs the scheduler and the driver time of theirs. Of a wave, the seconds are

    prepare + max(rounds x block, tasks x scheduler) + tail

where ``prepare`` is the driver's time to build and send it, ``rounds`` how many blocks each worker
has to do, and ``tail`` what remains when the last block is done: the merges on the way to the root
of the tree, or nothing for relabelling. The fit, on one worker, comes once.

What is left out: disks and networks that give less than the workers ask for, which the bytes that
each pixel takes say enough about to see; workers that are slower than others; and the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dask_quant.chunking import TARGET_PIXELS
from dask_quant.execute import MAX_TASKS_PER_GRAPH


@dataclass(frozen=True)
class StageCosts:
    """What a stage costs, measured."""

    pixel_s: float
    """Seconds that a worker of one core needs for a pixel: read, decoded, counted, or labelled,
    encoded and written; its share of merges included."""
    prepare_s: float = 0.0
    """Seconds of the driver for a block, before its wave begins."""
    schedule_s: float = 0.0
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
        block_s = self.pixel_s * n_pixels / n_blocks
        seconds = 0.0
        for begin in range(0, n_blocks, MAX_TASKS_PER_GRAPH):
            n = min(MAX_TASKS_PER_GRAPH, n_blocks - begin)
            rounds = math.ceil(n / n_workers)
            tail = self.merge_s * math.log2(max(1, min(n, n_workers)))
            seconds += n * self.prepare_s + max(rounds * block_s, n * self.schedule_s) + tail
        return seconds
