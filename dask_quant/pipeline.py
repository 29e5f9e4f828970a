"""What users call for whole jobs: sources in, files out, a report back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import as_alpha
from dask_quant.events import ignore_event
from dask_quant.fit_options import FitOptions, check_dither
from dask_quant.job_report import check_report, finish_report
from dask_quant.options import as_path, join_client, make_run_options
from dask_quant.palette import as_palette, check_opaque
from dask_quant.routes.choose import fit_sources, relabel_sources
from dask_quant.routes.common import (
    Job,
    as_file,
    as_target,
    check_any_sources,
    check_sources,
)
from dask_quant.routes.job_options import choose_format, fit_alpha_to, make_fit, make_job
from dask_quant.routes.outlining import as_outline
from dask_quant.saved_counts import read_counts
from dask_quant.watching import watched

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import Client
    from numpy.typing import ArrayLike

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.events import Listener
    from dask_quant.options import ClusterOptions
    from dask_quant.palette import Palette
    from dask_quant.results import Report
    from dask_quant.routes.common import Sources
    from dask_quant.routes.job_options import Colors, Counts


@watched
def quantize(
    sources: Sources | Any,
    out: str | Path,
    *,
    n_colors: int | None = None,
    format: str | None = None,
    per_image: bool = False,
    group_by: str | None = None,
    dither: str = "none",
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
    keep: Colors = (),
    recolor: Colors = (),
    target_psnr: float | None = None,
    target_mse: float | None = None,
    target_delta_e: float | None = None,
    alpha: str | AlphaRule = "keep",
    matte: Any = None,
    refit: Colors = (),
    histogram: Counts = (),
    save_histogram: str | Path | None = None,
    outline: str | Path | None = None,
    report: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    retry_quarantined: bool = False,
    strict: bool = False,
    chunks: int | tuple[int, int] | None = None,
    page: int | None = None,
    level: int = 0,
    persist: str | Path | None = None,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    frames: str = "first",
    listener: Listener = ignore_event,
) -> Report:
    """Fit a palette to images, relabel them with it and write them. **Eager**.

    Parameters
    ----------
    sources : str, Path, sequence of them, NumPy or Dask array
        Files, folders, globs, Zarr stores, ``-`` for standard input or ``@list.txt``; or one image
        as an array, uint8 ``(y, x, 3)`` or ``(y, x)``.
    out : str or Path
        For one image, the ``.png``, ``.gif``, ``.tif``, ``.npz`` or ``.zarr`` to write; else the
        folder to write into, which mirrors the tree of the sources.
    n_colors : int, optional
        Colours of the palette, 1 to 65536; None: 16, or with a target as many as it takes and the
        output can hold. Where the images hold fewer, so does the palette.
    format : str, optional
        What the images of a folder become: ``png``, ``gif``, ``tif``, ``tiff`` or ``npz``. None:
        ``png``. ``tar``: each tar shard of ``sources``, which are nothing else, becomes a shard
        whose images are PNG and whose other members are as they were; ``tar:gif`` and ``tar:tif``
        for others than PNG.
    per_image : bool, default False
        Whether each image gets a palette of its own; else all share one, fitted to all of them.
    group_by : str, optional
        A palette for each group of images: ``folder``, for those of a folder, or a regular
        expression that is searched for in the place of an image below ``out``, with its own
        suffix; its first group in parentheses, or all that it matches, names the group. Images that
        it is not found in are one more. ``colors``: families of images of like colours, as few as
        are found, each with a palette that meets the target for every image of it, which takes one
        of ``target_psnr``, ``target_mse`` and ``target_delta_e``; see `dask_quant.fit.families`.
    dither : {"none", "bayer", "blue-noise", "floyd-steinberg"}, default "none"
        How to show colours between those of the palette, which is the same for all. ``bayer`` and
        ``blue-noise`` add an offset that the place of a pixel decides, and leave colours alone that
        the palette holds. ``floyd-steinberg`` hands the error of each pixel on to the next ones, in
        sRGB, row by row from left to right. The nearest colour is that in ``space``, for all three.
        Counts and errors are those of what is written; a colour of the palette may then win no
        pixel. Not with ``recolor``: to dither between given colours, use `apply_palette`.
    method : str, default "kmeans"
        ``kmeans``, which has the least error; or, to compare with, ``median-cut``, ``octree``,
        ``wu``, ``popularity``, ``uniform``, ``mini-batch``, ``neuquant`` (see
        `dask_quant.fit.methods`). All get the same exact counts, and their palettes are rounded and
        filled up in the same way.
    engine : {"auto", "histogram", "scalable", "dask-ml"}, default "auto"
        ``histogram``, which ``auto`` chooses, is exact k-means on counted colours. The others fit
        all pixels of one image, pass by pass: ``scalable`` as `ScalableKMeans` does, the same bytes
        for any chunks; ``dask-ml`` is `dask_ml.cluster.KMeans`.
    effort : {"fast", "default", "best"}, default "default"
        How long to search for a lower error: ``fast`` starts once, ``default`` restarts or
        disturbs what it found a few times, ``best`` takes some ten times as long.
    space : {"srgb", "linear", "oklab", "lab"}, default "srgb"
        Where distances are measured, both to fit and to find the nearest colour of a pixel: sRGB
        levels as stored; linear light; Oklab; CIELAB (D65). ``mse`` is measured in sRGB in any
        case. Only engine ``histogram``.
    seed : int, default 0
        Seed of every random draw; the same seed gives the same bytes.
    n_init, max_iter, tol : optional
        Restarts, Lloyd iterations of the last descent, and the centroid shift, in units of the
        space (sRGB: levels), at which it stops. None: what the engine does by default. Methods
        that move no centroids take none of them.
    init : {"k-means++", "random"}, Palette or array_like, default "k-means++"
        First centroids. ``k-means++`` begins a search; ``random``, as in OpenCV, and
        colours that are given, sRGB levels ``(n_colors, 3)``, begin plain Lloyd iterations.
    weight_power : float, default 1.0
        Pixels of a colour count to this power, 0 to 1, while the palette is fitted: at 0.5 a small
        spot of a colour that nothing else has gets an entry where large even areas would take it;
        at 0 each distinct colour counts once. Counts and errors are of the pixels all the same.
    keep : str, sequence or array_like, optional
        Colours that the palette holds in any case, exactly, at most ``n_colors``: ``#rrggbb`` texts
        or sRGB integers 0 to 255 ``(n, 3)``. The others are fitted around them. One that wins no
        pixel is there all the same, with a count of 0. For the histogram engine.
    recolor : str, sequence or array_like, optional
        Colours to paint the classes in, as many as ``n_colors``, given as for ``keep``: the darkest
        class, by CIE L*, in the first one. Labels stay those of the fit; palette, error and counts
        are of what is written.
    target_psnr, target_mse, target_delta_e : float, optional
        Take the fewest colours, ``n_colors`` at most, that reach this PSNR in dB, this mse, or this
        mean CIEDE2000 difference. Fits of several numbers of colours are made for it.
    refit : Palette, str, sequence or array_like, optional
        Old palette, given as for ``keep``, to start from: plain k-means in ``space`` that keeps
        indices. Entry ``i`` is what entry ``i`` has become; one that wins no pixel stays as it is.
        Further entries come after them; by default there are none.
    histogram : str, Path, ColorHistogram or sequence of them, optional
        Counts of earlier images, ``.npz`` files or values. The palette, and its order, come from
        all images together; counts, mse and what else is told are of the pixels written.
    save_histogram : str or Path, optional
        ``.npz`` file for the exact counts that were fitted to, see `write_histogram`.
    outline : str or Path, optional
        ``.png`` or ``.zarr`` to draw the borders of the labels of one image to, black on white, as
        `find_borders` finds them. Not with ``dither``.
    report : str or Path, optional
        ``.html`` file for a page about the job, see `write_report`. Where the job is resumed, it
        replaces the page of the earlier run.
    alpha : {"keep", "cut", "drop", "matte"}, default "keep"
        What becomes of pixels that are not opaque. ``keep``: colours of the palette have an alpha,
        all pixels that are fully transparent share one, and differences are the mean of those over
        black and over white (`dask_quant.premultiplied`). ``cut``: the same, pixels of an alpha
        from 128 on being opaque first, others clear; so it is for GIF and TIFF. ``drop``: alpha is
        ignored, and hidden colours show. ``matte``, or ``matte:#rrggbb``: pixels are put on a
        colour first.
    matte : str or sequence, optional
        The colour for ``matte``, white when not given: ``#rrggbb`` or three sRGB levels.
    overwrite : bool, default False
        Whether outputs that exist are replaced.
    resume : bool, default False
        Go on with what an earlier run of the same job left in ``out``, whatever ended it: what is
        done is kept as it is, and the result is that of a run that nothing ended. With nothing to
        go on with, start.
    retry_quarantined : bool, default False
        With ``resume``, try again what the earlier run set aside.
    strict : bool, default False
        End the job with an error at the first input that has to be set aside.
    chunks : int or tuple of int, optional
        Rows and columns of a task, or one number for both, in pixels; planned when not given. The
        result does not depend on it.
    page : int, optional
        Which picture of a TIFF that holds several, from 0; None: the first that is neither reduced
        nor a mask. Of an OME-Zarr, which one along ``t`` and ``z``. For one image.
    level : int, default 0
        Level of the pyramid of a TIFF or OME-Zarr: 0 is all its pixels. For one image.
    persist : str or Path, optional
        Zarr store to decode a single image into once; it is reused while the image is the same.
    cluster : ClusterOptions, optional
        Where the work runs. None: on the active `distributed.Client`, or else on threads.
    client : distributed.Client, optional
        Client of the cluster that does the work, in place of ``cluster``; it stays open.
    frames : {"first", "all"}, default "first"
        Of animations (GIF, PNG, WebP, AVIF) the first frame, or each as an image of its own, as it
        is shown: ``name-000.png`` and so on.
    listener : callable, optional
        Told of progress, an `Event` at a time.

    Returns
    -------
    Report
        What was written, and how good it is.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.

    Warns
    -----
    FewerColorsWarning
        When the images hold fewer colours than were asked for.
    """
    run = make_run_options(
        *(overwrite, chunks, persist, join_client(cluster, client), page, level, frames),
        resume=resume,
        retry_quarantined=retry_quarantined,
        strict=strict,
    )
    job = make_job(
        *(out, run, listener),
        format=format,
        per_image=per_image,
        group_by=group_by,
        dither=dither,
        outline=outline,
        counts=(histogram, save_histogram),
        alpha=as_alpha(alpha, matte),
        n_colors=n_colors,
        targets=(target_psnr, target_mse, target_delta_e),
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
        keep=keep,
        recolor=recolor,
        refit=refit,
    )
    told = check_report(report, out, run)
    with job.saved.keep():
        done = relabel_sources(job, check_sources(sources), as_target(out))
    finish_report(done, told, sources, out, run)
    return done


@watched
def apply_palette(
    sources: Sources | Any,
    out: str | Path,
    palette: Palette | ArrayLike,
    *,
    format: str | None = None,
    space: str = "srgb",
    dither: str = "none",
    alpha: str | AlphaRule = "keep",
    matte: Any = None,
    outline: str | Path | None = None,
    report: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    retry_quarantined: bool = False,
    strict: bool = False,
    chunks: int | tuple[int, int] | None = None,
    page: int | None = None,
    level: int = 0,
    persist: str | Path | None = None,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    frames: str = "first",
    listener: Listener = ignore_event,
) -> Report:
    """Relabel images with a palette that exists, and write them. **Eager**.

    Parameters
    ----------
    palette : Palette or array_like
        Colours to use, in this order; those that win no pixel stay in the files. An array holds
        sRGB integers 0 to 255 ``(n_colors, 3)``.
    space : {"srgb", "linear", "oklab", "lab"}, default "srgb"
        Where the nearest colour of a pixel is found.
    sources, out, format, dither, outline, report, alpha, matte, overwrite, chunks
        As in `quantize`.
    resume, retry_quarantined, strict
        As in `quantize`.
    page, level, frames, persist, cluster, client, listener
        As in `quantize`.

    Returns
    -------
    Report
        As `quantize`; ``engine`` is ``none``, and ``palette`` has the counts of these images.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.
    """
    run = make_run_options(
        *(overwrite, chunks, persist, join_client(cluster, client), page, level, frames),
        resume=resume,
        retry_quarantined=retry_quarantined,
        strict=strict,
    )
    given = as_palette(palette)
    fit = FitOptions(n_colors=len(given), space=space)
    chosen, (suffix, packs) = check_dither(dither), choose_format(format, out)
    lines = as_outline(outline, chosen)
    if chosen != "none":
        check_opaque(given, f"dither {chosen}")
    if space != "srgb":
        check_opaque(given, f"space {space}")
    job = Job(
        "apply",
        fit,
        run,
        listener,
        palette=given,
        dither=chosen,
        suffix=suffix,
        packs=packs,
        outline=lines,
        alpha=fit_alpha_to(as_alpha(alpha, matte), suffix, as_file(as_target(out))),
    )
    told = check_report(report, out, run)
    done = relabel_sources(job, check_sources(sources), as_target(out))
    finish_report(done, told, sources, out, run)
    return done


@watched
def make_palette(
    sources: Sources | Any,
    out: str | Path,
    *,
    n_colors: int | None = None,
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
    keep: Colors = (),
    target_psnr: float | None = None,
    target_mse: float | None = None,
    target_delta_e: float | None = None,
    refit: Colors = (),
    histogram: Counts = (),
    save_histogram: str | Path | None = None,
    alpha: str | AlphaRule = "keep",
    matte: Any = None,
    overwrite: bool = False,
    chunks: int | tuple[int, int] | None = None,
    page: int | None = None,
    level: int = 0,
    persist: str | Path | None = None,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    frames: str = "first",
    listener: Listener = ignore_event,
) -> Report:
    """Fit one palette to images and write it to a palette file. **Eager**.

    Parameters
    ----------
    out : str or Path
        Palette file: ``.gpl``, ``.hex``, ``.json``, ``.pal``, ``.riff.pal``, ``.act``, ``.ase``,
        ``.clr``, ``.qml``, or ``.png`` for a picture of the colours as squares.
    sources, n_colors, method, engine, effort, space, seed, n_init, max_iter, tol, init
        As in `quantize`.
    weight_power, keep
        As in `quantize`.
    target_psnr, target_mse, target_delta_e, refit, save_histogram
        As in `quantize`.
    histogram : str, Path, ColorHistogram or sequence of them, optional
        As in `quantize`, but the figures are of all images together. With it, ``sources`` may be
        None.
    alpha, matte, overwrite, chunks, page, level, frames, persist, cluster, client, listener
        As in `quantize`.

    Returns
    -------
    Report
        As `quantize`; no image is written.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.
    """
    fit = make_fit(
        as_path(out, "out").suffix,
        n_colors,
        (target_psnr, target_mse, target_delta_e),
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
        keep=keep,
        refit=refit,
    )
    run = make_run_options(
        overwrite, chunks, persist, join_client(cluster, client), page, level, frames
    )
    path = as_path(out, "out")
    rule, given = as_alpha(alpha, matte), (histogram, save_histogram, path)
    saved = read_counts(*given, fit=fit, overwrite=overwrite, shows_all=True, alpha=rule)
    job = Job("palette", fit, run, listener, saved=saved, alpha=rule)
    with saved.keep():
        return fit_sources(job, check_any_sources(sources, saved), path)
