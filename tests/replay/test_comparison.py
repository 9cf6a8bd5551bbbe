"""Intervals against known values and by coverage; the table."""

import numpy as np
import pytest
from scipy import stats

from edgewise.errors import ConfigError
from edgewise.replay import Comparison, format_table, interval
from edgewise.statistics import t_quantile


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 9, 10, 29, 30, 101, 2000])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_t_quantile_equals_scipy(df, confidence):
    assert t_quantile(df, confidence) == pytest.approx(stats.t.ppf((1 + confidence) / 2, df), rel=1e-7)


def test_t_quantile_misuse():
    for df, confidence in ((0, 0.95), (1.5, 0.95), (3, 0.0), (3, 1.0)):
        with pytest.raises(ConfigError):
            t_quantile(df, confidence)


def test_the_interval_covers_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        mean, half = interval(rng.normal(3.0, 2.0, 4))
        covered += abs(mean - 3.0) < half
    assert 0.935 < covered / 2000 < 0.965  # 3 standard errors of 0.0049


def test_interval_of_little():
    assert interval([2.0, 4.0]) == (3.0, pytest.approx(12.7062, rel=1e-5))
    assert interval([5.0])[0] == 5.0
    assert np.isnan(interval([5.0])[1])
    assert np.isnan(interval([])[0])
    assert np.isnan(interval([1.0, np.nan])).all()


def a_comparison(**values):
    values = {name: np.array(value, float) for name, value in values.items()}
    curves = {"regret": np.zeros((2, 3, 4))}
    return Comparison("simulator", {"prompts": 8}, ["uniform", "ours"], [0, 1, 2], "uniform", values, [1, 2], curves)


def test_differences_are_paired():
    result = a_comparison(effective_ratio=[[0.1, 0.5, 0.9], [0.2, 0.6, 1.0]])
    mean, half = result.difference("effective_ratio", "ours")
    assert mean == pytest.approx(0.1)
    assert half < 1e-9
    assert result.interval("effective_ratio", "ours")[1] > 0.5
    with pytest.raises(ConfigError, match="baseline"):
        Comparison("replay", {}, ["a"], [0], None, result.values, [], {}).difference("effective_ratio", "a")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot write .*nowhere"):
        a_comparison(effective_ratio=[[0.1, 0.5, 0.9], [0.2, 0.6, 1.0]]).save(tmp_path / "nowhere" / "x.json")


def test_the_table_says_what_is_missing():
    nan = float("nan")
    result = a_comparison(
        effective_ratio=[[0.1, 0.5, 0.9], [0.2, 0.6, 1.0]],
        steps_to_target=[[200, 190, 195], [100, nan, 90]],
        probe_spearman=[[nan] * 3, [0.5, 0.5, 0.5]],
    )
    lines = format_table(result).splitlines()
    ours = [line for line in lines if line.startswith("ours")]
    assert ours[0].split() == ["ours", "0.600±0.994", "(2/3)", "0.500±0.000"]
    assert ours[1].split()[1] == "+0.100±0.000*"
    assert [line.split()[-1] for line in lines if line.startswith("uniform")] == ["-"]
    assert "effective" not in format_table(result, ["steps_to_target"])
    with pytest.raises(ConfigError, match="effective_ratio"):
        format_table(result, ["effective_rate"])
    written = result.to_dict()
    assert written["summary"]["ours"]["steps_to_target"]["mean"] is None
    assert written["values"]["steps_to_target"]["ours"] == [100.0, None, 90.0]
