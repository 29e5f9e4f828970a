"""What all commands have in common: how wrong arguments are told of, and jobs are detached."""

from __future__ import annotations

from typing import Any

import click

from dask_quant.faces import terminal
from dask_quant.faces.detaching import detach

_GIVEN = "dask_quant.given"
"""Under what a command's own arguments are kept, as they were given."""


class OneLineUsage(click.Command):
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


class Command(OneLineUsage):
    """A command, which a worker may drive."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ``args``, and keep them as they were given."""
        ctx.meta[_GIVEN] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or have a worker run it."""
        if ctx.params.pop("detach", False):
            return detach(self.name or "", ctx.meta[_GIVEN], ctx.params)
        return super().invoke(ctx)


class Group(OneLineUsage, click.Group):
    """A group of such commands."""

    command_class = Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command that ``args`` begin with; exit with 2 when there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            text, as_json = error.format_message(), "--json" in args
            terminal.exit_usage(args[0], text, ctx.command_path, as_json=as_json)
