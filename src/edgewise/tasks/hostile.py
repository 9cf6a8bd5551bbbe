"""Completions that try to break a verifier: huge, deeply nested, costly to evaluate, or not plain text."""

from __future__ import annotations

MEGABYTE = 1_000_000

MARKERS = ("{}", "\\boxed{{{}}}", "<answer>{}</answer>", "#### {}", "The answer is {}.", "{}\n\nQuestion:")
"""Forms in which a completion states its answer."""


def hostile_texts() -> dict[str, str]:
    """Name -> completion, up to about a megabyte each; none of them is a right answer to anything.

    Example:
        >>> len(hostile_texts()["brackets"])
        1000000
    """
    return {
        "nothing": "",
        "brackets": "(" * (MEGABYTE // 2) + ")" * (MEGABYTE // 2),
        "open brackets": "(" * MEGABYTE,
        "braces": "\\boxed{" + "{" * (MEGABYTE // 2) + "}" * (MEGABYTE // 2) + "}",
        "boxes": "\\boxed{" * (MEGABYTE // 7),
        "closed boxes": "\\boxed{" * (MEGABYTE // 14) + "}" * (MEGABYTE // 14),
        "a tower of powers": "\\boxed{9**9**9**9}",
        "a tower of powers in LaTeX": "\\boxed{9^{9^{9^{9}}}}",
        "a factorial": "\\boxed{9999999!}",
        "a power": "\\boxed{10^{1000000}}",
        "an exponent": "<answer> 1e999999999 </answer>",
        "nested fractions": "\\boxed{" + "\\frac{" * 160 + "1" + "}{2}" * 160 + "}",
        "a long number": "\\boxed{" + "9" * 999 + "}",
        "digits": "9" * MEGABYTE,
        "a long number in tags": "<answer>" + "7" * MEGABYTE + "</answer>",
        "LaTeX junk": "\\frac\\sqrt^_{}$" * (MEGABYTE // 15),
        "spaces": "answer is" + " " * MEGABYTE,
        "line breaks": "\n" * MEGABYTE,
        "answers": "answer " * (MEGABYTE // 7),
        "tags": "<answer>" * (MEGABYTE // 17) + "</answer>" * (MEGABYTE // 17),
        "closing tags": "</answer>" * (MEGABYTE // 9),
        "hashes": "#" * MEGABYTE,
        "NUL": "\\boxed{1\x002} <answer>\x00</answer>",
        "surrogates": "\\boxed{\ud800\udc00 \udfff} <answer>\udfff</answer>",
        "control characters": "\\boxed{\x1b[2J\x07\r\n}",
        "code": "<answer>__import__('os').abort()</answer>",
        "commas": "\\boxed{" + "1," * 450 + "}",
        "signs": "<answer>" + "-" * 900 + "1</answer>",
        "operations": "<answer>" + "1+" * 450 + "</answer>",
        "numbers with spaces": "\\boxed{" + "1 " * 400 + "x}",
        "letters with spaces": "\\boxed{" + "a " * 400 + "= }",
        "a long name": "\\boxed{" + "ab" * 490 + "=1}",
        "digits of another script": "\\boxed{\u0664\u0662} <answer>\u0664\u0662</answer>",
        "full-width digits": "\\boxed{\uff14\uff12}",
        "superscripts": "\\boxed{\u2074\u00b2}",
        "a right-to-left mark": "\\boxed{\u202e}",
        "combining marks": "a" + "\u0301" * (MEGABYTE // 2),
        "definitions": "Define a as A; so A = 1. " * (MEGABYTE // 25),
        "equations": "1 = " * (MEGABYTE // 4),
        "infinity and not a number": "<answer> inf nan </answer>",
    }
