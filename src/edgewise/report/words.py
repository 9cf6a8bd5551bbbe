"""Plain sentences for what the numbers say. A difference is claimed only where the interval excludes none."""

from __future__ import annotations

import math

from edgewise.experiments.summary import SHARES, Ratio
from edgewise.report.load import BASELINES, Comparison, title
from edgewise.statistics import FEWEST

MEASURES = {
    "steps_to_target": "Steps to target",
    "rollouts_to_target": "Rollouts to target",
    "effective_ratio": "Effective ratio",
    "spearman": "Spearman, probe",
    "spearman_selected": "Spearman, selected",
    "final_accuracy": "Final accuracy",
    "rollouts": "Rollouts, total",
    "wall_seconds": "Wall-clock seconds",
    "selection_share": "Time spent selecting",
}
RATIO = "ratio"
LABELS = {
    "gain": "clear gain",
    "loss": "clear loss",
    "unclear": "no clear difference",
    "few": f"fewer than {FEWEST} seeds, no interval",
    "unknown": "not measured",
}


def sentence(ratio: Ratio) -> str:
    """A ratio with its interval, and in how many seeds both methods reached the target."""
    name, other = title(ratio.method), title(ratio.other).lower()
    if ratio.evidence == "unknown":
        return f"{name} and {other} were not both measured in any seed."
    if ratio.evidence == "few":
        plural = "s" if ratio.seeds > 1 else ""
        found = f"{name} {_claim(ratio)}. {ratio.seeds} seed{plural} only: an indication, not evidence."
    elif ratio.evidence == "unclear":
        found = (
            f"No clear difference between {name} and {other} in {ratio.of}: {times(ratio.median)} ({interval(ratio)})."
        )
    else:
        found = f"{name} {_claim(ratio)} ({interval(ratio)})."
    return f"{found} {reached(ratio)}"


def reached(ratio: Ratio) -> str:
    """In how many seeds the two methods of a ratio reached the target."""
    return f"Target reached in {ratio.reached} of {ratio.seeds} seeds, by {title(ratio.other).lower()} in {ratio.other_reached}."


def short(ratio: Ratio) -> str:
    """The sentence without its interval, to follow the method's name."""
    other = title(ratio.other).lower()
    if ratio.evidence == "unclear":
        return f"no clear difference from {other} in {ratio.of}"
    if ratio.evidence == "unknown":
        return f"not comparable with {other} in {ratio.of}"
    few = f" ({ratio.seeds} seed{'s' * (ratio.seeds > 1)} only)" if ratio.evidence == "few" else ""
    return change(ratio) + few


def change(ratio: Ratio) -> str:
    """The median as steps or rollouts saved."""
    other = title(ratio.other).lower()
    if not _reached(ratio):
        return "reached in no seed by either"
    if ratio.median == 0 or math.isinf(ratio.median):
        better = (ratio.median > 0) == (ratio.of == "steps")
        return f"reached in most seeds that {other} misses" if better else f"missed in most seeds that {other} reaches"
    if ratio.median == 1:
        return f"as many {ratio.of} as {other}"
    # Twice as fast is half the steps.
    return f"{percent_change(1 / ratio.median if ratio.of == 'steps' else ratio.median)} {ratio.of} than {other}"


def _reached(ratio: Ratio) -> bool:
    """Whether one of the two methods reached the target in some seed; otherwise every seed is a tie of nothing."""
    return ratio.reached + ratio.other_reached > 0


def interval(ratio: Ratio) -> str:
    return f"{ratio.coverage:.0%} interval {times(ratio.low)} to {times(ratio.high)}"


def _claim(ratio: Ratio) -> str:
    if not _reached(ratio) or ratio.median == 0 or math.isinf(ratio.median):
        return f"compared with {title(ratio.other).lower()}: the target is {change(ratio)}"
    way, pace = ("in", "as fast") if ratio.of == "steps" else ("with", "as many")
    return f"reaches the target {way} {change(ratio)}: {times(ratio.median)} {pace}"


def headline(comparison: Comparison) -> dict[str, str]:
    """The result in one sentence a method: steps against uniform, rollouts against dynamic sampling."""
    lines = {}
    for method in reversed(comparison.methods):
        known = {(ratio.of, ratio.other): ratio for ratio in comparison.ratios(method)}
        shown = [known[key] for key in (("steps", "uniform"), ("rollouts", "ds")) if key in known]
        if method in BASELINES or not shown:
            continue
        lines[method] = f"{title(method)}, to reach the target: {'; '.join(short(ratio) for ratio in shown)}."
    return lines


def placebo(comparison: Comparison) -> str | None:
    """Whether the placebo came out as it must, at no difference; None without one."""
    ratio = comparison.summary.ratio("speedup_vs_uniform", "placebo")
    if not ratio.known:
        return None
    found = f"Placebo, uniform with another selection seed: {times(ratio.median)} as fast as uniform"
    found += f" ({interval(ratio)})" if ratio.has_interval else ""
    if ratio.evidence in ("gain", "loss"):
        return f"{found}. It should not differ: chance, or a fault in the measure. Distrust differences of this size."
    return f"{found}, as it should be." if ratio.has_interval else f"{found}."


def outcome(comparison: Comparison, method: str) -> list[str]:
    """Where a method ended: final accuracy beside uniform's, and in how many seeds it reached the target."""
    lines = []
    final, base = comparison.measure(method, "final_accuracy"), comparison.measure("uniform", "final_accuracy")
    if final.known:
        line = f"Final accuracy {final.mean:.1%}"
        line += f" ({final.low:.1%} to {final.high:.1%})" if final.has_interval else ""
        lines.append(line + (f"; uniform {base.mean:.1%}." if base.known and method != "uniform" else "."))
    reach = comparison.measure(method, "steps_to_target")
    if reach.values:
        lines.append(f"Target reached in {reach.reached} of {len(reach.values)} seeds.")
    return lines


def recovered(comparison: Comparison) -> list[str]:
    """Share of dynamic sampling's gain in steps that each selector gets, and its price in rollouts."""
    limit = comparison.summary.ratio("speedup_vs_uniform", "ds")
    if not limit.known:
        return []
    if math.isinf(limit.median):
        return ["Uniform misses the target in most seeds, so there is no finite gain to compare with."]
    if limit.median <= 1:
        return [f"Dynamic sampling is no faster than uniform here (median {times(limit.median)}): no gain to recover."]
    lines = [
        f"Dynamic sampling, which pays for extra rollouts until every group is informative, is {times(limit.median)}"
        " as fast per step as uniform (median over seeds). A selector tries to get that gain before the rollout."
    ]
    for method in comparison.methods:
        if method in BASELINES:
            continue
        gain = comparison.summary.recovered_gain.get(method, math.nan)
        if math.isnan(gain):
            lines.append(f"{title(method)}: unknown, the target was not reached in most seeds.")
            continue
        prices = [
            f"{times(value.median)} {whose} rollouts"
            for key, whose in (("rollouts_vs_ds", "dynamic sampling's"), ("rollouts_vs_uniform", "uniform's"))
            if math.isfinite((value := comparison.summary.ratio(key, method)).median)
        ]
        share = f"recovers {max(gain, 0):.0%} of that gain" + (
            "" if gain >= 0 else " (it is slower than uniform in the median)"
        )
        lines.append(f"{title(method)} {share}{', with ' + ' and '.join(prices) if prices else ''}.")
    return lines


def setting(comparison: Comparison) -> list[str]:
    """The experiment in words; what the summary does not hold is left out."""
    known, lines = comparison.setting, []

    def has(*keys: str) -> bool:
        return all(isinstance(known.get(key), (int, float)) for key in keys)

    mix = comparison.pool_mix
    if has("pool_size"):
        line = f"A pool of {known['pool_size']:,} prompts"
        total = sum(mix.values())
        if total and len(mix) <= 24:
            line += " by category: " + ", ".join(
                f"{name}: {count:,.0f} ({count / total:.0%})" for name, count in mix.items()
            )
        elif total:
            line += f" in {len(mix)} categories"
        lines.append(line + ".")
    hidden = {"none": "Selectors do not see the categories.", "shuffled": "Selectors see the categories shuffled."}
    if known.get("labels") in ("none", "shuffled"):
        lines.append(hidden[known["labels"]])
    if has("steps", "prompts_per_step", "rollouts_per_prompt"):
        lines.append(
            f"{known['steps']:,} steps of {known['prompts_per_step']:,} prompts with"
            f" {known['rollouts_per_prompt']:,} rollouts each"
            + (f", learning rate {known['learning_rate']:g}." if has("learning_rate") else ".")
        )
    if has("visits_per_prompt"):
        lines.append(
            f"Uniform selection visits each prompt {known['visits_per_prompt']:.3g} times: the less often,"
            " the more a selector has to learn from other prompts."
        )
    if has("uniform_effective_ratio"):
        ratio = known["uniform_effective_ratio"]
        lines.append(
            f"With uniform selection {ratio:.0%} of the groups are informative; the other {1 - ratio:.0%} of its"
            " rollouts teach nothing."
        )
    if has("eval_problems"):
        samples = f", {known['eval_samples']} samples each" if has("eval_samples") else ""
        lines.append(f"Accuracy is measured on {known['eval_problems']:,} held-out problems{samples}.")
    target = comparison.summary.target
    if isinstance(known.get("target_rule"), str):
        value = f" On average the target is {target:.3f}." if math.isfinite(target) else ""
        lines.append(f"Target: {known['target_rule'].rstrip('.')}.{value}")
    return lines


def times(ratio: float) -> str:
    return "∞×" if math.isinf(ratio) else f"{ratio:.2f}×"


def percent_change(ratio: float) -> str:
    change = abs(1 - ratio) * 100
    return f"{change:.{0 if change >= 1 else 1}f}% {'fewer' if ratio < 1 else 'more'}"


def number(value: float, key: str = "") -> str:
    """A number for tables; a dash for unknown, `never` for a target that was not reached."""
    if math.isnan(value):
        return "–"
    if key == RATIO:
        return times(value)
    if math.isinf(value):
        return "never"
    if key in SHARES:
        return f"{value:.1%}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
