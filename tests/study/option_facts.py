"""What the options of a command ask for, in words, to compare with what they promise."""

from __future__ import annotations

import click

ASKED = ("required", "multiple", "is_flag")
LIMITS = ("min", "max", "exists", "file_okay", "dir_okay", "choices")


def option_facts(command: click.Command) -> dict[str, str]:
    """By the name of a parameter: its type and limits, and the default where help shows it."""
    facts = {}
    context = click.Context(command)
    for parameter in command.params:
        info = parameter.to_info_dict()
        words = [info["type"]["param_type"]]
        words += [name for name in ASKED if info.get(name)]
        for name in LIMITS:
            value = info["type"].get(name)
            if value is not None and value is not False:
                words.append(f"{name} {value}")
        if getattr(parameter.type, "resolve_path", False):
            words.append("made absolute")
        if parameter.nargs != 1:
            words.append(f"nargs {parameter.nargs}")
        if getattr(parameter, "show_default", False):
            words.append(f"default {parameter.get_default(context)}")
        facts[parameter.name] = ", ".join(words)
    return facts
