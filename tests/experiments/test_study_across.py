"""Tests of figures over several studies: they are drawn from the kept results, and ask for nothing that is not there."""

from pathlib import Path

import pytest

from edgewise.errors import ConfigError
from edgewise.experiments.study.across import draw
from edgewise.experiments.study.config import load_study
from edgewise.experiments.study.dose import problems_shown


def results(*arms: str) -> dict[str, object]:
    curve = {"mean": [0.5, 0.9], "low": [0.4, 0.8], "high": [0.6, 1.0]}
    return {"k": [1, 128], "arms": {arm: {"regions": {"edge": {"strict": curve}}} for arm in arms}}


KEPT = {"E6-middle": results("b = 0", "b = 0.2", "b = 1"), "E6-middle-slow": results("b = 0.2", "b = 1")}
FIGURE = """
shares.svg:
  metric: pass@1
  where: [edge]
  x: share of RL
  arms: {b = 0: 0, b = 0.2: 0.2, b = 1: 1}
  lines: {as it is: E6-middle, slow: E6-middle-slow}
"""


def test_a_figure_has_a_point_for_each_arm_of_each_study(tmp_path: Path) -> None:
    (tmp_path / "figures.yaml").write_text(FIGURE)
    assert draw(tmp_path, KEPT) == [tmp_path / "shares.svg"]
    picture = (tmp_path / "shares.svg").read_text()
    assert picture.count("<circle") == 5
    assert ">share of RL<" in picture
    assert ">edge pass@1<" in picture


def test_a_folder_without_figures_draws_none(tmp_path: Path) -> None:
    assert draw(tmp_path, KEPT) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("E6-middle-slow", "E6-middle-slo", "Did you mean 'E6-middle-slow'"),
        ("pass@1", "pass@2", "pass@2"),
        ("[edge]", "[edgy]", "Did you mean 'edge'"),
        ("{b = 0: 0, b = 0.2: 0.2, b = 1: 1}", "{b = 0.5: 0.5}", "none of the arms"),
        ("  x: share", "  bottom: 1\n  x: share", "bottom must lie in"),
    ],
)
def test_what_the_results_do_not_hold_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "figures.yaml").write_text(FIGURE.replace(old, new))
    with pytest.raises(ConfigError, match=words):
        draw(tmp_path, KEPT)


def test_the_published_threshold_of_e2_is_that_of_the_published_corpus() -> None:
    paper, dose = load_study("E2", "paper"), load_study("E2", "middle").dose
    shown = [problems_shown(paper.chain(arm, 0)[0])["school"] for arm in ("0.1%", "1%")]
    assert dose is not None
    assert dose.threshold == pytest.approx(shown, rel=0.01)
