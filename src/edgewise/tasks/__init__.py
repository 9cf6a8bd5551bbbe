"""Tasks; a new one is one file with `@tasks.register(name)` and one import here, or an entry point in `edgewise.tasks`."""

from edgewise.tasks.base import (
    Problem,
    Split,
    Task,
    TextWorld,
    Verdict,
    held_out,
    list_tasks,
    make_task,
    make_text_world,
    tasks,
)
from edgewise.tasks.countdown import Countdown
from edgewise.tasks.geometry import Geometry
from edgewise.tasks.gsm_infinite import GsmInfinite
from edgewise.tasks.math import Math
from edgewise.tasks.opgraph import OpGraph
from edgewise.tasks.reasoning_gym import ReasoningGym
from edgewise.tasks.rewards import make_reward
from edgewise.tasks.school import School

__all__ = [
    "Countdown",
    "Geometry",
    "GsmInfinite",
    "Math",
    "OpGraph",
    "Problem",
    "ReasoningGym",
    "School",
    "Split",
    "Task",
    "TextWorld",
    "Verdict",
    "held_out",
    "list_tasks",
    "make_reward",
    "make_task",
    "make_text_world",
    "tasks",
]
