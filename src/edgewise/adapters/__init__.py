"""Adapters: a curriculum inside the trainers people already use. Each is one module, imported only when it is used."""

from edgewise.adapters.installed import Trainer, doctor, table
from edgewise.adapters.prompts import make_pool

__all__ = ["Trainer", "doctor", "make_pool", "table"]
