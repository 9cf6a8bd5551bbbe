"""The page of a comparison: one HTML file that opens offline and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic
from edgewise.errors import ConfigError
from edgewise.report import figures
from edgewise.report.colours import styles
from edgewise.report.load import Comparison, Spread, load_comparison, title
from edgewise.report.markup import Html, data_script, h, join
from edgewise.report.samples import samples
from edgewise.report.words import (
    KINDS,
    MEASURES,
    RATIO,
    Ratio,
    headline,
    number,
    outcome,
    ratios,
    recovered,
    setting,
    times,
)

HERE = Path(__file__).parent


def build_report(folder: str | Path) -> Path:
    """Write `folder`/report.html from the runs and the summary that are there; what is missing is said on the page.

    Returns:
        The path of the page.

    Raises:
        ConfigError: the folder holds no comparison, a file is malformed, or plotly is not installed.
    """
    comparison = load_comparison(Path(folder))
    path = Path(folder) / "report.html"
    # A completion may hold half a surrogate pair, which UTF-8 cannot write.
    write_atomic(path, page(comparison).encode("utf-8", "replace"))
    return path


def page(comparison: Comparison) -> str:
    """The whole document."""
    switched = [[name, str(index)] for index, name in enumerate(comparison.runs)]
    pictures: dict[str, Any] = {
        "accuracy-steps": figures.accuracy(comparison, "step"),
        "accuracy-rollouts": figures.accuracy(comparison, "rollouts"),
        "effective-ratio": figures.effective_ratio(comparison),
        "success-rate": figures.success_rate(comparison),
        "calibration-probe": figures.calibrated(comparison, probe=True),
        "calibration-selected": figures.calibrated(comparison, probe=False),
        "correlation-probe": figures.correlation(comparison, probe=True),
        "correlation-selected": figures.correlation(comparison, probe=False),
        "believed": {index: figures.believed(comparison, name) for name, index in switched},
        "picked": {index: figures.picked(comparison, name) for name, index in switched},
        "category-belief": {index: figures.category_belief(comparison, name) for name, index in switched},
        "category-accuracy": {index: figures.category_accuracy(comparison, name) for name, index in switched},
    }
    scripts = [_plotly(), (HERE / "page.js").read_text("utf-8")]
    # Only these scripts run, whatever the page contains; and nothing can be loaded or sent.
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    name = f"{comparison.summary.get('task') or comparison.name}: selection methods compared"
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", http_equiv="Content-Security-Policy", content=policy),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("title", f"{name} · Edgewise"),
        h("style", Html((HERE / "style.css").read_text("utf-8"))),
    )
    main = h(
        "main",
        _opening(comparison, name),
        _glance(comparison),
        _learning(pictures),
        _groups(comparison, pictures),
        _predictions(pictures),
        _beliefs(comparison, pictures),
        _setting(comparison),
        _numbers(comparison),
        _samples(comparison),
    )
    body = h(
        "body",
        _bar(comparison),
        main,
        h("footer", "Made by Edgewise from the files of this folder. Nothing is loaded from elsewhere."),
        data_script("figures", pictures),
        *(h("script", Html(script)) for script in scripts),
    )
    return f"<!doctype html>\n{h('html', head, body, lang='en')}\n"


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ConfigError("the page needs plotly: pip install 'edgewise[report]'") from error
    return get_plotlyjs()


def _bar(comparison: Comparison) -> Html:
    """The legend of every picture: a button shows and hides its method everywhere."""
    look = styles(comparison.methods)
    chips = [
        h(
            "button",
            _swatch(*look[method]),
            title(method),
            type="button",
            class_="chip",
            data_method=method,
            aria_pressed="true",
        )
        for method in comparison.methods
    ]
    return h(
        "nav",
        h("span", "Edgewise", class_="brand"),
        h("div", *chips, class_="chips", role="group", aria_label="Show or hide methods in all charts"),
        h("button", "◐", type="button", id="scheme", title="Light or dark", aria_label="Switch between light and dark"),
    )


def _opening(comparison: Comparison, name: str) -> Html:
    known = comparison.setting
    facts = [f"{len(comparison.methods)} methods", f"{len(comparison.seeds)} seeds" if comparison.seeds else None]
    if all(isinstance(known.get(key), int) for key in ("steps", "prompts_per_step", "rollouts_per_prompt")):
        facts.append(
            f"{known['steps']} steps of {known['prompts_per_step']} prompts × {known['rollouts_per_prompt']} rollouts"
        )
    notes = comparison.missing()
    look = styles(comparison.methods)
    lines = [h("li", _swatch(*look[method]), line) for method, line in headline(comparison).items()]
    return h(
        "header",
        h("h1", name),
        h("p", " · ".join(fact for fact in facts if fact), class_="muted"),
        h("ul", *lines, class_="lead") if lines else None,
        h("aside", h("strong", "Incomplete. "), h("ul", *(h("li", note) for note in notes))) if notes else None,
        h("noscript", h("p", "The charts need JavaScript; the sentences and numbers below do not.")),
    )


def _glance(comparison: Comparison) -> Html | None:
    known = {method: ratios(comparison, method) for method in reversed(comparison.methods) if method != "uniform"}
    everything = [ratio for found in known.values() for ratio in found]
    if not everything:
        return None
    look = styles(comparison.methods)
    cards = []
    for method, found in sorted(known.items(), key=lambda item: item[0] == "ds"):
        cards.append(
            h(
                "article",
                h("h3", _swatch(*look[method]), title(method)),
                *(
                    _ratio(ratio, [r.value for r in everything if (r.of, r.other) == (ratio.of, ratio.other)])
                    for ratio in found
                ),
                *(h("p", line, class_="muted") for line in outcome(comparison, method)),
                class_="card",
                style=f"--of: {look[method][0]}",
            )
        )
    return _section(
        "At a glance",
        "Means over seeds, paired by seed, with 95% intervals. The bar shows the interval, the dot the mean, the upright line no difference.",
        h("div", *cards, class_="cards"),
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
            h("data", times(value.mean) if value.known else "–", value=_exact(value.mean), class_="big"),
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


def _learning(pictures: dict[str, Any]) -> Html:
    return _section(
        "Accuracy",
        "Line: mean over seeds, averaged over three evaluations as in the target rule. Band: its 95% interval. Faint: single"
        " seeds, of up to six methods. Diamond: the target reached, mean over seeds (only where every seed did).",
        _pair(
            _figure("accuracy-steps", "Accuracy against steps", "What a step is worth.", pictures),
            _figure(
                "accuracy-rollouts",
                "Accuracy against rollouts",
                "What a rollout is worth: refills cost here.",
                pictures,
            ),
        ),
    )


def _groups(comparison: Comparison, pictures: dict[str, Any]) -> Html:
    size = figures.window(comparison)
    return _section(
        "What the rollouts were spent on",
        f"Of all groups that were rolled out, refills included; moving average over {size} steps.",
        _pair(
            _figure("effective-ratio", "Effective ratio", "Share of groups neither all right nor all wrong.", pictures),
            _figure("success-rate", "Success rate", "Dashed: 0.5, the edge of competence.", pictures),
        ),
    )


def _predictions(pictures: dict[str, Any]) -> Html:
    return _section(
        "Were the predictions right?",
        "Predictions are made before the rollout. The probe is a fixed random sample of the pool, rolled out for measurement"
        " only and never shown to the selector. What a selector picks is a narrow range of success rates, so correlation on it"
        " is lower by construction: judge by the probe.",
        _pair(
            _figure(
                "correlation-probe",
                "Spearman over time, on the probe",
                "Predicted against observed success rate.",
                pictures,
            ),
            _figure("correlation-selected", "Spearman over time, on what was selected", "Moving average.", pictures),
            _figure(
                "calibration-probe",
                "Calibration on the probe",
                "Last three quarters of the run; larger marks: more rollouts.",
                pictures,
            ),
            _figure(
                "calibration-selected",
                "Calibration on what was selected",
                "Last three quarters of the run; larger marks: more rollouts.",
                pictures,
            ),
        ),
    )


def _beliefs(comparison: Comparison, pictures: dict[str, Any]) -> Html | None:
    if not comparison.runs:
        return None
    last = list(comparison.runs)[-1]
    options = [
        h(
            "label",
            h("input", type="radio", name="method", value=str(index), checked=True if method == last else None),
            h("span", title(method)),
        )
        for index, method in enumerate(comparison.runs)
    ]
    return _section(
        "What the selector believed",
        "Mean over seeds. Uniform and dynamic sampling keep beliefs for comparison only and never act on them.",
        h("fieldset", h("legend", "Method"), *options, class_="switch"),
        _pair(
            _figure(
                "believed",
                "Believed success rates of the whole pool",
                "Stronger colour: more prompts.",
                pictures,
            ),
            _figure("picked", "Categories picked", "Share of the groups rolled out.", pictures),
            _figure(
                "category-belief", "Belief by category", "Mean predicted success rate of the pool's prompts.", pictures
            ),
            _figure("category-accuracy", "Accuracy by category", "Measured on held-out problems.", pictures),
        ),
    )


def _setting(comparison: Comparison) -> Html | None:
    lines, gains = setting(comparison), recovered(comparison)
    if not lines and not gains:
        return None
    return _section(
        "The setting",
        None,
        h("ul", *(h("li", line) for line in lines), class_="words"),
        join(h("h3", "Share of dynamic sampling's gain"), h("ul", *(h("li", line) for line in gains), class_="words"))
        if gains
        else None,
    )


def _numbers(comparison: Comparison) -> Html | None:
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
        rows.append(h("tr", h("th", _swatch(*look[method]), title(method), scope="row"), *cells))
    return _section(
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
        h("data", number(value.mean, key), value=_exact(value.mean), class_="mean"),
        h("small", f"{number(value.low, key)} to {number(value.high, key)}") if value.has_interval else None,
        h("small", f"median {number(value.median, key)}") if math.isfinite(value.median) else None,
        h("small", f"{value.reached} of {len(value.values)} reached") if key.endswith("_to_target") else None,
        h("small", _values(value.values, key), class_="muted"),
    )


def _values(values: Iterable[float], key: str) -> Html:
    cells = [h("data", number(value, key), value=_exact(value)) for value in values]
    return join(*(part for index, cell in enumerate(cells) for part in ((" · ", cell) if index else (cell,))))


def _samples(comparison: Comparison) -> Html | None:
    blocks = samples(comparison)
    if not blocks:
        return None
    return _section("Completions", "The latest evaluation of each method first; shown as the model wrote them.", blocks)


def _section(name: str, text: str | None, *children: Html | None) -> Html:
    return h("section", h("h2", name), h("p", text, class_="about") if text else None, *children)


def _pair(*parts: Html) -> Html:
    return h("div", *parts, class_="pair")


def _figure(key: str, name: str, text: str, pictures: dict[str, Any]) -> Html:
    picture = pictures[key]
    if "layout" in picture:
        empty, switched = not picture["data"], None
    else:
        empty, switched = not any(picture.values()), True
    plot = h(
        "div", class_="plot", data_figure=key, data_switched=switched, role="img", aria_label=f"Chart: {name}. {text}"
    )
    return h(
        "figure",
        h("figcaption", h("h3", name), h("p", text, class_="muted")),
        h("p", "Not recorded in this folder.", class_="empty") if empty else plot,
    )


def _swatch(colour: str, dash: str) -> Html:
    return h("i", class_=f"swatch {dash}", style=f"--of: {colour}", aria_hidden="true")


def _exact(value: float) -> str:
    """The number as it stands in the summary, for readers that are programs."""
    return repr(value) if math.isfinite(value) else ""
