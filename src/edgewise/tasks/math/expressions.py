"""Equality of expressions by math-verify; run by `bounded_process` in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any


def prepare() -> None:
    """Build the parser's tables before the first fork."""
    from math_verify import parse

    parse("$\\frac{1}{2}$", parsing_timeout=None)


def compute(request: dict[str, Any]) -> dict[str, Any]:
    """Verdict on {"gold", "answer"}, or whether {"parse"} is an expression."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    latex = LatexExtractionConfig()
    # What it drops as a unit, `t` and `ab` among them, is a variable here.
    latex = replace(latex, normalization_config=replace(latex.normalization_config, units=False))

    def read(text: str) -> Any:
        if "answer" in text.lower():
            return []  # what follows the word, whatever stands between, would be the expression
        # A dollar sign within would end the formula, so that what follows it is all that is read.
        text, ways = f"${' '.join(text.replace('$', ' ').split())}$", [latex, ExprExtractionConfig()]
        # The first match is the whole text; any later one is a number in a formula that was not understood.
        return parse(text, ways, fallback_mode="no_fallback", extraction_mode="first_match", parsing_timeout=None)

    if "parse" in request:
        return {"parsed": bool(read(request["parse"]))}
    gold, answer = ([*map(comparable, read(request[side]))] for side in ("gold", "answer"))
    correct = bool(gold and answer) and verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None)
    if correct and far(gold[0], answer[0]):
        correct = False
    return {"correct": bool(correct), "gold_parsed": bool(gold), "parsed": bool(answer)}


def comparable(expression: Any) -> Any:
    """An expression in which the derivative of a name is a name, decimals in exponents are fractions, and i is the imaginary unit.

    sympy takes `dy/dx` and `dx/dy` for 0, and compares 51**0.5 with no root; math-verify takes `2 * i` for two of an unknown.
    """
    from sympy import Basic, Derivative, Float, I, Pow, Rational, Symbol, exp

    if not isinstance(expression, Basic):
        return expression
    unknown = [derivative for derivative in expression.atoms(Derivative) if derivative.expr.is_Symbol]
    expression = expression.xreplace({derivative: Symbol(str(derivative)) for derivative in unknown})
    decimals = {power: power.exp.atoms(Float) for power in expression.atoms(Pow, exp)}
    exact = {power: power.xreplace({x: Rational(str(x)) for x in found}) for power, found in decimals.items() if found}
    return expression.xreplace(exact).subs({symbol: I for symbol in expression.free_symbols if str(symbol) == "i"})


def far(gold: Any, answer: Any) -> bool:
    """Whether two numbers differ: at all if both are exact, by more than a millionth if one has decimals.

    math-verify rounds to six decimals, whatever the size.
    """
    from sympy import Float

    try:
        x, y = complex(gold), complex(answer)
        if not (gold.has(Float) or answer.has(Float)):
            difference, size = (gold - answer).doit(), max(abs(x), abs(y))
            return bool(difference if difference.is_Rational else abs(difference.evalf(20, maxn=100)) > 1e-60 * size)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    return abs(x - y) > 1e-6 * max(abs(x), abs(y))
