"""One picture in several numbers of colours, by several methods and ditherings, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import as_alpha
from dask_quant.dithering import dither_image
from dask_quant.errors import OptionError, OutputError, PixelFormatError
from dask_quant.events import Event, ignore_event
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions, check_dither
from dask_quant.flow import label_image
from dask_quant.histogram import ColorHistogram
from dask_quant.method_options import KMEANS, keep_taken
from dask_quant.options import as_path
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.results import explained_variance, psnr_db
from dask_quant.routes.common import SMALL_PIXELS, read_source
from dask_quant.sinks.atomic import check_output, write_file_atomically
from dask_quant.sinks.png import label_chunks
from dask_quant.sinks.sheet import (
    MAX_PANEL_PIXELS,
    MAX_SHEET_PIXELS,
    Panel,
    draw_sheet,
    write_sheet,
)
from dask_quant.sources.addresses import hide_secrets, is_url
from dask_quant.sources.image_file import read_header, read_image
from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.events import Listener
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette

DEFAULT_N_COLORS = (2, 5, 10, 15, 24)
"""Numbers of colours that show how a photograph comes together."""


@dataclass(frozen=True)
class Candidate:
    """The picture in one number of colours, by one method."""

    method: str
    """Name of the method."""
    n_colors: int
    """Colours asked for."""
    palette: Palette
    """Colours found, with counts."""
    mse: float
    """Mean squared sRGB error, summed over the channels."""
    explained_variance: float
    """1 - mse / (mse of the mean colour)."""
    output_bytes: int | None
    """Bytes as an indexed PNG; None above 256 colours, which PNG cannot hold."""
    seconds: float
    """Wall seconds of the fit."""
    output: str | None = None
    """The PNG, where one was written."""
    dither: str = "none"
    """How it is dithered; counts and error are of what is shown."""

    @property
    def psnr_db(self) -> float | None:
        """Peak signal-to-noise ratio in dB; None when ``mse`` is 0."""
        return psnr_db(self.mse)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values."""
        return {
            "method": self.method,
            "dither": self.dither,
            "k": self.n_colors,
            "n_colors": len(self.palette),
            "palette": self.palette.hex,
            "mse": self.mse,
            "psnr_db": self.psnr_db,
            "explained_variance": self.explained_variance,
            "output_bytes": self.output_bytes,
            "seconds": round(self.seconds, 4),
            "output": self.output,
        }


@dataclass(frozen=True)
class _Said:
    """What is said of a candidate beside its number of colours, in captions and names of files."""

    method: bool
    """Whether there are others than k-means."""
    dither: bool
    """Whether some are dithered."""

    def choose(self, method: str, dither: str) -> list[str]:
        """Return those of the two names that do not go without saying."""
        return [name for name, is_said in ((method, self.method), (dither, self.dither)) if is_said]


@dataclass(frozen=True)
class Comparison:
    """A picture in several numbers of colours."""

    source: str
    """The picture."""
    n_pixels: int
    """Its pixels."""
    n_unique_colors: int
    """Its distinct colours."""
    input_bytes: int
    """Its bytes as stored."""
    candidates: tuple[Candidate, ...]
    """One for each method, dithering and number of colours, in that order, as asked for."""
    sheet: str
    """The contact sheet."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "source": self.source,
            "n_pixels": self.n_pixels,
            "n_unique_colors": self.n_unique_colors,
            "input_bytes": self.input_bytes,
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "outputs": [self.sheet, *(c.output for c in self.candidates if c.output)],
        }


def compare(
    source: str | Path,
    out: str | Path,
    n_colors: int | Sequence[int] = DEFAULT_N_COLORS,
    *,
    method: str | Sequence[str] = KMEANS,
    dither: str | Sequence[str] = "none",
    effort: str = "default",
    space: str = "srgb",
    seed: int = 0,
    n_init: int | None = None,
    max_iter: int | None = None,
    tol: float | None = None,
    init: Any = "k-means++",
    weight_power: float = 1.0,
    images: str | Path | None = None,
    alpha: str | AlphaRule = "keep",
    overwrite: bool = False,
    listener: Listener = ignore_event,
) -> Comparison:
    """Draw a picture in several numbers of colours, side by side. **Eager**.

    All are fitted to one histogram: the picture is decoded and counted once. Several methods, and
    several ditherings of each, get a row each, every row with the picture as it came.

    Parameters
    ----------
    source : str or Path
        Image file, or ``-`` for standard input.
    out : str or Path
        PNG to draw the contact sheet into: the original and every number of colours.
    n_colors : int or sequence of int, default (2, 5, 10, 15, 24)
        Numbers of colours, each 1 to 65536; one that comes again is left out.
    method : str or sequence of str, default "kmeans"
        Methods, as in `quantize`; one that comes again is left out.
    dither : str or sequence of str, default "none"
        Ditherings, as in `quantize`, of the same palettes; one that comes again is left out.
    seed, weight_power, overwrite
        As in `quantize`.
    effort, space, n_init, max_iter, tol, init
        As in `quantize`, for those of the methods that take them; an error where none does.
    images : str or Path, optional
        Folder to write each picture into as an indexed PNG, named ``<source>-<k>.png``, or
        ``<source>-<method>-<k>.png`` where the methods are others than k-means alone; the dithering
        comes before ``<k>`` where there are others than ``none`` alone.
    alpha : {"keep", "drop", "matte:#rrggbb"}, default "keep"
        As in `quantize`, but that pixels which are not opaque are refused where alpha is kept.
    listener : callable, optional
        Told of each picture that is done.

    Returns
    -------
    Comparison
        Figures of every candidate.

    Raises
    ------
    PixelFormatError
        When the picture is too large for one go.
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.
    """
    name = source if is_url(source) else str(as_path(source, "source"))
    sheet = as_path(out, "out")
    methods, dithers = _as_names(method, "method"), _as_names(dither, "dither")
    for each in dithers:
        check_dither(each)
    given = dict(effort=effort, space=space, n_init=n_init, max_iter=max_iter, tol=tol, init=init)
    given |= dict(seed=seed, weight_power=weight_power)
    options = _list_options(methods, _as_sequence(n_colors), given)
    said = _Said(methods != (KMEANS,), dithers != ("none",))
    names = [
        "-".join([_stem(name), *said.choose(option.method, each), str(option.n_colors)])
        for option in options
        for each in dithers
    ]
    folder = None if images is None else as_path(images, "images")
    files = [folder and folder / f"{picture}.png" for picture in names]
    _check_outputs(sheet, files, overwrite=overwrite)
    pixels, input_bytes = _read_picture(name, as_alpha(alpha).refusing)
    histogram = ColorHistogram.from_pixels(pixels)
    original = _describe_original(pixels, histogram, input_bytes)
    columns = 1 + len(options) // len(methods)
    made: list[tuple[Candidate, NDArray[np.uint8]]] = []
    for option in options:
        fit, seconds = _fit_timed(histogram, option)
        for each in dithers:
            file = files[len(made)]
            made.append(
                _make_candidate(pixels, histogram, fit, option, seconds, each, file, overwrite)
            )
            listener(Event("compare", len(made), len(files), "pictures"))
    # By rows; numbers of colours stay in the order in which they were asked for.
    made.sort(key=lambda m: (methods.index(m[0].method), dithers.index(m[0].dither)))
    panels: list[Panel] = []
    for candidate, picture in made:
        if len(panels) % columns == 0:
            panels.append(original)
        panels.append(_describe_candidate(candidate, picture, said))
    drawn = draw_sheet(
        panels,
        title=_stem(name),
        columns=columns if len(panels) > columns else None,
        max_panel_pixels=max(1, min(MAX_PANEL_PIXELS, MAX_SHEET_PIXELS // len(panels))),
    )
    write_sheet(drawn, sheet, overwrite=overwrite)
    return Comparison(
        source=hide_secrets(name),
        n_pixels=histogram.n_pixels,
        n_unique_colors=len(histogram),
        input_bytes=input_bytes,
        candidates=tuple(candidate for candidate, _ in made),
        sheet=str(sheet),
    )


def make_demo(
    out: str | Path, *, overwrite: bool = False, listener: Listener = ignore_event
) -> list[Comparison]:
    """Compare the photographs that ship with the dependencies: a first run. **Eager**.

    Parameters
    ----------
    out : str or Path
        Folder to write into: for each photograph a contact sheet ``<name>-sheet.png`` and indexed
        PNGs of 2, 5, 10, 15 and 24 colours.
    overwrite, listener
        As in `compare`.

    Returns
    -------
    list of Comparison
        One for each photograph.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.
    """
    folder = as_path(out, "out")
    return [
        compare(
            path,
            folder / f"{path.stem}-sheet.png",
            images=folder,
            overwrite=overwrite,
            listener=listener,
        )
        for path in find_sample_images()
    ]


def _as_sequence(n_colors: Any) -> Sequence[int]:
    """Return numbers of colours, one or more, as a sequence, or raise `OptionError`."""
    numbers = list(n_colors) if isinstance(n_colors, Iterable) else [n_colors]
    if not numbers:
        message = "Got no number of colours to compare; give at least one."
        raise OptionError(message)
    return numbers


def _as_names(value: Any, what: str) -> tuple[str, ...]:
    """Return names of methods or ditherings, one or more, each once, or raise `OptionError`."""
    given = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
    names = tuple(dict.fromkeys(given))
    if not names:
        message = f"Got no {what} to compare; give at least one."
        raise OptionError(message)
    return names


def _list_options(
    methods: Sequence[str], n_colors: Sequence[int], given: dict[str, Any]
) -> list[FitOptions]:
    """Return the options of every fit, method by method; each method gets what it takes.

    What is taken by none of them is handed to the first, which refuses it.
    """
    taken = [keep_taken(method, given) for method in methods]
    for name in set(given).difference(*taken):
        taken[0][name] = given[name]
    return [
        FitOptions(n_colors=k, method=method, **options)
        for method, options in zip(methods, taken, strict=True)
        for k in dict.fromkeys(n_colors)
    ]


def _check_outputs(sheet: Path, files: Sequence[Path | None], *, overwrite: bool) -> None:
    """Raise `OutputError` when the sheet or a picture cannot be written, before work is done."""
    for file in (sheet, *files):
        if file is not None:
            check_output(file, overwrite=overwrite)
    if sheet.absolute() in [file.absolute() for file in files if file is not None]:
        message = f"Got {str(sheet)!r} for the sheet, which one of the images gets; name another."
        raise OutputError(message)


def _read_picture(name: str, alpha: AlphaRule) -> tuple[NDArray[np.uint8], int]:
    """Return the pixels of a picture and its bytes as stored."""
    source, input_bytes = read_source(name)
    header = read_header(source)
    if header.n_pixels > SMALL_PIXELS:
        message = (
            f"Got a picture of {header.n_pixels:,} pixels; compare takes up to {SMALL_PIXELS:,}. "
            "Quantize it once for each number of colours instead."
        )
        raise PixelFormatError(message)
    return read_image(source, alpha=alpha), input_bytes


def _fit_timed(histogram: ColorHistogram, options: FitOptions) -> tuple[PaletteFit, float]:
    """Return a fit and the seconds that it took."""
    begin = time.perf_counter()
    fit = fit_histogram(histogram, options)
    return fit, time.perf_counter() - begin


def _make_candidate(
    pixels: NDArray[np.uint8],
    histogram: ColorHistogram,
    fit: PaletteFit,
    options: FitOptions,
    seconds: float,
    dither: str,
    file: Path | None,
    overwrite: bool,
) -> tuple[Candidate, NDArray[np.uint8]]:
    """Return the picture in one number of colours, and its pixels ``(y, x, 3)``."""
    labels, palette, error = _label_candidate(pixels, fit, dither)
    n_bytes = _write_candidate(labels, palette, file, overwrite=overwrite)
    candidate = Candidate(
        method=options.method,
        n_colors=options.n_colors,
        palette=palette,
        mse=error / histogram.n_pixels,
        explained_variance=explained_variance(error, histogram.mean_color_mse * histogram.n_pixels),
        output_bytes=n_bytes,
        seconds=seconds,
        output=None if file is None or n_bytes is None else str(file),
        dither=dither,
    )
    return candidate, palette.colors[labels]


def _label_candidate(
    pixels: NDArray[np.uint8], fit: PaletteFit, dither: str
) -> tuple[Labels, Palette, float]:
    """Return labels ``(y, x)``, the palette with their counts, and their squared error."""
    if dither == "none":
        return label_image(pixels, fit), fit.palette, fit.squared_error
    labels, tally = dither_image(pixels, fit.palette, dither, space=fit.boxes.space.name)
    return labels, tally.count_palette(fit.palette), tally.squared_error


def _write_candidate(
    labels: Labels, palette: Palette, file: Path | None, *, overwrite: bool
) -> int | None:
    """Write labels as an indexed PNG, or only measure it where there is no ``file``."""
    if len(palette) > MAX_COLORS_8BIT:
        return None
    chunks = label_chunks(labels, palette)
    if file is None:
        return sum(map(len, chunks))
    return write_file_atomically(file, chunks, overwrite=overwrite)


def _describe_original(
    pixels: NDArray[np.uint8], histogram: ColorHistogram, input_bytes: int
) -> Panel:
    """Return the panel of the picture as it came."""
    caption = ("original", f"{len(histogram):,} colours", f"{input_bytes / 1000:,.1f} kB")
    return Panel(pixels, caption, None)


def _describe_candidate(candidate: Candidate, picture: NDArray[np.uint8], said: _Said) -> Panel:
    """Return the panel of one candidate."""
    quality = "exact" if candidate.psnr_db is None else f"{candidate.psnr_db:.1f} dB"
    size = "" if candidate.output_bytes is None else f"{candidate.output_bytes / 1000:,.1f} kB, "
    lines = (
        ", ".join([*said.choose(candidate.method, candidate.dither), f"k = {candidate.n_colors}"]),
        f"mse {candidate.mse:,.1f}, {quality}",
        f"{size}{candidate.seconds:.2f} s",
    )
    return Panel(picture, lines, candidate.palette)


def _stem(name: str) -> str:
    """Return the name of a picture without folder and suffix."""
    return "stdin" if name == "-" else Path(name).stem
