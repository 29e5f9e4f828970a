"""What a user asked for of rasters: classes, how, and what is written beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dask_quant.errors import OptionError
from dask_quant.events import Stopwatch
from dask_quant.sinks.atomic import check_output
from dask_quant.sinks.curve import TABLE_SUFFIXES
from dask_quant.sinks.figures import FIGURE_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.class_model import ClassModel
    from dask_quant.events import Listener
    from dask_quant.options import RunOptions
    from dask_quant.segment_options import BandOptions, SegmentOptions


@dataclass(frozen=True, kw_only=True)
class SideFiles:
    """What is written beside the classes."""

    model: Path | None = None
    """The centres, ``.json``, for `apply`."""
    table: Path | None = None
    """The table of classes, ``.csv`` or ``.json``."""
    plot: Path | None = None
    """The spectra of the classes, a picture."""

    def check(self, *, overwrite: bool) -> None:
        """Raise unless all of it can be written."""
        check_suffix(self.model, (".json",), "--model-out")
        check_suffix(self.table, TABLE_SUFFIXES, "--table")
        check_suffix(self.plot, FIGURE_SUFFIXES, "--plot")
        paths = [path for path in (self.model, self.table, self.plot) if path is not None]
        if len({path.absolute() for path in paths}) < len(paths):
            names = ", ".join(repr(str(path)) for path in paths)
            message = f"Got {names} for --model-out, --table and --plot; each is a file of its own."
            raise OptionError(message)
        for path in paths:
            check_output(path, overwrite=overwrite)


@dataclass(frozen=True, kw_only=True)
class SegmentJob:
    """One call of a user."""

    command: str
    """Name in the report."""
    bands: BandOptions
    """What of the rasters is used."""
    fit: SegmentOptions
    """How classes are fitted."""
    run: RunOptions
    """How it is carried out."""
    listener: Listener
    """Told of progress."""
    model: ClassModel | None = None
    """Classes that are given; None: they are fitted."""
    side_files: SideFiles = field(default_factory=SideFiles)
    """What is written beside the classes."""
    cog: bool = False
    """Whether GeoTIFFs are cloud-optimized."""
    sieve: int = 0
    """Pixels below which a patch of a class is given to its neighbour."""
    outline: Path | None = None
    """Where the borders of the classes of one raster are drawn; None: nowhere."""
    in_memory: bool = False
    """Whether pixels are read once and kept in memory, of this process or of the workers."""
    watch: Stopwatch = field(default_factory=Stopwatch)
    """Measures the stages."""


def check_suffix(path: Path | None, known: tuple[str, ...], option: str) -> None:
    """Raise `OptionError` unless a path ends as it must."""
    if path is not None and path.suffix.lower() not in known:
        message = f"Got {str(path)!r} for {option}; its name must end in {' or '.join(known)}."
        raise OptionError(message)
