"""What all routes share: the job, its inputs, its report."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dask_quant import __version__
from dask_quant.alpha_options import KEEP
from dask_quant.chunking import plan_saved_counts
from dask_quant.errors import FewerColorsWarning, OptionError, OutputError, SourceError
from dask_quant.events import Notice, Stopwatch
from dask_quant.fit.fitting import fit_given
from dask_quant.options import as_path
from dask_quant.results import Report, explained_variance
from dask_quant.saved_counts import SavedCounts
from dask_quant.sinks.label_file import FILE_SUFFIXES
from dask_quant.sinks.palette_file import write_palette
from dask_quant.sources.addresses import is_url, is_web, split_url
from dask_quant.sources.discover import STDIN, Discovery, discover
from dask_quant.sources.header import show_path
from dask_quant.sources.held import is_held, parse_held
from dask_quant.sources.image_file import fetch_file, find_remote
from dask_quant.sources.named_arrays import is_named
from dask_quant.watching import tell_palette, tell_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dask_quant.alpha_options import AlphaRule, Transparency
    from dask_quant.events import Listener
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit_options import FitOptions, Target
    from dask_quant.flow import ImageOutcome
    from dask_quant.histogram import ColorHistogram
    from dask_quant.options import RunOptions
    from dask_quant.palette import Palette
    from dask_quant.results import Quarantined

    Sources = str | Path | Sequence[str | Path]

    T = TypeVar("T")
    Use = Callable[[ColorHistogram, Listener], T]

SMALL_PIXELS = 1 << 26
"""Pixels up to which one image is handled in one go: half a gigabyte of pixels and labels."""

LABEL_SUFFIXES = (*FILE_SUFFIXES, ".zarr")
"""Suffixes of the label files that can be written."""

LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
"""Suffixes of files that would blur a palette."""

OTHER_SUFFIXES = frozenset(
    {".gif", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".jp2", ".ppm", ".npy"}
)
"""Suffixes that name an image file, so that an output of that name is not taken for a folder."""


@dataclass(frozen=True)
class Job:
    """One call of a user: what to do, how, and who listens."""

    command: str
    """Name in the report."""
    fit: FitOptions
    """How to fit."""
    run: RunOptions
    """How to carry it out."""
    listener: Listener
    """Told of progress."""
    palette: Palette | None = None
    """Palette that is given; None: one is fitted."""
    per_image: bool = False
    """Whether each image of a collection gets a palette of its own."""
    dither: str = "none"
    """How labels are dithered; the palette does not depend on it."""
    outline: Path | None = None
    """Where the borders of labels are drawn, too; None: nowhere."""
    saved: SavedCounts = field(default_factory=SavedCounts)
    """Counts of earlier images that the fit is to, beside those of this job."""
    group_by: str | None = None
    """How images of a collection are grouped that share a palette: ``folder``, ``colors``, or a
    regular expression; None: they are not."""
    budget: Target | None = None
    """What the palette of a group is to meet for every image of it, grouped by ``colors``."""
    suffix: str = ".png"
    """Suffix of the files that images of a collection are written to."""
    packs: bool = False
    """Whether these are packed into tar shards, as their sources are."""
    alpha: AlphaRule = KEEP
    """What becomes of transparency."""
    watch: Stopwatch = field(default_factory=Stopwatch)
    """Measures the stages."""

    @property
    def reads(self) -> AlphaRule:
        """How transparency is read: refused where nothing can be made of it that is kept."""
        return self.alpha.refusing if self.dither != "none" or self.fit.fits_pixels else self.alpha

    def find_transparency(self, has_alpha: bool) -> Transparency:
        """Return the alphas that colours may have which are fitted together; pixels' if any."""
        found = self.reads.find_transparency(has_alpha)
        has_palette_alpha = self.palette is not None and self.palette.has_alpha
        if found == "none" and (has_palette_alpha or self.saved.earlier.has_alpha):
            return "one-bit"  # opaque pixels, of 2^24 colours at most, compared with such colours
        return found


def check_any_sources(sources: Any, saved: SavedCounts) -> Any:
    """Return what `check_sources` does; None, where there are saved counts, is no source at all."""
    return check_sources([] if sources is None and len(saved.earlier) else sources)


def is_nothing(sources: Any) -> bool:
    """Return whether ``sources``, which were checked, are none at all."""
    return isinstance(sources, list) and len(sources) == 0


def is_array(sources: Any) -> bool:
    """Return whether ``sources`` is pixels rather than paths."""
    return (hasattr(sources, "dtype") and hasattr(sources, "shape")) or is_named(sources)


def check_sources(sources: Any) -> Any:
    """Return an array as it is and anything else as paths, or raise `OptionError`."""
    if is_array(sources) or isinstance(sources, (str, Path)):
        return sources
    if isinstance(sources, os.PathLike):
        return as_path(sources, "sources")
    given = list(sources) if isinstance(sources, Iterable) else [sources]
    for item in given:
        if not isinstance(item, (str, os.PathLike)):
            where = "" if item is sources else f" in a {type(sources).__name__}"
            message = (
                f"Got {type(item).__name__}{where} as a source; give paths, or one image as a "
                "NumPy or Dask array."
            )
            raise OptionError(message)
    return [item if isinstance(item, str) else as_path(item, "sources") for item in given]


def discover_images(sources: Sources, *, exclude: Path | None = None) -> Discovery:
    """Find what a path or a sequence of paths names."""
    named = [sources] if isinstance(sources, (str, Path)) else list(sources)
    return discover(named, exclude=exclude)


def as_target(out: Any) -> Path | str:
    """Return where outputs go: a path, or the address of a folder in an object store.

    Raises
    ------
    OptionError
        When it is neither, or the address of a file, or of more than a folder.
    """
    if not is_url(out):
        return as_path(out, "out")
    if is_web(out):
        message = f"Got the output {show_path(out)}, where nothing can be written; use s3://..."
        raise OptionError(message)
    if "?" in out or "#" in out:
        message = (
            f"Got the output {show_path(out)}, an address with a query; give that of a folder "
            "without one, and options of its store by the environment."
        )
        raise OptionError(message)
    if names_file(as_file(out)):
        message = (
            f"Got the output {show_path(out)}, a file by its address; give the address of a "
            "folder, such as s3://bucket/out/, or a file of this machine."
        )
        raise OptionError(message)
    return out


def as_file(target: Path | str) -> Path:
    """Return a path that is named as ``target`` is, which is looked at for its suffix alone."""
    return target if isinstance(target, Path) else Path(split_url(target)[1])


def names_file(out: Path) -> bool:
    """Return whether ``out`` names a file, one that labels cannot be written to included."""
    suffix = out.suffix.lower()
    known = suffix in LABEL_SUFFIXES or suffix in LOSSY_SUFFIXES | OTHER_SUFFIXES
    return known and not (out.is_dir() and suffix != ".zarr")


def choose_suffix(name: str | None, out: str | Path) -> str:
    """Return the suffix of the files that the format ``name`` is for; None: PNG.

    Raises
    ------
    OptionError
        When it is not known, or ``out`` names a file of another format.

    Examples
    --------
    >>> choose_suffix("TIF", "out"), choose_suffix(None, "out.zarr")
    ('.tif', '.png')
    """
    if name is None:
        return ".png"
    path = as_file(as_target(out))
    suffix = f".{str(name).lower().removeprefix('.')}"
    if suffix not in FILE_SUFFIXES:
        known = ", ".join(known.removeprefix(".") for known in FILE_SUFFIXES)
        message = f"Got the format {name!r}; images of a folder become one of {known}, or tar."
        raise OptionError(message)
    named = path.suffix.lower()
    if named in LABEL_SUFFIXES and named != suffix and not path.is_dir():
        message = (
            f"Got the format {name!r} for {str(out)!r}, whose name says another; name a folder."
        )
        raise OptionError(message)
    return suffix


def check_label_suffix(out: Path, *, n_inputs: int) -> None:
    """Raise `OutputError` unless ``out`` names a kind of file that can hold labels."""
    suffix = out.suffix.lower()
    if suffix in LOSSY_SUFFIXES:
        message = (
            f"Got the output {str(out)!r}, but JPEG cannot hold a palette: it would blur "
            "the colours into thousands; write .png or .zarr."
        )
        raise OutputError(message)
    if suffix not in LABEL_SUFFIXES:
        hint = "; .npz holds labels and palette" if suffix == ".npy" else ""
        message = (
            f"Got the output {str(out)!r}; one image is written as .png, .gif, .tif, .npz or "
            f".zarr{hint}."
        )
        raise OutputError(message)
    if n_inputs > 1:
        message = f"Got {n_inputs} images for the one file {str(out)!r}; name a folder instead."
        raise OutputError(message)


def read_source(path: str) -> tuple[str | io.BytesIO, int]:
    """Return what to decode and its bytes; standard input, and what lies in a file, as a whole."""
    if is_held(path):
        file = fetch_file(path)
        return file, file.getbuffer().nbytes
    if path != STDIN:
        return path, find_remote(path).size() if is_url(path) else count_file_bytes(path)
    data = sys.stdin.buffer.read()
    if not data:
        message = "Got nothing on standard input; pipe an image into it."
        raise SourceError(message)
    return io.BytesIO(data), len(data)


def check_persist(store: Path | None, out: Path) -> None:
    """Raise `OptionError` when the store to decode into, where there is one, is the output."""
    if store is not None and store.resolve() == out.resolve():
        message = f"Got {str(store)!r} for --persist and for the output; give two names."
        raise OptionError(message)


def fit_or_take(job: Job, histogram: ColorHistogram) -> PaletteFit:
    """Return the fit of a histogram, with the palette of the job where one is given."""
    fit = take_or_fit(histogram, job.palette, job.fit, job.saved, job.listener)
    tell_palette(job.listener, fit.palette)
    return fit


def take_or_fit(
    histogram: ColorHistogram,
    palette: Palette | None,
    options: FitOptions,
    saved: SavedCounts,
    listener: Listener,
) -> PaletteFit:
    """Return the fit of a histogram, with ``palette`` where there is one. **Eager**."""
    if palette is not None:
        return fit_given(histogram, palette, options.space)
    return saved.fit(histogram, options, listener)


def plan_saved_bytes(job: Job, n_pixels: int, *, has_alpha: bool = False) -> int:
    """Return the bytes that counts of earlier images add to a job on as many pixels.

    ``has_alpha`` is whether these may be transparent as they are stored.
    """
    n_saved, transparency = len(job.saved.earlier), job.find_transparency(has_alpha)
    return plan_saved_counts(n_pixels, n_saved, transparency=transparency)


def write_palette_file(job: Job, outcome: ImageOutcome, out: Path) -> ImageOutcome:
    """Write the palette of ``outcome`` and return it with the bytes of the file."""
    n_bytes = write_palette(outcome.palette, out, overwrite=job.run.overwrite)
    return replace(outcome, output_bytes=n_bytes)


def report_one(
    job: Job, outcome: ImageOutcome, out: Path, n_ignored: int, input_bytes: int, peak: int
) -> Report:
    """Return the report of a job on one image."""
    return make_report(
        job,
        outcome,
        n_images=1,
        n_ignored=n_ignored,
        input_bytes=input_bytes,
        outputs=tuple(str(path) for path in (out, job.outline) if path is not None),
        quarantined=(),
        peak=peak,
    )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What images that were written come to."""

    n_pixels: int
    """Pixels of all."""
    squared_error: float
    """Their squared sRGB error."""
    mean_color_error: float
    """The same had all been painted the mean colour."""
    inertia: float
    """Their squared distances in the working space."""
    engine: str
    """What fitted their palettes."""
    n_iter: int
    """Lloyd iterations, the most of one of them."""
    output_bytes: int
    """Bytes written."""
    n_colors: int
    """Colours of the palette, the most of one of them."""
    n_unique_colors: int | None = None
    """Distinct colours of all; None where each has a palette."""
    palette: Palette | None = None
    """Palette of all; None where each has one."""


def make_report(job: Job, totals: ImageOutcome, **others: Any) -> Report:
    """Return the report of a job on images of one palette, from the totals over them.

    ``others`` are those of `report_figures`.
    """
    is_fitted = job.palette is None and job.fit.target is None
    if is_fitted and len(totals.palette) < job.fit.n_colors:
        who = "the input and the colours to keep are" if job.fit.keep else "the input holds"
        warn_fewer(who, job.fit.n_colors, len(totals.palette))
    if job.alpha.kind == "cut" and totals.palette.has_alpha:
        job.listener(Notice("Alpha was cut at half: figures are of opaque and clear pixels."))
    figures = Figures(
        n_pixels=totals.n_pixels,
        squared_error=totals.squared_error,
        mean_color_error=totals.mean_color_error,
        inertia=totals.inertia,
        engine=totals.engine,
        n_iter=totals.n_iter,
        output_bytes=totals.output_bytes,
        n_colors=len(totals.palette),
        n_unique_colors=totals.n_unique_colors,
        palette=totals.palette,
    )
    return report_figures(job, figures, **others)


def report_figures(
    job: Job,
    figures: Figures,
    *,
    n_images: int,
    n_ignored: int,
    input_bytes: int,
    outputs: tuple[str, ...],
    quarantined: tuple[Quarantined, ...],
    peak: int,
) -> Report:
    """Return the report of a job."""
    error = figures.squared_error
    report = Report(
        command=job.command,
        n_images=n_images,
        n_ignored=n_ignored,
        n_pixels=figures.n_pixels,
        n_unique_colors=figures.n_unique_colors,
        n_colors=figures.n_colors,
        palette=figures.palette,
        mse=error / figures.n_pixels,
        explained_variance=explained_variance(error, figures.mean_color_error),
        inertia=figures.inertia,
        method=job.fit.method if job.palette is None else "none",
        engine=figures.engine,
        space=job.fit.space,
        seed=job.fit.seed,
        n_iter=figures.n_iter,
        input_bytes=input_bytes,
        output_bytes=figures.output_bytes,
        outputs=(*outputs, *job.saved.outputs),
        quarantined=quarantined,
        seconds=job.watch.summary(),
        peak_rss_bytes=peak,
        version=__version__,
        dither=job.dither,
    )
    tell_report(job.listener, report.to_json())
    return report


def warn_fewer(who: str, n_asked: int, n_found: int | None = None) -> None:
    """Warn that there are fewer colours than were asked for."""
    found = "fewer" if n_found is None else f"{n_found} colours, fewer"
    warnings.warn(
        f"{n_asked} colours were asked for, but {who} {found}; the palette holds them all exactly.",
        FewerColorsWarning,
        stacklevel=2,
    )


def count_file_bytes(path: str) -> int:
    """Return the bytes of a file, 0 when it is gone."""
    held = parse_held(path)
    if held is not None:
        return max(0, held.size)
    try:
        if is_url(path):
            return find_remote(path).size()
        return os.stat(path).st_size
    except OSError:
        return 0
