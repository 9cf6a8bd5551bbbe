"""The vocabulary of the texts: names, words, single digits and signs, each with the space before it.

A name of a context is one piece, however many words it has: names are what has to be looked up and copied. Digits and not
whole numbers: 1,000 numbers would need 1,000 rows of the addition table, each seen rarely, and the next larger number would
be unknown, for texts that are 2 to 5% shorter up to op 20.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from edgewise.tasks.gsm_infinite import text
from edgewise.tasks.gsm_infinite.context import Context

WORD = r"[^\W\d_]+(?:['-][^\W\d_]+)*"
TAGS = ("<question>", "</question>", "<solution>", "</solution>", "<answer>", "</answer>")
TIGHT = (*"0123456789", "x", *".,;:?*()")
"""What stands without a space before it."""
SIGNS = (*"0123456789", *text.LETTERS, *"=+-*/(")
STATEMENTS = (
    "The number of equals plus times the sum of and the difference between total in exists and its number is greater than"
    " How many does have What is the"
)
STEPS = (
    f"Define as so {text.UNKNOWN_STEP} {text.OPENING} We know so we have and we solve it through the following steps"
    " Simplifying the equation Move all terms to one side Isolate the term with Divide both sides by Solution Answer"
)


def pieces(contexts: Collection[Context]) -> str:
    """Regular expression of a piece: a tag, a name of these contexts, a word, a digit or a sign."""
    names = sorted(_names(contexts), key=len, reverse=True)
    return rf" ?</?[a-z]+>| ?(?:{'|'.join(map(re.escape, names))})(?!\w)| ?{WORD}| ?[0-9]| ?[^\w\s]"


def vocabulary(contexts: Collection[Context]) -> list[str]:
    """Every piece, the names of the contexts last: in a fixed order, without repetition."""
    words = re.findall(WORD, f"{STATEMENTS} {STEPS}")
    spaced = (*TAGS, *SIGNS, *words, *_names(contexts))
    return list(dict.fromkeys([*TIGHT, *(f" {piece}" for piece in spaced)]))


def _names(contexts: Collection[Context]) -> list[str]:
    return [name for context in contexts for name in (*context.items, context.all, *context.places)]
