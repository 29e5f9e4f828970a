"""Have a scheduler say how many tasks it held at most: loaded into it by Dask's own preloading.

    DASK_DISTRIBUTED__SCHEDULER__PRELOAD=count_tasks.py DASK_QUANT_TASKS_FILE=tasks.json ...

The file then holds the largest number of tasks at any moment, and how many there were in all.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

TASKS_FILE = "DASK_QUANT_TASKS_FILE"
"""Variable of the environment that names the file."""


class TaskCounter(SchedulerPlugin):
    """Looks at the number of tasks whenever one of them changes."""

    def __init__(self, scheduler: Scheduler, path: Path) -> None:
        self._scheduler = scheduler
        self._path = path
        self._most = self._total = 0

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Count a task that is new, and all that there are."""
        self._total += start == "released" and finish == "waiting"
        self._most = max(self._most, len(self._scheduler.tasks))

    async def before_close(self) -> None:
        """Write what was counted."""
        self._path.write_text(json.dumps({"most": self._most, "total": self._total}))


def dask_setup(scheduler: Scheduler) -> None:
    """Begin to count; called by the scheduler that loads this."""
    scheduler.add_plugin(TaskCounter(scheduler, Path(os.environ[TASKS_FILE])))
