"""Settings with which the installed verl uses a curriculum, where the trainer reports after each step."""

from __future__ import annotations

import pytest

verl = pytest.importorskip("verl", reason="verl is not installed here: make test-verl")

IS_07 = verl.__version__.startswith("0.7")
SAMPLER = ("data.sampler.class_path=pkg://edgewise.adapters.verl", "data.sampler.class_name=CurriculumSampler")
DATASET = ("data.custom_cls.path=pkg://edgewise.adapters.verl", "data.custom_cls.name=CurriculumDataset")
ENTRANCES = {"sampler": SAMPLER, "dataset": DATASET} if IS_07 else {"dataset": DATASET}
