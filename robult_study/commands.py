"""What all groups of commands share: errors as sentences, and commands that load when used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

Lazy = Mapping[str, tuple[str, str]]


class Sentences(click.Group):
    """A group that prints an error as one line for the reader, with exit status 1."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except BrokenPipeError:  # the reader, such as head, has enough
            raise
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"this command needs a package that the light install leaves out ({error}): "
                "run pip install '.[study]' in the clone"
            ) from error
        except (ValueError, OSError, ImportError) as error:
            raise click.ClickException(str(error)) from error


class LazySentences(Sentences):
    """Such a group, which imports a command only when it is called.

    lazy: name of a command -> the module that has it under this name, and its short help.
    """

    def __init__(self, *arguments: Any, lazy: Lazy | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lazy = dict(lazy or {})

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *self.lazy])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.lazy:
            return super().get_command(context, name)
        module, _ = self.lazy[name]
        return getattr(import_module(module), name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(context):
            if name in self.lazy:
                _, short_help = self.lazy[name]
            else:
                short_help = self.get_command(context, name).get_short_help_str(limit=100)
            rows.append((name, short_help))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
