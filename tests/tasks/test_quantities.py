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
