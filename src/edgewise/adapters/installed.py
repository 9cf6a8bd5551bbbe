"""Trainers that are installed, the versions that are supported, and whether the adapter loads."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgewise.errors import ConfigError, unknown_name

log = logging.getLogger("edgewise")


@dataclass(frozen=True)
class Support:
    """Versions of one trainer that its adapter takes.

    Attributes:
        adapter: module of the adapter.
        tested: minor versions that it was tested with, ascending; the start of their number.
        range: whether versions between the tested ones work too, and newer ones are tried, with a warning: then the adapter
            checks its hook points.
    """

    adapter: str
    tested: tuple[str, ...]
    range: bool = False


SUPPORTED: dict[str, Support] = {
    "trl": Support("edgewise.adapters.trl", ("1.10", "1.15", "1.16"), range=True),
    "verl": Support("edgewise.adapters.verl", ("0.7", "0.9")),
    "prime-rl": Support("edgewise.adapters.prime_rl", ("0.8",)),
    "openrlhf": Support("edgewise.adapters.openrlhf", ("0.11",)),
    "slime": Support("edgewise.adapters.slime", ("0.3",)),
    "miles": Support("edgewise.adapters.miles", ("0.1",)),
    "trinity-rft": Support("edgewise.adapters.trinity", ("0.6",)),
}
"""By the name of the package."""
COMPANIONS = {
    "unsloth": "tested against a stand-in of the class that it leaves in TRL; import it first",
    "peft": "tested by hand: LoRA with a KL penalty, refill and resume in TRL",
    "vllm": "generation in TRL and verl is not tested",
    "deepspeed": "not tested",
}
"""Packages that trainers are combined with, and what was tested of the combination."""
EXTRAS = {"trl", "verl"}
"""Trainers that an extra of the same name installs; the others come with their own instructions and a GPU."""


@dataclass(frozen=True)
class Trainer:
    """State of one trainer's adapter.

    Attributes:
        name: package.
        installed: version; None where the package is not installed.
        supported: versions that work, for people.
        problem: reason why the adapter does not load; None where it does.
        note: what else there is to say about this version.
    """

    name: str
    installed: str | None
    supported: str
    problem: str | None
    note: str | None = None

    @property
    def works(self) -> bool:
        return self.problem is None


def doctor() -> list[Trainer]:
    """Check every trainer that has an adapter; imports those that are installed."""
    return [_check(package) for package in SUPPORTED]


def table(trainers: list[Trainer]) -> str:
    """Result of `doctor`, one line a trainer."""
    lines = [("trainer", "installed", "supported", "adapter")]
    for t in trainers:
        state = t.problem or ("loads" if t.note is None else f"loads; {t.note}")
        lines.append((t.name, t.installed or "no", t.supported, state))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]) for line in lines
    )


def companions() -> str:
    """Packages that are installed beside the trainers, and what was tested of them, one line each."""
    found = {name: _version(name) for name in COMPANIONS}
    return "\n".join(f"{name} {version}: {COMPANIONS[name]}" for name, version in found.items() if version is not None)


def require(package: str) -> None:
    """`ConfigError`, naming the versions that work, unless a supported version of the package is installed.

    A version newer than those tested is warned about once, where the adapter checks its hook points.
    """
    if package not in SUPPORTED:
        raise unknown_name("trainer", package, SUPPORTED)
    found, works = _version(package), versions(package)
    if found is None:
        how = f"pip install 'edgewise[{package}]'" if package in EXTRAS else "install it as its documentation says"
        raise ConfigError(f"{package} is not installed; the adapter works with {works}: {how}")
    if not _fits(package, found):
        raise ConfigError(f"{package} {found} is not supported; versions that work: {works}")
    if (note := _note(package, found)) is not None:
        log.warning("%s %s: %s", package, found, note)


def versions(package: str) -> str:
    """Versions of a package that work, for people."""
    support = SUPPORTED[package]
    if support.range:
        return f"{support.tested[0]} to {support.tested[-1]} (tested: {', '.join(support.tested)})"
    return ", ".join(f"{start}.*" for start in support.tested)


def missing_hooks(cls: type, methods: Mapping[str, Iterable[str]]) -> list[str]:
    """Methods that a trainer's class lacks, or whose arguments are not among those given by name, described."""
    faults = []
    for name, arguments in methods.items():
        method = getattr(cls, name, None)
        if method is None:
            faults.append(f"method {name}")
            continue
        parameters = inspect.signature(method).parameters
        if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
            continue
        faults += [f"argument {argument} of {name}" for argument in arguments if argument not in parameters]
    return faults


def _check(package: str) -> Trainer:
    problem, faults, found = None, None, _version(package)
    try:
        require(package)
        adapter = importlib.import_module(SUPPORTED[package].adapter)
        faults = adapter.hook_faults() if hasattr(adapter, "hook_faults") else None
        if faults:
            problem = f"lacks what the adapter builds on: {', '.join(faults)}"
    except ConfigError as error:
        problem = str(error)
    except Exception as error:  # whatever a broken installation raises while it is imported
        problem = f"does not load: {error!r}"
    note = None if problem is not None or found is None else _note(package, found)
    if note is None and faults == []:
        note = "every hook point is there"
    return Trainer(package, found, versions(package), problem, note)


def _fits(package: str, version: str) -> bool:
    support = SUPPORTED[package]
    if support.range:
        return _numbers(version) >= _numbers(support.tested[0])
    return any(version == start or version.startswith(start + ".") for start in support.tested)


def _note(package: str, version: str) -> str | None:
    support = SUPPORTED[package]
    if support.range and _numbers(version)[:2] > _numbers(support.tested[-1]):
        return (
            f"newer than {support.tested[-1]}, the newest version tested; the hook points are checked when it is used"
        )
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (1, 15, 0) of "1.15.0rc1"."""
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
        if digits != part:
            break
    return tuple(parts)


def _version(package: str) -> str | None:
    # Imported here: slow, and only these adapters need it.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
