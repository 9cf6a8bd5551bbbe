"""GSM-Infinite: problems drawn and verified a second by op, and how many tokens their texts need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.row import Row
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.tasks import GsmInfinite, Problem

# The original generator samples by rejection. Its median rates at op 10 in one process, and its fastest at any op and mode,
# in problems a second: measured on another 2-core machine over 13,700 problems, so they set limits and make no ratios.
ORIGINAL_AT_OP_10 = {"forward": 54.0, "reverse": 4.2}
ORIGINAL_FASTEST = 300.0
PUBLISHED_TOKENIZER = 2.73
"""Characters per token of the tokenizer published with arXiv 2512.07783, on texts of the original generator."""

OPS = (2, 5, 10, 15, 20, 30, 40)
BLOCK = 200
SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "gsm_infinite" / "samples.jsonl"


def rows() -> Iterator[Row]:
    task = GsmInfinite()
    for mode, rate in ORIGINAL_AT_OP_10.items():
        for op in OPS:
            blocks = [
                partial(task.block, 0, begin, begin + BLOCK, op=(op, op), mode=mode)
                for begin in range(0, 6 * BLOCK, BLOCK)
            ]
            ours = _median(blocks) / BLOCK
            limit = 1 / (50 * rate) if op == 10 else 1 / (5 * ORIGINAL_FASTEST)
            yield Row.below(f"draw a {mode} problem, op {op}", 1e3 * ours, "ms", 1e3 * limit)
    for op in (10, 40):
        taken = _median([partial(_verify, task, task.block(0, 0, BLOCK, op=(op, op)))] * 6) / BLOCK
        yield Row.below(f"verify a solution, op {op}", 1e3 * taken, "ms", 1)
    everything = {"mode": {"forward": 0.5, "reverse": 0.5}, "context": {"zoo": 0.4, "school": 0.3, "festival": 0.3}}
    texts = {"ours, op 2-20": task.block(0, 0, 1000, op=(2, 20), **everything)}
    if SAMPLES.exists():
        texts["the original's"] = task.load(SAMPLES)
    for name, problems in texts.items():
        yield _tokens(name, problems, Tokenizer.for_task(task))


def _median(actions: list[Callable[[], object]]) -> float:
    """Median seconds of this process alone: limits are constants, so other work on the machine must not count."""
    times = []
    for action in actions:
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return median(times)


def _verify(task: GsmInfinite, problems: list[Problem]) -> None:
    for problem in problems:
        task.verify(problem, problem.solution)


def _tokens(name: str, problems: list[Problem], tokenizer: Tokenizer) -> Row:
    texts = [f"{problem.prompt} {problem.solution}" for problem in problems]
    per_thousand = 1e3 * sum(map(len, tokenizer.encode(texts))) / sum(map(len, texts))
    published = 1e3 / PUBLISHED_TOKENIZER
    holds = published >= 1.5 * per_thousand
    return Row(f"tokens of texts, {name}", per_thousand, "a 1,000 chars", ">= 1.5x fewer", holds, published)
