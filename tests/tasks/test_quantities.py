"""Numbers with units in hostile text: reading never fails, and what is no quantity is none."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgewise.tasks.quantities import read_quantity


@settings(max_examples=500)
@given(st.text("0123456789{}%$.,-/^° kmxπ\\()'\"=²٣", max_size=12))
@example("7 {}")
@example("7{")
@example("{}")
def test_any_mixture_of_digits_brackets_and_units_is_read_or_refused(text: str) -> None:
    quantity = read_quantity(text)
    assert quantity is None or read_quantity(text) == quantity


@pytest.mark.parametrize("text", ["7 {}", "7 {{}}", "5 } {"])
def test_a_number_before_empty_braces_has_no_unit_that_could_be_read(text: str) -> None:
    assert read_quantity(text) is None


@pytest.mark.parametrize(
    "text", ["2 m 30 s", "30 min 2 h", "2 h 90 min", "5 ft 6", "-2 h 30 min", "1.5 1.5", "3.14159..."]
)
def test_only_a_whole_and_its_part_are_one_quantity(text: str) -> None:
    assert read_quantity(text) is None
