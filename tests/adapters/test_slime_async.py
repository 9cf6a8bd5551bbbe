"""Fully asynchronous rollouts of slime, and miles: one group at a time from a thread, in flight across rollouts (stand-ins)."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from tests.adapters.standins.loading import FOLDER, standing_in
from tests.adapters.test_slime import K, gated, make_args, roll, share, slime, source_of

from edgewise.errors import ConfigError

__all__ = ["make_args", "slime"]  # fixtures
LOG = "edgewise.adapters.slime.log_rollout"


@pytest.fixture
def make_async(make_args):
    def build(**changed: Any) -> Any:
        values = {
            "rollout_function_path": "slime.rollout.fully_async_rollout.generate_rollout_fully_async",
            "custom_rollout_log_function_path": LOG,
            "concurrency": 12,
            "sglang_server_concurrency": 12,
            "rollout_num_gpus": 1,
            "rollout_num_gpus_per_engine": 1,
            "calls_filter": True,
        }
        return make_args(**{**values, **changed})

    return build


@contextmanager
def worker_of(args: Any, source: Any) -> Iterator[Any]:
    from slime.rollout.fully_async_rollout import Worker

    worker = Worker(args, source)
    try:
        yield worker
    finally:
        worker.close()


def roll_async(args: Any, worker: Any, rollouts: int) -> list[list[str]]:
    from slime.rollout.fully_async_rollout import generate_rollout_fully_async

    outputs = [generate_rollout_fully_async(args, rollout, worker).samples for rollout in range(rollouts)]
    return [[group[0].metadata["id"] for group in data] for data in outputs]


@pytest.mark.parametrize("calls_filter", [True, False])
def test_groups_stay_in_flight_across_rollouts_and_selection_pays(slime, make_async, calls_filter):
    """slime#2390: the filter is called; in 0.3.1 it is not, and the log function observes instead."""
    shares = {}
    for selector in ("uniform", "edge"):
        args = make_async(calls_filter=calls_filter)
        source = source_of(slime, curriculum=selector, category_key="level")(args)
        with worker_of(args, source) as worker:
            trained = roll_async(args, worker, 16)
        assert not worker.errors
        shares[selector] = share(trained[6:])
        numbers = source.metrics()
        assert numbers["forgotten"] == 0  # what is in flight at the end of a rollout is not lost
        assert numbers["unmatched_groups"] == 0
        assert numbers["rollouts"] >= 16 * 8 * K
        assert numbers["steps"] == 17  # the log function marks the end of each of 16 rollouts
        assert numbers["mean_staleness"] > 0
    assert shares["edge"] > shares["uniform"] + 0.2


def test_a_gate_in_a_fully_asynchronous_run(slime, make_async):
    args = make_async()
    source = source_of(slime, curriculum=gated)(args)
    with worker_of(args, source) as worker:
        trained = roll_async(args, worker, 4)
    assert share(trained) == 1
    assert source.metrics()["rollouts"] > 4 * 8 * K


def test_more_groups_in_flight_than_a_rollout_has_are_no_fault(slime, make_async):
    """The first group comes back only after many were selected."""
    args = make_async(concurrency=40, sglang_server_concurrency=40)
    source = source_of(slime)(args)
    groups = [source.get_samples(1)[0] for _ in range(40)]
    assert len({group[0].metadata["id"] for group in groups}) == 40
    for group in groups:
        for sample in group:
            sample.reward = 1.0
        slime.observe(args, group)
    assert source.metrics()["rollouts"] == 40 * K


def test_a_group_that_never_comes_back_is_forgotten_after_patience_and_late_it_is_evidence(slime, make_async):
    args = make_async()
    source = source_of(slime, patience=2)(args)
    (lost,) = source.get_samples(1)
    for rollout in range(3):
        for group in source.get_samples(8):
            for sample in group:
                sample.reward = 1.0
            assert slime.observe(args, group).keep
        slime.log_rollout(rollout, args, [], {}, 0.0)
        assert source.metrics()["forgotten"] == (1 if rollout == 2 else 0)
    before = source.metrics()["rollouts"]
    for sample in lost:
        sample.reward = 0.0
    assert slime.observe(args, lost).keep
    assert source.metrics()["rollouts"] == before + K
    assert source.metrics()["late_groups"] == 1


def test_selecting_and_observing_from_two_threads(slime, make_async):
    args = make_async(rollout_batch_size=10**6)
    source = source_of(slime, curriculum="uniform")(args)
    waiting: list[Any] = []
    faults: list[Exception] = []

    def observe() -> None:
        done = 0
        while done < 300 and not faults:
            if waiting:
                group = waiting.pop()
                for sample in group:
                    sample.reward = 1.0
                try:
                    slime.observe(args, group)
                except Exception as error:
                    faults.append(error)
                done += 1

    thread = threading.Thread(target=observe)
    thread.start()
    for _ in range(300):
        while len(waiting) > 30 and thread.is_alive():
            pass
        waiting += source.get_samples(1)
    thread.join(30)
    assert not faults
    assert source.metrics()["rollouts"] == 300 * K
    assert source.metrics()["in_flight"] == 0


def test_a_fully_asynchronous_run_without_a_log_function_is_named_at_once(slime, make_async):
    with pytest.raises(ConfigError, match=f"does not call the filter: add --custom-rollout-log-function-path {LOG}"):
        source_of(slime)(make_async(custom_rollout_log_function_path=None))


def test_groups_that_the_gate_rejects_may_fill_a_rollout(slime, make_args, caplog):
    """slime#2250"""
    args = make_args(custom_rollout_log_function_path=LOG)
    source = source_of(slime, curriculum=gated, keep_when_insufficient=True)(args)
    for rollout in range(1, 4):
        groups, metrics = source.get_samples(8), {}
        samples = [sample for group in groups for sample in group]
        for sample in samples:
            sample.reward = 1.0
        outputs = [slime.observe(args, group) for group in groups]
        assert {(output.keep, output.keep_when_insufficient) for output in outputs} == {(False, True)}
        slime.log_rollout(rollout, args, samples, metrics, 1.0)
        # Each was observed once, by the filter, and the rollout is over although the gate admitted nothing.
        assert metrics["edgewise/rollouts"] == rollout * 8 * K
        assert metrics["edgewise/unmatched_groups"] == metrics["edgewise/in_flight"] == 0
        assert metrics["edgewise/steps"] == rollout
    assert "change no belief" not in caplog.text


def test_rejected_groups_that_fill_a_rollout_need_a_log_function_and_a_version_that_takes_them(slime, make_args):
    source = source_of(slime, curriculum=gated, keep_when_insufficient=True)
    with pytest.raises(ConfigError, match=f"add --custom-rollout-log-function-path {LOG}"):
        source(make_args())
    source.fills = False
    with pytest.raises(ConfigError, match="this version of slime drops every group that its filter rejects"):
        source(make_args(custom_rollout_log_function_path=LOG))


def test_a_data_source_that_is_saved_by_state_dict(slime, make_args, monkeypatch):
    from slime.rollout.data_source import RolloutDataSourceWithBuffer as Base

    def load(self, state):
        assert set(state) == {"buffer"}
        self.buffer = list(state["buffer"])

    monkeypatch.setattr(Base, "state_dict", lambda self: {"buffer": list(self.buffer)}, raising=False)
    monkeypatch.setattr(Base, "load_state_dict", load, raising=False)
    cls = source_of(slime)
    args = make_args(partial_rollout=True)
    whole = cls(args)
    roll(whole, args, 2)
    waiting = [group[0].metadata["id"] for group in whole.buffer]
    assert waiting
    resumed = cls(args)
    resumed.load_state_dict(whole.state_dict())
    # The buffer was saved: nothing is served twice.
    ids = [[group[0].metadata["id"] for group in source.get_samples(12)] for source in (whole, resumed)]
    assert ids[0] == ids[1]
    assert ids[0][: len(waiting)] == waiting


def test_miles(slime, make_args, tmp_path):
    """The same adapter on miles, whose data source and filter have the names and shapes of slime's."""
    folder = tmp_path / "standin"
    shutil.copytree(FOLDER / "slime", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            text = path.read_text().replace("slime", "miles").replace("    keep_when_insufficient: bool = False\n", "")
            path.write_text(text.replace("Version: 0.3.1", "Version: 0.1.0"))
        path.rename(path.with_name(path.name.replace("slime", "miles").replace("0.3.1", "0.1.0")))
    with standing_in(str(folder), "miles") as adapter:
        args = make_args(dynamic_sampling_filter_path="edgewise.adapters.miles.observe", fully_async=True)
        source = type("Source", (adapter.CurriculumDataSource,), {"id_key": "id"})(args)
        assert source._patience == 16
        assert not source.fills
        groups = source.get_samples(6)
        for group, reward in zip(groups, (1.0, 0.0, 1.0, 0.0, 1.0, 1.0), strict=True):
            for place, sample in enumerate(group):
                sample.reward = reward if place else 1.0
            assert adapter.observe(args, group).keep
        assert source.metrics()["rollouts"] == 6 * K
        assert np.isclose(source.metrics()["success_rate"], (4 * 4 + 2 * 1) / (6 * 4))
        source.save(0)
        again = type("Source", (adapter.CurriculumDataSource,), {"id_key": "id"})(
            make_args(load=args.save, **{"dynamic_sampling_filter_path": "edgewise.adapters.miles.observe"})
        )
        again.load(0)
        assert again.metrics() == source.metrics()
        args.async_unused_samples_handler = "retry"
        with pytest.raises(ConfigError, match=r"--async-unused-samples-handler retry .* leave it at drop"):
            type("Source", (adapter.CurriculumDataSource,), {"curriculum": gated})(args)
