"""Adapters: a curriculum inside the trainers people already use. Each is one module, imported only when it is used."""

from edgewise.adapters.checkup import check_config
from edgewise.adapters.installed import Trainer, companions, doctor, table
from edgewise.adapters.prompts import make_pool

__all__ = ["Trainer", "check_config", "companions", "doctor", "make_pool", "table"]
