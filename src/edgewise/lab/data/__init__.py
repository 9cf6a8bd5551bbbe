"""Problems of tasks as files that trainers read, and the rewards that verify completions of them."""

from edgewise.lab.data.export import FORMATS, Export, export
from edgewise.lab.data.rewards import compute_score, verification_reward

__all__ = ["FORMATS", "Export", "compute_score", "export", "verification_reward"]
