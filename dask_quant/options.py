"""Frozen option sets, validated once, at the door."""

from __future__ import annotations

import math
import operator
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_COLORS = 65_536
"""Largest palette: labels are at most 16-bit."""

MAX_SEED = 2**63 - 1
"""Largest seed: it is hashed as a 64-bit integer and stored in JSON."""

_SIZE_UNITS = ("kB", "MB", "GB", "TB")

_MEMORY_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_MEMORY_UNITS |= {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("kmgt", start=1)}


URL_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
"""How an address begins, as a regular expression."""


def parse_bytes(text: str) -> int:
    """Return the number of bytes that ``text`` names.

    Parameters
    ----------
    text : str
        A number with an optional decimal (``kB MB GB TB``) or binary (``KiB MiB GiB TiB``) unit.

    Returns
    -------
    int
        Bytes, at least 1.

    Raises
    ------
    OptionError
        When ``text`` is not a positive size.

    Examples
    --------
    >>> parse_bytes("1.5GB"), parse_bytes("512 MiB"), parse_bytes("800")
    (1500000000, 536870912, 800)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", text.lower())
    size = int(float(match[1]) * _MEMORY_UNITS[match[2] or ""]) if match else 0
    if size < 1:
        message = f"Got the memory size {text!r}; write a positive size like 1.5GB or 800MiB."
        raise OptionError(message)
    return size


def format_bytes(n_bytes: int) -> str:
    """Return a size for people, in decimal units.

    Examples
    --------
    >>> format_bytes(999), format_bytes(1_500_000), format_bytes(3_100_000_000)
    ('999 B', '1.5 MB', '3.1 GB')
    """
    if n_bytes < 1000:
        return f"{n_bytes} B"
    power = min(int(math.log10(n_bytes) / 3), len(_SIZE_UNITS))
    return f"{n_bytes / 1000**power:.1f} {_SIZE_UNITS[power - 1]}"


def require(condition: bool, message: str) -> None:
    """Raise an `OptionError` with ``message`` unless ``condition`` holds."""
    if not condition:
        # What was got may be an array, which shows itself in several lines.
        raise OptionError(" ".join(line.strip() for line in message.splitlines()))


def parse_names(
    text: str, known: tuple[str, ...], check: Callable[[str], object]
) -> tuple[str, ...]:
    """Return the names in a text, separated by commas, each once, or ``all`` that are known.

    ``check`` raises `OptionError` for a name that is not.
    """
    if text.strip() == "all":
        return known
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        check(name)
    return names


def set_integers(options: object, *names: str, optional: bool = True) -> None:
    """Make fields plain integers, or None where that is ``optional``; else raise `OptionError`."""
    for name in names:
        value = getattr(options, name)
        if value is None and optional:
            continue
        try:
            integer = operator.index(value)
        except TypeError:
            integer = None
        if integer is None or isinstance(value, bool):
            message = f"Got {name} {value!r}; use an integer."
            raise OptionError(message)
        object.__setattr__(options, name, integer)


def as_path(value: Any, name: str) -> Path:
    """Return what a user gave for ``name`` as a path, or raise `OptionError`."""
    if isinstance(value, str) and re.match(URL_SCHEME, value):
        message = f"Got an address for {name}, which has to be a path on this machine."
        raise OptionError(message)  # without the address: it may hold a password
    try:
        return Path(os.fsdecode(value))
    except TypeError:
        message = f"Got {type(value).__name__} for {name}; use a path, as a text or a Path."
        raise OptionError(message) from None


def set_paths(options: object, *names: str) -> None:
    """Make fields that are not None paths, or raise `OptionError`."""
    for name in names:
        value = getattr(options, name)
        if value is not None:
            object.__setattr__(options, name, as_path(value, name))


def check_n_colors(n_colors: int) -> None:
    """Raise `OptionError` unless ``1 <= n_colors <= 65536``."""
    require(
        1 <= n_colors <= MAX_COLORS,
        f"Got {n_colors} colours; ask for 1 to {MAX_COLORS}.",
    )


def as_worker_range(value: Any) -> tuple[int, int]:
    """Return the fewest and the most workers that a user gave, or raise `OptionError`."""
    try:
        fewest, most = map(operator.index, value)
    except (TypeError, ValueError):
        fewest, most = 0, 0
    require(
        0 <= fewest <= most and most >= 1,
        f"Got {value!r} for --adapt; give MIN and MAX workers, integers such as 0 and 4, MIN at "
        "least 0, MAX at least 1 and not below MIN.",
    )
    return fewest, most


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where the work runs; all None and False means threads of this process."""

    workers: int | None = None
    """Worker processes of a `LocalCluster`, one thread each; at least 1."""
    adapt: tuple[int, int] | None = None
    """Fewest and most workers, between which Dask scales as work demands, the most at least 1. Of a
    `LocalCluster`, one thread each; with ``client``, of the client's cluster."""
    memory_limit_bytes: int | None = None
    """Memory in bytes for the whole job, driver and workers together."""
    scheduler: str | None = None
    """``threads``, ``synchronous``, or the address of a running scheduler (``tcp://``, ``tls://``)."""
    scheduler_file: Path | None = None
    """JSON file that a running scheduler wrote."""
    tls_ca_file: Path | None = None
    """Certificate authority, PEM, for ``tls://``."""
    tls_cert: Path | None = None
    """Certificate of this client, PEM."""
    tls_key: Path | None = None
    """Private key of this client, PEM."""
    dashboard: bool = False
    """Serve the dashboard of a `LocalCluster` on loopback and say its address."""
    performance_report: Path | None = None
    """``.html`` file for Dask's report of which task ran where and when; for a cluster."""
    upload_code: bool = False
    """Send this dask_quant to workers of a running cluster that have none."""
    client: Any = field(default=None, repr=False)
    """`distributed.Client` that somebody else opened; it stays open."""

    def __post_init__(self) -> None:
        self._check_client()
        set_integers(self, "workers", "memory_limit_bytes")
        self._check_adapt()
        set_paths(self, "scheduler_file", "tls_ca_file", "tls_cert", "tls_key")
        set_paths(self, "performance_report")
        report = self.performance_report
        require(
            report is None or report.suffix.lower() in (".html", ".htm"),
            f"Got {str(report)!r} for --performance-report; its name must end in .html.",
        )
        require(
            report is None or self.scheduler not in ("threads", "synchronous"),
            f"Got --performance-report with the scheduler {self.scheduler}; it is for a cluster.",
        )
        require(
            self.scheduler is None or isinstance(self.scheduler, str),
            f"Got {type(self.scheduler).__name__} for the scheduler; write threads, synchronous "
            "or an address; a Client is given as client.",
        )
        require(
            self.workers is None or self.workers >= 1,
            f"Got {self.workers} workers; use at least 1, or leave the option out for threads.",
        )
        remote = (self.scheduler, self.scheduler_file, self.client) != (None, None, None)
        require(
            not (self.scheduler is not None and self.scheduler_file is not None),
            "Got both a scheduler address and a scheduler file; give one of them.",
        )
        require(
            not (remote and self.workers is not None),
            "Got --workers together with a scheduler; a running cluster has its own workers.",
        )
        require(
            not (remote and self.memory_limit_bytes is not None),
            "Got --memory-limit together with a scheduler; a running cluster has its own limits.",
        )
        require(
            not self.upload_code or remote,
            "Got --upload-code without a scheduler; workers that are started here have dask_quant.",
        )
        tls = (self.tls_ca_file, self.tls_cert, self.tls_key)
        require(
            all(tls) or not any(tls),
            "TLS needs all three of --tls-ca-file, --tls-cert and --tls-key.",
        )
        require(
            not any(tls) or remote,
            "Got TLS files without a scheduler; give --scheduler tls://HOST:PORT as well.",
        )

    @property
    def starts_cluster(self) -> bool:
        """Whether a `LocalCluster` is started for the job alone."""
        return self.workers is not None or (self.adapt is not None and self.client is None)

    @property
    def most_workers(self) -> int:
        """Worker processes that Dask may scale up to; 0: it does not scale."""
        return 0 if self.adapt is None else self.adapt[1]

    def _check_adapt(self) -> None:
        """Make ``adapt`` a pair of plain integers, or raise `OptionError`."""
        if self.adapt is None:
            return
        object.__setattr__(self, "adapt", as_worker_range(self.adapt))
        require(
            self.workers is None,
            f"Got --adapt together with {self.workers} workers; the one scales, the other does "
            "not: give one of them.",
        )
        require(
            self.scheduler not in ("threads", "synchronous"),
            f"Got --adapt with the scheduler {self.scheduler}; it scales worker processes: leave "
            "one of them out.",
        )
        require(
            self.scheduler is None and self.scheduler_file is None,
            "Got --adapt together with a scheduler; who started it scales it (an autoscaler of "
            "Kubernetes, adapt() of dask-jobqueue), and jobs wait for its first worker: leave "
            "--adapt out.",
        )

    def _check_client(self) -> None:
        """Raise `OptionError` unless the client is one, and says alone where the work runs."""
        if self.client is None:
            return
        require(
            hasattr(self.client, "submit") and hasattr(self.client, "scheduler_info"),
            f"Got {type(self.client).__name__} as a client; give a distributed.Client.",
        )
        others = ("workers", "memory_limit_bytes", "scheduler", "scheduler_file", "tls_ca_file")
        given = [name for name in others if getattr(self, name) is not None]
        require(
            not given,
            f"Got a client together with {' and '.join(given)}; it has a cluster of its own.",
        )


def join_client(cluster: ClusterOptions | None, client: Any) -> ClusterOptions | None:
    """Return where the work runs, from what a call says of its cluster and its client.

    Raises
    ------
    OptionError
        When these contradict one another.
    """
    return cluster if client is None else replace(cluster or ClusterOptions(), client=client)


@dataclass(frozen=True, kw_only=True)
class ChunkOptions:
    """How the image is cut into tasks; the result does not depend on it."""

    rows: int | None = None
    """Rows per chunk, at least 1. None: planned."""
    columns: int | None = None
    """Columns per chunk, at least 1. None: planned."""

    def __post_init__(self) -> None:
        set_integers(self, "rows", "columns")
        for name, size in (("rows", self.rows), ("columns", self.columns)):
            require(size is None or size >= 1, f"Got chunks of {size} {name}; use at least 1.")

    @property
    def given(self) -> bool:
        """Whether the user chose a chunk shape."""
        return self.rows is not None or self.columns is not None


FRAMES = ("first", "all")
"""Which frames of an animation are read."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which picture of a file that holds several, and at which level of its pyramid."""

    number: int | None = None
    """Place in the file, from 0. None: the first that is a picture of its own."""
    level: int = 0
    """0: all its pixels; 1 and on: the same in fewer and fewer pixels, as the file has it."""

    def __post_init__(self) -> None:
        set_integers(self, "number", "level")
        for name, value in (("page", self.number), ("level", self.level)):
            require(value is None or value >= 0, f"Got {name} {value}; they count from 0.")

    @property
    def given(self) -> bool:
        """Whether another picture than the first one at its full size is meant."""
        return self.number is not None or self.level > 0


FIRST_PAGE = Page()
"""All pixels of the first picture of a file."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a job is carried out; but for the page, none of it shows in what is written."""

    overwrite: bool = False
    """Whether outputs may replace what exists under their names."""
    resume: bool = False
    """Whether to go on with what an earlier run of the same job left, where it left anything."""
    retry_quarantined: bool = False
    """Whether inputs that the earlier run set aside are tried again."""
    strict: bool = False
    """Whether the first input that has to be set aside ends the job."""
    chunks: ChunkOptions = ChunkOptions()
    """Chunk shape asked for."""
    persist: Path | None = None
    """Zarr store to decode a single image into once, reused while the input stays the same."""
    cluster: ClusterOptions = ClusterOptions()
    """Where the work runs."""
    frames: str = "first"
    """Which frames of an animation are read: one of `FRAMES`."""
    page: Page = FIRST_PAGE
    """Which picture is read of an image file that holds several."""

    def __post_init__(self) -> None:
        require(
            self.frames in FRAMES,
            f"Got frames {self.frames!r}; choose one of {', '.join(FRAMES)}.",
        )
        require(
            not (self.resume and self.overwrite),
            "Got both resume and overwrite; the one goes on with what is there, the other starts "
            "afresh.",
        )
        require(
            self.resume or not self.retry_quarantined,
            "Got retry_quarantined without resume; it tries again what an earlier run set aside.",
        )
        set_paths(self, "persist")
        require(
            isinstance(self.cluster, ClusterOptions),
            f"Got {type(self.cluster).__name__} for cluster; use ClusterOptions.",
        )
        require(
            self.persist is None or self.persist.suffix.lower() == ".zarr",
            f"Got the store {str(self.persist)!r} for --persist; its name must end in .zarr.",
        )


def as_chunks(chunks: Any) -> ChunkOptions:
    """Return the chunk shape that a user of Python gives: rows and columns, or one for both.

    Raises
    ------
    OptionError
        When ``chunks`` is neither, or a size is below 1.

    Examples
    --------
    >>> as_chunks(512) == as_chunks((512, 512)), as_chunks(None)
    (True, ChunkOptions(rows=None, columns=None))
    """
    if chunks is None:
        return ChunkOptions()
    pair = (chunks, chunks) if hasattr(chunks, "__index__") else chunks
    try:
        rows, columns = (None if size is None else operator.index(size) for size in pair)
    except (TypeError, ValueError):
        message = f"Got chunks {chunks!r}; use N or (ROWS, COLS), integers, in pixels."
        raise OptionError(message) from None
    return ChunkOptions(rows=rows, columns=columns)


def make_run_options(
    overwrite: bool,
    chunks: Any,
    persist: str | Path | None,
    cluster: ClusterOptions | None,
    page: int | None = None,
    level: int = 0,
    frames: str = "first",
    **resuming: bool,
) -> RunOptions:
    """Return the options of a run from what users of Python give.

    ``resuming`` are ``resume``, ``retry_quarantined`` and ``strict``.
    """
    return RunOptions(
        overwrite=overwrite,
        **resuming,
        chunks=as_chunks(chunks),
        persist=None if persist is None else as_path(persist, "persist"),
        cluster=ClusterOptions() if cluster is None else cluster,
        frames=frames,
        page=Page(number=page, level=level),
    )
