"""The `edgewise replay` command, without its command line."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgewise.checkpoint import require_place
from edgewise.errors import ConfigError
from edgewise.replay.comparison import Comparison, format_table
from edgewise.replay.methods import applicable, known_pool
from edgewise.replay.replay import replay
from edgewise.replay.simulator import Policy, regime, simulate
from edgewise.replay.trace import Trace

SHIPPED = Path(__file__).parent / "traces"


def list_traces() -> list[str]:
    """Names of the traces that come with Edgewise."""
    return sorted(path.stem for path in SHIPPED.glob("*.npz"))


def find_trace(trace: str | os.PathLike[str]) -> Trace:
    """Load a trace by path, or by the name of a shipped one."""
    path = Path(trace)
    if not path.exists() and path.name == str(trace) and (SHIPPED / f"{trace}.npz").exists():
        path = SHIPPED / f"{trace}.npz"
    if not path.exists():
        raise ConfigError(
            f"no trace '{trace}': give a file, 'simulator', 'simulator:REGIME', or one of the shipped traces"
            f" ({', '.join(list_traces()) or 'none'})"
        )
    return Trace.load(path)


def main(
    trace: str,
    selectors: Sequence[str] = ("mopps", "edge"),
    seeds: int = 5,
    baseline: str = "uniform",
    steps: int | None = None,
    batch: int = 64,
    rollouts: int = 8,
    probe: int = 256,
    knows: str = "all",
    wrong: float = 0.0,
    target: float | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Comparison:
    """Judge selectors in seconds, print a table, write JSON if asked.

    Args:
        trace: a file, the name of a shipped trace, `simulator`, or `simulator:REGIME` (see `REGIMES`).
        selectors: names with options, such as `mopps`, `mopps:decay=1.0`, `edge+ds`, `ds`; `all` stands for every
            registered selector that needs no options. `ds` and `+ds` only in the simulator.
        seeds: how many; each is one world or one set of draws, the same for every method.
        baseline: the method that paired differences are taken against; added if it is missing.
        steps: policy steps; None: as recorded, or 200 in the simulator.
        batch: prompts a step. rollouts: of each prompt.
        probe: prompts drawn uniformly each step to judge predictions on.
        knows: what selectors may know: all, labels, features or nothing.
        wrong: share of wrong labels, in [0, 1].
        target: mean success rate to reach in the simulator; None: where the baseline ends.
        out: JSON file for everything behind the table.
    """
    if seeds < 1:
        raise ConfigError(f"seeds must be at least 1, got {seeds}")
    require_place(out, read=[trace])
    place, _, name = trace.partition(":")
    source = regime(name or "default") if place == "simulator" else find_trace(trace)
    pool = source.pool if isinstance(source, Trace) else Policy(source).pool
    names = [baseline]
    for selector in selectors:
        names += applicable(known_pool(pool, knows)) if selector == "all" else [selector]
    names = list(dict.fromkeys(names))
    numbers = range(seeds)
    with _progress(len(names) * seeds) as progress:
        if isinstance(source, Trace):
            result = replay(source, names, numbers, baseline, steps, batch, rollouts, probe, knows, wrong, progress)
        else:
            length = 200 if steps is None else steps
            result = simulate(
                names, source, numbers, baseline, length, batch, rollouts, probe, target, knows, wrong, progress
            )
    if out is not None:
        result.save(out)
    print(format_table(result))
    return result


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None] | None]:
    """A bar on a terminal, where rich is installed; nothing elsewhere."""
    if not sys.stdout.isatty() or importlib.util.find_spec("rich") is None:
        yield None
        return
    from edgewise.progress import bar

    done = itertools.count(1)
    with bar("replay", total) as update:
        yield lambda method: update(next(done), method)
