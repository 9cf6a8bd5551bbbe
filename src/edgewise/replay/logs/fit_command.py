"""The `edgewise fit` command, and its answer in words."""

from __future__ import annotations

import json
import math
from pathlib import Path

from edgewise.checkpoint import require_place, write_json, writing_to
from edgewise.replay.logs.command import reading_bar
from edgewise.replay.logs.fit import SHARPNESS, WORTH, Fit, fit
from edgewise.replay.logs.folders import open_log
from edgewise.replay.logs.savings import count_waste

RENDERED = (
    "This log of verl has prompts as the chat template rendered them and no ids, so FILE names them by hashes that verl's adapter"
    " refuses. The log of a run through the adapter, whose selector may be uniform, has its ids: TRACE of"
    " +data.edgewise.trace=TRACE, or the rollouts of the v1 trainer's mode `edgewise`."
)


def main(
    logs: Path,
    *,
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
    out: Path | None = None,
    priors: Path | None = None,
) -> None:
    """Fit edge's options and priors to the logs of a run; prints the method in one word, as every adapter takes it.

    Args:
        logs: of one run, as for replay.
        columns: role=column,... for names that are not recognised.
        success: reward from which on a rollout is correct; 0.5 for rewards in [0, 1].
        scale: the rewards that stand for 0 and for 1.
        out: also write the numbers as JSON.
        priors: also write the success rates at the end of the log, id -> rate, as JSON.
    """
    require_place(out, priors, read=[logs])
    reader = open_log(logs, columns=columns, success=success, scale=scale)
    with reading_bar("reading") as show:
        reader.poll(show)
    count_waste(reader.log)  # refuses a log without groups, and says what was left out
    with reading_bar("fitting") as show:
        found = fit(reader.log, progress=show)
    if out is not None:
        intervals = {name: vars(getattr(found, name)) for name in ("gain", "sharpness_gain", "prior_gain")}
        numbers = {name: value for name, value in vars(found).items() if name != "priors"} | intervals
        with writing_to(out):
            write_json(out, _plain(json.loads(json.dumps(numbers))))
    if priors is not None:
        with writing_to(priors):
            write_json(priors, found.priors)
    print(words(found))


def _plain(value: object) -> object:
    """JSON has no NaN: unknown numbers are null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def words(found: Fit) -> str:
    """The fit in plain words: a line of options, or that the defaults are as good."""
    gain = found.gain
    span = f"{gain.estimate:+.4f} nats a rollout ({gain.low:+.4f} to {gain.high:+.4f})"
    best = ", ".join(f"{name} {value:g}" for name, value in found.best.items())
    defaults = ", ".join(f"{name} {value:g}" for name, value in found.defaults.items())
    loss = {tuple(options.values()): value for options, value in found.losses}
    table = [
        f"  {value:.4f}  " + ", ".join(f"{name} {x:g}" for name, x in options.items())
        for options, value in found.losses[:5]
    ]
    table.append(f"  {loss[tuple(found.defaults.values())]:.4f}  {defaults} (defaults)")
    if found.better:
        first = (
            f"Predictions with {best} were better than with the defaults ({defaults}): {span} on outcomes later than"
            " all that chose the options."
        )
    elif found.best == found.defaults:
        first = f"The defaults ({defaults}) predict best of all that were tried."
    elif gain.low > 0 and gain.estimate < WORTH:
        first = (
            f"The defaults ({defaults}) are as good for every purpose: fitted options gain {span}, less than {WORTH:g}."
        )
    elif gain.low > 0:
        first = f"The defaults ({defaults}) stay, for a reason below."
    else:
        first = (
            f"The defaults ({defaults}) are as good: fitted options gain {span} on outcomes later than all that"
            " chose them, which is not clearly above 0."
        )
    parts = [found.method, first, _sharpness_words(found), _prior_words(found)]
    parts.append(
        "Exploration stays at its default: a log shows what a try costs, and not what its outcome is worth later, because the"
        " log holds the same outcomes whatever is chosen."
    )
    return (
        "\n\n".join([*parts, *found.notes]) + "\n\nLog loss over the whole log, in nats a rollout:\n" + "\n".join(table)
    )


def _sharpness_words(found: Fit) -> str:
    gain = found.sharpness_gain
    if math.isnan(gain.estimate):
        return "Sharpness stays at its default."
    span = f"{100 * gain.estimate:+.1f} points of effective ratio ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    tried = ", ".join(f"{value:g}" for value in SHARPNESS)
    verdict = "is clearly better" if gain.low > 0 else "stays"
    return (
        f"Sharpness {found.sharpness:g} {verdict}: of {tried}, the value that was best before each part gained {span} in it. Higher"
        " values are not tried: they choose more informative groups of the same prompts, and a log does not show what a narrower"
        " choice does to training."
    )


def _prior_words(found: Fit) -> str:
    gain = found.prior_gain
    span = f"{gain.estimate:+.4f} nats a rollout ({gain.low:+.4f} to {gain.high:+.4f})"
    if found.prior_strength is None:
        text = f"Priors from this log did not clearly help a fresh belief in later steps: {span}."
    else:
        text = (
            f"Priors: success rates at the end of this log help a run that goes on from its policy: {span} in later steps. --priors FILE"
            " writes them"
        )
        text += (
            "."
            if found.rendered
            else f", and every adapter takes them: priors=FILE, prior_strength={found.prior_strength:g}."
        )
    return f"{text} {RENDERED}" if found.rendered else text
