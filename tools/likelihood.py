"""What the base's log-likelihood of gold completions adds to categories, on the shipped traces.

    python -m tools.likelihood measure school answer          docs/results/likelihood/school.json: nats by id, of the trace's problems
    python -m tools.numbers record likelihood/judged judged.json -- python -m tools.likelihood judge

Categories alone, with hashed words of the prompts, and with the likelihood: `edge` on each trace, five seeds. How well the
likelihood ranks prompts of one category is the Spearman correlation with the success rates at a checkpoint, ranks taken
over the pool and centred within each category.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from edgewise.checkpoint import write_json
from edgewise.pool import PromptPool
from edgewise.replay import Trace, find_trace, replay
from edgewise.replay.command import list_traces
from edgewise.statistics import mean_interval

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results" / "likelihood"
CONFIGS = {"gsm8k": "gsm8k-smollm2", "school": "school-smollm2"}
"""Names of recordings that differ from their trace's."""
METRICS = ("effective_ratio", "probe_spearman", "tried")
SEEDS, BATCH = range(5), 16


def measure(name: str, of: str) -> None:
    """Write the log-likelihood of each problem's gold completion under the base of the recording."""
    from edgewise.lab.evaluation.likelihood import gold_log_likelihood
    from edgewise.lab.rl.record import RecordConfig
    from edgewise.lab.rl.trainer import make_problems
    from edgewise.lab.run.config import from_dict, read_yaml
    from edgewise.lab.run.folder import load_policy

    run = from_dict(RecordConfig, read_yaml(ROOT / "configs" / "record" / f"{CONFIGS.get(name, name)}.yaml")).run
    policy = load_policy(run.base, run.task, run.prompts_format)
    problems, _ = make_problems(policy.task, run.pool)
    nats = gold_log_likelihood(policy, problems, of)  # type: ignore[arg-type]
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / f"{name}.json", {p.id: round(float(n), 4) for p, n in zip(problems, nats, strict=True)})


def within_categories(values: np.ndarray, rates: np.ndarray, codes: np.ndarray) -> float:
    """Spearman correlation of values and rates, (n,) each, within categories."""
    ranks = []
    for each in (values, rates):
        rank = rankdata(each)
        means = np.bincount(codes, rank) / np.maximum(np.bincount(codes), 1)
        ranks.append(rank - means[codes])
    return float(np.corrcoef(*ranks)[0, 1])


def judge(name: str) -> dict[str, Any]:
    """Correlations at the first checkpoint, the middle one and the last, and `edge` with each kind of features."""
    trace = find_trace(name)
    known = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    pool = trace.pool
    values = np.array([known[identifier] for identifier in pool.ids.tolist()])
    codes = pool.category_index(np.arange(len(pool)))
    places = (0, len(trace.steps) // 2, len(trace.steps) - 1)
    rates = [trace.rates(float(trace.steps[place])) for place in places]
    described = PromptPool(pool.ids, pool.labels, features=values[:, None])
    with_likelihood = Trace(described, trace.steps, trace.index, trace.rows, trace.successes, trace.trials)
    kinds = {
        "labels": (trace, "labels"),
        "words": (trace, "all"),
        "likelihood": (with_likelihood, "all"),
        "likelihood_alone": (with_likelihood, "features"),
    }
    result: dict[str, Any] = {
        "within": dict(
            zip(("first", "middle", "last"), (within_categories(values, r, codes) for r in rates), strict=True)
        )
    }
    for kind, (own, knows) in kinds.items():
        found = replay(own, ["edge"], seeds=SEEDS, batch=BATCH, knows=knows, baseline=None)
        result[kind] = {metric: _interval(found.values[metric][0]) for metric in METRICS}
        print(name, kind, *(f"{metric} {result[kind][metric]['mean']:.3f}" for metric in METRICS), flush=True)
    return result


def _interval(values: np.ndarray) -> dict[str, float]:
    found = mean_interval(values)
    return {"mean": found.estimate, "low": found.low, "high": found.high}


def main(arguments: list[str]) -> None:
    """The command."""
    match arguments:
        case ["measure", name, ("answer" | "solution") as of]:
            measure(name, of)
        case ["judge"]:
            names = [name for name in list_traces() if (RESULTS / f"{name}.json").exists()]
            values = {"seeds": len(SEEDS), "batch": BATCH, "traces": {name: judge(name) for name in names}}
            Path("judged.json").write_text(json.dumps(values, indent=1) + "\n")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
