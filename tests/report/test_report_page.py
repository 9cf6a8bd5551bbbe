"""The page says what the summary says, loads nothing, and lets no text become markup."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edgewise.errors import EdgewiseError
from edgewise.experiments.summary import Summary
from edgewise.lab.model.vision import data_uri
from edgewise.report import build_report, table, write

Make = Callable[..., Path]
Write = Callable[[Path], Path]


class Page(HTMLParser):
    """Elements with their attributes, and the text of scripts and of `data` elements."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")
        if tag not in ("meta", "input"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] == "script":
            self.scripts[-1] += data
        elif self._inside and self._inside[-1] != "style":
            self.words.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for found, attributes in self.elements if found == tag and name in attributes]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, write_comparison: Write) -> tuple[Page, dict[str, Any], str]:
    folder = write_comparison(tmp_path_factory.mktemp("built") / "demo")
    text = build_report(folder).read_text("utf-8")
    return Page(text), json.loads((folder / "summary.json").read_text()), text


def test_every_number_of_the_summary_is_on_the_page(built: tuple[Page, dict[str, Any], str]) -> None:
    page, summary, _ = built
    shown = {float(value) for value in page.values("data", "value") if value}
    measures = [
        (entry["median" if key.endswith("_to_target") else "mean"], *entry["values"])
        for method in summary["methods"].values()
        for key, entry in method.items()
    ]
    ratios = [
        (entry["median"], *entry["values"])
        for key in ("speedup_vs_uniform", "rollouts_vs_ds", "rollouts_vs_uniform")
        for entry in summary[key].values()
    ]
    assert (len(measures), len(ratios)) == (6 * 9, 3 * 5)
    known = {float(value) for entry in [*measures, *ratios] for value in entry if value not in (None, "inf")}
    assert shown == known


def test_headline_and_reached_counts_are_those_of_the_summary(built: tuple[Page, dict[str, Any], str]) -> None:
    page, summary, _ = built
    speed = summary["speedup_vs_uniform"]["edge"]
    assert f"{speed['median']:.2f}× as fast (94% interval {speed['low']:.2f}× to {speed['high']:.2f}×)" in page.text
    assert f"{(1 - 1 / speed['median']) * 100:.0f}% fewer steps than uniform" in page.text
    loss = summary["rollouts_vs_uniform"]["ds"]
    assert f"{(loss['median'] - 1) * 100:.0f}% more rollouts than uniform" in page.text
    assert "clear loss" in page.text
    assert "Target reached in 0 of 5 seeds, by uniform in 5." in page.text
    assert "stranger compared with uniform: the target is missed in most seeds that uniform reaches" in page.text
    assert "Placebo, uniform with another selection seed:" in page.text
    assert f"Edge recovers {summary['recovered_gain']['edge']:.0%} of that gain" in page.text
    assert "A pool of 800 prompts by category: op1-5: 200 (25%), op6-10: 200 (25%)" in page.text
    assert "visits each prompt 1.2 times" in page.text
    share = summary["methods"]["uniform"]["effective_ratio"]["mean"]
    assert f"{share:.0%} of the groups are informative" in page.text


def test_curves_hold_the_recorded_values(built: tuple[Page, dict[str, Any], str]) -> None:
    page, summary, _ = built
    figures = json.loads(page.scripts[0])
    lines = figures["accuracy-steps"]["series"]
    assert [line["method"] for line in lines] == ["uniform", "placebo", "ds", "mopps", "stranger", "edge"]
    finals = summary["methods"]["edge"]["final_accuracy"]
    assert lines[-1]["y"][-2] == pytest.approx(finals["mean"], abs=1e-4)
    assert lines[-1]["low"][-2] < finals["mean"] < lines[-1]["high"][-2]
    assert lines[-1]["x"] == [0, 10, 20, 30, 40, 50, 60]
    assert len(lines[-1]["seeds"]) == 5
    marks = figures["accuracy-steps"]["marks"]
    assert {mark["method"] for mark in marks} == {"uniform", "placebo", "ds", "mopps", "edge"}
    looks = {line["method"]: (line["of"], line["dash"]) for line in figures["effective-ratio"]["series"]}
    assert looks["edge"] == ("var(--edge)", "solid")
    assert {name for name in figures if name.startswith("training-")} == {"training-reward", "training-grad_norm"}
    assert len(set(looks.values())) == 6  # the placebo's colour is uniform's, with another dash


def test_every_axis_has_its_unit(built: tuple[Page, dict[str, Any], str]) -> None:
    for name, figure in json.loads(built[0].scripts[0]).items():
        for one in [figure] if "series" in figure or "entries" in figure else figure.values():
            # Calibration and the pool have fixed axes in charts.js.
            assert one is None or "entries" in one or "counts" in one or one["y"], name
            assert one is None or "series" not in one or one["x"] in ("training step", "rollouts (cumulative)")


def test_text_never_becomes_markup(built: tuple[Page, dict[str, Any], str]) -> None:
    page, _, text = built
    assert len(page.scripts) == 3  # the data, the charts, the page's own
    assert not any(tag in ("img", "b", "a", "iframe", "link", "object") for tag, _ in page.elements)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "<script>alert(1)</script>" in page.text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text
    # In the data it is text that nothing can end.
    assert any("<b onclick" in name for name in json.loads(page.scripts[0])["category-belief"]["0"]["rows"])
    assert "<" not in page.scripts[0]


def test_nothing_is_loaded(built: tuple[Page, dict[str, Any], str]) -> None:
    page, _, text = built
    for tag, attributes in page.elements:
        assert not {"src", "href", "srcset", "action", "poster", "xlink:href"} & attributes.keys(), tag
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert len(text.encode()) < 1e6


def test_a_folder_with_one_method_and_one_seed_builds(make_folder: Make) -> None:
    page = Page(build_report(make_folder(("edge",), seeds=1)).read_text())
    assert "Uniform is not part of this comparison" in page.text
    assert "At a glance" not in page.text
    assert "Final accuracy" in page.text


def test_missing_journals_leave_places_with_a_note(make_folder: Make) -> None:
    folder = make_folder(("uniform", "edge"), seeds=2)
    for path in [*folder.glob("*/seed_*/evals.jsonl"), *folder.glob("*/seed_*/samples.jsonl")]:
        path.unlink()
    page = Page(build_report(folder).read_text())
    assert "Not recorded in this folder." in page.text
    assert "Completions" not in page.text
    assert "effective-ratio" in page.values("div", "data-figure")
    assert "predicted" not in page.values("div", "data-figure")


def test_nulls_and_steps_without_predictions_are_gaps(make_folder: Make) -> None:
    folder = make_folder(("uniform", "edge"), seeds=2)
    path = folder / "edge/seed_0/metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[3]["effective_ratio"] = None
    lines[4]["predicted"] = [None] * len(lines[4]["predicted"])
    del lines[5]["predicted"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    figures = json.loads(Page(build_report(folder).read_text()).scripts[0])
    assert figures["correlation-selected"]["series"]


def test_long_completions_are_cut_with_a_note(make_folder: Make) -> None:
    folder = make_folder(("edge",), seeds=1)
    sample = {"step": 9, "category": "a", "prompt": "p", "completion": "x" * 5000, "correct": False, "reason": None}
    (folder / "edge/seed_0/samples.jsonl").write_text(json.dumps(sample) + "\n")
    page = Page(build_report(folder).read_text())
    assert "x" * 1500 + " … (3,500 more characters)" in page.text
    assert "✗ wrong" in page.text


def test_pictures_of_prompts_are_shown_and_nothing_is_loaded_from_elsewhere(make_folder: Make) -> None:
    folder = make_folder(("edge",), seeds=1)
    good = data_uri(np.zeros((4, 4), np.uint8))
    others = [
        "https://example.org/a.png",
        "data:text/html;base64,AAAA",
        'data:image/png;base64,AA"onerror="x',
        7,
        good[:40] + "é",
    ]
    sample = {"step": 9, "category": "a", "prompt": "p", "completion": "c", "correct": False, "images": [*others, good]}
    (folder / "edge/seed_0/samples.jsonl").write_text(
        json.dumps(sample) + "\n" + json.dumps({**sample, "images": "x"}) + "\n"
    )
    html = build_report(folder).read_text()
    assert html.count("<img ") == 1
    assert f'<img src="{good}" alt="Picture of the prompt" class="picture">' in html
    assert "example.org" not in html
    assert 'onerror="x' not in html
    assert "onerror=&quot;x" not in html


def test_the_terminal_table_shows_the_numbers_of_the_summary(make_folder: Make) -> None:
    summary = Summary.from_json(json.loads((make_folder() / "summary.json").read_text()))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(summary))
    text = console.export_text()
    speed = summary.ratio("speedup_vs_uniform", "edge")
    assert f"{speed.median:.2f}×" in text
    assert f"{speed.low:.2f}–{speed.high:.2f}" in text
    assert "0/5" in text
    assert "Placebo" in text
    assert f"{summary.measure('mopps', 'final_accuracy').mean:.1%}" in text


def test_a_single_run_has_a_page_and_a_summary(make_folder: Make) -> None:
    folder = make_folder(("edge",), seeds=1) / "edge" / "seed_0"
    page = Page(write(folder).read_text("utf-8"))
    assert "opgraph: RL run" in page.text
    assert "Incomplete" not in page.text
    assert "Placebo" not in page.text
    assert "seed 0" in page.text
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == 60
    assert summary["pool"]["op1-5"] == 200
    assert summary["methods"]["edge"]["final_accuracy"]["mean"] > 0.5
    assert f"{summary['methods']['edge']['final_accuracy']['mean']:.1%}" in page.text
    write(folder)
    assert json.loads((folder / "summary.json").read_text()) == summary


def test_an_unfinished_run_has_a_page_and_no_summary(make_folder: Make) -> None:
    folder = make_folder(("edge",), seeds=1) / "edge" / "seed_0"
    (folder / "summary.json").unlink()
    for name in ("metrics.jsonl", "evals.jsonl"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(line for line in lines if json.loads(line)["step"] <= 30))
    page = Page(write(folder).read_text("utf-8"))
    assert "The run is unfinished: it stops at step 30." in page.text
    assert not (folder / "summary.json").exists()


def test_a_page_does_not_finish_a_run_in_its_last_evaluation(make_folder: Make) -> None:
    comparison = make_folder(("uniform", "edge"), seeds=1)
    folder = comparison / "edge" / "seed_0"
    (folder / "summary.json").unlink()
    evals = (folder / "evals.jsonl").read_text().splitlines(keepends=True)
    (folder / "evals.jsonl").write_text("".join(evals[:-1]))
    assert "The run is unfinished: it stops at step 60." in Page(write(folder).read_text("utf-8")).text
    assert not (folder / "summary.json").exists()
    assert "Edge, seed 0 is unfinished: it stops at step 60." in Page(write(comparison).read_text("utf-8")).text


def test_a_folder_that_cannot_be_written_is_one_sentence(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(("uniform",), seeds=1)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgewise.report.page.write_json", full)
    with pytest.raises(EdgewiseError, match=r"cannot write to .*: No space left on device"):
        write(folder)
