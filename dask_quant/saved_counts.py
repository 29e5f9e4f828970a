"""Counts of earlier images, merged into those of a job before its fit, and kept for the next one.

Images come in the course of time, and those of before need not be read again: their exact counts
are a small file. Counts are integers, so it does not matter in which order images come.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.alpha_options import KEEP
from dask_quant.errors import OptionError
from dask_quant.fit.fitting import fit_histogram, fit_painted
from dask_quant.histogram import ColorHistogram
from dask_quant.options import as_path
from dask_quant.sinks.atomic import (
    check_output,
    partial_path,
    put_in_place,
    write_file_atomically,
)
from dask_quant.sinks.histogram_file import check_histogram_name, histogram_chunks
from dask_quant.sources.bands import apply_alpha
from dask_quant.sources.histogram_file import read_histogram

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.events import Listener
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit_options import FitOptions


@dataclass(frozen=True)
class SavedCounts:
    """What a job has of earlier images, and where the merged counts are to be kept."""

    earlier: ColorHistogram = field(default_factory=ColorHistogram.empty)
    """Counts of earlier images, all together."""
    out: Path | None = None
    """File of the merged counts; None: they are not kept."""
    staged: Path | None = None
    """Where it waits until the job is done, beside it."""
    overwrite: bool = False
    """Whether ``out`` may exist."""
    shows_all: bool = False
    """Whether the figures of a job are of the merged counts, or of its own pixels alone."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is written."""
        return () if self.out is None else (str(self.out),)

    @property
    def is_used(self) -> bool:
        """Whether there are counts of earlier images, or merged counts are to be kept."""
        return len(self.earlier) > 0 or self.staged is not None

    def extend(self, histogram: ColorHistogram) -> ColorHistogram:
        """Return the counts that figures are of, from those of the pixels of a job."""
        return self._merge(histogram) if self.shows_all else histogram

    def fit(self, histogram: ColorHistogram, options: FitOptions, listener: Listener) -> PaletteFit:
        """Fit a palette to the merged counts; its figures are of what `extend` gave. **Eager**.

        Parameters and errors are those of `dask_quant.fit.fitting.fit_histogram`.
        """
        if self.shows_all:
            return fit_histogram(histogram, options, listener)
        found = fit_histogram(self._merge(histogram), options, listener)
        if len(self.earlier) == 0:
            return found
        palette, classes = found.palette, found.classes
        n_iter, centroids = found.n_iter, found.centroids
        del found  # and the merged counts with it
        own = fit_painted(histogram, palette, classes, options.space)
        return replace(own, engine="histogram", n_iter=n_iter, centroids=centroids)

    def _merge(self, histogram: ColorHistogram) -> ColorHistogram:
        """Return earlier and own counts together, and have them wait in their file."""
        merged = self.earlier.merge(histogram)
        if self.staged is not None:
            write_file_atomically(self.staged, histogram_chunks(merged), overwrite=True)
        return merged

    @contextmanager
    def keep(self) -> Iterator[None]:
        """Give the file of merged counts its name when the block is done, or remove it.

        Last of all: were they there, and the job failed, the next try could count images twice.
        """
        if self.staged is None or self.out is None:
            yield
            return
        try:
            yield
            if self.staged.exists():  # else an earlier run has written it
                put_in_place(self.staged, self.out, overwrite=self.overwrite)
        finally:
            with suppress(OSError):
                self.staged.unlink()


def read_counts(
    histogram: Any,
    save: str | Path | None,
    out: Path | None,
    *,
    fit: FitOptions,
    overwrite: bool,
    per_image: bool = False,
    shows_all: bool = False,
    alpha: AlphaRule = KEEP,
) -> SavedCounts:
    """Return counts as users give them, having checked that they go with the rest. **Eager**.

    Parameters
    ----------
    histogram : str, Path, ColorHistogram or sequence of them
        Counts of earlier images.
    save : str or Path, optional
        ``.npz`` file for the merged counts.
    out : Path, optional
        Output of the job.
    fit, per_image
        How it fits: engines that read pixels, and palettes of single images, cannot use counts.
    overwrite, shows_all
        As in `SavedCounts`.
    alpha : AlphaRule
        What becomes of counted colours that are not opaque; kept by default.

    Raises
    ------
    OptionError
        When they do not go with the rest, or hidden colours are asked for, which nobody counted.
    SourceError
        When a file cannot be read.
    OutputError
        When ``save`` exists and ``overwrite`` is false, or cannot be written.
    """
    given, path = _list_counts(histogram), None if save is None else as_path(save, "save_histogram")
    for name, is_given in (("histogram", bool(given)), ("save_histogram", path is not None)):
        _check_use(name, is_given, fit, per_image)
    if path is not None:
        _check_apart(check_histogram_name(path), out)
        check_output(path, overwrite=overwrite)
    earlier = ColorHistogram.merge_all(
        each if isinstance(each, ColorHistogram) else read_histogram(each) for each in given
    )
    return SavedCounts(
        earlier=_apply_alpha(earlier, alpha),
        out=path,
        staged=None if path is None else partial_path(path),
        overwrite=overwrite,
        shows_all=shows_all,
    )


def _apply_alpha(counts: ColorHistogram, rule: AlphaRule) -> ColorHistogram:
    """Return counts as they were had the images been read by ``rule``."""
    if not counts.has_alpha or rule.kind in ("keep", "refuse"):
        return counts
    alpha = counts.colors[:, 3]
    if rule.kind == "drop" and (alpha == 0).any():
        message = (
            "Got alpha drop with a histogram of fully transparent pixels, whose hidden colours "
            "were not counted; use alpha matte, or count the images again with drop."
        )
        raise OptionError(message)
    colors = apply_alpha(counts.colors[np.newaxis, :, :3], alpha[np.newaxis], rule)[0]
    return ColorHistogram.from_colors(colors, counts.counts)


def _list_counts(histogram: Any) -> list[ColorHistogram | Path]:
    """Return what a user gives for ``histogram`` as counts and paths, or raise `OptionError`."""
    if histogram is None:
        return []
    is_one = isinstance(histogram, (str, os.PathLike, ColorHistogram))
    try:
        given = [histogram] if is_one else list(histogram)
    except TypeError:
        given = [histogram]
    return [
        each if isinstance(each, ColorHistogram) else as_path(each, "histogram") for each in given
    ]


def _check_use(name: str, is_given: bool, fit: FitOptions, per_image: bool) -> None:
    """Raise `OptionError` where counts are given for a job that cannot use them."""
    message = None
    if is_given and per_image:
        message = f"Got {name} with a palette for each image, fitted to it alone; leave one out."
    elif is_given and fit.fits_pixels:
        message = (
            f"Got {name} with the {fit.engine} engine, which fits pixels and not their counts; "
            "leave one of them out."
        )
    if message is not None:
        raise OptionError(message)


def _check_apart(path: Path, out: Path | None) -> None:
    """Raise `OptionError` when counts are to be kept where the output goes."""
    if out is None:
        return
    place, taken = path.resolve(), out.resolve()
    if place == taken or (out.suffix.lower() == ".zarr" and place.is_relative_to(taken)):
        message = f"Got {str(path)!r} for save_histogram, which is the output; give another name."
        raise OptionError(message)
