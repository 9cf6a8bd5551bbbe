from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A barely trained opgraph checkpoint: enough to roll out and to learn from."""
    import torch

    from edgewise.lab.run.pretrain import pretrain
    from tests.small import PRETRAINING

    torch.set_num_threads(1)
    return pretrain(PRETRAINING, tmp_path_factory.mktemp("base"))


# No example has a time limit. The same ones in every run: a failure belongs to the change under test; others with
# `pytest --hypothesis-profile=random`.
try:
    from hypothesis import settings
except ModuleNotFoundError:  # the environments of verl have no property tests
    pass
else:
    settings.register_profile("random", deadline=None)
    settings.register_profile("repeatable", settings.get_profile("random"), derandomize=True)
    settings.load_profile("repeatable")
