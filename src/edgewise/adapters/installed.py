"""Which trainers are here, which versions are supported, and whether the adapter loads."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from edgewise.errors import ConfigError, unknown_name

# Package -> (adapter, versions it is tested with, by the start of their number).
SUPPORTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "trl": ("edgewise.adapters.trl", ("1.16",)),
    "verl": ("edgewise.adapters.verl", ("0.7", "0.9")),
    "prime-rl": ("edgewise.adapters.prime_rl", ("0.8",)),
    "openrlhf": ("edgewise.adapters.openrlhf", ("0.11",)),
    "slime": ("edgewise.adapters.slime", ("0.3",)),
}
# Trainers that an extra of the same name installs; the others come with their own instructions and a GPU.
EXTRAS = {"trl", "verl"}


@dataclass(frozen=True)
class Trainer:
    """State of one trainer's adapter: `installed` is None where the package is not here, `problem` what stops it, if any."""

    name: str
    installed: str | None
    supported: str
    problem: str | None

    @property
    def works(self) -> bool:
        return self.problem is None


def doctor() -> list[Trainer]:
    """Look at every trainer there is an adapter for; imports those that are installed."""
    return [_look(package) for package in SUPPORTED]


def table(trainers: list[Trainer]) -> str:
    """What `doctor` found, one line a trainer."""
    lines = [("trainer", "installed", "supported", "adapter")]
    lines += [(t.name, t.installed or "no", t.supported, t.problem or "loads") for t in trainers]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]) for line in lines
    )


def require(package: str) -> None:
    """`ConfigError`, naming the versions that work, unless a supported version of the package is installed."""
    if package not in SUPPORTED:
        raise unknown_name("trainer", package, SUPPORTED)
    found, works = _version(package), _versions(package)
    if found is None:
        how = f"pip install 'edgewise[{package}]'" if package in EXTRAS else "install it as its documentation says"
        raise ConfigError(f"{package} is not installed; the adapter works with {works}: {how}")
    if not any(found == start or found.startswith(start + ".") for start in SUPPORTED[package][1]):
        raise ConfigError(f"{package} {found} is not supported; versions that work: {works}")


def _look(package: str) -> Trainer:
    problem = None
    try:
        require(package)
        importlib.import_module(SUPPORTED[package][0])
    except ConfigError as error:
        problem = str(error)
    except Exception as error:  # whatever a broken installation raises while it is imported
        problem = f"does not load: {error!r}"
    return Trainer(package, _version(package), _versions(package), problem)


def _versions(package: str) -> str:
    return ", ".join(f"{start}.*" for start in SUPPORTED[package][1])


def _version(package: str) -> str | None:
    # Imported here: slow, and only these adapters need it.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
