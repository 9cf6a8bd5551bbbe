"""Numbers of a study from its finished stages: pass@k by arm and region with intervals, and measures of RL training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.experiments.study.claims import Claim, verdict
from edgewise.experiments.study.config import Region, Study
from edgewise.experiments.study.dose import problems_shown
from edgewise.experiments.study.stages import Stage, record_of
from edgewise.lab.run.journal import read
from edgewise.statistics import gain_curve, mean_interval, pass_curve, pass_table, share_curve, share_limits

Reals = npt.NDArray[np.float64]
KINDS = ("strict", "outcome")


class Evaluation:
    """Counts of one evaluation: op, context, successes by kind, each (problems,)."""

    def __init__(self, folder: Path):
        lines = read(folder / "problems.jsonl")
        self.trials = int(lines[0]["trials"])
        self.op = np.array([line["op"] for line in lines])
        self.context = np.array([line.get("context", "") for line in lines])
        self.successes = {kind: np.array([line[kind] for line in lines], np.int64) for kind in KINDS}

    def rows(self, region: Region) -> npt.NDArray[np.bool_]:
        """Which problems lie in a region, (problems,)."""
        inside = (self.op >= region.op[0]) & (self.op <= region.op[1])
        return inside & (self.context == region.context) if region.context else inside


class StudyResults:
    """Everything measured in a finished study, by arm and seed.

    Raises:
        CheckpointError: the result of an evaluation or a training is damaged; it names the file.
    """

    def __init__(self, study: Study, root: Path):
        self.study, self.root = study, root
        chains = {(arm, seed): study.chain(arm, seed) for arm in study.arms for seed in study.seeds}
        self.stages = {stage.name: stage for chain in chains.values() for stage in chain}
        self.records = {name: record_of(stage, root) for name, stage in self.stages.items()}
        self.evaluations = {key: Evaluation(root / chain[-1].name) for key, chain in chains.items()}
        self.training = {key: _training(chain, root, study.regions) for key, chain in chains.items()}
        self.ks = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= self.samples]

    @property
    def samples(self) -> int:
        return next(iter(self.evaluations.values())).trials

    def measure(self, claim: Claim) -> dict[str, Any]:
        """Mean, low and high of the measure of a claim, its values by seed, and the mean of the arm that is taken off."""
        if claim.k is None:
            return self._of_training(claim)
        region = self.study.regions[claim.where]
        if len(self.study.seeds) == 1:
            return self._over_problems(claim, region)
        values = self.passes(claim.arm, region, claim.kind, [claim.k])[:, 0]
        base = self.passes(claim.minus, region, claim.kind, [claim.k])[:, 0] if claim.minus else None
        return _interval(values, base)

    def passes(self, arm: str, region: Region, kind: str, ks: Sequence[int]) -> Reals:
        """pass@k of an arm in a region: (seeds, ks); NaN where an evaluation has no problem there."""
        return np.stack([self._curve(arm, seed, region, kind, tuple(ks)) for seed in self.study.seeds])

    def curve(self, arm: str, region: Region, kind: str, ks: Sequence[int]) -> dict[str, list[float | None]]:
        """mean, low and high over seeds, or over problems where there is one seed: each of length ks."""
        if len(self.study.seeds) == 1:
            evaluation = self.evaluations[arm, self.study.seeds[0]]
            found = pass_curve(evaluation.successes[kind][evaluation.rows(region)], evaluation.trials, ks)
            return {name: getattr(found, name).round(5).tolist() for name in ("mean", "low", "high")}
        columns = [_interval(column) for column in self.passes(arm, region, kind, ks).T]
        return {name: [_rounded(column[name]) for column in columns] for name in ("mean", "low", "high")}

    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        study = self.study
        ops = sorted({int(op) for evaluation in self.evaluations.values() for op in evaluation.op})
        contexts = list(dict.fromkeys(region.context for region in study.regions.values()))
        arms: dict[str, Any] = {}
        for arm in study.arms:
            regions = {
                name: {kind: self.curve(arm, region, kind, self.ks) for kind in KINDS}
                for name, region in study.regions.items()
            }
            training = {
                "success_rate": self._of_training(Claim("", arm, "success_rate", at_least=0.0)),
                "effective_ratio": self._of_training(Claim("", arm, "effective_ratio", at_least=0.0)),
                "picked": {
                    name: self._of_training(Claim("", arm, "picked", name, at_least=0.0)) for name in study.regions
                },
            }
            arms[arm] = {
                "regions": regions,
                "by_op": {
                    context: {k: self._by_op(arm, ops, context, k) for k in (1, self.samples)} for context in contexts
                },
                "training": training if training["success_rate"]["mean"] is not None else None,
                "cost": dict(zip(("pretrain_tokens", "later_tokens"), study.costs(arm), strict=True)),
            }
        return {
            "study": study.name,
            "scale": study.scale,
            "seeds": list(study.seeds),
            "samples": self.samples,
            "k": self.ks,
            "ops": ops,
            **verdict(study.needs, study.claims, self, list(study.arms)),
            "arms": arms,
            "dose": self._doses(),
            "work": self._work(),
        }

    def _doses(self) -> dict[str, Any]:
        """Points of the figure over doses by line: problems shown, and the measure with its interval; empty without it."""
        dose = self.study.dose
        if dose is None:
            return {}
        found = {}
        measures = {claim.arm: self.measure(claim) for claim in self.study.doses()}
        for name, arms in dose.lines.items():
            pretrained = [self.study.chain(arm, self.study.seeds[0])[0] for arm in arms]
            found[name] = {
                "arms": list(arms),
                "problems": [round(problems_shown(stage).get(dose.context, 0.0), 1) for stage in pretrained],
                **{end: [_rounded(measures[arm][end]) for arm in arms] for end in ("mean", "low", "high")},
            }
        return found

    def _curve(self, arm: str, seed: int, region: Region, kind: str, ks: tuple[int, ...]) -> Reals:
        evaluation = self.evaluations[arm, seed]
        rows = evaluation.rows(region)
        if not rows.any():
            return np.full(len(ks), np.nan)
        return _table(evaluation.trials, ks)[evaluation.successes[kind][rows]].mean(0)

    def _over_problems(self, claim: Claim, region: Region) -> dict[str, Any]:
        """One seed: an interval over problems, in pairs where two arms are compared."""
        assert claim.k is not None
        values = self._estimates(claim.arm, claim, region)
        if not len(values):
            return _interval(np.array([np.nan]), np.array([np.nan]) if claim.minus else None)
        if not claim.minus:
            found, base = share_curve(values[:, None]), None
        else:
            other = self._estimates(claim.minus, claim, region)
            found, base = gain_curve((values - other)[:, None]), float(other.mean())
        mean, low, high = (float(part[0]) for part in (found.mean, found.low, found.high))
        if base is not None:
            low, high = max(low, -base), min(high, 1.0 - base)
        return {"mean": mean, "low": low, "high": high, "values": [mean], "base": base}

    def _estimates(self, arm: str, claim: Claim, region: Region) -> Reals:
        """pass@k of each problem, (problems,)."""
        evaluation = self.evaluations[arm, self.study.seeds[0]]
        return _table(evaluation.trials, (claim.k or 1,))[evaluation.successes[claim.kind][evaluation.rows(region)], 0]

    def _of_training(self, claim: Claim) -> dict[str, Any]:
        def values(arm: str) -> Reals:
            return np.array([_pick(self.training[arm, seed], claim) for seed in self.study.seeds])

        return _interval(values(claim.arm), values(claim.minus) if claim.minus else None)

    def _by_op(self, arm: str, ops: Sequence[int], context: str, k: int) -> dict[str, list[float | None]]:
        """Strict pass@k at each op of a context (empty: of all) over the seeds that have problems of it."""
        means = []
        for op in ops:
            values = self.passes(arm, Region((op, op), context), "strict", [k])[:, 0]
            values = values[np.isfinite(values)]
            means.append(round(float(values.mean()), 5) if values.size else None)
        return {"mean": means}

    def _work(self) -> dict[str, Any]:
        """Core seconds by kind of stage, and how many stages there are."""
        kinds: dict[str, dict[str, float]] = {}
        for name, stage in self.stages.items():
            own = kinds.setdefault(stage.kind, {"stages": 0, "cpu_seconds": 0.0})
            own["stages"] += 1
            own["cpu_seconds"] = round(own["cpu_seconds"] + self.records[name]["cpu_seconds"], 2)
        return {"cpu_seconds": round(sum(own["cpu_seconds"] for own in kinds.values()), 1), "kinds": kinds}


def _training(chain: Sequence[Stage], root: Path, regions: dict[str, Region]) -> dict[str, Any] | None:
    """Of the last RL stage of a chain; None without one."""
    stages = [stage for stage in chain if stage.kind == "rl"]
    if not stages:
        return None
    lines = read(root / stages[-1].name / "metrics.jsonl")
    late = [int(op) for line in lines[len(lines) // 2 :] for op in line["categories"] if str(op).isdecimal()]
    picked = {
        name: float(np.mean([region.op[0] <= op <= region.op[1] for op in late]))
        for name, region in regions.items()
        if late and not region.context
    }
    last = lines[-max(len(lines) // 4, 1) :]
    return {
        "success_rate": float(np.mean([line["success_rate"] for line in last])),
        "effective_ratio": float(np.mean([line["effective_ratio"] for line in lines])),
        "picked": picked,
    }


def _pick(training: dict[str, Any] | None, claim: Claim) -> float:
    """A measure of training; NaN where it does not exist."""
    if training is None:
        return math.nan
    return training["picked"].get(claim.where, math.nan) if claim.metric == "picked" else training[claim.metric]


def _interval(values: Reals, base: Reals | None = None) -> dict[str, Any]:
    """Mean and 95% Student interval of shares over seeds, (seeds,), or of shares minus `base`; null unless all are known."""
    differences = values if base is None else values - base
    found = mean_interval(differences, share_limits(base))
    return {
        "mean": _known(found.estimate),
        "low": _known(found.low),
        "high": _known(found.high),
        "values": [_known(value) for value in differences.tolist()],
        "base": None if base is None else _known(float(base.mean())),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


@lru_cache(maxsize=256)
def _table(trials: int, ks: tuple[int, ...]) -> Reals:
    return pass_table(trials, ks)
