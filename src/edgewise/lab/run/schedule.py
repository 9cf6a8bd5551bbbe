"""Learning-rate schedules."""

from __future__ import annotations

import math


def cosine(step: int, steps: int, warmup: float, high: float, low: float) -> float:
    """Linear warm-up over a share `warmup` of the steps, then a cosine from `high` to `low`; step counts from 1."""
    rise = max(int(warmup * steps), 1)
    if step <= rise:
        return high * step / rise
    progress = (step - rise) / max(steps - rise, 1)
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * min(progress, 1.0)))
