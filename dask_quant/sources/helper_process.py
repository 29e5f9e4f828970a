"""Processes that read files on behalf of this one, and that a file may take down with them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from dask_quant.errors import DecoderError, SourceError
from dask_quant.options import format_bytes
from dask_quant.process import forget_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAIN = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from {module} import serve; serve(int(sys.argv[2]))"
)
"""What the process runs: what this one would find, and no main module of the user's."""

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
"""Signals that come from elsewhere, and say nothing about the file until they come again."""


class HelperProcess:
    """A process that serves this one through a socket; it comes up while this one goes on.

    **Eager**.

    Parameters
    ----------
    module : str
        Module whose ``serve`` it runs, with the descriptor of its end of the socket.

    Raises
    ------
    SourceError
        When no process can be started.
    """

    def __init__(self, module: str) -> None:
        self.pipe, inner = socket.socketpair()
        main = _MAIN.format(module=module)
        code = [sys.executable, "-c", main, json.dumps(sys.path), str(inner.fileno())]
        try:
            with inner:
                self.process = subprocess.Popen(
                    code,
                    pass_fds=[inner.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # what a library says as it dies is no line of ours
                    start_new_session=True,  # Ctrl-C is for the process that asks
                )
        except OSError as error:
            self.pipe.close()
            message = f"Cannot start a process that decodes: {error.strerror}."
            raise SourceError(message) from error

    def explain_death(self, name: str, told: Mapping[str, float]) -> DecoderError:
        """Return the error for the file ``name``, of which the process died.

        ``told`` are the limits that held, in ``seconds``.
        """
        self.pipe.close()
        code = self.process.wait()
        if code == -signal.SIGALRM:
            how = f"decoding it took more than {told['seconds']:.3g} s"
        elif code < 0:
            how = f"its decoder crashed ({_name_signal(-code)})"
        else:
            how = f"its decoder ended (exit code {code})"
        error = DecoderError(f"Cannot read {name}: {how}; the file is damaged or made to do harm.")
        error.from_outside = -code in _FROM_OUTSIDE
        return error

    def close(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()
        forget_helper(self.process.pid)


def explain_memory(name: str, n_bytes: int) -> DecoderError:
    """Return the error for a file that takes more than ``n_bytes`` of memory to decode."""
    message = (
        f"Cannot read {name}: decoding it takes more than {format_bytes(n_bytes)} of memory; the "
        "file is damaged or made to do harm."
    )
    return DecoderError(message)


def _name_signal(number: int) -> str:
    """Return the name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:  # one of real time
        return f"signal {number}"
