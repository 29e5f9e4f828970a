"""The command as a worker starts it: it ends when the worker is gone."""

from __future__ import annotations

import os
import signal
import threading
import time

from dask_quant.faces.cli import cli
from dask_quant.process import claim_process

_LOOK_S = 0.5
"""Seconds between two looks at who started this process (arbitrary)."""


def main() -> None:
    """Run the command line on behalf of a worker."""
    claim_process()
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    cli(prog_name="dask-quant")


def _end_with(parent: int) -> None:
    """End this process, as SIGTERM does, once the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
