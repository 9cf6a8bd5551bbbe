"""The numbers of a study from its finished stages: pass@k by arm and region with intervals, and measures of RL training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.experiments.study.claims import Claim, verdict
from edgewise.experiments.study.config import Region, Study
from edgewise.experiments.study.stages import Stage, record_of
from edgewise.experiments.summary import interval
from edgewise.lab.run.journal import read
from edgewise.statistics import gain_curve, pass_curve, pass_table, share_curve

Reals = npt.NDArray[np.float64]
KINDS = ("strict", "outcome")


class Exam:
    """Counts of one exam: op, context, successes by kind, each (problems,)."""

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
        CheckpointError: the result of an exam or a training is damaged; it names the file.
    """

    def __init__(self, study: Study, root: Path):
        self.study, self.root = study, root
        chains = {(arm, seed): study.chain(arm, seed) for arm in study.arms for seed in study.seeds}
        self.stages = {stage.name: stage for chain in chains.values() for stage in chain}
        self.records = {name: record_of(stage, root) for name, stage in self.stages.items()}
        self.exams = {key: Exam(root / chain[-1].name) for key, chain in chains.items()}
        self.training = {key: _training(chain, root, study.regions) for key, chain in chains.items()}
        self.ks = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= self.samples]

    @property
    def samples(self) -> int:
        return next(iter(self.exams.values())).trials

    def measure(self, claim: Claim) -> dict[str, Any]:
        """Mean, low and high of what a claim speaks of, and its values by seed."""
        if claim.k is None:
            return self._of_training(claim)
        region = self.study.regions[claim.where]
        values = self.passes(claim.arm, region, claim.kind, [claim.k])
        if claim.minus:
            values = values - self.passes(claim.minus, region, claim.kind, [claim.k])
        if len(self.study.seeds) == 1:
            return self._over_problems(claim, region)
        return _interval(values[:, 0].tolist())

    def passes(self, arm: str, region: Region, kind: str, ks: Sequence[int]) -> Reals:
        """pass@k of an arm in a region: (seeds, ks); NaN where an exam has no problem there."""
        return np.stack([self._curve(arm, seed, region, kind, tuple(ks)) for seed in self.study.seeds])

    def curve(self, arm: str, region: Region, kind: str, ks: Sequence[int]) -> dict[str, list[float | None]]:
        """mean, low and high over seeds, or over problems where there is one seed: each of length ks."""
        if len(self.study.seeds) == 1:
            exam = self.exams[arm, self.study.seeds[0]]
            found = pass_curve(exam.successes[kind][exam.rows(region)], exam.trials, ks)
            return {name: getattr(found, name).round(5).tolist() for name in ("mean", "low", "high")}
        columns = [_interval(column) for column in self.passes(arm, region, kind, ks).T.tolist()]
        return {name: [_bounded(column[name]) for column in columns] for name in ("mean", "low", "high")}

    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        study = self.study
        ops = sorted({int(op) for exam in self.exams.values() for op in exam.op})
        contexts = list(dict.fromkeys(region.context for region in study.regions.values()))
        arms: dict[str, Any] = {}
        for arm in study.arms:
            regions = {
                name: {kind: self.curve(arm, region, kind, self.ks) for kind in KINDS}
                for name, region in study.regions.items()
            }
            training = {
                "success_rate": self._of_training(Claim("", arm, "success_rate", at_least=0)),
                "effective_ratio": self._of_training(Claim("", arm, "effective_ratio", at_least=0)),
                "picked": {
                    name: self._of_training(Claim("", arm, "picked", name, at_least=0)) for name in study.regions
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
            **verdict(study.needs, study.claims, self),
            "arms": arms,
            "work": self._work(),
        }

    def _curve(self, arm: str, seed: int, region: Region, kind: str, ks: tuple[int, ...]) -> Reals:
        exam = self.exams[arm, seed]
        rows = exam.rows(region)
        if not rows.any():
            return np.full(len(ks), np.nan)
        return _table(exam.trials, ks)[exam.successes[kind][rows]].mean(0)

    def _over_problems(self, claim: Claim, region: Region) -> dict[str, Any]:
        """One seed: an interval over problems, in pairs where two arms are compared."""
        assert claim.k is not None
        values = self._estimates(claim.arm, claim, region)
        if claim.minus:
            values = values - self._estimates(claim.minus, claim, region)
        found = (gain_curve if claim.minus else share_curve)(values[:, None])
        mean, low, high = (float(part[0]) for part in (found.mean, found.low, found.high))
        return {"mean": mean, "low": low, "high": high, "values": [mean]}

    def _estimates(self, arm: str, claim: Claim, region: Region) -> Reals:
        """pass@k of each problem, (problems,)."""
        exam = self.exams[arm, self.study.seeds[0]]
        return _table(exam.trials, (claim.k or 1,))[exam.successes[claim.kind][exam.rows(region)], 0]

    def _of_training(self, claim: Claim) -> dict[str, Any]:
        def values(arm: str) -> list[float | None]:
            return [_pick(self.training[arm, seed], claim) for seed in self.study.seeds]

        found = values(claim.arm)
        if claim.minus:
            other = values(claim.minus)
            found = [None if a is None or b is None else a - b for a, b in zip(found, other, strict=True)]
        return _interval(found)

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


def _pick(training: dict[str, Any] | None, claim: Claim) -> float | None:
    if training is None:
        return None
    return training["picked"].get(claim.where) if claim.metric == "picked" else training[claim.metric]


def _interval(values: list[Any]) -> dict[str, Any]:
    """Mean and 95% Student interval over seeds, null unless every seed has a value."""
    known = [None if value is None or value != value else value for value in values]
    found = interval(known) if any(value is not None for value in known) else dict.fromkeys(("mean", "low", "high"))
    return {**{name: found[name] for name in ("mean", "low", "high")}, "values": known}


def _bounded(value: float | None) -> float | None:
    """A share in [0, 1]: Student's interval does not know that it is one."""
    return None if value is None else round(min(max(value, 0.0), 1.0), 5)


@lru_cache(maxsize=256)
def _table(trials: int, ks: tuple[int, ...]) -> Reals:
    return pass_table(trials, ks)
