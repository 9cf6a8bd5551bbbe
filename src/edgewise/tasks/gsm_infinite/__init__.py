"""GSM-Infinite: problems in words with exactly op operations, verified node by node."""

from edgewise.tasks.gsm_infinite.task import GsmInfinite

__all__ = ["GsmInfinite"]
