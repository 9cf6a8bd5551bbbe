"""What each process of test_rl_parallel does to see that nothing of a group outlives it. Only `world` may be imported first."""

import sys
from pathlib import Path

from edgewise.lab.run.parallel import world

if __name__ == "__main__":
    with world("cpu") as here:
        here.sum([1.0])
        import torch

        torch.optim.SGD([torch.zeros(1)])  # the first optimizer imports much of torch
    names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    sys.exit(f"left over: {names}" if any("gloo" in name for name in names) else 0)
