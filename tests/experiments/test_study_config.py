"""Studies as data: what arms share, what they cost, what is refused before anything runs."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.toy_study import TOY, write

from edgewise.errors import ConfigError
from edgewise.experiments.study.config import load_study, merged, names, scales
from edgewise.experiments.study.plan import units


def test_every_study_loads_at_every_scale_and_passes_its_own_checks() -> None:
    assert names() == [f"E{number}" for number in range(1, 9)]
    for name in names():
        assert {"laptop", "workstation", "paper"} <= set(scales(name))
        for scale in scales(name):
            study = load_study(name, scale)
            study.check()
            assert study.paper is not None
            assert len(study.seeds) >= (1 if scale in ("paper", "text") else 3)


def test_arms_share_what_they_have_in_common(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, seeds=[0, 1]))
    plan = units(study)
    assert [unit.name.split(" (")[0] for unit in plan[:2]] == [
        "pretrain of 3 arms, seed 0",
        "pretrain of 3 arms, seed 1",
    ]
    assert sorted(unit.name for unit in plan[2:]) == sorted(
        f"{arm} seed {seed}" for arm in study.arms for seed in (0, 1)
    )
    stages = [stage.name for unit in plan for stage in unit.stages]
    assert len(stages) == len(set(stages)) == 2 * (1 + 2 + 3)
    for unit in plan[2:]:
        assert unit.after in (plan[0].name, plan[1].name)
        assert unit.name[-1] == unit.after.split(" (")[0][-1]


def test_a_stage_is_known_by_its_settings_and_its_past(tmp_path: Path) -> None:
    study = load_study(write(tmp_path))
    first, second = study.chain("short", 0), study.chain("long", 0)
    assert first[0].name == second[0].name
    assert first[1].name != second[1].name
    assert first[2].settings == second[2].settings
    assert first[2].name != second[2].name
    # A setting that is spelled out but has its default value changes nothing.
    same = load_study(
        write(tmp_path, arms={**TOY["arms"], "short": [{"pretrain": {"clip": 1.0}}, TOY["arms"]["short"][1]]})
    )
    assert same.chain("short", 0)[1].name == first[1].name
    other = load_study(
        write(tmp_path, arms={**TOY["arms"], "short": [{"pretrain": {"clip": 0.5}}, TOY["arms"]["short"][1]]})
    )
    assert other.chain("short", 0)[1].name != first[1].name
    assert study.chain("short", 1)[0].name != first[0].name


def test_overrides_change_nested_settings_by_name_and_replace_the_rest() -> None:
    before = {"pool": {"size": 10, "difficulty": {"op": [1, 2]}}, "difficulty": {"op": [1, 2]}, "steps": 5}
    after = merged(before, {"pool": {"difficulty": {"mixture": []}}, "difficulty": {"context": "B"}})
    assert after == {"pool": {"size": 10, "difficulty": {"mixture": []}}, "difficulty": {"context": "B"}, "steps": 5}


def test_costs_count_a_token_of_rl_five_thirds(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, budgets={"length": 30}))
    assert study.costs("base") == (40 * 512, 0)
    assert study.costs("short") == (40 * 512, pytest.approx(5 / 3 * 40 * 4 * 4 * 30))


def arms(**changes: Any) -> dict[str, Any]:
    return {"arms": {**TOY["arms"], **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (arms(short=["pretrain", {"rl": {"steps": 64}}]), r"differ in budget by 37.5%.*long.*short"),
        (arms(short=[{"pretrain": {"steps": 41}}, "rl"]), "differ in budget"),
        (arms(short=["pretrain", {"rl": {"pool": {"difficulty": {"op": {"1-2": 0.5}}}}}]), "arm short, rl: .*sum to 1"),
        (arms(short=[{"pretrain": {"difficulty": {"mixture": [{"share": 0.9, "op": [1, 2]}]}}}]), "sum to 1"),
        (arms(short=["rl"]), "first stage, and no other, must be pretrain"),
        (arms(short=["pretrain", "rll"]), "Did you mean 'rl'"),
        (arms(short=["pretrain", {"rl": {"stepz": 5}}]), "Did you mean 'steps'"),
        ({"seeds": []}, "at least one seed"),
        ({"show": [1, 8]}, "shows pass@8, but its exam draws 4"),
        ({"clams": []}, "Did you mean 'claims'"),
        ({"regions": {"easy": {"opp": [1, 2]}}}, "Did you mean 'op'"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path, **changes)).check()


def test_unequal_budgets_are_allowed_when_the_config_says_so(tmp_path: Path) -> None:
    unequal = arms(short=["pretrain", {"rl": {"steps": 64}}])
    load_study(write(tmp_path, **unequal, budgets={"tolerance": 0.5})).check()


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"metric": "pass@4", "where": "eazy", "arm": "short", "at_least": 0}, "Did you mean 'easy'"),
        ({"metric": "pass@4", "where": "easy", "arm": "shot", "at_least": 0}, "Did you mean 'short'"),
        ({"metric": "pass@9", "where": "easy", "arm": "short", "at_least": 0}, "draws 4 rollouts"),
        ({"metric": "sucess_rate", "arm": "short", "at_least": 0}, "Did you mean 'success_rate'"),
        ({"metric": "pass@4", "where": "easy", "arm": "short"}, "one of at_least and at_most"),
    ],
)
def test_claims_name_what_the_study_has(tmp_path: Path, claim: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path, claims=[{"say": "x", **claim}]))


def test_unknown_studies_and_scales_get_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'E1'"):
        load_study("e1")
    with pytest.raises(ConfigError, match="Did you mean 'laptop'"):
        load_study("E1", "laptp")
    with pytest.raises(ConfigError, match="must have `scales`"):
        load_study(write(tmp_path, scales={}))


def test_a_variant_of_a_scale_says_only_what_it_changes(tmp_path: Path) -> None:
    variants = {"laptop": {"exam": {"samples": 8}}, "longer": {"like": "laptop", "stages": {"pretrain": {"steps": 33}}}}
    path = write(tmp_path, scales=variants)
    scale, variant = load_study(path), load_study(path, "longer")
    assert (scale.exam, scale.arms, scale.budgets) == (variant.exam, variant.arms, variant.budgets)
    assert scale.stages["pretrain"] | {"steps": 33} == variant.stages["pretrain"] != scale.stages["pretrain"]
    with pytest.raises(ConfigError, match="Did you mean 'laptop'"):
        load_study(write(tmp_path, scales={"laptop": {}, "longer": {"like": "laptp"}}), "longer")


def test_changed_seeds_make_another_study() -> None:
    study = load_study("E1")
    other = dataclasses.replace(study, seeds=(7,))
    assert {unit.name for unit in units(other)}.isdisjoint({unit.name for unit in units(study)})
