"""The curriculum as a Ray actor, with a worker that is lost: the example as it is, on a local Ray."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_actor.py"


@pytest.mark.filterwarnings("default")
def test_a_lost_workers_prompts_are_selected_again(local_ray, capsys):
    example = runpy.run_path(str(EXAMPLE), run_name="ray_actor")
    batches, lost, noticed, numbers = example["run"]()
    size, rollouts = example["BATCH"], example["ROLLOUTS"]
    assert lost == batches[example["LOST"]]
    assert numbers["rollouts"] == (len(batches) - 1) * size * rollouts
    assert numbers["in_flight"] == 0
    # In flight they could not be selected; afterwards they are prompts like any other.
    meanwhile = {prompt for batch in batches[example["LOST"] + 1 : noticed] for prompt in batch}
    later = {prompt for batch in batches[noticed:] for prompt in batch}
    assert not meanwhile & set(lost)
    assert later & set(lost)
    # One level of five is informative; no category takes more than three times its even share, three fifths here.
    assert np.mean([prompt % 5 == 2 for batch in batches[-10:] for prompt in batch]) > 0.5
    example["show"](batches, lost, noticed, numbers)
    assert f"{size} prompts were lost with a worker" in capsys.readouterr().out
