"""The curriculum inside the real TRL: what is generated, when it learns, how steps are counted."""

from __future__ import annotations

import pytest

pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")


def test_runs(make):
    trainer = make()
    trainer.train()
    print(trainer.state.log_history)
