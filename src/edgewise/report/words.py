"""What the numbers say, in plain sentences. A difference is claimed only where the 95% interval excludes none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgewise.report.load import BASELINES, Comparison, Spread, spread, title

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
KINDS = {
    ("steps", "uniform"): "speedup_vs_uniform",
    ("rollouts", "ds"): "rollouts_vs_ds",
    ("rollouts", "uniform"): "rollouts_vs_uniform",
}
"""What is compared, and with whom: the summary's key."""
SHARES = ("effective_ratio", "final_accuracy", "selection_share")


@dataclass(frozen=True)
class Ratio:
    """A method measured against another: `value` and its interval are a ratio, 1 = no difference."""

    method: str
    other: str
    of: str
    """"steps" (a speed-up: more is better) or "rollouts" (less is better)."""
    value: Spread
    seeds: int

    @property
    def verdict(self) -> str:
        """ "gain", "loss", "unclear" (the interval includes 1), "single" (no interval), "unreached" or "unknown"."""
        if not self.value.values:
            return "unknown"
        if not self.value.known:
            return "unreached"
        if not self.value.has_interval:
            return "single"
        if self.value.low <= 1 <= self.value.high:
            return "unclear"
        return "gain" if (self.value.low > 1) == (self.of == "steps") else "loss"

    @property
    def label(self) -> str:
        return {
            "gain": "clear gain",
            "loss": "clear loss",
            "unclear": "no clear difference",
            "single": "one seed, no interval",
            "unreached": "target not always reached",
            "unknown": "not measured",
        }[self.verdict]

    def sentence(self) -> str:
        name, other, value = title(self.method), title(self.other).lower(), self.value
        if self.verdict == "unknown":
            return f"{name} and {other} were not both measured."
        if self.verdict == "unreached":
            both = [v for v in value.values if math.isfinite(v)]
            start = f"{name} and {other} both reached the target in {len(both)} of {self.seeds} seeds, too few for an interval"
            return f"{start}; there: {', '.join(map(times, both))} ({self._unit()})." if both else f"{start}."
        if self.verdict == "single":
            return f"{name} {self._claim()}. One seed only: an indication, not evidence."
        interval = f"95% interval {times(value.low)} to {times(value.high)}"
        if self.verdict == "unclear":
            return f"No clear difference between {name} and {other} in {self.of}: {times(value.mean)} ({interval})."
        return f"{name} {self._claim()} ({interval})."

    def short(self) -> str:
        """The sentence without its interval, to follow the method's name."""
        other = title(self.other).lower()
        if self.verdict in ("gain", "loss", "single"):
            # Twice as fast is half the steps.
            change = percent_change(1 / self.value.mean if self.of == "steps" else self.value.mean)
            return f"{change} {self.of} than {other}" + (" (one seed only)" if self.verdict == "single" else "")
        if self.verdict == "unclear":
            return f"no clear difference from {other} in {self.of}"
        return f"not comparable with {other} in {self.of}"

    def _claim(self) -> str:
        pace = "as fast" if self.of == "steps" else "as many"
        way = "in" if self.of == "steps" else "with"
        return (
            f"reaches the target {way} {self.short().removesuffix(' (one seed only)')}: {times(self.value.mean)} {pace}"
        )

    def _unit(self) -> str:
        return "speed per step" if self.of == "steps" else "rollouts"


def ratios(comparison: Comparison, method: str) -> list[Ratio]:
    """What is known of `method` against the baselines; comparisons with itself and with absent baselines are left out."""
    found = [
        Ratio(method, other, of, spread(comparison.summary, key, method), len(comparison.seeds))
        for (of, other), key in KINDS.items()
        if other != method
    ]
    return [ratio for ratio in found if ratio.verdict != "unknown"]


def headline(comparison: Comparison) -> dict[str, str]:
    """The result in one sentence a method: steps against uniform, rollouts against dynamic sampling."""
    lines = {}
    for method in reversed(comparison.methods):
        known = {(ratio.of, ratio.other): ratio for ratio in ratios(comparison, method)}
        told = [known[key] for key in (("steps", "uniform"), ("rollouts", "ds")) if key in known]
        if method in BASELINES or not told:
            continue
        if all(ratio.verdict == "unreached" for ratio in told):
            reach = comparison.measure(method, "steps_to_target")
            lines[method] = (
                f"{title(method)} reached the target in {reach.reached} of {len(reach.values)} seeds: no ratios."
            )
        else:
            lines[method] = f"{title(method)}, to reach the target: {'; '.join(ratio.short() for ratio in told)}."
    return lines


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
    """How much of dynamic sampling's gain in steps each selector gets, and at which price in rollouts."""
    gains = comparison.recovered_gain
    limit = spread(comparison.summary, "speedup_vs_uniform", "ds")
    if "ds" not in comparison.methods or not limit.values:
        return []
    if not math.isfinite(limit.median):
        return ["Dynamic sampling did not reach the target in every seed, so there is no gain to compare with."]
    if limit.median <= 1:
        return [f"Dynamic sampling is no faster than uniform here (median {times(limit.median)}): no gain to recover."]
    lines = [
        f"Dynamic sampling, which pays for extra rollouts until every group is informative, is {times(limit.median)}"
        " as fast per step as uniform (median over seeds). A selector tries to get that gain before the rollout."
    ]
    for method in comparison.methods:
        if method in BASELINES:
            continue
        gain = gains.get(method, math.nan)
        if math.isnan(gain):
            lines.append(f"{title(method)}: unknown, the target was not reached in every seed.")
            continue
        prices = [
            f"{times(value.median)} {whose} rollouts"
            for key, whose in (("rollouts_vs_ds", "dynamic sampling's"), ("rollouts_vs_uniform", "uniform's"))
            if math.isfinite((value := spread(comparison.summary, key, method)).median)
        ]
        share = f"recovers {max(gain, 0):.0%} of that gain" + (
            "" if gain >= 0 else " (it is slower than uniform in the median)"
        )
        lines.append(f"{title(method)} {share}{', with ' + ' and '.join(prices) if prices else ''}.")
    return lines


def setting(comparison: Comparison) -> list[str]:
    """The experiment in words; what the summary does not know is left out."""
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
    target = comparison.target()
    if isinstance(known.get("target_rule"), str):
        value = f" On average the target is {target.mean:.3f}." if target.known else ""
        lines.append(f"Target: {known['target_rule'].rstrip('.')}.{value}")
    return lines


def times(ratio: float) -> str:
    return f"{ratio:.2f}×"


def percent_change(ratio: float) -> str:
    change = abs(1 - ratio) * 100
    return f"{change:.{0 if change >= 1 else 1}f}% {'fewer' if ratio < 1 else 'more'}"


def number(value: float, key: str = "") -> str:
    """Short, for tables; a dash for what is unknown."""
    if not math.isfinite(value):
        return "–"
    if key == RATIO:
        return times(value)
    if key in SHARES:
        return f"{value:.1%}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
