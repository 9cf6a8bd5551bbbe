"""Completions worth reading: the latest right and wrong ones of each method."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgewise.report.load import Comparison, title
from edgewise.report.markup import Html, h, join

EACH = 3
LONGEST = 1500


def samples(comparison: Comparison) -> Html:
    """Up to three right and three wrong completions a method, folded; empty if none were recorded."""
    blocks: list[Html] = []
    for method, runs in comparison.runs.items():
        lines = [{**sample, "seed": run.seed} for run in runs for sample in run.samples]
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
        h("pre", _shortened(sample.get("prompt")), class_="prompt"),
        h("pre", _shortened(sample.get("completion"))),
    )


def _shortened(text: Any) -> str:
    text = str(text if text is not None else "")
    left = len(text) - LONGEST
    return text if left <= 0 else f"{text[:LONGEST]} … ({left:,} more characters)"
