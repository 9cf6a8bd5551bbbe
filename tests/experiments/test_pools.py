"""The study of pools: each differs from the demo in one thing, and the table says what the runs say."""

import dataclasses
from pathlib import Path

import pytest
from tests.small import rl_config

from edgewise.errors import ConfigError
from edgewise.experiments import pools
from edgewise.experiments.comparison import ComparisonConfig, preset
from edgewise.lab.rl.trainer import PoolConfig


def test_every_pool_differs_from_the_demo_in_its_pool_only() -> None:
    demo = preset("opgraph")
    for name, (_, changes) in pools.POOLS.items():
        config = pools._config(name, ("uniform", "edge"), (7,), True)
        assert dataclasses.replace(config.run, pool=demo.run.pool) == demo.run
        changed = {
            f.name
            for f in dataclasses.fields(PoolConfig)
            if getattr(config.run.pool, f.name) != getattr(demo.run.pool, f.name)
        }
        assert changed == set(changes)


def test_the_table_has_a_line_for_each_method_and_goes_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "preset", lambda task: ComparisonConfig(run=rl_config(base, steps=4)))
    monkeypatch.setattr(pools, "POOLS", {"bare": ("no labels", {"labels": "none"})})
    table = pools.pool_study(("uniform", "edge"), (1, 2), ("bare",), tmp_path, 1)
    lines = table.splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["uniform", "placebo", "edge"]
    assert lines[2].startswith("| bare: no labels | uniform | 1 |")
    assert all(" of 2 |" in line for line in lines[2:])
    assert (tmp_path / "pools.md").read_text() == table
    assert pools.pool_study(("uniform", "edge"), (1, 2), ("bare",), tmp_path, 1) == table
    with pytest.raises(ConfigError, match="Did you mean 'bare'"):
        pools.pool_study(("uniform",), (1,), ("bear",), tmp_path, 1)
