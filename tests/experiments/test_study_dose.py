"""Tests of doses: problems of a context that a pre-training shows."""

from pathlib import Path

import pytest
from toy_study import TOY, write

from edgewise.errors import ConfigError
from edgewise.experiments.study.config import load_study
from edgewise.experiments.study.dose import context_shares, problems_shown
from edgewise.experiments.study.figures import dose_figure
from edgewise.experiments.study.run import copy_to_docs, run_study
from edgewise.experiments.study.stages import Stage
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.lab.run.corpus import Corpus
from edgewise.tasks import make_text_world

MIXTURE = {"mixture": [{"share": 0.8, "op": [2, 4]}, {"share": 0.2, "op": [2, 2], "context": "B"}]}
WORLD = {"task": "opgraph", "task_options": {"contexts": ["A", "B"]}}


def test_shares_of_contexts_follow_the_mixture() -> None:
    task = make_text_world("opgraph", contexts=["A", "B", "C"])
    assert context_shares({"op": [2, 4]}, task) == {"A": 1.0, "B": 0.0, "C": 0.0}
    assert context_shares({"context": {"B": 0.25, "C": 0.75}}, task) == {"A": 0.0, "B": 0.25, "C": 0.75}
    assert context_shares(MIXTURE, task) == pytest.approx({"A": 0.8, "B": 0.2, "C": 0.0})


def test_the_dose_is_the_number_of_problems_in_the_packs() -> None:
    stage = Stage.of("pretrain", {**WORLD, "difficulty": MIXTURE, "steps": 60, "tokens": 512}, None)
    task = make_text_world("opgraph", contexts=["A", "B"])
    tokenizer = Tokenizer.for_task(task)
    corpus = Corpus(task, tokenizer, MIXTURE, 512)
    count = 0.0
    for number in range(60):
        pack = corpus[number]
        words = [str(tokenizer.core.id_to_token(token)) for token in pack.tokens.tolist()]
        # A text of B has two operations, such as add4 and mul0.
        count += sum(word.startswith(("add", "sub", "mul")) for word in words) / 2
    assert problems_shown(stage)["B"] == pytest.approx(count, rel=0.1)


def test_a_figure_over_doses_has_a_point_for_each_arm_and_is_rebuilt_without_running(tmp_path: Path) -> None:
    world = {**TOY["stages"]["pretrain"], "task_options": {"contexts": ["A", "B"]}}
    arms = {"none": ["pretrain"], "some": [{"pretrain": {"difficulty": MIXTURE}}]}
    claim = {"say": "B helps", "metric": "pass@1", "where": "B", "arm": "some", "minus": "none", "above": 0.0}
    changes = {
        "stages": {**TOY["stages"], "pretrain": world},
        "arms": arms,
        "regions": {"B": {"op": [1, 4], "context": "B"}},
        "evaluation": {**TOY["evaluation"], "difficulty": {"op": [1, 4], "context": {"A": 0.5, "B": 0.5}}},
        "claims": [{**claim, "published": "+60 points"}],
    }
    dose = {"context": "B", "metric": "pass@4", "where": "B", "lines": {"base": ["none", "some"]}}
    with pytest.raises(ConfigError, match="Did you mean 'some'"):
        load_study(write(tmp_path, **changes, dose={**dose, "lines": {"base": ["sum"]}}))
    study = load_study(write(tmp_path, **changes, dose=dose))
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Experiments\n\n<!-- verdicts -->\n<!-- end of verdicts -->\n\n<!-- effects -->\n")
    summary = run_study(study, tmp_path / "toy", workers=1)
    points = summary["dose"]["base"]
    assert points["arms"] == ["none", "some"]
    assert points["problems"][0] == 0
    assert points["problems"][1] > 100
    assert dose_figure(study, summary).count("<circle") == 2
    page = copy_to_docs(study, tmp_path / "toy", docs).read_text()
    assert "toy-laptop-dose.svg" in page
    assert (docs / "toy-laptop-dose.svg").exists()
    assert "| [toy](toy.md) | laptop | B helps | +60 points |" in (docs / "index.md").read_text()
