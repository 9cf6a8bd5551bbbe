"""Selection methods compared on one task: every method with every seed, from the same base, pool and evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError, unknown_name
from edgewise.experiments.runs import Event, run_all
from edgewise.experiments.summary import summarise
from edgewise.lab.model.checkpoints import Policy, find
from edgewise.lab.rl.trainer import RLConfig
from edgewise.lab.run.config import claim, from_dict, read_yaml
from edgewise.selectors.spec import DYNAMIC_SAMPLING, parse

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class ComparisonConfig:
    """Methods by seeds; `run` is what they share.

    A method is the name of a selector, with options (`edge:curiosity=0`) and the informative gate (`edge+ds`) where wanted, or
    `ds`: dynamic sampling, the uniform selector with that gate.
    """

    methods: tuple[str, ...] = ("uniform", DYNAMIC_SAMPLING, "mopps", "edge")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    run: RLConfig = field(default_factory=RLConfig)

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ConfigError("a comparison needs at least one seed")
        if not self.methods:
            raise ConfigError("a comparison needs at least one method")
        for names, kind in ((self.methods, "method"), (self.seeds, "seed")):
            if len(set(names)) != len(names):
                raise ConfigError(f"a {kind} is given twice: {', '.join(map(str, names))}")
        for method in self.methods:
            parse(method)
            if "/" in method:
                raise ConfigError(f"a method names the folder of its runs and cannot hold '/': {method}")

    def runs(self) -> dict[str, RLConfig]:
        """Configuration of each run by its folder, `method/seed_0`; seeds outermost, so that pairs finish together."""
        # Refill takes longest: started first, it does not keep the others waiting at the end.
        methods = sorted(self.methods, key=lambda method: not parse(method).gated)
        return {f"{method}/seed_{seed}": self.arm(method, seed) for seed in self.seeds for method in methods}

    def arm(self, method: str, seed: int) -> RLConfig:
        """One run. The seed decides the pool, the policy's samples and the selector; all methods of a seed share the pool."""
        spec = parse(method)
        return dataclasses.replace(
            self.run,
            selector=spec.selector,
            selector_options=spec.options,
            gate="informative" if spec.gated else None,
            pool=dataclasses.replace(self.run.pool, seed=1000 + seed),
            evaluation=dataclasses.replace(self.run.evaluation, seed=2000 + seed),
            seed=seed,
        )


def preset(task: str) -> ComparisonConfig:
    """The demo's settings for a task."""
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if task not in known:
        raise unknown_name("demo task", task, known)
    return from_dict(ComparisonConfig, read_yaml(PRESETS / f"{task}.yaml"))


def compare(
    config: ComparisonConfig, out: Path, workers: int | None = None, on_event: Callable[[Event], None] | None = None
) -> dict[str, Any]:
    """Run what is not finished yet in `out`, then write and return summary.json.

    Raises:
        Interrupted: stopped on request; the same call goes on where the runs were.
        EdgewiseError: a run failed; finished ones are kept.
    """
    Policy.load(find(config.run.base))  # a damaged base is found before anything is started
    claim(out, config)
    run_all(config.runs(), out, workers, on_event)
    summary = summarise(out)
    write_json(out / "summary.json", summary)
    return summary
