"""What users call on arrays: count, fit, relabel, render, write, find borders."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

import dask.array as da
import numpy as np

from dask_quant.alpha_options import as_alpha
from dask_quant.array_flow import count_image, write_labels
from dask_quant.borders import mark_borders
from dask_quant.cluster import find_active_client
from dask_quant.engine_flow import fit_image
from dask_quant.errors import FewerColorsWarning, OptionError, PixelFormatError
from dask_quant.events import ignore_event
from dask_quant.execute import Executor
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions, check_dither, check_space, make_target
from dask_quant.given_colors import as_color, as_colors
from dask_quant.graphs.borders import mark_blocks, outline_blocks
from dask_quant.graphs.dither import dither_blocks
from dask_quant.graphs.relabel import relabel_blocks, render_blocks
from dask_quant.histogram import ColorHistogram
from dask_quant.options import MAX_COLORS, as_path
from dask_quant.palette import as_palette, check_opaque
from dask_quant.refit_options import count_refit
from dask_quant.routes.common import check_label_suffix
from dask_quant.sinks.label_file import check_image_shape, check_palette
from dask_quant.sources.opening import open_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from distributed import Client
    from numpy.typing import ArrayLike, NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.events import Listener
    from dask_quant.palette import Palette

    ImageLike: TypeAlias = str | Path | NDArray[np.uint8] | da.Array


def count_colors(
    image: ImageLike,
    *,
    alpha: str | AlphaRule = "keep",
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> ColorHistogram:
    """Count the distinct colours of an image, exactly, in one pass. **Eager**.

    Parameters
    ----------
    image : str, Path, NumPy or Dask array
        sRGB uint8 ``(y, x, 3)`` or ``(y, x)``, RGBA ``(y, x, 4)``, or where one is stored.
    alpha : {"keep", "drop", "matte:#rrggbb"}, default "keep"
        What becomes of pixels that are not opaque, as in `quantize`.
    client : distributed.Client, optional
        Client of the cluster that does the work. None: the active one, or the scheduler that Dask
        is set to (threads).
    listener : callable, optional
        Told of progress.

    Returns
    -------
    ColorHistogram
        The same for any chunks and scheduler.

    Raises
    ------
    SourceError, PixelFormatError
        When the image cannot be read, or its pixels are of another kind.

    Notes
    -----
    O(pixels). On threads, each takes its block and tables of at most 80 MiB, and the histogram, 12
    bytes per distinct colour, is made at the end. Elsewhere each task makes one of its own block.

    Examples
    --------
    >>> import dask_quant as dq
    >>> dq.count_colors(np.zeros((4, 4, 3), dtype=np.uint8))
    <ColorHistogram of 1 colours, 16 pixels>
    """
    return count_image(open_image(image, alpha=alpha), _make_executor(client, listener))


def fit_palette(
    data: ImageLike | ColorHistogram,
    n_colors: int | None = None,
    *,
    method: str = "kmeans",
    engine: str = "auto",
    effort: str = "default",
    space: str = "srgb",
    seed: int = 0,
    n_init: int | None = None,
    max_iter: int | None = None,
    tol: float | None = None,
    init: Any = "k-means++",
    weight_power: float = 1.0,
    keep: str | Sequence[str] | ArrayLike = (),
    target_psnr: float | None = None,
    target_mse: float | None = None,
    target_delta_e: float | None = None,
    refit: Palette | str | Sequence[str] | ArrayLike = (),
    alpha: str | AlphaRule = "keep",
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> Palette:
    """Fit a palette to an image or a histogram. **Eager**.

    Parameters
    ----------
    data : ColorHistogram, str, Path, NumPy or Dask array
        What to fit. A histogram costs no pass over pixels.
    n_colors : int, optional
        Colours to fit; None: 16, or with a target as many as it takes.
    method, engine, effort, space, seed, n_init, max_iter, tol, init
        As in `quantize`.
    weight_power, keep
        As in `quantize`. The engines ``scalable`` and ``dask-ml`` need the image.
    target_psnr, target_mse, target_delta_e, refit
        As in `quantize`.
    alpha
        As in `count_colors`; a histogram has what it counted.
    client : distributed.Client, optional
        Client of the cluster that does the work. None: the active one, or the scheduler that Dask
        is set to (threads).
    listener : callable, optional
        Told of progress.

    Returns
    -------
    Palette
        ``min(n_colors, distinct colours)`` distinct colours by descending count, with counts;
        ``keep`` counts among the distinct colours. With ``refit``, in the order of the old ones.

    Raises
    ------
    OptionError
        When an option is out of range, or an engine that fits pixels gets a histogram.
    FitError
        When there is no pixel to fit.

    Warns
    -----
    FewerColorsWarning
        When there are fewer colours than were asked for.

    Examples
    --------
    >>> import dask_quant as dq
    >>> image = np.array([[[0, 0, 0], [2, 2, 2], [200, 0, 0]]], dtype=np.uint8)
    >>> dq.fit_palette(image, n_colors=2).hex
    ['#010101', '#c80000']
    """
    target = make_target(target_psnr, target_mse, target_delta_e)
    if n_colors is None:
        n_colors = count_refit(refit)
    if n_colors is None:
        n_colors = FitOptions.n_colors if target is None else MAX_COLORS
    options = FitOptions(
        n_colors=n_colors,
        target=target,
        method=method,
        engine=engine,
        effort=effort,
        space=space,
        seed=seed,
        n_init=n_init,
        max_iter=max_iter,
        tol=tol,
        init=init,
        weight_power=weight_power,
        keep=as_colors(keep, "keep"),
        refit=as_colors(refit, "refit"),
    )
    if isinstance(data, ColorHistogram):
        if options.fits_pixels:
            message = f"Got a histogram for the {engine} engine, which fits pixels; give the image."
            raise OptionError(message)
        palette = fit_histogram(data, options, listener).palette
    else:
        rule = as_alpha(alpha)
        rule = rule.refusing if options.fits_pixels else rule
        executor, image = _make_executor(client, listener), open_image(data, alpha=rule)
        palette = fit_image(image, count_image(image, executor), options, executor).palette
    if target is None and len(palette) < n_colors:
        warnings.warn(
            f"{n_colors} colours were asked for, but there are only {len(palette)}.",
            FewerColorsWarning,
            stacklevel=2,
        )
    return palette


def relabel(
    image: ImageLike,
    palette: Palette | ArrayLike,
    *,
    space: str = "srgb",
    dither: str = "none",
    alpha: str | AlphaRule = "keep",
) -> da.Array:
    """Return the index of the nearest palette entry of every pixel, or dither. **Lazy**.

    Parameters
    ----------
    image : str, Path, NumPy or Dask array
        As in `count_colors`.
    palette : Palette or array_like
        Up to 65536 colours; sRGB integers 0 to 255 ``(n_colors, 3)``, or RGBA ``(n_colors, 4)``, if
        an array.
    space : {"srgb", "linear", "oklab", "lab"}, default "srgb"
        Where distances are measured; what dithering adds to a pixel are levels of sRGB.
    dither : {"none", "bayer", "blue-noise", "floyd-steinberg"}, default "none"
        As in `quantize`. Error diffusion hands errors down from one row of chunks to the next.
    alpha
        As in `count_colors`. To dither, pixels that are not opaque are refused where it is kept.

    Returns
    -------
    dask.array.Array
        Labels ``(y, x)``, uint8 up to 256 colours, else uint16, chunked like the image. The
        nearest entry is that of least squared distance, the lowest index on ties.

    Raises
    ------
    SourceError, PixelFormatError
        When the image cannot be read, or its pixels are of another kind.
    OptionError
        When ``dither`` is not known.

    Notes
    -----
    One gather per pixel through a table of 16 or 32 MiB, which each process builds once; two for
    ordered dithering, and some 40 Mpx/s for error diffusion, which no further threads speed up.
    """
    check_space(space)
    colors, rule = as_palette(palette), as_alpha(alpha)
    if check_dither(dither) != "none":
        return dither_blocks(open_image(image, alpha=rule.refusing), colors, dither, space)
    if space == "srgb":
        return relabel_blocks(open_image(image, alpha=rule), colors, space)
    check_opaque(colors, f"space {space}")
    return relabel_blocks(open_image(image, alpha=rule.refusing), colors, space)


def render(
    labels: ArrayLike | da.Array,
    palette: Palette | ArrayLike,
    *,
    outline: str | Sequence[int] | None = None,
) -> da.Array:
    """Return the colours of labels. **Lazy**.

    Parameters
    ----------
    labels : array_like or Dask array
        Palette indices, integers ``(y, x)``, below ``len(palette)``.
    palette : Palette or array_like
        Colours to paint with, as in `relabel`.
    outline : str or sequence of int, optional
        Colour to paint borders in, as `find_borders` finds them: ``#rrggbb``, or three sRGB
        integers 0 to 255. None: borders are not painted.

    Returns
    -------
    dask.array.Array
        sRGB uint8 ``(y, x, 3)``, or RGBA ``(y, x, 4)`` of a palette with alpha, chunked like
        ``labels``.

    Raises
    ------
    PixelFormatError
        When ``labels`` are not integers ``(y, x)``.
    OptionError
        When ``outline`` is no colour.
    """
    array, colors = _as_labels(labels), as_palette(palette)
    if outline is None:
        return render_blocks(array, colors)
    return outline_blocks(array, colors.colors, as_color(outline, "outline"))


def find_borders(labels: Any) -> Any:
    """Return the pixels where labels change: the borders of classes. **Lazy** for Dask, else NumPy.

    A pixel is one when its label differs from that of the next pixel to the right, or of the one
    below. Each change is marked once, so lines are one pixel thin: on the left or upper side.

    Parameters
    ----------
    labels : array_like, Dask array or DataArray
        Integers or bool ``(y, x)``, of any meaning: no label is background, nodata neither.

    Returns
    -------
    ndarray, dask.array.Array or DataArray
        bool ``(y, x)``, of the kind of ``labels``: a Dask array chunked like them (less chunks
        without pixels), a DataArray with their coordinates.

    Raises
    ------
    PixelFormatError
        When ``labels`` are of another type or shape, or their shape is not known.

    Notes
    -----
    O(pixels), the same for any chunks. Each block of a Dask array is asked for once; with its
    borders, 1 byte per pixel, it needs one row and one column of the next blocks.

    `skimage.segmentation.find_boundaries` marks more: ``thick``, its default, both pixels beside
    each change, lines two pixels wide; ``inner`` those of them that are not background (0);
    ``outer`` the background beside objects, and both where objects touch; ``subpixel`` what lies
    between pixels, in an image of twice the size. Borders here are those of the pixels that
    ``thick`` marks which lie left of a change, or above it.

    Examples
    --------
    >>> import dask_quant as dq
    >>> dq.find_borders([[0, 0, 1], [0, 0, 1], [2, 2, 1]]).astype(int).tolist()
    [[0, 1, 0], [1, 1, 0], [0, 1, 0]]
    """
    if hasattr(labels, "dims") and hasattr(labels, "data"):
        named = labels.copy(data=find_borders(labels.data))
        return named.rename("borders").drop_attrs()
    array = labels if isinstance(labels, da.Array) else _as_numpy(labels)
    if array.ndim != 2 or array.dtype.kind not in "uib":
        message = (
            f"Got labels {array.dtype} {array.shape}; integers or bool of shape (y, x) are needed."
        )
        raise PixelFormatError(message)
    if not isinstance(array, da.Array):
        return mark_borders(array)
    if np.isnan(array.shape).any():
        message = "Got labels of unknown shape; call their compute_chunk_sizes() first."
        raise PixelFormatError(message)
    return mark_blocks(array)


def write(
    labels: ArrayLike | da.Array,
    out: str | Path,
    *,
    palette: Palette | ArrayLike,
    overwrite: bool = False,
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> int:
    """Write labels as a picture with a palette, as arrays or as a Zarr store. **Eager**.

    Parameters
    ----------
    labels : array_like or Dask array
        Palette indices, integers ``(y, x)``, below ``len(palette)``.
    out : str or Path
        ``.png`` or ``.gif`` (up to 256 colours), ``.tif``, ``.npz`` or ``.zarr``; appears only
        when it is whole.
    palette : Palette or array_like
        Colours of the labels, as in `relabel`.
    overwrite : bool, default False
        Whether ``out`` may be replaced.
    client : distributed.Client, optional
        Client of the cluster that does the work. None: the active one, or the scheduler that Dask
        is set to (threads).
    listener : callable, optional
        Told of progress.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    OutputError
        When ``out`` exists, cannot be written, or cannot hold that many colours.
    PixelFormatError
        When ``labels`` are not integers ``(y, x)``, or one is not an index of the palette.
    """
    path, colors = as_path(out, "out"), as_palette(palette)
    check_label_suffix(path, n_inputs=1)
    given = _as_labels(labels)
    check_image_shape(path, given.shape)
    check_palette(path, colors)
    typed = given.map_blocks(
        _narrow_labels,
        colors,
        dtype=colors.label_dtype,
        meta=np.empty((0, 0), colors.label_dtype),
    )
    return write_labels(typed, colors, path, _make_executor(client, listener), overwrite=overwrite)


def _as_labels(labels: Any) -> da.Array:
    """Return labels as a Dask array, or raise `PixelFormatError`."""
    array = labels if isinstance(labels, da.Array) else _as_numpy(labels)
    if array.ndim != 2 or array.dtype.kind not in "ui":
        message = f"Got labels {array.dtype} {array.shape}; integers of shape (y, x) are needed."
        raise PixelFormatError(message)
    return array if isinstance(array, da.Array) else da.from_array(array)


def _as_numpy(labels: Any) -> NDArray[Any]:
    """Return labels as a NumPy array, or raise `PixelFormatError` where rows differ in length."""
    try:
        return np.asarray(labels)
    except ValueError:
        message = (
            f"Got labels as a ragged {type(labels).__name__}; integers of shape (y, x) are needed."
        )
        raise PixelFormatError(message) from None


def _narrow_labels(block: NDArray[np.integer], palette: Palette) -> NDArray[np.integer]:
    """Return labels ``(y, x)`` in the type of the palette's, or raise `PixelFormatError`."""
    if block.size and not 0 <= block.min() <= block.max() < len(palette):
        message = (
            f"Got labels from {block.min()} to {block.max()}; "
            f"those of a palette of {len(palette)} colours are 0 to {len(palette) - 1}."
        )
        raise PixelFormatError(message)
    return block.astype(palette.label_dtype, copy=False)


def _make_executor(client: Client | None, listener: Listener) -> Executor:
    """Return what computes: a client, the active one, or the scheduler that Dask is set to."""
    return Executor(find_active_client(client, listener), None, listener)
