"""Tasks; a new one is one file with `@tasks.register(name)` and one import here."""

from edgewise.tasks.base import Problem, Task, Verdict, held_out, make_task, tasks
from edgewise.tasks.countdown import Countdown
from edgewise.tasks.gsm_infinite import GsmInfinite
from edgewise.tasks.opgraph import OpGraph
from edgewise.tasks.rewards import make_reward

__all__ = [
    "Countdown",
    "GsmInfinite",
    "OpGraph",
    "Problem",
    "Task",
    "Verdict",
    "held_out",
    "make_reward",
    "make_task",
    "tasks",
]
