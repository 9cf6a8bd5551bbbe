"""Checks of a command line that the parser does not make, and the words after a stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from edgewise.errors import ConfigError

GO_ON = ("demo", "pretrain", "midtrain", "rl", "experiment", "features")
"""Commands that keep what they have done in a place of their own; `eval` does where it is given one."""


def require_not_empty(arguments: Sequence[str]) -> None:
    """Refuse arguments and values without a character: an empty path is the present folder."""
    for option, value in zip(["", *arguments], arguments, strict=False):
        if not value or (value.startswith("--") and value.endswith("=")):
            name = value.removesuffix("=") or option
            what = f"the value of {name}" if name.startswith("--") else "an argument"
            raise ConfigError(f"{what} is empty: leave it out, or see what the variable in its place holds")


def require_values(commands: Mapping[str, Callable[..., None]], arguments: Sequence[str]) -> None:
    """Refuse an option of any number of values that is given none, as by a variable of the shell that is empty."""
    command = commands.get(arguments[0]) if arguments else None
    several = [
        f"--{name.replace('_', '-')}"
        for name, parameter in (signature(command).parameters.items() if command else ())
        if ", ...]" in str(parameter.annotation)
    ]
    for option, value in zip(arguments, [*arguments[1:], "--"], strict=True):
        if option in several and value.startswith("--"):
            raise ConfigError(f"the value of {option} is missing: write one or more behind it, or leave it out")


def require_defaults(command: Callable[..., None], given: Mapping[str, Any], why: str) -> None:
    """Refuse options that would be accepted and do nothing."""
    parameters = signature(command).parameters
    idle = [f"--{name}" for name, value in given.items() if value != parameters[name].default]
    if idle:
        raise ConfigError(f"{', '.join(idle)} would change nothing: {why}")


def after_stop(arguments: Sequence[str]) -> str:
    """What a stopped command says: whether it goes on where it was."""
    command = next((argument for argument in arguments if argument != "--debug"), "")
    kept = command in GO_ON or (command == "eval" and any(argument.startswith("--out") for argument in arguments))
    return "stopped; the same command " + ("goes on from the last checkpoint" if kept else "begins anew")
