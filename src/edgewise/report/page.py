"""The page of a comparison or of an RL run: one HTML file that opens offline and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from edgewise.checkpoint import write_atomic, write_json
from edgewise.errors import ConfigError
from edgewise.experiments.folders import writing
from edgewise.experiments.summary import summarise
from edgewise.report import curves, heatmaps, pools
from edgewise.report.load import Comparison, is_run, load_comparison, title
from edgewise.report.markup import Html, data_script, h, join, section, swatch
from edgewise.report.plots import styles
from edgewise.report.sections import cards, results, samples
from edgewise.report.words import headline, placebo, recovered, setting

HERE = Path(__file__).parent


def write(folder: str | Path) -> Path:
    """Write summary.json and report.html of a comparison folder, or of the folder of a single RL run.

    The summary of a comparison is computed from its runs. That of a single run is written when the run is finished; what
    else summary.json holds stays. In a folder of documentation of studies, their pages are written from the kept results.

    Returns:
        The path of the page.

    Raises:
        ConfigError: the folder holds neither, a file is malformed.
        CheckpointError: a finished run is damaged; the message names the file.
        EdgewiseError: the folder cannot be written.
    """
    folder = Path(folder)
    with writing(folder):
        if is_run(folder):
            comparison = load_comparison(folder)
            run = next(run for runs in comparison.runs.values() for run in runs)
            # The trainer's file says that a run is finished: behind its last step come an evaluation and a checkpoint.
            if run.metrics and run.metrics[-1].step == run.summary.get("steps"):
                write_json(folder / "summary.json", {**run.summary, **comparison.summary.to_json()})
        elif (folder / "results").is_dir() and (folder / "index.md").exists():
            from edgewise.experiments.study.run import rebuild  # needs torch, as the studies do

            return rebuild(folder)
        elif (folder / "config.yaml").exists():
            write_json(folder / "summary.json", summarise(folder).to_json())
        elif folder.is_dir():
            raise ConfigError(f"{folder} holds neither a comparison nor an RL run: it has no config.yaml")
        return build_report(folder)


def build_report(folder: str | Path) -> Path:
    """Write `folder`/report.html from the runs and the summary that are there; the page names what is missing.

    Returns:
        The path of the page.

    Raises:
        ConfigError: the folder holds nothing to report on, a file is malformed.
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
        "accuracy-steps": curves.accuracy(comparison, "step"),
        "accuracy-rollouts": curves.accuracy(comparison, "rollouts"),
        "effective-ratio": curves.effective_ratio(comparison),
        "success-rate": curves.success_rate(comparison),
        **{f"training-{key}": curves.training(comparison, key) for key in curves.recorded(comparison)},
        "calibration-probe": curves.calibrated(comparison, probe=True),
        "calibration-selected": curves.calibrated(comparison, probe=False),
        "correlation-probe": curves.correlation(comparison, probe=True),
        "correlation-selected": curves.correlation(comparison, probe=False),
        "pool": {index: pools.states(comparison, name) for name, index in switched},
        "predicted": {index: heatmaps.predicted(comparison, name) for name, index in switched},
        "picked": {index: heatmaps.picked(comparison, name) for name, index in switched},
        "category-belief": {index: heatmaps.category_belief(comparison, name) for name, index in switched},
        "category-accuracy": {index: heatmaps.category_accuracy(comparison, name) for name, index in switched},
    }
    scripts = [(HERE / name).read_text("utf-8") for name in ("charts.js", "page.js")]
    # Only these scripts run, whatever the page contains; and nothing can be loaded or sent.
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    kind = "RL run" if comparison.single else "selection methods compared"
    name = f"{comparison.summary.task or comparison.name}: {kind}"
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
        cards(comparison),
        _learning(pictures),
        _groups(comparison, pictures),
        _training(comparison, pictures),
        _predictions(pictures),
        _beliefs(comparison, pictures),
        _setting(comparison),
        results(comparison),
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


def _bar(comparison: Comparison) -> Html:
    """The legend of every picture: a button shows and hides its method everywhere."""
    look = styles(comparison.methods)
    chips = [
        h(
            "button",
            swatch(*look[method]),
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
    if comparison.single:
        facts: list[str | None] = [comparison.methods[0], f"seed {comparison.seeds[0]}"]
    else:
        facts = [f"{len(comparison.methods)} methods", f"{len(comparison.seeds)} seeds" if comparison.seeds else None]
    if all(isinstance(known.get(key), int) for key in ("steps", "prompts_per_step", "rollouts_per_prompt")):
        facts.append(
            f"{known['steps']} steps of {known['prompts_per_step']} prompts × {known['rollouts_per_prompt']} rollouts"
        )
    notes = comparison.missing()
    look = styles(comparison.methods)
    lines = [h("li", swatch(*look[method]), line) for method, line in headline(comparison).items()]
    check = placebo(comparison)
    if check is not None:
        lines.append(h("li", swatch(*look["placebo"]), check))
    return h(
        "header",
        h("h1", name),
        h("p", " · ".join(fact for fact in facts if fact), class_="muted"),
        h("ul", *lines, class_="lead") if lines else None,
        h("aside", h("strong", "Incomplete. "), h("ul", *(h("li", note) for note in notes))) if notes else None,
        h("noscript", h("p", "The charts need JavaScript; the sentences and numbers below do not.")),
    )


def _learning(pictures: dict[str, Any]) -> Html:
    return section(
        "Accuracy",
        "Line: mean over seeds, smoothed over three evaluations as in the target rule. Band: its 95% interval. Faint: single"
        " seeds, of up to six methods. Diamond: the target reached, median over seeds.",
        _pair(
            _figure("accuracy-steps", "Accuracy against steps", "Gain per step.", pictures),
            _figure(
                "accuracy-rollouts",
                "Accuracy against rollouts",
                "Gain per rollout: refills cost here.",
                pictures,
            ),
        ),
    )


def _groups(comparison: Comparison, pictures: dict[str, Any]) -> Html:
    size = curves.window(comparison)
    return section(
        "Use of the rollouts",
        f"Of all groups that were rolled out, refills included; moving average over {size} steps.",
        _pair(
            _figure("effective-ratio", "Effective ratio", "Share of groups neither all right nor all wrong.", pictures),
            _figure("success-rate", "Success rate", "Dashed: 0.5, the edge of competence.", pictures),
        ),
    )


def _training(comparison: Comparison, pictures: dict[str, Any]) -> Html | None:
    keys = curves.recorded(comparison)
    if not keys:
        return None
    figures = [_figure(f"training-{key}", *curves.TRAINING[key][:2], pictures) for key in keys]
    return section(
        "Training",
        f"Moving average over {curves.window(comparison)} steps.",
        *(_pair(*figures[place : place + 2]) for place in range(0, len(figures), 2)),
    )


def _predictions(pictures: dict[str, Any]) -> Html:
    return section(
        "Predictions",
        "Predictions are made before the rollout. The probe is a fixed random sample of the pool, rolled out for measurement"
        " only and hidden from the selector. A selector that picks a narrow range of success rates has a lower correlation"
        " there by construction: judge by the probe.",
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
    return section(
        "Pool and beliefs of the selector",
        "Mean over seeds. Uniform and dynamic sampling keep beliefs for comparison only and do not use them.",
        h("fieldset", h("legend", "Method"), *options, class_="switch"),
        _figure(
            "pool",
            "Prompts by the outcome of their last group",
            "Hopeless: all wrong, never a success. Edge: mixed. Mastered: all right. Forgotten: all wrong after an earlier success.",
            pictures,
        ),
        _pair(
            _figure(
                "predicted",
                "Predicted success rates of the whole pool",
                "Stronger colour: more prompts. Line: mean prediction; dotted: observed on the probe.",
                pictures,
            ),
            _figure("picked", "Categories picked", "Share of the groups rolled out.", pictures),
            _figure(
                "category-belief",
                "Prediction by category",
                "Mean predicted success rate of the pool's prompts.",
                pictures,
            ),
            _figure("category-accuracy", "Accuracy by category", "Measured on held-out problems.", pictures),
        ),
    )


def _setting(comparison: Comparison) -> Html | None:
    lines, gains = setting(comparison), recovered(comparison)
    if not lines and not gains:
        return None
    return section(
        "The setting",
        None,
        h("ul", *(h("li", line) for line in lines), class_="words"),
        join(h("h3", "Share of dynamic sampling's gain"), h("ul", *(h("li", line) for line in gains), class_="words"))
        if gains
        else None,
    )


def _samples(comparison: Comparison) -> Html | None:
    blocks = samples(comparison)
    if not blocks:
        return None
    return section("Completions", "The latest evaluation of each method first; unchanged output of the model.", blocks)


def _pair(*parts: Html) -> Html:
    return h("div", *parts, class_="pair")


def _figure(key: str, name: str, text: str, pictures: dict[str, Any]) -> Html:
    picture = pictures[key]
    if "series" in picture or "entries" in picture:
        empty, switched = not (picture.get("series") or picture.get("entries")), None
    else:
        empty, switched = not any(picture.values()), True
    plot = h(
        "div", class_="plot", data_figure=key, data_switched=switched, role="group", aria_label=f"Chart: {name}. {text}"
    )
    return h(
        "figure",
        h("figcaption", h("h3", name), h("p", text, class_="muted")),
        h("p", "Not recorded in this folder.", class_="empty") if empty else plot,
    )
