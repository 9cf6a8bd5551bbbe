"""Names of parts: those of installed packages beside those that are built in."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from edgewise.errors import ConfigError
from edgewise.registry import Registry


def other() -> int:
    return 2


def test_a_package_that_cannot_be_used_takes_no_other_part_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    values = {
        "gone": "no_such_module:X",
        "lacking": "json:no_such_name",
        "module": "json",
        "square": "math:sqrt",
        "new": "fractions:Fraction",
    }
    points = [EntryPoint(name, value, "edgewise.shapes") for name, value in values.items()]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    shapes: Registry[int] = Registry("shape")
    shapes.register("square")(other)
    assert shapes.names() == ["new", "square"]
    assert shapes.make("square") == 2
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        f"the shape {name}" for name in ("gone", "lacking", "module", "square")
    ]
    for name, reason in (("gone", "no_such_module"), ("lacking", "no_such_name"), ("module", "a class or a function")):
        assert shapes.holds(name)
        with pytest.raises(ConfigError, match=f"the shape {name}, an entry point to .* cannot be used: .*{reason}"):
            shapes.make(name)
    with pytest.raises(ConfigError, match=r"unknown shape .sqare.\. Did you mean .square."):
        shapes.make("sqare")


@pytest.mark.parametrize("name", ["", "a b", "mine:2", "a+b", "x=1", "a,b"])
def test_a_name_that_no_method_in_a_word_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="a shape has a name of letters"):
        Registry[int]("shape").register(name)


def test_a_part_made_anew_replaces_itself_and_no_other_module_s() -> None:
    shapes: Registry[int] = Registry("shape")
    shapes.register("two")(other)
    shapes.register("two")(lambda: 3)  # as a notebook's cell that is run again
    assert shapes.make("two") == 3
    with pytest.raises(ConfigError, match=f"the shape two is that of {__name__} already"):
        shapes.register("two")(EntryPoint)
