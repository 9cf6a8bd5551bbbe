"""Sections of the page: a card of ratios a method, the table of all numbers, completions."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from edgewise.experiments.folders import Run
from edgewise.experiments.summary import RATIOS, WAITS, Ratio, Spread
from edgewise.report.load import BASELINES, Comparison, title
from edgewise.report.markup import Html, exact, h, join, section, swatch
from edgewise.report.plots import styles
from edgewise.report.words import LABELS, MEASURES, RATIO, number, outcome, sentence, times

EACH = 3
LONGEST = 1500
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
LARGEST_PICTURE = 200_000
"""Characters of a picture in a record."""


def cards(comparison: Comparison) -> Html | None:
    known = {method: comparison.ratios(method) for method in reversed(comparison.methods) if method != "uniform"}
    everything = [ratio for found in known.values() for ratio in found]
    if not everything:
        return None
    look = styles(comparison.methods)
    articles = []
    for method, found in sorted(known.items(), key=lambda item: item[0] in BASELINES):
        articles.append(
            h(
                "article",
                h("h3", swatch(*look[method]), title(method)),
                *(
                    _ratio(ratio, [r for r in everything if (r.of, r.other) == (ratio.of, ratio.other)])
                    for ratio in found
                ),
                *(h("p", line, class_="muted") for line in outcome(comparison, method)),
                class_="card",
                style=f"--of: {look[method][0]}",
            )
        )
    return section(
        "At a glance",
        "Medians over seeds, paired by seed; a target that was not reached counts as infinitely far. The bar shows the interval,"
        " the dot the median, the upright line no difference.",
        h("div", *articles, class_="cards"),
    )


def _ratio(ratio: Ratio, shared: list[Ratio]) -> Html:
    better = "more is better" if ratio.of == "steps" else "less is better"
    kind = f"{'Speed per step' if ratio.of == 'steps' else 'Rollouts'} vs {title(ratio.other).lower()}"
    return h(
        "div",
        h("h4", kind, h("span", f" · {better}", class_="muted")),
        h(
            "p",
            h("data", number(ratio.median, RATIO), value=exact(ratio.median), class_="big"),
            h("span", LABELS[ratio.evidence], class_=f"verdict {ratio.evidence}"),
        ),
        _interval(ratio, shared) if ratio.known else None,
        h("p", sentence(ratio)),
        class_="ratio",
    )


def _interval(ratio: Ratio, shared: list[Ratio]) -> Html:
    """An interval on a logarithmic axis that all cards share; infinite ends lie at the border."""
    ends = [end for one in shared for end in (one.low, one.median, one.high) if math.isfinite(end) and end > 0]
    low, high = math.log(min(*ends, 1, 1)), math.log(max(*ends, 1, 1))
    width = max(high - low, 0.05)

    def place(x: float) -> str:
        return f"{14 + 172 * (min(max(math.log(x) if x > 0 else low, low), low + width) - low) / width:.1f}"

    parts = [
        h("line", x1="14", x2="186", y1="9", y2="9", class_="rail"),
        h("line", x1=place(1), x2=place(1), y1="2", y2="16", class_="one"),
        h("text", "1×", x=place(1), y="25"),
    ]
    if ratio.has_interval:
        parts.append(h("line", x1=place(ratio.low), x2=place(ratio.high), y1="9", y2="9", class_="span"))
    parts.append(h("circle", cx=place(ratio.median), cy="9", r="4"))
    return h("svg", *parts, viewBox="0 0 200 28", class_="interval", aria_hidden="true")


def results(comparison: Comparison) -> Html | None:
    measures = comparison.measures()
    if not measures:
        return None
    look = styles(comparison.methods)
    seeds = ", ".join(comparison.seeds)
    known = {method: {(r.of, r.other): r for r in comparison.ratios(method)} for method in comparison.methods}
    kinds = [kind for kind in RATIOS.values() if any(kind in found for found in known.values())]
    heads = [
        *(f"{'Speed per step' if of == 'steps' else 'Rollouts'} vs {title(other).lower()}" for of, other in kinds),
        *(MEASURES.get(key, key) for key in measures),
    ]
    rows = []
    for method in comparison.methods:
        cells = [_ratio_cell(known[method].get(kind)) for kind in kinds]
        cells += [_cell(comparison.measure(method, key), key) for key in measures]
        rows.append(h("tr", h("th", swatch(*look[method]), title(method), scope="row"), *cells))
    return section(
        "All numbers",
        f"Mean with its 95% interval and median, then one value a seed ({seeds}). Of ratios, which are paired by seed, and of the"
        " way to the target: median with its interval; a target that was not reached counts as infinitely far, and as a tie where"
        " neither method reached it. A dash: not measured in every seed.",
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
    waiting = key in WAITS
    main = value.median if waiting else value.mean
    return h(
        "td",
        h("data", number(main, key), value=exact(main), class_="mean"),
        h("small", f"{number(value.low, key)} to {number(value.high, key)}") if value.has_interval else None,
        h("small", f"median {number(value.median, key)}") if not waiting and math.isfinite(value.median) else None,
        h("small", f"{value.reached} of {len(value.values)} reached") if waiting else None,
        h("small", _values(value.values, key), class_="muted"),
    )


def _ratio_cell(ratio: Ratio | None) -> Html:
    if ratio is None:
        return h("td", "–", class_="muted")
    return h(
        "td",
        h("data", number(ratio.median, RATIO), value=exact(ratio.median), class_="mean"),
        h("small", f"{times(ratio.low)} to {times(ratio.high)} ({ratio.coverage:.0%})") if ratio.has_interval else None,
        h("small", f"reached in {ratio.reached} of {ratio.seeds}, {ratio.other_reached} of {ratio.seeds}"),
        h("small", _values(ratio.values, RATIO), class_="muted"),
    )


def _values(values: Iterable[float], key: str) -> Html:
    cells = [h("data", number(value, key), value=exact(value)) for value in values]
    return join(*(part for index, cell in enumerate(cells) for part in ((" · ", cell) if index else (cell,))))


def samples(comparison: Comparison) -> Html:
    """Up to three right and three wrong completions a method, folded; empty if none were recorded."""
    blocks: list[Html] = []
    for method, runs in comparison.runs.items():
        lines = [
            {**sample, "seed": seed}
            for seed, run in zip(seeds(comparison, runs), runs, strict=True)
            for sample in run.samples
        ]
        right, wrong = (_varied([s for s in lines if s.get("correct") is verdict])[:EACH] for verdict in (True, False))
        if right or wrong:
            summary = h("summary", title(method), h("span", f" {len(right)} right, {len(wrong)} wrong", class_="muted"))
            cards = h("div", *map(_sample, [*right, *wrong]), class_="samples")
            blocks.append(h("details", summary, cards, open=True if not blocks else None))
    return join(*blocks)


def _varied(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Latest first; of one step, the first of every category before a second of any."""
    seen: Counter[tuple[float, str]] = Counter()
    keys = []
    for line in lines:
        key = (_step(line), str(line.get("category")))
        keys.append((-key[0], seen[key]))
        seen[key] += 1
    return [lines[i] for i in sorted(range(len(lines)), key=keys.__getitem__)]


def _step(sample: dict[str, Any]) -> float:
    step = sample.get("step")
    return float(step) if isinstance(step, (int, float)) else 0.0


def _sample(sample: dict[str, Any]) -> Html:
    correct = sample["correct"]
    reason = sample.get("reason")
    verdict = "✓ correct" if correct else f"✗ {reason or 'wrong'}"
    where = f"{sample.get('category', '')} · step {_step(sample):g} · seed {sample['seed']}"
    return h(
        "article",
        h("header", h("strong", verdict, class_="good" if correct else "bad"), h("span", where, class_="muted")),
        *map(_picture, _pictures(sample)),
        h("pre", _shortened(sample.get("prompt")), class_="prompt"),
        h("pre", _shortened(sample.get("completion"))),
    )


def _pictures(sample: dict[str, Any]) -> list[str]:
    """The pictures of a sample's prompt: PNGs inside the record, at most four, nothing that would be loaded from elsewhere."""
    images = sample.get("images")
    return [
        image
        for image in (images if isinstance(images, list) else [])
        if isinstance(image, str) and len(image) <= LARGEST_PICTURE and PICTURE.fullmatch(image)
    ][:4]


def _picture(address: str) -> Html:
    return h("img", src=address, alt="Picture of the prompt", class_="picture")


def _shortened(text: Any) -> str:
    text = str(text if text is not None else "")
    left = len(text) - LONGEST
    return text if left <= 0 else f"{text[:LONGEST]} … ({left:,} more characters)"


def seeds(comparison: Comparison, runs: list[Run]) -> list[str]:
    """Seeds of runs; a single run's folder does not name its seed."""
    return comparison.seeds if comparison.single else [run.seed for run in runs]
