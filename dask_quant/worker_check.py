"""Whether workers have the software that a job needs, which is asked before it begins."""

from __future__ import annotations

import importlib
import io
import sys
import tempfile
import warnings
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant import __version__
from dask_quant.errors import ClusterError, WorkerVersionWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distributed import Client

PACKAGES = ("dask", "distributed", "numba", "numpy", "pillow", "zarr")
"""Distributions that a worker needs beside dask_quant."""

_UPLOAD_NAME = "dask_quant.zip"
"""Name of the archive that is sent to workers."""

_UPLOAD_SUFFIXES = (".py", ".typed", ".html", ".css", ".js")
"""Files of dask_quant that are sent: modules, and what pages are made of."""


def check_software(client: Client) -> None:
    """Raise `ClusterError` unless scheduler and workers that are there have dask_quant. **Eager**.

    A scheduler needs it, for it reads the graphs that it is sent.

    Parameters
    ----------
    client : Client
        Of a cluster that has workers.

    Raises
    ------
    ClusterError
        When one of them has no dask_quant, another version of it or of Python (code that is sent
        does not run there), or lacks a package.

    Warns
    -----
    WorkerVersionWarning
        When a worker has another version of a package.
    """
    here, found = _make_report()(), sorted(_ask(client).items())
    for who, there in [*_ask_scheduler(client), *found]:
        message = _find_fault(who, here, there)
        if message is not None:
            raise ClusterError(message)
    words = (_tell_others(who, here, there) for who, there in found)
    first = next((each for each in words if each is not None), None)
    if first is not None:
        warnings.warn(first, WorkerVersionWarning, stacklevel=2)


def upload_code(client: Client) -> bool:
    """Send this dask_quant to scheduler and workers, those that come later too. **Eager**.

    Unless all have one. Returns whether it was sent. Packages that dask_quant needs are not sent.
    """
    found = [*_ask_scheduler(client), *_ask(client).items()]
    if all(there["dask_quant"] is not None for _, there in found):
        return False
    with tempfile.TemporaryDirectory(prefix="dask-quant-") as folder:
        path = Path(folder) / _UPLOAD_NAME
        path.write_bytes(_pack_code())
        client.upload_file(str(path))
    return True


def _pack_code() -> bytes:
    """Return this dask_quant as a zip archive, of the same bytes each time."""
    package = Path(__file__).parent
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(package.rglob("*")):
            if path.suffix in _UPLOAD_SUFFIXES:
                name = path.relative_to(package.parent).as_posix()
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _ask(client: Client) -> dict[str, dict[str, str | None]]:
    """Return what each worker has."""
    found: dict[str, Any] = client.run(_make_report())
    return {f"worker {worker}": there for worker, there in found.items()}


def _ask_scheduler(client: Client) -> list[tuple[str, dict[str, str | None]]]:
    """Return what the scheduler has, by what it is called; nothing where it runs no code."""
    try:
        return [(f"scheduler {client.scheduler.address}", client.run_on_scheduler(_make_report()))]
    except ValueError:  # distributed.scheduler.pickle is off
        return []


def _make_report() -> Callable[[], dict[str, str | None]]:
    """Return what tells versions where it is called: Python, packages and dask_quant."""
    packages = PACKAGES

    def report() -> dict[str, str | None]:
        # Nested, so that it travels by value to workers that lack dask_quant.
        found: dict[str, str | None] = {"python": "{}.{}".format(*sys.version_info)}
        for name in packages:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = None
        try:
            found["dask_quant"] = importlib.import_module("dask_quant").__version__
        except (ImportError, AttributeError):  # a folder that pip left behind has no version
            found["dask_quant"] = None
        return found

    return report


def _find_fault(
    who: str, here: Mapping[str, str | None], there: Mapping[str, str | None]
) -> str | None:
    """Return why a process of a cluster cannot do with dask_quant, None where it can."""
    if there["python"] != here["python"]:
        return (
            f"The {who} has Python {there['python']}, this process has {here['python']}, "
            "whose code does not run there; use the same on both."
        )
    missing = [name for name in PACKAGES if there[name] is None]
    if missing:
        wanted = " ".join(f"{name}=={here[name]}" for name in missing)
        return (
            f"The {who} lacks {', '.join(missing)}; install {wanted} there "
            "(--upload-code sends dask_quant alone)."
        )
    if there["dask_quant"] is None:
        return (
            f"The {who} has no dask_quant; install dask-quant {__version__} there, or "
            "send it along with --upload-code."
        )
    if there["dask_quant"] != __version__:
        return (
            f"The {who} has dask_quant {there['dask_quant']}, this process has "
            f"{__version__}; install dask-quant {__version__} on scheduler and workers."
        )
    return None


def _tell_others(
    who: str, here: Mapping[str, str | None], there: Mapping[str, str | None]
) -> str | None:
    """Return which versions of packages of a worker are others, None where none are."""
    others = [name for name in PACKAGES if there[name] != here[name]]
    if not others:
        return None
    told, own = (", ".join(f"{name} {each[name]}" for name in others) for each in (there, here))
    return (
        f"The {who} has {told}, this process has {own}; only with the same versions are "
        "the same bytes certain."
    )
