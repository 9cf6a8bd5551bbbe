"""Controlled studies of training stages: arms, seeds, budgets, an evaluation, and a verdict by a rule written before the run."""

from edgewise.experiments.study.config import Study, load_study, names
from edgewise.experiments.study.run import run_study

__all__ = ["Study", "load_study", "names", "run_study"]
