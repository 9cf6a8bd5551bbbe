"""Entries of reasoning-gym and the scores of its own graders; run by `bounded_process` in a process of its own.

Some graders pass the answer to `eval` or to sympy's `parse_expr`. Here these names are literal parsing and a parser that accepts
numbers, signs and a few function names only, so that no model text is executed.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

EVALUATED = ("algorithmic.string_insertion", "algorithmic.spiral_matrix", "algorithmic.number_sorting", "algorithmic.binary_matrix", "games.n_queens")  # fmt: skip
"""Modules of the package whose graders evaluate the answer."""
CHARACTERS = re.compile(r"[0-9A-Za-z_+\-*/^(). ,=]{1,500}")
NAMES = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "sec",
        "csc",
        "cot",
        "sinh",
        "cosh",
        "tanh",
        "asin",
        "acos",
        "atan",
        "exp",
        "log",
        "ln",
        "sqrt",
        "pi",
        "e",
        "E",
        "C",
        "Abs",
        "abs",
    ]
)
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
LARGE_POWER = re.compile(r"(?:\*\*|\^)\s*\(?\s*-?\s*[0-9(]{3,}|(?:\*\*|\^)\s*\(?\s*[0-9A-Za-z.]+\s*\)?\s*(?:\*\*|\^)")
ATTRIBUTE = re.compile(r"\.\s*[A-Za-z_]|[A-Za-z_)]\s*\.")


RIGHT: dict[str, Callable[[str, dict[str, Any]], bool]] = {
    "coin_flip": lambda answer, entry: (
        abs(Fraction(answer.replace(",", "")) - (gold := Fraction(entry["answer"].replace(",", "")))) <= gold / 100
    ),
    "complex_arithmetic": lambda answer, entry: "nan" not in answer.lower(),
    "game_of_life_halting": lambda answer, entry: answer.strip().lower() == str(entry["answer"]).lower(),
    "gsm_symbolic": lambda answer, entry: (
        {*map(float, re.findall(r"-?[0-9]+(?:\.[0-9]+)?", answer.replace(",", "")))} == {float(entry["answer"])}
    ),
    "puzzle24": lambda answer, entry: (
        sorted(map(int, re.findall(r"[0-9]+", answer))) == sorted(entry["metadata"]["numbers"])
    ),
}
"""What a full score needs besides, where a grader of the package gives it to one answer for many problems (`0`, `nan`, any text
or four numbers of another puzzle), or to a number without regard to its sign and to others behind it."""


def prepare() -> None:
    import reasoning_gym
    import sympy
    from sympy.parsing import sympy_parser

    original = sympy_parser.parse_expr

    def parse_expr(text: str, *arguments: Any, **options: Any) -> Any:
        check_expression(text)
        return original(text, *arguments, **options)

    package = reasoning_gym.__name__
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{package}.") and getattr(module, "parse_expr", None) is original:
            module.parse_expr = parse_expr  # type: ignore[attr-defined]
        if name.removeprefix(f"{package}.") in EVALUATED:
            module.eval = ast.literal_eval  # type: ignore[attr-defined]
    sympy.parse_expr = parse_expr


def check_expression(text: str) -> None:
    """`ValueError` unless a text is arithmetic in numbers, single letters and known functions, of bounded size."""
    names = IDENTIFIER.findall(text)
    if (
        not CHARACTERS.fullmatch(text)
        or "__" in text
        or ATTRIBUTE.search(text)
        or LARGE_POWER.search(text)
        or not all(len(name) == 1 or name in NAMES for name in names)
    ):
        raise ValueError("not an expression")


@lru_cache(maxsize=16)
def dataset_of(name: str, config: str, seed: int, size: int) -> Any:
    """The data set of a block of entries."""
    import json

    import reasoning_gym

    return reasoning_gym.create_dataset(name, seed=seed, size=size, **json.loads(config))


@lru_cache(maxsize=256)
def entry_of(name: str, config: str, seed: int, size: int, index: int) -> dict[str, Any]:
    """An entry, the same whenever it is made: some data sets draw from sets of texts, whose order this process fixes."""
    entry: dict[str, Any] = dataset_of(name, config, seed, size)[index]
    return entry


def compute(request: dict[str, Any]) -> dict[str, Any]:
    """The entry {"dataset", "config", "seed", "size", "index"}; with {"answer"} that answer's score in [0, 1]."""
    *block, index = (request[key] for key in ("dataset", "config", "seed", "size", "index"))
    entry = entry_of(*block, index)
    if "answer" not in request:
        gold = entry["answer"]
        return {"question": str(entry["question"]), "answer": None if gold is None else str(gold)}
    score = float(dataset_of(*block).score_answer(request["answer"], entry))
    right = RIGHT.get(request["dataset"])
    if score >= 1 and right is not None and not right(request["answer"], entry):
        score = 0.0
    return {"score": score}
