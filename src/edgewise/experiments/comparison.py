"""Selection methods compared on one task: every method with every seed, from the same base, pool and evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError, unknown_name
from edgewise.experiments.folders import writing
from edgewise.experiments.reuse import reuse
from edgewise.experiments.runs import Event, run_all
from edgewise.experiments.summary import PLACEBO, Summary, arms, summarise
from edgewise.lab.rl.trainer import RLConfig
from edgewise.lab.run.config import claimed, from_dict, read_yaml
from edgewise.lab.run.folder import load_policy
from edgewise.method import DYNAMIC_SAMPLING, Method

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class ComparisonConfig:
    """Methods by seeds; `run` is what they share.

    A method is the name of a selector, with options (`edge:exploration=0`) and the informative gate (`edge+ds`) where wanted;
    `ds`: dynamic sampling, the uniform selector with that gate; or `placebo`: uniform with another selection seed, which
    is known to be no better than uniform. A measure that ranks it otherwise is wrong.
    """

    methods: tuple[str, ...] = ("uniform", DYNAMIC_SAMPLING, "mopps", "edge")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    run: RLConfig = field(default_factory=RLConfig)
    placebo: bool = True
    """Whether the placebo is added to a comparison with uniform."""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ConfigError("a comparison needs at least one seed")
        if not self.methods:
            raise ConfigError("a comparison needs at least one method")
        for names, kind in ((self.methods, "method"), (self.seeds, "seed")):
            if len(set(names)) != len(names):
                raise ConfigError(f"a {kind} is given twice: {', '.join(map(str, names))}")
        for method in self.methods:
            if method != PLACEBO:
                Method.parse(method)
            if "/" in method:
                raise ConfigError(f"a method names the folder of its runs and cannot hold '/': {method}")

    def runs(self) -> dict[str, RLConfig]:
        """Configuration of each run by its folder, `method/seed_0`; seeds outermost, so that pairs finish together."""
        # Refill takes longest: started first, it does not delay the end.
        methods = sorted(arms(self.methods, self.placebo), key=lambda method: not _spec(method).gated)
        return {f"{method}/seed_{seed}": self.arm(method, seed) for seed in self.seeds for method in methods}

    def arm(self, method: str, seed: int) -> RLConfig:
        """One run. The seed decides the pool, the policy's samples and the selector; all methods of a seed share the pool."""
        spec = _spec(method)
        options = {"seed": PLACEBO_SEED + seed} if method == PLACEBO else {}
        return dataclasses.replace(
            self.run,
            selector=str(spec.selector),
            selector_options={**spec.options, **options},
            gate="informative" if spec.gated else None,
            gate_options=dict(spec.gate_options),
            pool=dataclasses.replace(self.run.pool, seed=1000 + seed),
            evaluation=dataclasses.replace(self.run.evaluation, seed=2000 + seed),
            seed=seed,
        )


PLACEBO_SEED = 1_000_000
"""Added to the seed of a run for the selection seed of its placebo."""


def _spec(method: str) -> Method:
    return Method.parse("uniform" if method == PLACEBO else method)


def preset(task: str) -> ComparisonConfig:
    """The demo's settings for a task."""
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if task not in known:
        raise unknown_name("demo task", task, known)
    return from_dict(ComparisonConfig, read_yaml(PRESETS / f"{task}.yaml"))


def configured(
    config: ComparisonConfig,
    methods: tuple[str, ...] | None,
    seeds: int | None,
    first: int | None,
    placebo: bool,
    changes: dict[str, Any],
) -> ComparisonConfig:
    """The settings of a comparison with those of the command line; None keeps what is there.

    Args:
        config: settings to start from.
        methods, seeds, first: methods, number of seeds and the first of them.
        placebo: whether the placebo is added.
        changes: settings of the runs by name, `pool` (its size) and `labels` among them.
    """
    chosen = {name: value for name, value in changes.items() if value is not None}
    pool = {key: chosen.pop(name) for name, key in (("pool", "size"), ("labels", "labels")) if name in chosen}
    run = dataclasses.replace(config.run, **chosen, pool=dataclasses.replace(config.run.pool, **pool))
    count = len(config.seeds) if seeds is None else seeds
    if count < 1:
        raise ConfigError(f"a comparison needs at least one seed, got {count}")
    start = config.seeds[0] if first is None else first
    return dataclasses.replace(
        config,
        run=run,
        methods=methods or config.methods,
        seeds=tuple(range(start, start + count)),
        placebo=placebo,
    )


def compare(
    config: ComparisonConfig,
    out: Path,
    workers: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    among: Path | None = None,
) -> Summary:
    """Run what is not finished yet in `out`, then write summary.json and return its content.

    Args:
        config: methods, seeds and what the runs share.
        out: folder of the comparison.
        workers: runs at the same time; default: one a core.
        on_event: called with each event of a run.
        among: folder of other comparisons, whose finished runs are taken over (`reuse`); None: none.

    Raises:
        Interrupted: stopped on request; the same call goes on where the runs were.
        EdgewiseError: a run failed; finished ones are kept.
    """
    load_policy(
        config.run.base, config.run.task, config.run.prompts_format
    )  # a damaged base is found before anything is started
    runs = config.runs()
    with claimed(out, config, lambda: any((out / name).exists() for name in runs)):
        if among is not None:
            reuse(runs, out, among)
        run_all(runs, out, workers, on_event)
    summary = summarise(out)
    with writing(out):
        write_json(out / "summary.json", summary.to_json())
    return summary
