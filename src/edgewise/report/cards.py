"""The headline: a card a method, each ratio as a number, a verdict, an interval and a sentence."""

from __future__ import annotations

import math

from edgewise.report.colours import styles
from edgewise.report.load import Comparison, Spread, title
from edgewise.report.markup import Html, h
from edgewise.report.parts import exact, section, swatch
from edgewise.report.words import Ratio, outcome, ratios, times


def cards(comparison: Comparison) -> Html | None:
    known = {method: ratios(comparison, method) for method in reversed(comparison.methods) if method != "uniform"}
    everything = [ratio for found in known.values() for ratio in found]
    if not everything:
        return None
    look = styles(comparison.methods)
    articles = []
    for method, found in sorted(known.items(), key=lambda item: item[0] == "ds"):
        articles.append(
            h(
                "article",
                h("h3", swatch(*look[method]), title(method)),
                *(
                    _ratio(ratio, [r.value for r in everything if (r.of, r.other) == (ratio.of, ratio.other)])
                    for ratio in found
                ),
                *(h("p", line, class_="muted") for line in outcome(comparison, method)),
                class_="card",
                style=f"--of: {look[method][0]}",
            )
        )
    return section(
        "At a glance",
        "Means over seeds, paired by seed, with 95% intervals. The bar shows the interval, the dot the mean, the upright line no difference.",
        h("div", *articles, class_="cards"),
    )


def _ratio(ratio: Ratio, shared: list[Spread]) -> Html:
    better = "more is better" if ratio.of == "steps" else "less is better"
    kind = f"{'Speed per step' if ratio.of == 'steps' else 'Rollouts'} vs {title(ratio.other).lower()}"
    value = ratio.value
    return h(
        "div",
        h("h4", kind, h("span", f" · {better}", class_="muted")),
        h(
            "p",
            h("data", times(value.mean) if value.known else "–", value=exact(value.mean), class_="big"),
            h("span", ratio.label, class_=f"verdict {ratio.verdict}"),
        ),
        _interval(value, shared) if value.known else None,
        h("p", ratio.sentence()),
        class_="ratio",
    )


def _interval(value: Spread, shared: list[Spread]) -> Html:
    """An interval on a logarithmic axis that all cards share."""
    ends = [
        end for spread in shared for end in (spread.low, spread.mean, spread.high) if math.isfinite(end) and end > 0
    ]
    low, high = math.log(min(*ends, 1)), math.log(max(*ends, 1))
    width = max(high - low, 0.05)

    def place(x: float) -> str:
        return f"{14 + 172 * (math.log(max(x, 1e-9)) - low) / width:.1f}"

    parts = [
        h("line", x1="14", x2="186", y1="9", y2="9", class_="rail"),
        h("line", x1=place(1), x2=place(1), y1="2", y2="16", class_="one"),
        h("text", "1×", x=place(1), y="25"),
    ]
    if value.has_interval:
        parts.append(h("line", x1=place(value.low), x2=place(value.high), y1="9", y2="9", class_="span"))
    parts.append(h("circle", cx=place(value.mean), cy="9", r="4"))
    return h("svg", *parts, viewBox="0 0 200 28", class_="interval", aria_hidden="true")
