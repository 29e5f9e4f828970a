"""Having a worker drive the job of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask_quant as dq
from dask_quant.errors import OptionError
from dask_quant.faces import terminal
from dask_quant.faces.cli_options import scheduler_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PLACES = ("--scheduler", "--scheduler-file", "--tls-ca-file", "--tls-cert", "--tls-key")
"""Options that say where the scheduler is, as it is seen from here."""

_FLAGS = ("--detach", "--upload-code")
"""Options that are done with once the job is handed over."""


def detach(name: str, given: Sequence[str], params: Mapping[str, Any]) -> None:
    """Hand the command ``name`` over to the workers, and show what the job is called."""
    with terminal.run_command(name, quiet=params["quiet"], as_json=params["as_json"]) as screen:
        options = scheduler_options(params)
        if options.scheduler is None and options.scheduler_file is None:
            message = (
                "Got --detach without --scheduler or --scheduler-file; a job that is left needs a "
                "cluster that stays."
            )
            raise OptionError(message)
        if "-" in params.get("sources", ()):
            message = "Got --detach with standard input, which workers do not have; name a file."
            raise OptionError(message)
        if params.get("dry_run") or params.get("out") is None:
            message = (
                f"Got --detach with a job that only prints ({name}), where nobody reads it; give "
                "it a file to write, or leave --detach out."
            )
            raise OptionError(message)
        screen.show_submitted(
            dq.submit_job(options, name, [name, *strip_places(given)], listener=screen.listen)
        )


def strip_places(given: Sequence[str]) -> Iterator[str]:
    """Yield arguments but for those that say where the scheduler is.

    Examples
    --------
    >>> list(strip_places(["a.png", "--scheduler", "tcp://b:1", "--tls-key=c", "-k", "3"]))
    ['a.png', '-k', '3']
    """
    arguments = iter(given)
    for each in arguments:
        if each in _PLACES:
            next(arguments, None)
        elif each.partition("=")[0] not in (*_PLACES, *_FLAGS):
            yield each
