"""The command as a worker starts it: it ends when the worker is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from dask_quant.faces.cli import cli
from dask_quant.process import claim_process

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOK_S = 0.5
"""Seconds between two looks at who started this process (arbitrary)."""


def main(parent: int, *, is_again: bool) -> None:
    """Run the command line on behalf of the worker of a process id.

    ``is_again`` where another one had begun it.
    """
    claim_process()
    if is_again:
        sys.argv[1:] = go_on(sys.argv[1:])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    cli(prog_name="dask-quant")


def go_on(arguments: Sequence[str]) -> list[str]:
    """Return the arguments by which a command goes on that another driver had begun.

    A folder of outputs is gone on with. One file comes at the end of the job, or of its parts where
    ``--resume`` was given already: so it is made as it was asked for.

    Examples
    --------
    >>> go_on(["palette", "in", "-o", "a.gpl", "--overwrite"])
    ['palette', 'in', '-o', 'a.gpl', '--overwrite']
    """
    name, *given = arguments
    options = cli.commands[name].make_context(name, list(given)).params
    out = options.get("out")
    is_folder = isinstance(out, str) or (
        out is not None and out.is_dir() and out.suffix.lower() != ".zarr"
    )
    if options.get("resume", True) or options.get("model") or not is_folder:
        return [*arguments]
    return [name, "--resume", *(each for each in given if each != "--overwrite")]


def _end_with(parent: int) -> None:
    """End this process, as SIGTERM does, once the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
