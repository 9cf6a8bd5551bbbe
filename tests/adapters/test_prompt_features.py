"""Numbers that describe each prompt: from a column, from a file of `edgewise features`, by id; in every adapter."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.adapters import test_openrlhf, test_prime_rl, test_slime, test_trinity
from tests.adapters.known_rates import table
from tests.adapters.standins.loading import standing_in

from edgewise.adapters import make_pool
from edgewise.adapters.features import read_features
from edgewise.errors import ConfigError

pytest.importorskip("datasets")
slime, make_args, openrlhf = test_slime.slime, test_slime.make_args, test_openrlhf.openrlhf
ROWS = range(len(table()))
PAIRS = [[-row / 8, float(row % 3)] for row in ROWS]
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


def described() -> Any:
    return table().add_column("loglik", [-row / 8 for row in ROWS]).add_column("embedding", PAIRS)


def test_a_column_a_file_and_numbers_by_id_are_the_same(tmp_path: Path) -> None:
    data = described()
    file = tmp_path / "features.json"
    for column, expected in (("loglik", [[pair[0]] for pair in PAIRS]), ("embedding", PAIRS)):
        by_id = dict(zip(data["name"], data[column], strict=True))
        file.write_text(json.dumps(by_id))
        for choice in (column, str(file), file, by_id):
            features = make_pool(data, "name", features=choice).features
            assert features is not None
            assert features.dtype == np.float32
            assert features.tolist() == expected
    assert make_pool(data, "name").features is None


def test_a_pool_has_features_beside_categories_and_priors() -> None:
    pool = make_pool(described(), "name", "kind", priors="rate", features="loglik")
    assert pool.category_names == ["0", "1", "2"]
    assert pool.priors is not None
    assert pool.features is not None
    assert pool.priors.tolist() == table()["rate"][:]
    assert pool.features[:, 0].tolist() == [pair[0] for pair in PAIRS]


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 5)), elements=FINITE), st.randoms())
def test_features_are_read_as_they_are_whatever_holds_them(matrix: np.ndarray, random: Any) -> None:
    ids = list(range(len(matrix)))
    shuffled = random.sample(ids, len(ids))
    rows = [matrix.tolist(), list(matrix), [tuple(row) for row in matrix.tolist()], [list(row) for row in matrix]]
    for values in rows:
        by_id = read_features({row: values[row] for row in shuffled}, ids)
        column = read_features("x", ids, lambda name, values=values: values)
        for found in (by_id, column):
            assert found is not None
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, matrix)


@given(st.data())
@settings(max_examples=50)
def test_a_value_that_is_no_finite_number_is_named_with_its_prompt(data: Any) -> None:
    n, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    row, place = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, width - 1))
    bad = data.draw(
        st.sampled_from(
            [
                *(float("nan"), float("inf"), -float("inf"), 1e39, 10**400, None, True, False, "0.5", [1.0], {}, 1j),
                *(np.bool_(True), np.float32("nan")),
            ]
        )
    )
    values: dict[str, Any] = {f"p{i}": [0.5] * width for i in range(n)}
    values[f"p{row}"][place] = bad
    with pytest.raises(
        ConfigError, match=rf"^feature {place} of prompt 'p{row}' is .* in features: every prompt needs"
    ):
        read_features(values, list(values))


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6).filter(lambda lengths: len(set(lengths)) > 1))
def test_every_prompt_has_the_same_number_of_features(lengths: list[int]) -> None:
    values = {place: [1.0] * length for place, length in enumerate(lengths)}
    with pytest.raises(ConfigError, match=r"prompt \d has .* features in features.*: every prompt needs"):
        read_features(values, list(values))


def test_whole_numbers_and_fractions_are_numbers_and_one_is_a_list_of_one() -> None:
    values = {7: 1, 8: [2], 9: np.array([0.25]), 10: Fraction(1, 2), 11: np.int8(-1), 12: np.float32(0.5)}
    features = read_features(values, list(values))
    assert features is not None
    assert features[:, 0].tolist() == [1, 2, 0.25, 0.5, -1, 0.5]


def test_whole_ids_are_texts_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "features.json"
    file.write_text(json.dumps({"7": [1, 0.5], "8": [2, 0.25], "100": [3, 0]}))
    features = read_features(file, [8, 7])
    assert features is not None
    assert features.tolist() == [[2, 0.25], [1, 0.5]]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("absent.json", "features: absent.json cannot be read: No such file"),
        ("list.json", "features: list.json must hold numbers by id, as edgewise features writes them"),
        ("broken.json", "features: broken.json is no JSON"),
        ("part.json", "prompt 'p1' has no features in part.json: every prompt needs them"),
        ("null.json", "prompt 'p0' has no features in null.json: every prompt needs them"),
        ("nan.json", "feature 1 of prompt 'p0' is nan in nan.json: every prompt needs finite numbers"),
        ({"x": 0.5}, "none of the 1 prompts of features is in the dataset: features has ids such as 'x'"),
        ({}, "none of the 0 prompts of features is in the dataset"),
        ({"p0": "much"}, "feature 0 of prompt 'p0' is 'much' in features: every prompt needs finite numbers"),
        ({"p0": True}, "feature 0 of prompt 'p0' is True in features"),
        ({"p0": []}, "prompt 'p0' has an empty list of features in features: every prompt needs them"),
        (
            {"p0": 1, "p1": [1, 2]},
            "prompt 'p1' has 2 features in features, prompt 'p0' has 1: every prompt needs the same",
        ),
        ("name", "feature 0 of prompt 'p0' is 'p0' in column 'name': every prompt needs finite numbers"),
        ("embeding", "the dataset has no column 'embeding' .* or features="),
        (7, "features are the name of a column, a file that ends in .json, or numbers by id, got 7"),
        ([[0.5]], "features are the name of a column"),
    ],
)
def test_features_that_do_not_fit_are_refused(
    choice: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"list": "[1]", "broken": "{", "part": '{"p0": 1}', "null": '{"p0": null}'}
    for name, text in files.items():
        Path(f"{name}.json").write_text(text)
    data = table()
    if isinstance(choice, dict) and "p1" in choice:
        choice = {**dict.fromkeys(data["name"], 1), **choice}
    elif choice == "nan.json":
        Path(choice).write_text(json.dumps({name: [1, float("nan")] for name in data["name"]}))
    with pytest.raises(ConfigError, match=message):
        make_pool(data, "name", features=choice)


def test_a_column_that_does_not_fit_names_the_prompt() -> None:
    values = [pair if row else None for row, pair in enumerate(PAIRS)]
    with pytest.raises(ConfigError, match="prompt 'p0' has no features in column 'x': every prompt needs them"):
        make_pool(table().add_column("x", values), "name", features="x")
    with pytest.raises(ConfigError, match=r"this trainer's prompts have no columns; .* as edgewise features writes it"):
        read_features("x", ["p0"])


@pytest.mark.filterwarnings("default")
def test_trl_describes_its_prompts(make: Any, dataset: Any) -> None:
    pytest.importorskip("trl")
    trainer = make(features="rate")
    assert trainer.curriculum.pool.features.tolist() == [[rate] for rate in dataset["rate"]]
    assert make().curriculum.pool.features is None
    with pytest.raises(ConfigError, match=r"brings its own categories, priors and features: .* features= to make_pool"):
        make(features="rate", curriculum=trainer.curriculum)


def test_slime_reads_them_from_the_metadata(slime: Any, make_args: Any) -> None:
    class Source(slime.CurriculumDataSource):
        id_key, features = "id", "level"

    source = Source(make_args())
    pool = source._in_flight.curriculum.pool
    assert pool.features.tolist() == [[int(name[1:]) % 5] for name in pool.ids]

    class Wrong(slime.CurriculumDataSource):
        features = "loglik"

    with pytest.raises(ConfigError, match="no 'loglik' in its metadata, which features names"):
        Wrong(make_args())


def test_prime_rl_takes_them_by_key() -> None:
    with standing_in("prime_rl", "prime_rl") as prime_rl:
        tasks = test_prime_rl.tasks_of(20)
        sampler = prime_rl.CurriculumSampler(tasks, 4, features={f"t{i}": [i, -i] for i in range(20)})
        assert sampler.curriculum.pool.features.tolist() == [[i, -i] for i in range(20)]
        with pytest.raises(ConfigError, match="this trainer's prompts have no columns"):
            prime_rl.CurriculumSampler(tasks, 4, features="rate")


def test_openrlhf_takes_them_by_id(openrlhf: Any) -> None:
    from openrlhf.trainer.ppo_trainer import prepare_datasets

    strategy = test_openrlhf.strategy_of()
    prompts, *_ = prepare_datasets(strategy, None)
    loader = openrlhf.CurriculumLoader(
        prompts.dataset,
        strategy.args,
        identify=lambda prompt, label: label,
        features={f"answer {i}": i / 2 for i in range(test_openrlhf.PROMPTS)},
    )
    assert loader.curriculum.pool.features[:, 0].tolist() == [i / 2 for i in range(test_openrlhf.PROMPTS)]


def test_trinity_reads_them_from_a_column() -> None:
    with standing_in("trinity", "trinity") as trinity:
        selector = test_trinity.made(trinity, described(), features="embedding")
        assert selector.in_flight.curriculum.pool.features.tolist() == PAIRS
