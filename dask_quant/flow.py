"""One image that fits in memory: count, fit, relabel, write, without Dask.

What a photograph from the shell goes through, and every image of a collection inside its task. The
bytes written are those of the chunked flow (see `array_flow`): both call the same kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dask_quant.alpha_options import KEEP
from dask_quant.borders import LINE_COLORS, label_borders
from dask_quant.color_spaces import find_space
from dask_quant.dithering import dither_image
from dask_quant.events import Stopwatch, ignore_event
from dask_quant.fit.fitting import fit_given
from dask_quant.histogram import ColorHistogram
from dask_quant.kernels.assign import label_block, table_of_colors
from dask_quant.options import FIRST_PAGE
from dask_quant.saved_counts import SavedCounts
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.label_file import encode_labels
from dask_quant.sources.image_file import read_image
from dask_quant.sources.reading import NO_ORIGIN, Origin
from dask_quant.tables import label_pixels, make_table

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.dithering import Tally
    from dask_quant.events import Listener
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit_options import FitOptions
    from dask_quant.kernels.assign import Labels
    from dask_quant.options import Page
    from dask_quant.palette import Palette


@dataclass(frozen=True, kw_only=True)
class ImageOutcome:
    """One image that was relabelled and written."""

    n_pixels: int
    """Pixels of the image."""
    n_unique_colors: int
    """Its distinct colours."""
    squared_error: float
    """Squared sRGB error over its pixels, summed over the bands; a whole number if opaque."""
    inertia: float
    """Squared distances over its pixels, in units of the working space."""
    mean_color_error: float
    """The same had every pixel been painted the mean colour."""
    palette: Palette
    """Its palette, with the image's own counts."""
    engine: str
    """What fitted it, or ``none``."""
    n_iter: int
    """Lloyd iterations of its fit."""
    output_bytes: int
    """Bytes of the file."""
    classes: Palette | None = None
    """Colours by which pixels are labelled, where those that are painted are others."""


def quantize_file(
    source: str | Path | IO[bytes],
    out: Path,
    options: FitOptions,
    *,
    palette: Palette | None = None,
    dither: str = "none",
    alpha: AlphaRule = KEEP,
    saved: SavedCounts | None = None,
    outline: Path | None = None,
    overwrite: bool = False,
    listener: Listener = ignore_event,
    watch: Stopwatch | None = None,
    page: Page = FIRST_PAGE,
) -> ImageOutcome:
    """Relabel one image file as a label file. **Eager**.

    Parameters
    ----------
    source : str, Path or file
        Image file.
    out : Path
        File to write, whole or not at all, of a suffix of
        `dask_quant.sinks.label_file.FILE_SUFFIXES`.
    options : FitOptions
        How to fit a palette; of a ``palette`` that is given, the space alone is looked at.
    palette : Palette, optional
        Palette to use as it is.
    dither : str, default "none"
        One of `dask_quant.fit_options.DITHERS`; the palette is the same for all.
    alpha : AlphaRule
        What becomes of transparency; kept by default.
    saved : SavedCounts, optional
        Counts of earlier images that the palette is fitted to as well; figures are of this one.
    outline : Path, optional
        PNG to draw the borders of the labels to.
    overwrite : bool, default False
        Whether ``out`` and ``outline`` may exist.
    listener, watch
        Told of restarts; measures the stages.
    page : Page, optional
        Which picture of a TIFF.

    Notes
    -----
    Peak bytes: 7 per pixel while decoding; then 4 per pixel and some 32 per distinct colour. With
    transparency one more per pixel, and some 200 per distinct colour.
    """
    watch = watch or Stopwatch()
    with watch.measure("decode"):
        pixels = read_image(source, page=page, alpha=alpha)
    return quantize_pixels(
        *(pixels, out, options),
        origin=Origin(source, page),
        palette=palette,
        dither=dither,
        saved=saved,
        outline=outline,
        overwrite=overwrite,
        listener=listener,
        watch=watch,
    )


def quantize_pixels(
    pixels: NDArray[np.uint8],
    out: Path,
    options: FitOptions,
    *,
    origin: Origin = NO_ORIGIN,
    palette: Palette | None = None,
    dither: str = "none",
    saved: SavedCounts | None = None,
    outline: Path | None = None,
    overwrite: bool = False,
    listener: Listener = ignore_event,
    watch: Stopwatch | None = None,
) -> ImageOutcome:
    """Relabel one image in memory as a label file. **Eager**.

    Pixels are sRGB uint8 ``(y, x, 3)``, or RGBA ``(y, x, 4)``.

    The other parameters are those of `quantize_file`; ``origin`` is what pixels were read from.
    """
    watch = watch or Stopwatch()
    with watch.measure("count"):
        histogram = ColorHistogram.from_pixels(pixels)
    with watch.measure("fit"):
        if palette is None:
            fit = (saved or SavedCounts()).fit(histogram, options, listener)
        else:
            fit = fit_given(histogram, palette, options.space)
    with watch.measure("relabel"):
        labels, outcome, _ = label_and_describe(pixels, histogram, fit, dither)
    with watch.measure("write"):
        chunks = encode_labels(labels, fit.palette, out, origin)
        n_bytes = write_file_atomically(out, chunks, overwrite=overwrite)
    if outline is not None:
        with watch.measure("outline"):
            chunks = encode_labels(label_borders(labels), LINE_COLORS, outline)
            n_bytes += write_file_atomically(outline, chunks, overwrite=overwrite)
    return replace(outcome, output_bytes=n_bytes)


def label_and_describe(
    pixels: NDArray[np.uint8],
    histogram: ColorHistogram,
    fit: PaletteFit,
    dither: str,
    *,
    keeps_table: bool = False,
) -> tuple[Labels, ImageOutcome, Tally | None]:
    """Return the labels ``(y, x)`` of an image and its figures, with nothing written yet.

    ``histogram`` is what ``fit`` was made of: its colours. Dithered, a tally of them comes as well;
    the table that takes is one that this process keeps, for a palette of many images, where
    ``keeps_table`` says so.
    """
    outcome = describe_fit(histogram, fit)
    if dither == "none":
        return label_image(pixels, fit), outcome, None
    space = fit.boxes.space.name
    # A table of its own: those that are kept are made one by one, for palettes of many images.
    table = None if keeps_table else make_table(fit.palette, space)
    labels, tally = dither_image(pixels, fit.palette, dither, space=space, table=table)
    return labels, retell_outcome(outcome, tally, space), tally


def label_image(pixels: NDArray[np.uint8], fit: PaletteFit) -> Labels:
    """Return the labels ``(y, x)`` of the image that ``fit`` was made of. **Eager**.

    Its colours were sorted and labelled for the fit, so no full lookup table is built.
    """
    if pixels.shape[-1] == 4 or fit.palette.has_alpha:
        return label_pixels(pixels, fit.palette)
    table = table_of_colors(
        fit.boxes.colors, fit.finished.assignment.labels, fit.palette.label_dtype
    )
    return label_block(pixels, table)


def retell_outcome(outcome: ImageOutcome, tally: Tally, space: str) -> ImageOutcome:
    """Return the figures of what was written, where those of the fit are of other labels.

    ``space`` is the working space of the tally.
    """
    palette = tally.count_palette(outcome.palette)
    inertia = tally.squared_distance / find_space(space).scale ** 2
    return replace(outcome, palette=palette, squared_error=tally.squared_error, inertia=inertia)


def describe_fit(histogram: ColorHistogram, fit: PaletteFit) -> ImageOutcome:
    """Return the figures of a fit, with nothing written yet."""
    return ImageOutcome(
        n_pixels=histogram.n_pixels,
        n_unique_colors=len(histogram),
        squared_error=fit.squared_error,
        inertia=fit.inertia,
        mean_color_error=histogram.mean_color_mse * histogram.n_pixels,
        palette=fit.palette,
        engine=fit.engine,
        n_iter=fit.n_iter,
        output_bytes=0,
        classes=fit.classes,
    )
