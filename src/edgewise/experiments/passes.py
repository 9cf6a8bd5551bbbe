"""pass@k of a checkpoint as a table in the terminal."""

from __future__ import annotations

import torch
import yaml

from edgewise.errors import ConfigError
from edgewise.lab.checkpoints import Policy, find
from edgewise.lab.evaluate import Roller, evaluate


def print_passes(
    checkpoint: str, difficulty: str, problems: int, samples: int, k: tuple[int, ...], max_new_tokens: int, seed: int
) -> None:
    """Evaluate on held-out problems and print unbiased pass@k by category."""
    from rich.console import Console
    from rich.table import Table

    if any(not 1 <= value <= samples for value in k):
        raise ConfigError(f"every k must lie between 1 and samples ({samples}), got {', '.join(map(str, k))}")
    settings = yaml.safe_load(difficulty)
    if not isinstance(settings, dict):
        raise ConfigError(f'difficulty must be a mapping such as "{{op: [1, 12]}}", got {difficulty!r}')
    policy = Policy.load(find(checkpoint))
    held_out = policy.task.make(problems, seed, **{**settings, "evaluation": True})
    result = evaluate(Roller(policy, held_out, max_new_tokens), samples, torch.Generator().manual_seed(seed))
    columns = {value: result.pass_at(value) for value in k}
    table = Table(title=f"{checkpoint}: {problems} held-out problems x {samples} rollouts")
    table.add_column("category")
    for value in k:
        table.add_column(f"pass@{value}", justify="right")
    for category in columns[k[0]]:
        table.add_row(category, *(f"{columns[value][category]:.3f}" for value in k))
    console = Console()
    console.print(table)
    console.print("  ".join(f"{reason}: {count}" for reason, count in sorted(result.reasons.items())))
