"""The command line: options in, one call of the library, its result on the screen.

Also loaded at every ``dask`` call, as its plug-in ``dask quant``: nothing heavier than click is
imported before a command runs. The library's names load when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import dask_quant as dq
from dask_quant.faces import terminal
from dask_quant.faces.cli_command import Group
from dask_quant.faces.cli_jobs import attach, cancel, jobs, status
from dask_quant.faces.cli_options import (
    ALPHA,
    ANY_SOURCES,
    BAND_OPTIONS,
    CHUNK_OPTIONS,
    CLASS_FIT_OPTIONS,
    CLASS_NAMES,
    CLASS_OUTPUTS,
    CLUSTER_OPTIONS,
    COUNT_OPTIONS,
    DITHER,
    DRY_RUN,
    FIT_OPTIONS,
    FORMAT,
    FRAME_CHOICE,
    IN_MEMORY,
    OUT,
    OUTLINE,
    OVERWRITE,
    PAGE_OPTIONS,
    PATH,
    RECOLOR,
    REFIT,
    REPORT,
    RESUME_NAMES,
    RESUME_OPTIONS,
    SCORE_OPTIONS,
    SCORES_OUT,
    SEARCH_OPTIONS,
    SHOW_OPTIONS,
    SOURCES,
    SPACE,
    alpha_option,
    class_options,
    fit_options,
    job_options,
    refuse,
    take,
)
from dask_quant.fit_options import DITHERS
from dask_quant.method_options import METHODS
from dask_quant.option_texts import parse_k_list
from dask_quant.process import claim_process

if TYPE_CHECKING:
    from pathlib import Path

DEMO_FOLDER = "dask-quant-demo"


@click.group(cls=Group, name="quant", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dq.__version__, prog_name="dask-quant")
def cli() -> None:
    """Exact colour quantization of images, on threads or on a Dask cluster."""


@cli.command()
@SOURCES
@OUT
@FORMAT
@FIT_OPTIONS
@RECOLOR
@REFIT
@COUNT_OPTIONS
@click.option("--per-image", is_flag=True, help="A palette for each image, not one for all.")
@click.option(
    "--group-by",
    metavar="folder|colors|REGEX",
    help="A palette for each group of images; colors: as few as serve each image within a target, "
    "such as --target-psnr 34.",
)
@DITHER
@ALPHA
@OUTLINE
@REPORT
@SEARCH_OPTIONS
@CHUNK_OPTIONS
@FRAME_CHOICE
@PAGE_OPTIONS
@OVERWRITE
@RESUME_OPTIONS
@DRY_RUN
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def quantize(sources: tuple[str, ...], out: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Fit a palette to images, relabel them and write them.

    SOURCE is an image file or its address, a folder, a glob, a Zarr store, a tar or Parquet file of
    images, - for standard input, or @list.txt.

    \b
    dask-quant quantize cat.jpg -o cat.png -k 10
    dask-quant quantize photos/ -o out/ -k 64 --per-image
    dask-quant quantize scan.zarr -o labels.zarr -k 32 --workers 4
    """  # noqa: D301 - click wants the character that is written so
    with terminal.run_command("quantize", quiet=quiet, as_json=as_json) as screen:
        if given.pop("dry_run"):
            screen.show_plan(dq.plan_job(sources, out, **job_options(fit_options(given))))
        else:
            options = job_options(fit_options(given))
            screen.show_report(dq.quantize(sources, out, listener=screen.listen, **options))


@cli.command()
@ANY_SOURCES
@click.option(
    "-o",
    "--out",
    type=PATH,
    required=True,
    metavar="FILE",
    help="Palette file: .gpl, .hex, .json, .pal, .act, .ase, .clr, .qml, or .png for a picture.",
)
@FIT_OPTIONS
@ALPHA
@REFIT
@COUNT_OPTIONS
@SEARCH_OPTIONS
@CHUNK_OPTIONS
@FRAME_CHOICE
@PAGE_OPTIONS
@OVERWRITE
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def palette(sources: tuple[str, ...], out: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Fit one palette to images and write it to a palette file."""  # fmt: skip
    with terminal.run_command("palette", quiet=quiet, as_json=as_json) as screen:
        options = job_options(fit_options(given))
        screen.show_report(dq.make_palette(sources, out, listener=screen.listen, **options))


@cli.command()
@SOURCES
@click.option(
    "--palette",
    "palette_file",
    type=PATH,
    metavar="FILE|NAME|COLORS",
    help="Palette file, indexed .png, .zarr of ours, colours like '#000,#fff', or a name: "
    "web-safe, ega, gray-2, gray-4, gray-16, gray-256, black-white.",
)
@click.option(
    "--model", type=PATH, metavar="FILE.json", help="Classes that segment wrote, for rasters."
)
@OUT
@FORMAT
@DITHER
@ALPHA
@OUTLINE
@REPORT
@CHUNK_OPTIONS
@FRAME_CHOICE
@PAGE_OPTIONS
@SPACE
@BAND_OPTIONS
@CLASS_OUTPUTS
@OVERWRITE
@RESUME_OPTIONS
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def apply(
    sources: tuple[str, ...],
    palette_file: Path | None,
    model: Path | None,
    out: Path,
    space: str,
    dither: str,
    frames: str,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Relabel images with a palette, or rasters with classes, that exist."""
    with terminal.run_command("apply", quiet=quiet, as_json=as_json) as screen:
        classes = take(given, *CLASS_NAMES)
        if model is not None and palette_file is None:
            chosen = given.pop("format")
            alpha, matte = take(given, "alpha", "matte").values()
            for name, value, default in (
                *(("space", space, "srgb"), ("dither", dither, "none")),
                *(("format", chosen, None), ("frames", frames, "first")),
                *(("alpha", alpha, "keep"), ("matte", matte, None)),
                ("report", given.pop("report"), None),
                *((name.replace("_", "-"), given.pop(name), False) for name in RESUME_NAMES),
            ):
                if value != default:
                    message = f"Got --{name} {value} with classes; it is for --palette."
                    raise dq.OptionError(message)
            if take(given, "page", "level") != {"page": None, "level": 0}:
                raise dq.OptionError("Got --page or --level with classes; they are for --palette.")
            options = class_options(classes) | job_options(given)
            screen.show_segments(
                dq.apply_classes(sources, out, model, listener=screen.listen, **options)
            )
        elif palette_file is not None and model is None:
            refuse(classes, "a palette")
            colors, options = dq.read_palette(palette_file), job_options(given)
            report = dq.apply_palette(
                *(sources, out, colors),
                space=space,
                dither=dither,
                frames=frames,
                listener=screen.listen,
                **options,
            )
            screen.show_report(report)
        else:
            raise dq.OptionError("Give either --palette or --model.")


@cli.command()
@SOURCES
@click.option(
    "-o",
    "--out",
    type=PATH,
    required=True,
    metavar="OUT",
    help="For one raster a .tif or .zarr, else a folder.",
)
@CLASS_FIT_OPTIONS
@BAND_OPTIONS
@CLASS_OUTPUTS
@OUTLINE
@click.option("--model-out", type=PATH, metavar="FILE.json", help="Write the classes, for apply.")
@CHUNK_OPTIONS
@OVERWRITE
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def segment(sources: tuple[str, ...], out: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Find classes of the pixels of rasters of any bands, by k-means.

    SOURCE is a raster file that GDAL reads, a folder, a glob, or a Zarr store. Several get one set
    of classes.

    \b
    dask-quant segment sentinel2.tif -o classes.tif -k 12 --scale standard
    dask-quant segment scenes/ -o classes/ -k 8 --table classes.csv --plot spectra.png
    """  # noqa: D301 - click wants the character that is written so
    with terminal.run_command("segment", quiet=quiet, as_json=as_json) as screen:
        options = job_options(class_options(given))
        screen.show_segments(dq.segment(sources, out, listener=screen.listen, **options))


@cli.command()
@ANY_SOURCES
@click.option(
    "-k",
    "--colors",
    "k_list",
    default="2:64",
    show_default=True,
    metavar="LIST",
    help="Numbers of colours: 2,5,10 or 2:64.",
)
@SCORES_OUT
@COUNT_OPTIONS
@SPACE
@ALPHA
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random draw.")
@click.option("--chunks", metavar="N|ROWS,COLS", help="Pixels per task of a large image.")
@PAGE_OPTIONS
@OVERWRITE
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def elbow(
    sources: tuple[str, ...],
    k_list: str,
    out: Path | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Score several numbers of colours of images, to choose one."""  # fmt: skip
    with terminal.run_command("elbow", quiet=quiet, as_json=as_json) as screen:
        numbers, options = parse_k_list(k_list), job_options(given)
        screen.show_color_curve(dq.elbow(sources, numbers, out, listener=screen.listen, **options))


@cli.command()
@SOURCES
@click.option(
    "-k",
    "--clusters",
    "k_list",
    default="2:16",
    show_default=True,
    metavar="LIST",
    help="Numbers of classes: 2,5,10 or 2:16.",
)
@SCORES_OUT
@SCORE_OPTIONS
@BAND_OPTIONS
@IN_MEMORY
@CHUNK_OPTIONS
@OVERWRITE
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def score(
    sources: tuple[str, ...],
    k_list: str,
    out: Path | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Score several numbers of classes of rasters, to choose one."""
    with terminal.run_command("score", quiet=quiet, as_json=as_json) as screen:
        numbers, options = parse_k_list(k_list), job_options(class_options(given))
        screen.show_curve(
            dq.score_classes(sources, numbers, out, listener=screen.listen, **options)
        )


@cli.command()
@click.argument("source")
@click.option(
    "-k",
    "--colors",
    "k_list",
    default="2,5,10,15,24",
    show_default=True,
    metavar="LIST",
    help="Numbers of colours: 2,5,10 or 2:9.",
)
@click.option(
    "-o",
    "--out",
    type=PATH,
    required=True,
    metavar="SHEET.png",
    help="PNG to draw the contact sheet into.",
)
@click.option(
    "--method",
    "methods",
    default="kmeans",
    show_default=True,
    metavar="LIST",
    help=f"Methods: all, or some of {', '.join(METHODS)}; a row for each.",
)
@click.option(
    "--dither",
    "dithers",
    default="none",
    show_default=True,
    metavar="LIST",
    help=f"Ditherings: all, or some of {', '.join(DITHERS)}; a row for each.",
)
@click.option("--images", type=PATH, metavar="FOLDER", help="Write every picture there, too.")
@ALPHA
@SEARCH_OPTIONS
@OVERWRITE
@SHOW_OPTIONS
def compare(source: str, k_list: str, out: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Draw a picture in several numbers of colours, by several methods and ditherings."""
    with terminal.run_command("compare", quiet=quiet, as_json=as_json) as screen:
        numbers, options = parse_k_list(k_list), fit_options(alpha_option(given))
        comparison = dq.compare(source, out, numbers, listener=screen.listen, **options)
        screen.show_comparisons([comparison])


@cli.command()
@SOURCES
@click.option("--chunks", metavar="N|ROWS,COLS", help="Pixels per task of a large image.")
@PAGE_OPTIONS
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def info(sources: tuple[str, ...], quiet: bool, as_json: bool, **given: Any) -> None:
    """Say what images are, and how many distinct colours each has, exactly."""
    with terminal.run_command("info", quiet=quiet, as_json=as_json) as screen:
        options = job_options(given)
        screen.show_infos(dq.describe_images(sources, listener=screen.listen, **options))


@cli.command()
@click.option(
    "-o",
    "--out",
    type=PATH,
    default=DEMO_FOLDER,
    show_default=True,
    metavar="FOLDER",
    help="Folder to write into.",
)
@OVERWRITE
@SHOW_OPTIONS
def demo(out: Path, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Make real pictures in 2, 5, 10, 15 and 24 colours, side by side: a first run."""  # fmt: skip
    with terminal.run_command("demo", quiet=quiet, as_json=as_json) as screen:
        screen.show_comparisons(dq.make_demo(out, overwrite=overwrite, listener=screen.listen))


for each in (jobs, status, attach, cancel):
    cli.add_command(each)


def main() -> None:
    """Run the command line, in a process of its own."""
    claim_process()
    cli(prog_name="dask-quant")


if __name__ == "__main__":
    main()
