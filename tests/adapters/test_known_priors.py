"""Success rates known before the run: from a column, from a file of `edgewise fit --priors`, by id; in every adapter."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters import test_openrlhf, test_prime_rl, test_slime, test_trinity
from tests.adapters.known_rates import table
from tests.adapters.standins.loading import standing_in

from edgewise.adapters import make_pool
from edgewise.adapters.priors import read_priors
from edgewise.errors import ConfigError

pytest.importorskip("datasets")
slime, make_args, openrlhf = test_slime.slime, test_slime.make_args, test_openrlhf.openrlhf


def test_a_column_a_file_and_rates_by_id_are_the_same(tmp_path: Path) -> None:
    data = table()
    rates = dict(zip(data["name"], data["rate"], strict=True))
    file = tmp_path / "priors.json"
    file.write_text(json.dumps(rates))
    for given in ("rate", str(file), file, rates):
        pool = make_pool(data, "name", priors=given, prior_strength=2.5)
        assert pool.priors is not None
        assert pool.priors.tolist() == data["rate"][:]
        assert pool.prior_strength == 2.5
    assert make_pool(data, "name").priors is None


def test_unknown_rates_are_unknown_and_whole_ids_are_texts_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "priors.json"
    file.write_text(json.dumps({"7": 0.25, "9": None, "100": 1.0}), "utf-8-sig")  # as Windows editors write it
    found = read_priors(file, [7, 8, 9])
    assert found is not None
    assert found[0] == 0.25
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("absent.json", "absent.json cannot be read: No such file"),
        ("list.json", "must hold rates by id"),
        ("broken.json", "is no JSON"),
        (
            {"x": 0.5},
            "none of the 1 prompts of priors is in the dataset: priors has ids such as 'x', the dataset ids such as",
        ),
        ({"p1": 1.5}, "prompt 'p1' has the rate 1.5 in priors: known success rates lie in"),
        ({"p1": "much"}, "has the rate 'much'"),
        ("name", "has the rate 'p0' in column 'name'"),
        ("rating", "the dataset has no column 'rating'"),
        (7, "priors are the name of a column"),
    ],
)
def test_priors_that_do_not_fit_are_refused(
    given: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text("[1]")
    Path("broken.json").write_text("{")
    with pytest.raises(ConfigError, match=message):
        make_pool(table(), "name", priors=given)


@pytest.mark.filterwarnings("default")
def test_trl_begins_with_what_is_known(make: Any, dataset: Any) -> None:
    pytest.importorskip("trl")
    trainer = make(priors="rate", prior_strength=16.0)
    rates, predicted = np.array(dataset["rate"]), trainer.curriculum.predict(np.arange(len(dataset)))
    assert predicted[rates == 0].max() < 0.25 < predicted[rates == 0.5].min()
    assert predicted[rates == 0.5].max() < 0.75 < predicted[rates == 1].min()
    assert np.ptp(make().curriculum.predict(np.arange(len(dataset)))) < 0.1
    with pytest.raises(ConfigError, match="brings its own categories, priors and features"):
        make(priors="rate", curriculum=trainer.curriculum)


def test_slime_reads_them_from_the_metadata(slime: Any, make_args: Any) -> None:
    class Source(slime.CurriculumDataSource):
        id_key, priors, prior_strength = "id", "rate", 8.0

    pool = Source(make_args())._in_flight.pool
    assert pool.priors.tolist() == [test_slime.RATES[int(name[1:]) % 5] for name in pool.ids]
    assert pool.prior_strength == 8.0

    class Wrong(slime.CurriculumDataSource):
        priors = "pass_rate"

    with pytest.raises(ConfigError, match="no 'pass_rate' in its metadata, which priors names"):
        Wrong(make_args())


def test_prime_rl_openrlhf_and_trinity_take_them_by_id(openrlhf: Any) -> None:
    with standing_in("prime_rl", "prime_rl") as prime_rl:
        sampler = prime_rl.CurriculumSampler(test_prime_rl.tasks_of(20), 4, priors={"t3": 0.25})
        assert sampler.curriculum.pool.priors[3] == 0.25
        assert math.isnan(sampler.curriculum.pool.priors[4])
        with pytest.raises(ConfigError, match="this trainer's prompts have no columns"):
            prime_rl.CurriculumSampler(test_prime_rl.tasks_of(20), 4, priors="rate")
    with standing_in("trinity", "trinity") as trinity:
        selector = test_trinity.made(trinity, priors="rate", prior_strength=3.0)
        assert selector.in_flight.pool.priors.tolist() == table()["rate"][:]
        assert selector.in_flight.pool.prior_strength == 3.0
    from openrlhf.trainer.ppo_trainer import prepare_datasets

    strategy = test_openrlhf.strategy_of()
    prompts, *_ = prepare_datasets(strategy, None)
    loader = openrlhf.CurriculumLoader(
        prompts.dataset, strategy.args, identify=lambda prompt, label: label, priors={"answer 2": 1.0}
    )
    assert loader.curriculum.pool.priors[2] == 1.0
