"""A broken grader does not starve a category for good."""

import json

import numpy as np
import pytest
from tests.docs.blocks import ROOT

from edgewise.replay.broken_grader import FAULT, PLACE, REGAINED, WINDOW, Trial, methods, recovery, table, trial
from edgewise.selectors import list_selectors

RESULT = ROOT / "docs" / "results" / "broken_grader.json"
NEEDS_OPTIONS = {"bandit"}


@pytest.mark.parametrize("seed", [300, 301])
def test_edge_recovers_within_thirty_steps_and_names_the_category_meanwhile(seed: int) -> None:
    run, usual = (trial("edge", seed, broken=broken, after=50) for broken in (True, False))
    assert run.named is not None
    assert run.named <= 30
    assert run.share[FAULT - 20 : FAULT].mean() < 0.3 * usual.share[FAULT:].mean(), "nothing to recover from"
    assert recovery(run, usual) <= 30


def test_recovery_is_the_first_window_with_its_share_again() -> None:
    usual = Trial(np.full(FAULT + 100, 0.2), None, np.ones(FAULT + 100))
    share = np.zeros(FAULT + 100)
    share[FAULT + 17 :] = 0.2
    late = int(np.ceil(17 - WINDOW * (1 - REGAINED)))
    assert recovery(Trial(share, None, share), usual) == late
    assert recovery(Trial(np.zeros(FAULT + 100), None, share), usual) == np.inf


def test_the_page_shows_the_recorded_result_of_every_selector() -> None:
    values = json.loads(RESULT.read_text())["values"]
    names = {name.partition(":")[0] for name in methods()}
    assert names >= set(list_selectors()) - NEEDS_OPTIONS
    assert set(values["methods"]) == set(methods())
    page = (ROOT / "docs" / "selectors.md").read_text()
    assert f"<!-- {PLACE} -->\n\n{table(values)}\n\n<!-- end of {PLACE} -->" in page
