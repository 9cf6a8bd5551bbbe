"""The table of all numbers, with one value a seed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from edgewise.report.colours import styles
from edgewise.report.load import Comparison, Spread, title
from edgewise.report.markup import Html, h, join
from edgewise.report.parts import exact, section, swatch
from edgewise.report.words import KINDS, MEASURES, RATIO, number, ratios


def results(comparison: Comparison) -> Html | None:
    measures = comparison.measures()
    if not measures:
        return None
    look = styles(comparison.methods)
    seeds = ", ".join(comparison.seeds)
    known = {method: {(r.of, r.other): r for r in ratios(comparison, method)} for method in comparison.methods}
    kinds = [kind for kind in KINDS if any(kind in found for found in known.values())]
    heads = [
        *(f"{'Speed per step' if of == 'steps' else 'Rollouts'} vs {title(other).lower()}" for of, other in kinds),
        *(MEASURES.get(key, key) for key in measures),
    ]
    rows = []
    for method in comparison.methods:
        cells = [_cell(known[method][kind].value if kind in known[method] else Spread(), RATIO) for kind in kinds]
        cells += [_cell(comparison.measure(method, key), key) for key in measures]
        rows.append(h("tr", h("th", swatch(*look[method]), title(method), scope="row"), *cells))
    return section(
        "All numbers",
        f"Mean, 95% interval, median, then one value a seed ({seeds}); a dash where the target was not reached or nothing was"
        " measured. Ratios are paired by seed: geometric mean. A mean is given only when every seed has a value.",
        h(
            "div",
            h(
                "table",
                h("thead", h("tr", h("td"), *(h("th", head, scope="col") for head in heads))),
                h("tbody", *rows),
            ),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="Table of all numbers",
        ),
    )


def _cell(value: Spread, key: str) -> Html:
    if not value.values:
        return h("td", "–", class_="muted")
    return h(
        "td",
        h("data", number(value.mean, key), value=exact(value.mean), class_="mean"),
        h("small", f"{number(value.low, key)} to {number(value.high, key)}") if value.has_interval else None,
        h("small", f"median {number(value.median, key)}") if math.isfinite(value.median) else None,
        h("small", f"{value.reached} of {len(value.values)} reached") if key.endswith("_to_target") else None,
        h("small", _values(value.values, key), class_="muted"),
    )


def _values(values: Iterable[float], key: str) -> Html:
    cells = [h("data", number(value, key), value=exact(value)) for value in values]
    return join(*(part for index, cell in enumerate(cells) for part in ((" · ", cell) if index else (cell,))))
