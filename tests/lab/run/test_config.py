"""Settings: YAML as people write it, every field checked under its own name, and what is written reads back."""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml as pyyaml
from hypothesis import example, given
from hypothesis import strategies as st

from edgewise.errors import ConfigError
from edgewise.lab.evaluation.evaluation import ExamConfig
from edgewise.lab.rl.config import EvalConfig, PoolConfig, RLConfig
from edgewise.lab.rl.record import RecordConfig
from edgewise.lab.run.config import Above, Count, Fraction, Seed, from_dict, read_yaml, to_dict, validate, write_yaml
from edgewise.lab.run.pretrain import MidtrainConfig, PretrainConfig
from edgewise.lab.run.yaml import dump, parse

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.sampled_from(["on", "off", "yes", "no", "1e-4", "0o7", "12:30", "2020-01-01", "<<", "~", ".inf", "0x1F", "1_000", "="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(PLAIN)
@example({"\x85": None, "a": ["x\u2028y", "\u2029"]})
def test_what_is_dumped_is_read_back_by_both_versions_of_yaml(value: Any) -> None:
    text = dump({"a": value})
    assert parse(text, "text") == {"a": value}
    assert pyyaml.safe_load(text) == {"a": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), (".5", 0.5), ("+3", 3), ("on", "on"), ("no", "no"), ("true", True), ("null", None),
     ("010", 10), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("1_000", 1000), ("'1'", "1")],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert parse(f"a: {text}", "text") == {"a": value}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a: 1\na: 2\n", "the key 'a' is given twice"),
        (b"a: {b: 1, b: 2}\n", "the key 'b' is given twice"),
        (b"a: [1\n", "not valid YAML"),
        (b"? [a]\n: 1\n", "a key must be a name"),
        (b"- 1\n", "must hold a mapping of settings"),
        ("a: ä\n".encode("utf-16"), "not UTF-8"),
        ("a: ä\n".encode("latin-1"), "not UTF-8"),
        (b"a: !!python/object:os.system {}\n", "not valid YAML"),
        (b"a: \x00\n", "not valid YAML"),
        (b"[" * 100_000, "not valid YAML|nested too deeply"),
        (b"a: " + b"9" * 10_000 + b"\n", "not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=words) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_merge_may_be_overruled() -> None:
    assert parse("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", "text")["d"] == {"b": 3, "c": 2}


@dataclass(frozen=True)
class Inner:
    share: Fraction = 0.5

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class Outer:
    steps: Count = 1
    seed: Seed = 0
    rate: Above = 0.1
    kind: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ()
    pair: tuple[int, int] = (1, 2)
    table: dict[str, tuple[int, int]] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    flag: bool = False
    any_number: float = 0.0

    def __post_init__(self) -> None:
        validate(self)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": -1}, "of at least 1, got -1"),
        ({"steps": 2**31}, "of at most 2147483647"),
        ({"seed": 2**63}, "of at most 9223372036854775807, got 9223372036854775808"),
        ({"steps": True}, "steps must be a whole number, got True"),
        ({"steps": 3.0}, "got 3.0; write 3"),
        ({"steps": "3"}, "write 3 without quotes"),
        ({"rate": "1e-4"}, "write 0.0001 without quotes"),
        ({"rate": 0.0}, "rate must be a number above 0, got 0.0"),
        ({"rate": math.inf}, "rate must be a number above 0, got inf"),
        ({"rate": math.nan}, "rate must be a number, got nan"),
        ({"any_number": math.nan}, "any_number must be a number, got nan"),
        ({"rate": None}, "rate is empty; give it a value or leave the line out"),
        ({"kind": "c"}, "kind must be one of a, b, got 'c'"),
        ({"kind": True}, "kind must be one of a, b, got True"),
        ({"names": "x"}, r"names must be a list such as \[x\], got 'x'"),
        ({"names": [1]}, r"names\[0\] must be text, got 1; put it in quotes"),
        ({"pair": [1]}, "pair must be a list of 2 values"),
        ({"pair": 0.2}, r"pair must be a list such as \[0.2\]"),
        ({"table": {"on": [1, 2.5]}}, r"table.on\[1\] must be a whole number"),
        ({"table": [1]}, "table must be a mapping"),
        ({"table": None}, "table is empty"),
        ({"inner": {"share": 1.5}}, "inner.share must be a number between 0 and 1, got 1.5"),
        ({"inner": 3}, "inner must be a mapping of settings, got 3"),
        ({"maybe": {"shar": 1}}, "Did you mean 'share'"),
        ({"flag": "yes"}, "flag must be true or false, got 'yes'"),
        ({"stesp": 1}, "Did you mean 'steps'"),
    ],
)
def test_a_wrong_value_names_its_field_what_it_must_be_and_the_way_out(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_dict(Outer, values)
    if not any(isinstance(value, dict) for value in values.values()) and "stesp" not in values:
        with pytest.raises(ConfigError, match=words):
            Outer(**values)


def test_values_are_converted_whether_from_yaml_or_from_python() -> None:
    for made in (
        from_dict(Outer, {"rate": 1, "names": ["a"], "pair": [3, 4]}),
        Outer(rate=1, names=["a"], pair=[3, 4]),
    ):  # type: ignore[arg-type]
        assert (made.rate, made.names, made.pair) == (1.0, ("a",), (3, 4))
        assert isinstance(made.rate, float)


CONFIGS = (RLConfig, PoolConfig, EvalConfig, PretrainConfig, MidtrainConfig, ExamConfig, RecordConfig)
BAD = (None, -1, 0, 1.5, -0.1, math.nan, math.inf, -math.inf, "abc", True, [], {}, [1.5], {"a": 1}, 2**63, 10**400)


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_value_of_any_setting_ends_in_anything_but_a_config_or_one_sentence(kind: type) -> None:
    start = {"base": "opgraph"} if kind is MidtrainConfig else {}
    for name in (f.name for f in dataclasses.fields(kind)):
        for value in BAD:
            error = None
            try:
                made = from_dict(kind, {**start, name: value})
            except ConfigError as refusal:
                error = str(refusal)
            assert error is None or "\n" not in error, (name, value)
            # What is accepted survives the file.
            assert error is not None or from_dict(kind, parse(dump(to_dict(made)), "text")) == made


@pytest.mark.parametrize("kind", CONFIGS)
def test_settings_survive_the_file(kind: type, tmp_path: Path) -> None:
    config = kind(base="opgraph") if kind is MidtrainConfig else kind()
    write_yaml(tmp_path / "config.yaml", config)
    assert from_dict(kind, read_yaml(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (MidtrainConfig, {"base": "opgraph", "task_options": {"modulo": 7}}, "task_options are given, but no task"),
        (PretrainConfig, {"model": {"vocab_size": 5}}, "vocab_size follows from the task"),
        (RLConfig, {"gate_options": {"max_rounds": 3}}, "no gate"),
        (RLConfig, {"pool": {"difficulty": {"evaluation": True}}}, "side of the split"),
        (RLConfig, {"pool": {"difficulty": {"split": "eval"}}}, "side of the split"),
        (ExamConfig, {"difficulty": {"split": "train"}}, "side of the split"),
        (RLConfig, {"selector": "egde"}, "Did you mean"),
        (RLConfig, {"selector": "edge:explore=1"}, "unknown option"),
        (RLConfig, {"gate": "informativ"}, "Did you mean"),
        (RLConfig, {"gate": "no"}, "unknown gate 'no'"),
        (RLConfig, {"allocation": "knapsak"}, "Did you mean"),
        (RLConfig, {"temperature": 0}, "temperature must be a number between 0.001 and 1000"),
        (RLConfig, {"selector": "edge+ds", "gate": "band"}, "name one of them"),
        (ExamConfig, {"temperature": 0.0, "samples": 8}, "greedy rollouts of a problem are all equal"),
        (ExamConfig, {"k": 3}, r"k must be a list such as \[3\]"),
        (ExamConfig, {"ranges": {"ID": [5, 2]}}, "range ID must be"),
    ],
)
def test_settings_that_would_do_nothing_or_contradict_are_refused(
    kind: type, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        from_dict(kind, values)


def test_a_method_in_one_word_is_taken_apart() -> None:
    config = RLConfig(selector="edge:exploration=0+ds")
    assert (config.selector, config.selector_options, config.gate) == ("edge", {"exploration": 0}, "informative")
    assert RLConfig(selector="ds").gate == "informative"
    assert from_dict(RLConfig, to_dict(config)) == config
