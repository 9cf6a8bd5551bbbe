"""Contract checks for selectors, beliefs, gates and tasks of third parties; each raises AssertionError with what failed.

import edgewise as ew

def test_my_selector():
    ew.testing.check_selector(MySelector)
"""

from edgewise.testing.beliefs import check_belief
from edgewise.testing.gates import check_gate
from edgewise.testing.selectors import check_selector
from edgewise.testing.tasks import check_task

__all__ = ["check_belief", "check_gate", "check_selector", "check_task"]
