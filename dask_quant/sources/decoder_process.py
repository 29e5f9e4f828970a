"""What runs in a process that decodes for another one, which a decoder may take down.

It is asked through a socket, in JSON, and answers in JSON: errors and warnings by name and words,
pixels in memory that both see, whose file descriptor goes with the answer. Nothing that it says is
run. The kernel ends it when it takes too long, by an alarm that no decoder can hold up, so that it
never outlives its task by more than that, whatever becomes of who asked.
"""

from __future__ import annotations

import array
import json
import os
import resource
import signal
import socket
import struct
import sys
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import AlphaRule
from dask_quant.errors import DaskQuantError
from dask_quant.process import claim_process, peak_rss_bytes
from dask_quant.sources.decode_limits import DecodeLimits, limit_decoding
from dask_quant.sources.reading import read_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")


def send(pipe: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> None:
    """Send a message, and a file descriptor that the other side gets a copy of."""
    data = json.dumps(message).encode()
    head = _LENGTH.pack(len(data))
    if descriptor is None:
        pipe.sendall(head)
    else:
        rights = array.array("i", [descriptor])
        pipe.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    pipe.sendall(data)


def receive(pipe: socket.socket) -> tuple[dict[str, Any], int | None] | None:
    """Return the next message, and the file descriptor that came with it; None at the end."""
    head, descriptors, _, _ = socket.recv_fds(pipe, _LENGTH.size, 1)
    data = b""
    if len(head) == _LENGTH.size:
        data = _receive_bytes(pipe, _LENGTH.unpack(head)[0])
    if not data:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    return json.loads(data), descriptors[0] if descriptors else None


def _receive_bytes(pipe: socket.socket, n_bytes: int) -> bytes:
    """Return as many bytes, or none where the other side is gone."""
    parts = []
    while n_bytes:
        part = pipe.recv(min(n_bytes, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def serve(descriptor: int) -> None:
    """Answer what comes through a socket until it is closed at the other end."""
    claim_process()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with socket.socket(fileno=descriptor) as pipe:
        while (request := receive(pipe)) is not None:
            _answer(pipe, request[0])


def _answer(pipe: socket.socket, request: dict[str, Any]) -> None:
    """Decode what is asked for and send its pixels, or say why not."""
    pixels: NDArray[Any] | None = None
    reply: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            pixels = _decode(pipe, request)
        except DaskQuantError as error:
            is_memory = isinstance(error.__cause__, MemoryError)
            reply = {"error": "memory" if is_memory else type(error).__name__, "said": str(error)}
        except MemoryError:
            reply = {"error": "memory", "said": ""}
    reply["warned"] = [(each.category.__name__, str(each.message)) for each in caught]
    reply["peak"] = peak_rss_bytes()
    if pixels is None:
        send(pipe, reply)
        return
    descriptor = _share(pixels)
    try:
        send(pipe, reply | {"shape": pixels.shape}, descriptor)
    finally:
        os.close(descriptor)


def _decode(pipe: socket.socket, request: dict[str, Any]) -> NDArray[Any]:
    """Return the pixels that are asked for, within limits that are told before."""
    path = os.fsdecode(bytes.fromhex(request["path"]))
    kind, matte = request["alpha"]
    limits = DecodeLimits(request["bytes"], request["seconds"])

    def tell(seconds: float, n_bytes: int) -> None:
        send(pipe, {"seconds": seconds, "bytes": n_bytes})

    with limit_decoding(path, limits, tell):
        return read_pixels(path, frame=request["frame"], alpha=AlphaRule(kind, tuple(matte)))


def _share(pixels: NDArray[Any]) -> int:
    """Return the descriptor of memory that holds the pixels, which is gone with its last user."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("dask-quant-pixels")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    left = pixels.data.cast("B")
    while left:
        left = left[os.write(descriptor, left) :]
    return descriptor
