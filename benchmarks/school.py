"""Success rate of a pretrained model on each cell of the task school: `python -m benchmarks.school MODEL [EXAMPLES] [PROBLEMS] [SAMPLES]`."""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from edgewise.lab.model.ending import Ending
from edgewise.lab.model.generate import generate
from edgewise.lab.model.pretrained import load_pretrained
from edgewise.tasks import School

NEW_TOKENS = 24
ROWS = 192


def main(model_name: str, examples: int = 3, problems: int = 4, samples: int = 4) -> None:
    """Print a table of success rates at temperature 1, and the spread over prompts."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    model, tokenizer = load_pretrained(model_name)
    task = School(examples)
    ending = Ending([tokenizer.end], ["\n\n", "Question"], tokenizer)
    cells = [(family, level) for family in task.families() for level in range(1, 5)]
    asked = [
        p
        for family, level in cells
        for p in task.problems(problems, 0, split="eval", family=family, level=(level, level))
    ]
    encoded = tokenizer.encode([problem.prompt for problem in asked])
    repeated = [row for row in range(len(asked)) for _ in range(samples)]
    generator = torch.Generator().manual_seed(0)
    right = np.zeros(len(asked), int)
    for start in range(0, len(repeated), ROWS):
        rows = repeated[start : start + ROWS]
        out = generate(model, [encoded[row] for row in rows], NEW_TOKENS, ending, tokenizer.pad, generator)
        texts = tokenizer.decode(out.tokens.numpy(), out.lengths.numpy())
        for row, text in zip(rows, texts, strict=True):
            right[row] += task.verify(asked[row], text).correct
        print(f"{start + len(rows)} of {len(repeated)} rollouts, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rates = right.reshape(len(task.families()), 4, problems).mean(2) / samples
    print("| family | level 1 | level 2 | level 3 | level 4 |\n|---|---|---|---|---|")
    for family, row in zip(task.families(), rates, strict=True):
        print(f"| {family} | " + " | ".join(f"{rate:.2f}" for rate in row) + " |")
    print("\nAll: " + " | ".join(f"{rate:.3f}" for rate in rates.mean(0)) + f"; {rates.mean():.3f}")
    informative = ((right > 0) & (right < samples)).mean()
    print(
        f"Prompts never solved {(right == 0).mean():.2f}, sometimes {informative:.2f}, always {(right == samples).mean():.2f}"
    )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
