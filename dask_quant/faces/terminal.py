"""What a command shows: progress, tables and warnings on standard error, JSON on standard output.

`run_command` wraps a command: every error becomes one line and an exit code. 0 is done, 1 an error
of ours, 2 usage, 3 done but for inputs that were set aside, 130 and 143 interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from dask_quant.errors import DaskQuantError, DaskQuantWarning, OptionError
from dask_quant.events import Notice
from dask_quant.faces.views import (
    describe_levels,
    describe_pages,
    name_outputs,
    view_classes,
    view_colors,
    view_scores,
)
from dask_quant.method_options import KMEANS
from dask_quant.options import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from dask_quant.class_scores import ClassCurve
    from dask_quant.color_curve import ColorCurve
    from dask_quant.comparison import Comparison
    from dask_quant.events import Event
    from dask_quant.faces.views import View
    from dask_quant.palette import Palette
    from dask_quant.results import ImageInfo, Quarantined, Report
    from dask_quant.routes.planning import JobPlan
    from dask_quant.segment_report import SegmentReport

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_QUARANTINED = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

_STOPPED = (
    "nothing half-written stands under its final name, and --resume, where the command has it, "
    "goes on"
)
"""What is said of a job that was stopped."""

TRACEBACK_VARIABLE = "DASK_QUANT_TRACEBACK"
"""Environment variable that lets unexpected errors through with their traceback."""

_RESEND_S = 0.01
"""Seconds until a signal that was swallowed is sent again (arbitrary)."""

_MAX_QUARANTINED = 100
"""Inputs that were set aside which are named one by one (arbitrary: some screens)."""

_MAX_SWATCHES = 64
"""Colours shown in a terminal (arbitrary)."""


class _Terminated(BaseException):
    """SIGTERM arrived; passes through handlers of errors, so that temporaries are removed."""


@contextmanager
def run_command(
    name: str, *, quiet: bool, as_json: bool, stopped: str = _STOPPED
) -> Iterator[Screen]:
    """Run the body of a command; on failure say why in one line, and exit with the code for it.

    ``stopped`` is what is said where Ctrl-C or SIGTERM end it.
    """
    screen = Screen(name, quiet, as_json)
    code = EXIT_ERROR
    try:
        with _unwinding_on_signals(), warnings.catch_warnings(), screen.progress():
            warnings.simplefilter("always", DaskQuantWarning)
            warnings.showwarning = screen.show_warning  # type: ignore[assignment]
            yield screen
        code = screen.exit_code
    except OptionError as error:
        code = EXIT_USAGE
        screen.show_error(error, str(error))
    except DaskQuantError as error:
        screen.show_error(error, str(error))
    except KeyboardInterrupt as error:
        code = EXIT_INTERRUPTED
        _leave_coroutines()
        screen.show_error(error, f"interrupted; {stopped}")
    except _Terminated as error:
        code = EXIT_TERMINATED
        _leave_coroutines()
        screen.show_error(error, f"terminated; {stopped}")
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        screen.show_error(
            error, f"unexpected {text} (set {TRACEBACK_VARIABLE}=1 to see where; please report it)"
        )
    sys.exit(code)


def _leave_coroutines() -> None:
    """Say nothing of what a signal kept zarr from waiting for: the process ends anyway."""
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)


def exit_usage(command: str, text: str, command_path: str, *, as_json: bool) -> NoReturn:
    """Say in one line what is wrong with the arguments of a command, and exit with 2."""
    message = f"{' '.join(text.split()).rstrip('.')}; see {command_path} --help"
    Screen(command, quiet=True, as_json=as_json).show_error(OptionError(message), message)
    sys.exit(EXIT_USAGE)


@contextmanager
def _unwinding_on_signals() -> Iterator[None]:
    """Let SIGTERM unwind the stack as SIGINT does, wherever it arrives.

    What a signal raises inside a destructor or a callback of the garbage collector (distributed has
    one), Python only reports as ignored, and the job would run on: then the signal is sent again.
    """
    handler, hook = signal.signal(signal.SIGTERM, _raise_terminated), sys.unraisablehook
    numbers = {_Terminated: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT}

    def send_again(unraisable: sys.UnraisableHookArgs) -> None:
        number = numbers.get(unraisable.exc_type)
        if number is None:
            hook(unraisable)
        else:
            # From another thread, a moment later: this hook swallows what is raised in it, too.
            threading.Timer(_RESEND_S, os.kill, (os.getpid(), number)).start()

    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, handler)


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    """Unwind the stack after SIGTERM."""
    raise _Terminated


@dataclass
class Screen:
    """What one command shows."""

    command: str
    """Name of the command."""
    quiet: bool
    """Whether to show warnings and errors only."""
    as_json: bool
    """Whether the result goes to standard output as JSON."""
    exit_code: int = 0
    """What the command will exit with."""
    _progress: Progress | None = None
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _console: Console | None = None

    @property
    def console(self) -> Console:
        """The console on standard error."""
        if self._console is None:
            from rich.console import Console  # 40 ms that a quiet command does without

            self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        return self._console

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Draw progress bars inside the ``with`` block, on a terminal only."""
        if self.quiet or not sys.stderr.isatty():
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description:>8}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            self._progress = progress
            yield
        self._progress = None

    def listen(self, event: Event | Notice) -> None:
        """Show an event of the library."""
        if isinstance(event, Notice):
            if not self.quiet:
                self._print(event.message)
        elif self._progress is not None:
            if event.stage not in self._tasks:
                self._tasks[event.stage] = self._progress.add_task(
                    event.stage, total=event.total, amount=""
                )
            self._progress.update(
                self._tasks[event.stage],
                completed=event.done,
                total=event.total,
                amount=_describe_amount(event),
            )

    def show_error(self, error: BaseException, text: str) -> None:
        """Say in one line why the command failed."""
        if self.as_json:
            kind = type(error).__name__.lstrip("_")
            _print_json({"command": self.command, "error": {"type": kind, "message": text}})
        self._print(f"error: {text}")

    def show_warning(self, message: Warning | str, category: type[Warning], *_: Any) -> None:
        """Say a warning of ours in one line; those of other packages are theirs."""
        if issubclass(category, DaskQuantWarning):
            self._print(f"warning: {message}")

    def show_report(self, report: Report) -> None:
        """Show what a job did."""
        self._show_quarantined(report.quarantined)
        if self.as_json:
            _print_json(report.to_json())
        elif not self.quiet:
            self._print(_summarize(report))
            if report.palette is not None:
                self._show_swatches(report.palette)

    def show_segments(self, report: SegmentReport) -> None:
        """Show what classes were found."""
        self.show_view(report.to_json(), view_classes(report))

    def show_color_curve(self, curve: ColorCurve) -> None:
        """Show scores of numbers of colours."""
        self.show_view({"command": self.command, **curve.to_json()}, view_colors(curve))

    def show_curve(self, curve: ClassCurve) -> None:
        """Show how good numbers of classes are."""
        self.show_view({"command": self.command, **curve.to_json()}, view_scores(curve))

    def show_view(self, values: dict[str, Any], view: View) -> None:
        """Show a table and a line below it, or the same as JSON."""
        if self.as_json:
            _print_json(values)
        elif not self.quiet:
            self._show_table(view.header, view.rows)
            self._print(view.summary)

    def show_submitted(self, name: str) -> None:
        """Show what a job is called that a worker drives."""
        if self.as_json:
            _print_json({"command": self.command, "job": name})
            return
        print(name)
        if not self.quiet:
            self._print(f"dask-quant attach {name} watches it, status tells of it, cancel ends it")

    def show_plan(self, plan: JobPlan) -> None:
        """Show what a job would do."""
        values = plan.to_json()
        if self.as_json:
            _print_json({"command": self.command, "dry_run": True, "plan": values})
            return
        self._print(
            f"{plan.n_images:,} image(s), {plan.n_pixels:,} pixels, {plan.n_ignored:,} ignored"
        )
        self._print(
            f"{plan.n_tasks:,} tasks; {format_bytes(plan.decoded_bytes)} decoded, "
            f"{format_bytes(plan.label_bytes)} of labels before compression"
        )
        self._print(
            f"at most {format_bytes(plan.projected_bytes)} of memory, all processes together"
        )
        for output in plan.outputs[:10]:
            self._print(f"would write {output}")
        if len(plan.outputs) > 10:
            self._print(f"... and {len(plan.outputs) - 10:,} more")

    def show_infos(self, infos: Sequence[ImageInfo]) -> None:
        """Show what images are."""
        if any(info.error for info in infos):
            self.exit_code = EXIT_QUARANTINED
        if self.as_json:
            images = [info.to_json() for info in infos]
            single = images[0] if len(images) == 1 else {}
            _print_json({"command": self.command, "images": images, **single})
        elif not self.quiet:
            rows = [
                (
                    info.path,
                    f"{info.width} x {info.height}",
                    f"{info.format} {info.mode}{describe_pages(info)}",
                    format_bytes(info.input_bytes),
                    info.error or f"{info.n_unique_colors:,}",
                )
                for info in infos
            ]
            self._show_table(("image", "size", "kind", "stored", "colours"), rows)
            for line in filter(None, map(describe_levels, infos)):
                self._print(line)

    def show_comparisons(self, comparisons: Sequence[Comparison]) -> None:
        """Show pictures in several numbers of colours."""
        if self.as_json:
            values = [comparison.to_json() for comparison in comparisons]
            single = values[0] if len(values) == 1 else {}
            outputs = [output for value in values for output in value["outputs"]]
            _print_json(
                {"command": self.command, "comparisons": values, **single, "outputs": outputs}
            )
        elif not self.quiet:
            for comparison in comparisons:
                self._show_comparison(comparison)

    def _show_comparison(self, comparison: Comparison) -> None:
        """Show one picture in several numbers of colours."""
        self._print(
            f"{comparison.source}: {comparison.n_unique_colors:,} colours, "
            f"{format_bytes(comparison.input_bytes)}"
        )
        rows = [
            (
                candidate.method,
                candidate.dither,
                str(candidate.n_colors),
                f"{candidate.mse:,.2f}",
                "exact" if candidate.psnr_db is None else f"{candidate.psnr_db:.2f}",
                f"{candidate.explained_variance:.2%}",
                "-" if candidate.output_bytes is None else format_bytes(candidate.output_bytes),
                f"{candidate.seconds:.2f}",
            )
            for candidate in comparison.candidates
        ]
        header = ("method", "dither", "k", "mse", "PSNR dB", "explained", "PNG", "fit s")
        usual = (KMEANS, "none")  # which goes without saying
        said = [i for i in range(2) if any(row[i] != usual[i] for row in rows)]
        shown = [*said, *range(2, len(header))]
        self._show_table([header[i] for i in shown], [[row[i] for i in shown] for row in rows])
        self._print(f"side by side: {comparison.sheet}")

    def _show_quarantined(self, quarantined: Sequence[Quarantined]) -> None:
        """Name every input that was set aside."""
        if quarantined:
            self.exit_code = EXIT_QUARANTINED
        for entry in quarantined[:_MAX_QUARANTINED]:
            self._print(f"quarantined: {entry.reason}")
        if len(quarantined) > _MAX_QUARANTINED:
            n_others = len(quarantined) - _MAX_QUARANTINED
            self._print(f"quarantined: {n_others:,} more, which the manifest names")

    def _show_swatches(self, palette: Palette) -> None:
        """Show a palette as coloured blocks, where the terminal has colours."""
        if not sys.stderr.isatty() or not self.console.is_terminal:  # rich takes 40 ms to load
            return
        from rich.text import Text

        line = Text()
        for color in palette.hex[:_MAX_SWATCHES]:
            line.append("  ", style=f"on {color}")
        self.console.print(line)

    def _show_table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show rows under a header: the first column to the left, numbers to the right."""
        cells = [[_printable(cell) for cell in row] for row in (header, *rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for first, *others in cells:
            aligned = [first.ljust(widths[0])]
            aligned += [cell.rjust(n) for cell, n in zip(others, widths[1:], strict=True)]
            self._print("  ".join(aligned))

    def _print(self, text: str) -> None:
        """Print one line on standard error."""
        if self._progress is not None:
            self.console.print(_printable(text), markup=False)
        else:
            print(_printable(text), file=sys.stderr)


def _print_json(values: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(values), file=sys.stdout)


def _printable(text: str) -> str:
    """Return ``text`` with what cannot be encoded or would start a line escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\n", "\\n")


def _describe_amount(event: Event) -> str:
    """Return how far an event says that its stage is."""
    if event.total is None:
        return ""
    if event.unit == "px":
        return f"{event.done / 1e6:,.1f} / {event.total / 1e6:,.1f} Mpx"
    return f"{event.done:,} / {event.total:,} {event.unit}"


def _summarize(report: Report) -> str:
    """Return what a job did in one line."""
    noun = "image" if report.n_images == 1 else "images"
    found = "" if report.n_unique_colors is None else f" of {report.n_unique_colors:,}"
    each = _tell_palettes(report)
    quality = (
        "exact" if report.psnr_db is None else f"mse {report.mse:,.2f}, {report.psnr_db:.2f} dB"
    )
    return (
        f"{report.n_images:,} {noun} in {report.n_colors:,}{found} colours{each}: {quality}, "
        f"{report.explained_variance:.2%} of the variance; "
        f"{format_bytes(report.input_bytes)} -> {format_bytes(report.output_bytes)} "
        f"in {report.seconds['total']:.2f} s: {name_outputs(report.outputs)}{_tell_skipped(report)}"
    )


def _tell_palettes(report: Report) -> str:
    """Return how many palettes images have, where it is not one."""
    if report.palette is not None:
        return ""
    if report.n_palettes == report.n_images:
        return " each"
    noun = "palette" if report.n_palettes == 1 else "palettes"
    return f" each, {report.n_palettes:,} {noun}"


def _tell_skipped(report: Report) -> str:
    """Return how many images an earlier run had written, where it had any."""
    verb = "was" if report.n_skipped == 1 else "were"
    return f"; {report.n_skipped:,} {verb} done before" if report.n_skipped else ""
