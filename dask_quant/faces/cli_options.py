"""The options of the commands, and what they mean to the library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import dask_quant as dq
from dask_quant.alpha_options import as_alpha
from dask_quant.fit_options import DITHERS, EFFORTS, ENGINES, SPACES, parse_dithers
from dask_quant.method_options import INITS as STARTS
from dask_quant.method_options import METHODS, parse_methods
from dask_quant.option_texts import parse_adapt, parse_chunks
from dask_quant.options import FRAMES, ClusterOptions, parse_bytes
from dask_quant.segment_options import INITS, SCALES, parse_bands, parse_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

PATH = click.Path(path_type=Path)


class _Target(click.Path):
    """A path, or an address."""

    def convert(self, value: Any, *others: Any) -> Any:
        """Return an address as it is, anything else as a `Path`."""
        return value if "://" in str(value) else Path(os.fsdecode(super().convert(value, *others)))


def _combine(*options: Decorator) -> Decorator:
    """Return a decorator that adds ``options``, in the order in which help shows them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


SOURCES = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")

ANY_SOURCES = click.argument("sources", nargs=-1, metavar="[SOURCE...]")

COUNT_OPTIONS = _combine(
    click.option("--histogram", multiple=True, type=PATH, metavar="FILE.npz",
                 help="Add counts of earlier images before the fit; may be given several times."),
    click.option("--save-histogram", type=PATH, metavar="FILE.npz",
                 help="Write the exact counts that were fitted to."),
)  # fmt: skip

REFIT = click.option("--refit", metavar="FILE",
                     help="Old palette to start from; its entries keep their indices.")  # fmt: skip

FIT_OPTIONS = _combine(
    click.option("-k", "--colors", "n_colors", type=int, metavar="N",
                 help="Colours of the palette, 1 to 65536. [default: 16, or what a target takes]"),
    click.option("--target-psnr", type=float, metavar="DB",
                 help="Take the fewest colours that reach this PSNR."),
    click.option("--target-mse", type=float, metavar="X",
                 help="Take the fewest colours of at most this mse."),
    click.option("--target-delta-e", type=float, metavar="X",
                 help="Take the fewest colours of at most this mean CIEDE2000."),
    click.option("--method", type=click.Choice(METHODS), default="kmeans", show_default=True,
                 help="kmeans has the least error; the others are to compare with."),
    click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True,
                 help="histogram (auto): exact k-means on counted colours. "
                      "scalable: k-means in passes over all pixels of one image. "
                      "dask-ml: its KMeans on the same."),
    click.option("--keep", metavar="COLORS",
                 help="Colours that the palette holds in any case: '#ff0000,#0f0'."),
)  # fmt: skip

SPACE = click.option("--space", type=click.Choice(SPACES), default="srgb", show_default=True,
                     help="Where distances are measured.")  # fmt: skip

RECOLOR = click.option("--recolor", metavar="COLORS",
                       help="Paint the darkest class in the first: '#000,#fff'.")  # fmt: skip

SEARCH_OPTIONS = _combine(
    SPACE,
    click.option("--effort", type=click.Choice(EFFORTS), default="default", show_default=True,
                 help="How long to search for a lower error."),
    click.option("--seed", type=int, default=0, show_default=True,
                 help="Seed of every random draw."),
    click.option("--n-init", type=int, metavar="N", help="Restarts; the best is kept."),
    click.option("--max-iter", type=int, metavar="N", help="Most iterations of the last descent."),
    click.option("--tol", type=float, metavar="LEVELS",
                 help="Centroid shift, in units of the space, at which to stop."),
    click.option("--init", default="k-means++", show_default=True, metavar="NAME|FILE",
                 help="First centroids. k-means++: a search. random, as in OpenCV, or the colours "
                      "of a palette file: plain iterations from there."),
    click.option("--weight-power", type=float, default=1.0, show_default=True, metavar="P",
                 help="Fit to counts to this power; 0.5 keeps small spots of a colour alive."),
)  # fmt: skip

DITHER = click.option("--dither", type=click.Choice(DITHERS), default="none", show_default=True,
                      help="How to show colours between those of the palette.")  # fmt: skip

OUTLINE = click.option("--outline", type=PATH, metavar="FILE",
                       help="Draw the borders of one image to this .png or .zarr; of classes also "
                            ".tif.")  # fmt: skip
REPORT = click.option("--report", type=PATH, metavar="FILE.html",
                      help="Write a page about the job: figures, palette, images of the highest "
                           "error.")  # fmt: skip
ALPHA = _combine(
    click.option("--alpha", default="keep", show_default=True, metavar="keep|cut|drop|matte",
                 help="Keep transparency, cut it at half (as for .gif and .tif), ignore "
                       "it, or put pixels on a colour: matte:#ffffff."),
    click.option("--matte", metavar="COLOR", help="The colour of --alpha matte. [default: white]"),
)  # fmt: skip

CHUNK_OPTIONS = _combine(
    click.option("--chunks", metavar="N|ROWS,COLS", help="Pixels per task; results stay the same."),
    click.option("--persist", type=PATH, metavar="STORE.zarr",
                 help="Decode one image, or rasters, into this store once, and reuse it."),
)  # fmt: skip

FRAME_CHOICE = click.option("--frames", type=click.Choice(FRAMES), default="first",
                            show_default=True,
                            help="Frames of an animation: name-000.png and so on.")  # fmt: skip
PAGE_OPTIONS = _combine(
    click.option("--page", type=int, metavar="N",
                 help="Picture of a TIFF or OME-Zarr that holds several, from 0."),
    click.option("--level", type=int, default=0, metavar="N",
                 help="Level of the pyramid of a TIFF or OME-Zarr; 0: all pixels."),
)  # fmt: skip

SCHEDULER_OPTIONS = _combine(
    click.option("--scheduler", metavar="ADDRESS", help="Use a running scheduler, tcp:// or tls://."),
    click.option("--scheduler-file", type=PATH, help="Use the scheduler that wrote this file."),
    click.option("--tls-ca-file", type=PATH, help="Certificate authority for tls://."),
    click.option("--tls-cert", type=PATH, help="Certificate of this client."),
    click.option("--tls-key", type=PATH, help="Private key of this client."),
)  # fmt: skip
CLUSTER_OPTIONS = _combine(
    click.option("--workers", type=int, metavar="N", help="Start N worker processes here."),
    click.option("--adapt", metavar="MIN:MAX",
                 help="Start worker processes here, MIN to MAX of them, as work demands."),
    click.option("--memory-limit", metavar="SIZE", help="Memory for the whole job, such as 1.5GB."),
    SCHEDULER_OPTIONS,
    click.option("--detach", is_flag=True, help="Have a worker drive the job; return its name."),
    click.option("--upload-code", is_flag=True, help="Send dask_quant to workers that have none."),
    click.option("--dashboard", is_flag=True,
                 help="Serve the dashboard of --workers or --adapt on loopback."),
    click.option("--performance-report", type=PATH, metavar="FILE.html",
                 help="Write Dask's report of a cluster: which task ran where and when."),
)  # fmt: skip

BAND_OPTIONS = _combine(
    click.option("--bands", metavar="LIST", help="Bands: 4,3,2 or 1:4 or names."),
    click.option("--index", "indices", multiple=True, metavar="NAME[=A/B]",
                 help="Further band (A - B) / (A + B): ndvi, or ndvi=4/3."),
    click.option("--nodata", type=float, metavar="VALUE",
                 help="Sample that means nothing, whatever the file says."),
    click.option("--mask", type=PATH, metavar="FILE", help="Raster whose 0 leaves pixels out."),
)  # fmt: skip

IN_MEMORY = click.option("--in-memory", is_flag=True,
                         help="Read rasters once and keep their pixels in memory.")  # fmt: skip

CLASS_OUTPUTS = _combine(
    click.option("--table", type=PATH, metavar="FILE", help="Table of classes: .csv or .json."),
    click.option("--plot", type=PATH, metavar="FILE", help="Spectra of classes: .png, .svg, .pdf."),
    click.option("--sieve", type=int, default=0, metavar="N",
                 help="Give patches of fewer pixels to their neighbours."),
    IN_MEMORY,
    click.option("--cog", is_flag=True, help="Write cloud-optimized GeoTIFF."),
)  # fmt: skip

CLASS_NAMES = ("bands", "indices", "nodata", "mask", "table", "plot", "cog", "sieve", "in_memory")
"""What these two leave in the parsed options."""

_SCALE_OPTIONS = (
    click.option("--scale", type=click.Choice(SCALES), default="none", show_default=True,
                 help="What bands are brought to before distances are measured."),
    click.option("--band-weights", metavar="LIST", help="Weight of each band: 1,1,0.5."),
    click.option("--pca", type=float, metavar="N|SHARE",
                 help="Use N principal components, or those of a SHARE of variance."),
    click.option("--n-init", type=int, metavar="N", help="Restarts; the best is kept."),
    click.option("--tol", type=float, default=1e-4, show_default=True, metavar="SHARE",
                 help="Squared shift at which they rest, in mean variances of a band."),
    click.option("--seed", type=int, default=0, show_default=True,
                 help="Seed of every random draw."),
)  # fmt: skip

CLASS_FIT_OPTIONS = _combine(
    click.option("-k", "--clusters", "--colors", "n_clusters", type=int, default=8,
                 show_default=True, metavar="N", help="Classes, 1 to 65535."),
    click.option("--init", type=click.Choice(INITS), default="k-means++", show_default=True,
                 help="First centres: a fit to a sample, or draws from all pixels."),
    click.option("--max-iter", type=int, default=300, show_default=True, metavar="N",
                 help="Passes at most in which centres move."),
    *_SCALE_OPTIONS,
)  # fmt: skip

SCORE_OPTIONS = _combine(
    click.option("--max-iter", type=int, default=3, show_default=True, metavar="N",
                 help="Passes at most in which centres move, after a fit to a sample."),
    *_SCALE_OPTIONS,
)  # fmt: skip

SHOW_OPTIONS = _combine(
    click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
)  # fmt: skip

SCORES_OUT = click.option("-o", "--out", type=PATH, metavar="FILE",
                          help="Write the scores: .csv, .json, .png, .svg or .pdf.")  # fmt: skip
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
RESUME_OPTIONS = _combine(
    click.option("--resume", is_flag=True,
                 help="Go on with what an earlier run of this job left in OUT."),
    click.option("--retry-quarantined", is_flag=True,
                 help="With --resume, try again what was set aside."),
    click.option("--strict", is_flag=True, help="Stop at the first image that cannot be read."),
)  # fmt: skip
RESUME_NAMES = ("resume", "retry_quarantined", "strict")
"""What these leave in the parsed options."""

DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
OUT = click.option("-o", "--out", type=_Target(), required=True, metavar="OUT",
                   help="For one image a .png, .gif, .tif, .npz or .zarr, "
                        "else a folder, or its address.")  # fmt: skip
FORMAT = click.option("--format", metavar="NAME",
                      help="What images of a folder become: png, gif, tif, npz; of "
                           "tar shards also tar, for shards again. [default: png]")  # fmt: skip


def take(given: dict[str, Any], *names: str) -> dict[str, Any]:
    """Remove some of the parsed options and return them."""
    return {name: given.pop(name) for name in names}


def class_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return parsed options with lists of bands and of weights taken apart."""
    options = dict(given)
    if options.get("bands") is not None:
        options["bands"] = parse_bands(options["bands"])
    if options.get("band_weights") is not None:
        options["band_weights"] = parse_numbers(options["band_weights"], "--band-weights")
    return options


def refuse(options: dict[str, Any], what: str) -> None:
    """Raise `OptionError` when one of the options is given that ``what`` has no use for."""
    for name, value in options.items():
        if value not in (None, False, (), 0):
            option = "index" if name == "indices" else name.replace("_", "-")
            message = f"Got --{option} with {what}; it is for --model."
            raise dq.OptionError(message)


def fit_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return parsed options with the names of methods taken apart and first colours read."""
    options = dict(given)
    if "methods" in options:
        options["method"] = parse_methods(options.pop("methods"))
    if "dithers" in options:
        options["dither"] = parse_dithers(options.pop("dithers"))
    if options.get("refit") is not None:
        options["refit"] = dq.read_palette(Path(options["refit"]))
    if options["init"] not in STARTS:
        options["init"] = dq.read_palette(Path(options["init"]))
    return options


def alpha_option(given: dict[str, Any]) -> dict[str, Any]:
    """Return parsed options with alpha and matte as one."""
    options = dict(given)
    options["alpha"] = as_alpha(options["alpha"], options.pop("matte"))
    return options


def scheduler_options(given: Mapping[str, Any]) -> ClusterOptions:
    """Return where a running scheduler is, from parsed options, or raise `OptionError`."""
    names = ("workers", "scheduler", "scheduler_file", "tls_ca_file", "tls_cert", "tls_key",
             "upload_code")  # fmt: skip
    return ClusterOptions(
        adapt=_read_adapt(given.get("adapt")),
        **{name: given[name] for name in names if name in given},
    )


def _read_adapt(text: str | None) -> tuple[int, int] | None:
    """Return what ``--adapt`` says, None where it was not given."""
    return None if text is None else parse_adapt(text)


def job_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a job from parsed options."""
    options = dict(given)
    if "matte" in options:
        options = alpha_option(options)
    options.pop("detach", None)
    limit, chunks = options.pop("memory_limit"), options.pop("chunks")
    if chunks is not None:
        shape = parse_chunks(chunks)
        options["chunks"] = (shape.rows, shape.columns)
    names = ("workers", "scheduler", "scheduler_file", "tls_ca_file", "tls_cert", "tls_key",
             "upload_code", "dashboard", "performance_report")  # fmt: skip
    options["cluster"] = ClusterOptions(
        memory_limit_bytes=None if limit is None else parse_bytes(limit),
        adapt=_read_adapt(options.pop("adapt")),
        **{name: options.pop(name) for name in names},
    )
    return options
