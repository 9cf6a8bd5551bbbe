"""Studies as data: what arms share, what they cost, what is refused before anything runs."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.toy_study import TOY, write

from edgewise.errors import ConfigError, EdgewiseError
from edgewise.experiments.study.config import load_study, merged, names, scales
from edgewise.experiments.study.plan import units
from edgewise.experiments.study.preflight import check


def test_every_study_loads_at_every_scale_and_small_ones_pass_their_checks() -> None:
    assert names() == [f"E{number}" for number in range(1, 9)]
    for name in names():
        assert {"laptop", "workstation", "paper"} <= set(scales(name))
        for scale in scales(name):
            study = load_study(name, scale)
            if scale.startswith("laptop"):
                check(study)
            assert study.paper is not None
            assert len(study.seeds) >= (1 if scale in ("paper", "text") else 3)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["text", "workstation", "paper"])
@pytest.mark.parametrize("name", names())
def test_large_scales_pass_their_checks(name: str, scale: str) -> None:
    if scale in scales(name):
        check(load_study(name, scale))


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


def test_a_stage_is_identified_by_its_settings_and_its_past(tmp_path: Path) -> None:
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
        (arms(short=[{"pretrain": {"difficulty": {"mixture": [{"share": 0.9, "op": [1, 2]}]}}}, "rl"]), "sum to 1"),
        (arms(short=["rl"]), "first stage, and no other, must be pretrain"),
        (arms(short=["pretrain", "rll"]), "Did you mean 'rl'"),
        (arms(short=["pretrain", {"rl": {"stepz": 5}}]), "Did you mean 'steps'"),
        ({"seeds": []}, "at least one seed"),
        ({"show": [1, 8]}, "shows pass@8, but its evaluation draws 4"),
        ({"clams": []}, "Did you mean 'claims'"),
        ({"name": ""}, "name its files"),
        ({"name": "a/b"}, "name its files.*got 'a/b'"),
        ({"name": "a\0b"}, r"name its files.*got 'a\\x00b'"),
        ({"budgets": {"length": 10**400}}, "budgets.length must be a whole number of at most"),
        ({"budgets": {"length": 0}}, "budgets.length must be a whole number of at least 1"),
        ({"resources": {"rl": {"cpus": -1}}}, "resources.rl.cpus must be a number of at least 0"),
        ({"resources": {"rl": {"gpu": 1}}}, "Did you mean 'gpus'"),
        ({"regions": {"easy": {"opp": [1, 2]}}}, "Did you mean 'op'"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_runs(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check(load_study(write(tmp_path, **changes)))


def test_unequal_budgets_are_allowed_by_the_tolerance(tmp_path: Path) -> None:
    unequal = arms(short=["pretrain", {"rl": {"steps": 64}}])
    check(load_study(write(tmp_path, **unequal, budgets={"tolerance": 0.5})))


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"metric": "pass@4", "where": "eazy", "arm": "short", "at_least": 0}, "Did you mean 'easy'"),
        ({"metric": "pass@4", "where": "easy", "arm": "shot", "at_least": 0}, "Did you mean 'short'"),
        ({"metric": "pass@4", "where": "easy", "arm": "", "at_least": 0}, "unknown arm ''"),
        (
            {"metric": "pass@4", "where": "easy", "arm": "short", "at_most": float("inf")},
            "at_most must be a number that is finite",
        ),
        ({"metric": "pass@9", "where": "easy", "arm": "short", "at_least": 0}, "draws 4 rollouts"),
        ({"metric": "pass@01", "where": "easy", "arm": "short", "at_least": 0}, "Did you mean 'pass@1'"),
        ({"metric": "sucess_rate", "arm": "short", "at_least": 0}, "Did you mean 'success_rate'"),
        ({"metric": "pass@4", "where": "easy", "arm": "short"}, "needs one of at_least, above"),
        ({"metric": "pass@4", "where": "easy", "arm": "short", "minus": "base", "at_least": 0}, "would hold at a tie"),
    ],
)
def test_claims_name_what_the_study_has(tmp_path: Path, claim: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path, claims=[{"say": "x", **claim}]))


SHORT = {"say": "x", "metric": "pass@4", "where": "easy", "arm": "short"}


def only(**claim: Any) -> dict[str, Any]:
    return {"claims": [{**SHORT, **claim}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (only(at_least=0.0), "cannot fail whatever comes out: its measure lies between 0 and 1"),
        (only(above=1.0), "cannot hold whatever comes out"),
        (only(minus="base", at_least=-1.0), "cannot fail whatever comes out: its measure lies between -1 and 1"),
        (only(minus="short", above=0.0), "compares equal arms: short and short"),
        ({**arms(same=TOY["arms"]["short"]), **only(minus="same", above=0.0)}, "compares equal arms: short and same"),
        (
            only(metric="picked", where="easy", at_least=0.9),
            "cannot fail whatever comes out: its measure lies between 1",
        ),
        (
            only(metric="picked", where="hard", at_least=0.1),
            "cannot hold whatever comes out: its measure lies between 0",
        ),
        (only(metric="success_rate", arm="base", at_most=0.5), "needs success_rate, but the arm base has no RL"),
        (only(metric="picked", minus="base", at_least=0.5), "needs picked, but the arm base has no RL"),
        (
            {
                "regions": {"easy": {"op": [1, 2], "context": "A"}, "hard": {"op": [3, 4]}},
                **only(metric="picked", at_least=0.5),
            },
            "name a region without a context, not easy",
        ),
        ({"regions": {"easy": {"op": [1, 2]}, "hard": {"op": [9, 12]}}, **only(at_least=0.5)}, "in the region hard"),
        ({"regions": {"easy": {"op": [1, 2], "context": "Z"}}, **only(at_least=0.5)}, "in the region easy"),
        ({"regions": {"easy": {"op": [2, 1]}}}, r"op must be \[first, last\], got \[2, 1\]"),
        ({"regions": {"easy": {"op": 3}}}, "op must be a list such as"),
        ({"needs": [{**SHORT, "at_most": 0.2}], **only(at_least=0.5)}, "cannot hold when the conditions are met"),
        ({"needs": [{**SHORT, "at_least": 0.6}], **only(metric="pass@1", kind="outcome", at_most=1.0)}, "cannot fail"),
        ({"needs": [{**SHORT, "at_least": 0.6}, {**SHORT, "metric": "pass@1", "below": 0.5}]}, None),
        ({"needs": [{**SHORT, "at_most": 0.3}, {**SHORT, "metric": "pass@1", "above": 0.5}]}, "exclude each other"),
        (
            {"claims": [{**SHORT, "at_least": 0.6}, {**SHORT, "kind": "outcome", "at_most": 0.5}]},
            "its claims cannot all hold",
        ),
        ({"seeds": [-1]}, "seeds must be whole numbers"),
        (arms(short=["pretrain", {"rl": {"selector": "moops"}}]), "arm short, rl: .*Did you mean 'mopps'"),
        (arms(short=["pretrain", {"rl": {"selector_options": {"targte": 0.5}}}]), "arm short, rl: .*targte"),
        (arms(short=["pretrain", {"rl": {"gate": "informativ"}}]), "arm short, rl: .*informativ"),
        (
            arms(short=["pretrain", {"rl": {"pool": {"size": 10_000_000, "difficulty": {"op": [1, 1]}}}}]),
            r"arm short, rl: pool\.size is 10000000, more than there are: only \d+ different problems .*, 10000000 wanted",
        ),
        (
            arms(short=["pretrain", {"rl": {"pool": {"size": 300, "difficulty": {"op": [1, 1]}}}}]),
            r"arm short, rl: pool\.size is 300, more than there are: only \d+ different",
        ),
        (
            arms(
                short=[
                    "pretrain",
                    {"rl": {"pool": {"difficulty": {"op": [1, 1]}}, "evaluation": {"problems": 4000}}},
                ]
            ),
            r"arm short, rl: evaluation\.problems is 4000, more than there are",
        ),
        (
            {"evaluation": {**TOY["evaluation"], "problems": 90_000, "difficulty": {"op": [1, 2]}}},
            r"evaluation: problems is 90000, more than there are",
        ),
        (
            arms(short=["pretrain", {"rl": {"max_new_tokens": 500}}]),
            "arm short, rl: .*longer than the model's 48 positions",
        ),
        (
            {"evaluation": {**TOY["evaluation"], "max_new_tokens": 500}},
            "evaluation: .*longer than the model's 48 positions",
        ),
    ],
)
def test_rules_that_are_decided_or_cannot_be_are_refused_before_anything_runs(
    tmp_path: Path, changes: dict[str, Any], message: str | None
) -> None:
    if message is None:
        check(load_study(write(tmp_path, **changes)))
        return
    with pytest.raises(EdgewiseError, match=message):
        check(load_study(write(tmp_path, **changes)))


def test_unknown_studies_and_scales_get_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'E1'"):
        load_study("e1")
    with pytest.raises(ConfigError, match="Did you mean 'laptop'"):
        load_study("E1", "laptp")
    with pytest.raises(ConfigError, match="must have `scales`"):
        load_study(write(tmp_path, scales={}))


def test_a_variant_of_a_scale_lists_its_changes_only(tmp_path: Path) -> None:
    variants = {
        "laptop": {"evaluation": {"samples": 8}},
        "longer": {"like": "laptop", "stages": {"pretrain": {"steps": 33}}},
    }
    path = write(tmp_path, scales=variants)
    scale, variant = load_study(path), load_study(path, "longer")
    assert (scale.evaluation, scale.arms, scale.budgets) == (variant.evaluation, variant.arms, variant.budgets)
    assert scale.stages["pretrain"] | {"steps": 33} == variant.stages["pretrain"] != scale.stages["pretrain"]
    with pytest.raises(ConfigError, match="Did you mean 'laptop'"):
        load_study(write(tmp_path, scales={"laptop": {}, "longer": {"like": "laptp"}}), "longer")


def test_changed_seeds_make_another_study() -> None:
    study = load_study("E1")
    other = dataclasses.replace(study, seeds=(7,))
    assert {unit.name for unit in units(other)}.isdisjoint({unit.name for unit in units(study)})


@pytest.mark.parametrize("junk", [3, "x", True, [1], [[1]], {"a": 1}], ids=str)
@pytest.mark.parametrize(
    "at",
    [
        ("scales", "laptop"),
        ("stages",),
        ("stages", "rl"),
        ("stages", "rl", "pool"),
        ("arms",),
        ("arms", "long"),
        ("arms", "short", 1, "rl"),
        ("evaluation",),
        ("regions",),
        ("claims",),
    ],
    ids=str,
)
def test_a_part_of_another_form_is_refused_in_words(tmp_path: Path, at: tuple[str | int, ...], junk: Any) -> None:
    values = copy.deepcopy(TOY)
    inner: Any = values
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = junk

    def use() -> None:
        study = load_study(write(tmp_path, **values))
        for arm in study.arms:
            study.costs(arm)

    with pytest.raises(ConfigError):
        use()
