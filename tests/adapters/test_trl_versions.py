"""Hook points of TRL that the adapter builds on: present in the installed version, and named where they are missing."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("trl")
from trl import GRPOTrainer, RLOOTrainer

from edgewise.adapters.installed import missing_hooks
from edgewise.adapters.trl import METHODS, EdgewiseMixin
from edgewise.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.parametrize("cls", [GRPOTrainer, RLOOTrainer])
def test_the_installed_trl_has_every_hook_point(cls):
    assert missing_hooks(cls, METHODS) == []


def test_a_trl_without_a_hook_point_is_refused_with_its_name(make):
    class Changed(GRPOTrainer):
        def _calculate_rewards(self, inputs: Any, texts: Any) -> Any: ...

        _save_checkpoint = None

    class Mine(EdgewiseMixin, Changed):
        pass

    with pytest.raises(ConfigError) as error:
        make(cls=Mine)
    for part in (
        "argument prompts of _calculate_rewards",
        "method _save_checkpoint",
        "Versions of TRL that work: 1.10 to",
    ):
        assert part in str(error.value)
