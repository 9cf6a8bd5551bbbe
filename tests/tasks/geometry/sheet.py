"""Picture of the documentation: `python -m tests.tasks.geometry.sheet docs/images/geometry.png`."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

from edgewise.tasks import Geometry
from edgewise.tasks.geometry.task import FAMILIES

SCALE, GAP = 3, 6


def sheet(seed: int = 4) -> Image.Image:
    """Two problems of each family, the fewest facts above the most."""
    task = Geometry()
    rows = []
    for place in (0, -1):
        pictures = []
        for name, (_, ops) in FAMILIES.items():
            op = ops[place]
            problem = task.problems(1, seed, family=name, op=(op, op))[0]
            pictures.append(np.pad(task.picture(problem, SCALE), GAP, constant_values=225))
        rows.append(np.hstack(pictures))
    return Image.fromarray(np.vstack(rows))


if __name__ == "__main__":
    sheet().save(sys.argv[1], optimize=True)
