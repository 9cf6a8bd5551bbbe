"""Answer to what a run wasted and what selection would have saved, in plain words, as a table and as JSON."""

from __future__ import annotations

import math
from typing import Any

from edgewise.replay.logs.savings import Choice, Savings
from edgewise.statistics import Interval

SAMPLING = {
    "draws": "The run draws its prompts independently at each step, so its steps are uniform samples of the pool.",
    "passes": "The run goes through its prompts in shuffled passes, so its steps are uniform samples of the pool.",
    "random share": "The run has a random share, which is a uniform sample of the pool.",
    "selected": "The run selected its prompts, so its steps are no uniform samples of the pool.",
    "unknown": "The log is too short to see how the run draws its prompts; uniform draws are assumed.",
}
ROW = {"selected": "selected (this run)", "random share": "uniform (its random share)"}
"""Name of the row of all candidates, by sampling, where the run is not uniform."""


def percent(value: float) -> str:
    """A share as people read it: 41%, 0.3%, under 0.1%."""
    if math.isnan(value):
        return "–"
    size = abs(value)
    if 0 < size < 0.001:
        return "under 0.1%"
    return f"{value:.1%}" if size < 0.0095 and size > 0 else f"{value:.0%}"


def span(interval: Interval) -> str:
    """An estimate with its limits: 71% (66 to 75)."""
    if math.isnan(interval.estimate):
        return "–"
    if math.isnan(interval.low):
        return percent(interval.estimate)
    return f"{percent(interval.estimate)} ({interval.low * 100:.0f} to {interval.high * 100:.0f})"


def answer(savings: Savings) -> str:
    """The whole answer as text: waste, estimates, table, and how far they may be trusted."""
    parts = [waste_words(savings)]
    parts += [line for name in savings.choices if (line := choice_words(savings, name))]
    if savings.choices:
        parts.append(dynamic_sampling_words(savings.uniform))
        parts.append(table(savings))
    parts.append("\n".join(f"- {line}" for line in trust(savings)))
    return "\n\n".join(part for part in parts if part)


def waste_words(savings: Savings) -> str:
    """What the run spent on groups without a gradient; counted, hence without an interval."""
    waste, log = savings.waste, savings.log
    lengths = f" ({percent(waste.length_share)} of your {log.unit})" if not math.isnan(waste.length_share) else ""
    right, wrong = waste.all_right / waste.rollouts, waste.all_wrong / waste.rollouts
    why = []
    if wrong:
        why.append(f"{percent(wrong)} on groups that were all wrong")
    if right:
        why.append(f"{percent(right)} on groups that were all right")
    return (
        f"{percent(waste.share)} of your rollouts{lengths} were spent on groups that taught nothing"
        f"{': ' + ', '.join(why) if why else ''}. That is {waste.silent_rollouts:,} of {waste.rollouts:,} rollouts, in"
        f" {waste.silent_groups:,} of {waste.groups:,} groups over {len(log.starts[0]):,} steps."
    )


def choice_words(savings: Savings, name: str) -> str:
    """One method, in one or two sentences."""
    choice = savings.headline(name)
    if choice is None:
        return ""
    candidates = "selected prompts" if savings.sampling == "selected" else "candidates"
    text = (
        f"`{name}`, taking {_taken(choice, candidates)} by its predictions, would have had a gradient in {span(choice.effective)}"
        f" of its groups instead of {percent(savings.uniform.estimate)}: {saved_words(choice.saved, 'rollouts')} for as many such groups"
    )
    if not math.isnan(choice.saved_length.estimate):
        text += f", {saved_words(choice.saved_length, str(savings.log.unit))}"
    return text + "."


def saved_words(saved: Interval, what: str) -> str:
    """How much less or more of something is needed, and whether that is clear."""
    if saved.low > 0:
        return f"{span(saved)} fewer {what}"
    if saved.high < 0:
        more = Interval(-saved.estimate, -saved.high, -saved.low, saved.coverage)
        return f"{span(more)} more {what}"
    return f"no clear difference in {what} ({saved.low * 100:+.0f}% to {saved.high * 100:+.0f}% saved)"


def dynamic_sampling_words(uniform: Interval) -> str:
    """What refilling a batch with informative groups costs; it follows from the effective ratio alone."""
    if math.isnan(uniform.estimate) or not uniform.estimate:
        return ""
    high = f"{1 / uniform.low:.2f}" if uniform.low > 0 else "any number of"
    return (
        f"Dynamic sampling would have filled every batch with such groups for {1 / uniform.estimate:.2f}"
        f" ({1 / uniform.high:.2f} to {high}) times the rollouts of a step; it rolls prompts out before it drops them, so it"
        " saves no rollouts for as many groups."
    )


def table(savings: Savings) -> str:
    """Every estimate, one row each; aligned text."""
    unit = savings.log.unit
    head = [
        "method",
        "takes",
        "groups with a gradient",
        "rollouts saved",
        *([f"{unit} saved"] if unit else []),
        "picks scored",
    ]
    rows = [
        [
            ROW.get(savings.sampling, "uniform (this run)"),
            "all",
            span(savings.uniform),
            "",
            *([""] if unit else []),
            "100%",
        ]
    ]
    rows += [
        [
            name,
            _taken(choice).removeprefix("the "),
            span(choice.effective),
            span(choice.saved),
            *([span(choice.saved_length)] if unit else []),
            f"{percent(choice.scored)} of {choice.picks:,}",
        ]
        for name, choices in savings.choices.items()
        for choice in choices
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def trust(savings: Savings) -> list[str]:
    """Sentences on how far the answer may be trusted."""
    lines = ["What the run wasted is counted, not estimated."]
    if savings.choices:
        trained, other = ("selected", "another selection") if savings.sampling in ROW else ("uniform", "selection")
        lines += [
            f"{SAMPLING[savings.sampling]} A selector follows the log: it chooses among the prompts of each step before their"
            " outcomes are known to it, then it observes all of them. Intervals hold 95%.",
            f"The policy is that of this run, trained on {trained} prompts. With {other} it would train on other prompts; expect"
            " gains of this kind, not these numbers.",
        ]
        whole = [(name, choice) for name, found in savings.choices.items() for choice in found if choice.share is None]
        if whole:
            shares = sorted({round(choice.scored, 4) for _, choice in whole})
            lines.append(
                f"Of the picks from the whole pool, {percent(shares[0])}"
                f"{'' if len(shares) == 1 else ' to ' + percent(shares[-1])} were rolled out and could be scored."
            )
    if savings.log.unit == "characters":
        lines.append("The log has no token counts; lengths are counted in characters.")
    return [*lines, *savings.notes, *savings.log.notes]


def to_dict(savings: Savings) -> dict[str, Any]:
    """The answer as JSON values; what is unknown is null."""
    waste, log = savings.waste, savings.log
    return {
        "run": log.name,
        "source": log.source,
        "steps": len(log.starts[0]),
        "prompts": len(log.ids),
        "groups": waste.groups,
        "silent_groups": waste.silent_groups,
        "rollouts": waste.rollouts,
        "silent_rollouts": waste.silent_rollouts,
        "wasted_share": waste.share,
        "wasted_length_share": _plain(waste.length_share),
        "length_unit": log.unit,
        "uniform": _interval(savings.uniform),
        "sampling": savings.sampling,
        "methods": {
            name: [
                {
                    "share": choice.share,
                    "taken": choice.taken,
                    "effective_ratio": _interval(choice.effective),
                    "rollouts_saved": _interval(choice.saved),
                    "length_saved": _interval(choice.saved_length),
                    "picks": choice.picks,
                    "scored": choice.scored,
                }
                for choice in choices
            ]
            for name, choices in savings.choices.items()
        },
        "trust": trust(savings),
    }


def _taken(choice: Choice, candidates: str = "candidates") -> str:
    if choice.taken is None:
        return "its best of the whole pool"
    count = 1 / choice.taken
    # Steps of different sizes come near a whole number.
    if abs(count - round(count)) < 0.1:
        return f"the best 1 of {round(count)} {candidates}"
    return f"the best {percent(choice.taken)} of the {candidates}"


def _interval(interval: Interval) -> dict[str, float | None]:
    return {name: _plain(getattr(interval, name)) for name in ("estimate", "low", "high")}


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


__all__ = ["Choice", "answer", "percent", "span", "table", "to_dict", "trust"]
