"""The command line: options in, one call of the library, its result on the screen.

Also loaded at every ``dask`` call, as its plug-in ``dask quant``: nothing heavier than click is
imported before a command runs. The library's names load when they are used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import dask_quant as dq
from dask_quant.faces import terminal
from dask_quant.options import (
    EFFORTS,
    ENGINES,
    ClusterOptions,
    parse_bytes,
    parse_chunks,
    parse_k_list,
)
from dask_quant.process import claim_process

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

PATH = click.Path(path_type=Path)

DEMO_FOLDER = "dask-quant-demo"


def _combine(*options: Decorator) -> Decorator:
    """Return a decorator that adds ``options``, in the order in which help shows them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


SOURCES = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")

FIT_OPTIONS = _combine(
    click.option("-k", "--colors", "n_colors", type=int, default=16, show_default=True,
                 metavar="N", help="Colours of the palette, 1 to 65536."),
    click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True,
                 help="histogram (auto): exact k-means on counted colours. "
                      "scalable: k-means in passes over all pixels of one image. "
                      "dask-ml: its KMeans on the same."),
)  # fmt: skip

SEARCH_OPTIONS = _combine(
    click.option("--effort", type=click.Choice(EFFORTS), default="default", show_default=True,
                 help="How long to search for a lower error."),
    click.option("--seed", type=int, default=0, show_default=True,
                 help="Seed of every random draw."),
    click.option("--n-init", type=int, metavar="N", help="Restarts; the best is kept."),
    click.option("--max-iter", type=int, metavar="N", help="Most iterations of the last descent."),
    click.option("--tol", type=float, metavar="LEVELS",
                 help="Centroid shift, in sRGB levels, at which to stop."),
)  # fmt: skip

CHUNK_OPTIONS = _combine(
    click.option("--chunks", metavar="N|ROWS,COLS", help="Pixels per task; results stay the same."),
    click.option("--persist", type=PATH, metavar="STORE.zarr",
                 help="Decode one image into this store once, and reuse it."),
)  # fmt: skip

CLUSTER_OPTIONS = _combine(
    click.option("--workers", type=int, metavar="N", help="Start N worker processes here."),
    click.option("--memory-limit", metavar="SIZE", help="Memory for the whole job, such as 1.5GB."),
    click.option("--scheduler", metavar="ADDRESS", help="Use a running scheduler, tcp:// or tls://."),
    click.option("--scheduler-file", type=PATH, help="Use the scheduler that wrote this file."),
    click.option("--tls-ca-file", type=PATH, help="Certificate authority for tls://."),
    click.option("--tls-cert", type=PATH, help="Certificate of this client."),
    click.option("--tls-key", type=PATH, help="Private key of this client."),
    click.option("--dashboard", is_flag=True, help="Serve the dashboard of --workers on loopback."),
)  # fmt: skip

SHOW_OPTIONS = _combine(
    click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
)  # fmt: skip

OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the plan and do nothing.")
OUT = click.option("-o", "--out", type=PATH, required=True, metavar="OUT",
                   help="For one image a .png or .zarr, else a folder.")  # fmt: skip


class _OneLineUsage(click.Command):
    """Says what is wrong with its arguments as it says any other error."""

    def make_context(
        self, info_name: Any, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse ``args``; exit with 2 when they are wrong."""
        as_json = "--json" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.exceptions.NoArgsIsHelpError:
            raise  # shows the help, which is what a bare command is for
        except click.UsageError as error:
            path = "dask-quant" if error.ctx is None else error.ctx.command_path
            terminal.exit_usage(self.name or "", error.format_message(), path, as_json=as_json)


class _Command(_OneLineUsage):
    """A command."""


class _Group(_OneLineUsage, click.Group):
    """A group of such commands."""

    command_class = _Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command that ``args`` begin with; exit with 2 when there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            text, as_json = error.format_message(), "--json" in args
            terminal.exit_usage(args[0], text, ctx.command_path, as_json=as_json)


@click.group(cls=_Group, name="quant", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dq.__version__, prog_name="dask-quant")
def cli() -> None:
    """Exact colour quantization of images, on threads or on a Dask cluster."""


@cli.command()
@SOURCES
@OUT
@FIT_OPTIONS
@click.option("--per-image", is_flag=True, help="A palette for each image, not one for all.")
@SEARCH_OPTIONS
@CHUNK_OPTIONS
@OVERWRITE
@DRY_RUN
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def quantize(sources: tuple[str, ...], out: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Fit a palette to images, relabel them and write them.

    SOURCE is an image file, a folder, a glob, a Zarr store, - for standard input, or @list.txt.

    \b
    dask-quant quantize cat.jpg -o cat.png -k 10
    dask-quant quantize photos/ -o out/ -k 64 --per-image
    dask-quant quantize scan.zarr -o labels.zarr -k 32 --workers 4
    """  # noqa: D301 - click wants the character that is written so
    with terminal.run_command("quantize", quiet=quiet, as_json=as_json) as screen:
        if given.pop("dry_run"):
            screen.show_plan(dq.plan_job(sources, out, **_job_options(given)))
        else:
            options = _job_options(given)
            screen.show_report(dq.quantize(sources, out, listener=screen.listen, **options))


@cli.command()
@SOURCES
@click.option(
    "-o",
    "--out",
    type=PATH,
    required=True,
    metavar="FILE",
    help="Palette file: .gpl, .hex or .json.",
)
@FIT_OPTIONS
@SEARCH_OPTIONS
@CHUNK_OPTIONS
@OVERWRITE
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def palette(sources: tuple[str, ...], out: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Fit one palette to images and write it to a palette file."""  # fmt: skip
    with terminal.run_command("palette", quiet=quiet, as_json=as_json) as screen:
        options = _job_options(given)
        screen.show_report(dq.make_palette(sources, out, listener=screen.listen, **options))


@cli.command()
@SOURCES
@click.option(
    "--palette",
    "palette_file",
    type=PATH,
    required=True,
    metavar="FILE",
    help="Palette: .gpl, .hex, .json, an indexed .png or a .zarr of ours.",
)
@OUT
@CHUNK_OPTIONS
@OVERWRITE
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def apply(
    sources: tuple[str, ...],
    palette_file: Path,
    out: Path,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Relabel images with a palette that exists."""  # fmt: skip
    with terminal.run_command("apply", quiet=quiet, as_json=as_json) as screen:
        colors, options = dq.read_palette(palette_file), _job_options(given)
        report = dq.apply_palette(sources, out, colors, listener=screen.listen, **options)
        screen.show_report(report)


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
@click.option("--images", type=PATH, metavar="FOLDER", help="Write every picture there, too.")
@SEARCH_OPTIONS
@OVERWRITE
@SHOW_OPTIONS
def compare(source: str, k_list: str, out: Path, quiet: bool, as_json: bool, **given: Any) -> None:
    """Draw a picture in several numbers of colours, side by side."""  # fmt: skip
    with terminal.run_command("compare", quiet=quiet, as_json=as_json) as screen:
        numbers = parse_k_list(k_list)
        screen.show_comparisons([dq.compare(source, out, numbers, listener=screen.listen, **given)])


@cli.command()
@SOURCES
@click.option("--chunks", metavar="N|ROWS,COLS", help="Pixels per task of a large image.")
@CLUSTER_OPTIONS
@SHOW_OPTIONS
def info(sources: tuple[str, ...], quiet: bool, as_json: bool, **given: Any) -> None:
    """Say what images are, and how many distinct colours each has, exactly."""
    with terminal.run_command("info", quiet=quiet, as_json=as_json) as screen:
        options = _job_options(given)
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


def _job_options(given: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a job from parsed options."""
    options = dict(given)
    limit, chunks = options.pop("memory_limit"), options.pop("chunks")
    if chunks is not None:
        shape = parse_chunks(chunks)
        options["chunks"] = (shape.rows, shape.columns)
    names = ("workers", "scheduler", "scheduler_file", "tls_ca_file", "tls_cert", "tls_key",
             "dashboard")  # fmt: skip
    options["cluster"] = ClusterOptions(
        memory_limit_bytes=None if limit is None else parse_bytes(limit),
        **{name: options.pop(name) for name in names},
    )
    return options


def main() -> None:
    """Run the command line, in a process of its own."""
    claim_process()
    cli(prog_name="dask-quant")


if __name__ == "__main__":
    main()
