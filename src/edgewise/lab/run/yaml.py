"""YAML as people write settings: numbers and booleans of YAML 1.2, and no key twice.

PyYAML follows YAML 1.1, where 1e-4 is text, `on`, `off`, `yes` and `no` are booleans, 1:30 is 90 and a repeated key silently wins.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from edgewise.errors import ConfigError

LONGEST = 1_000_000
"""Characters of a file of settings, at most."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema; merge keys (<<) stay."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge")]
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key.start_mark)
        if own.count(key.value) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' is given twice", key.start_mark)
    # What a merge brings stands first, so that the mapping's own keys win.
    loader.flatten_mapping(node)
    return {
        loader.construct_object(key, deep=True): loader.construct_object(value, deep=True) for key, value in node.value
    }


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes whatever either version of YAML would read as something else."""


for _first_letter, _resolvers in _Loader.yaml_implicit_resolvers.items():
    for _resolver in _resolvers:
        _Dumper.add_implicit_resolver(_resolver[0], _resolver[1], [_first_letter])


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # PyYAML folds these line ends inside single quotes; double quotes escape them.
    style = '"' if re.search("[\x85\u2028\u2029]", value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def parse(text: str, where: str) -> Any:
    """The value of a YAML text.

    Args:
        text: at most a million characters.
        where: names the source in messages.

    Raises:
        ConfigError: it is not valid YAML, or a mapping names a key twice.

    Example:
        >>> parse("{rate: 1e-4, compile: on}", "settings")
        {'rate': 0.0001, 'compile': 'on'}
    """
    if len(text) > LONGEST:
        raise ConfigError(f"{where} has {len(text)} characters; settings have {LONGEST} at most")
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{where} is not valid YAML: {_one_line(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{where} is nested too deeply") from error


def dump(values: Any) -> str:
    """YAML text that `parse`, and every YAML 1.1 reader, reads back to the same values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return " ".join(problem.split()) + (f" (line {mark.line + 1}, column {mark.column + 1})" if mark else "")
