"""TRL's AsyncGRPO on selected prompts: its own rollout loop against a fake generation server with delays and failures."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl", minversion="1.16", reason="the rollout loop of AsyncGRPO is that of TRL 1.16")
from tests.adapters.known_rates import scored, table

from edgewise import Curriculum, PromptPool, gates
from edgewise.errors import ConfigError, EdgewiseError, RewardError

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(120)]


class Server:
    """Completions of random tokens, after a random delay; `fails` decides by request whether it drops the connection."""

    def __init__(self) -> None:
        self.rng, self.requests = np.random.default_rng(0), 0
        self.fails = lambda number: False
        self.retries = False
        self.delay = 0.003

    async def complete(self) -> dict[str, Any]:
        self.requests += 1
        number = self.requests
        await asyncio.sleep(self.delay * self.rng.random())
        if self.fails(number):
            raise ConnectionError("connection dropped")
        tokens = self.rng.integers(5, 40, 3).tolist()
        return {"choices": [{"token_ids": tokens, "logprobs": {"token_logprobs": [-1.0] * 3}}]}


class Session:
    def __init__(self, server: Server, **_: Any):
        self.server = server

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: Any) -> None: ...

    def post(self, *_: Any, **__: Any) -> Any:
        server = self.server

        class Response:
            async def __aenter__(self) -> Any:
                self.content = await server.complete()
                return self

            async def __aexit__(self, *_: Any) -> None: ...

            def raise_for_status(self) -> None: ...

            async def json(self) -> Any:
                return self.content

        return Response()


def by_text(completions: list[Any], rate: list[float], **_: Any) -> list[float]:
    return [scored(c[0]["content"], r) for c, r in zip(completions, rate, strict=True)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    from accelerate import PartialState
    from trl.experimental.async_grpo import async_rollout_worker as theirs

    PartialState()  # as TRL's child process begins
    made = Server()
    http = SimpleNamespace(
        ClientSession=lambda **options: Session(made, **options),
        TCPConnector=lambda **_: None,
        ClientTimeout=lambda **_: None,
    )
    monkeypatch.setattr(theirs, "aiohttp", http, raising=False)
    monkeypatch.setattr(theirs, "_RETRYABLE_HTTP_ERRORS", (ConnectionError,), raising=False)
    retry = theirs._AsyncRolloutLoop._retry

    async def retried(self: Any, call: Any, *, label: str, max_attempts: int = 1) -> Any:
        return await retry(self, call, label=label, max_attempts=max_attempts if made.retries else 1)

    # TRL waits up to 16 s between retries.
    monkeypatch.setattr(theirs._AsyncRolloutLoop, "_retry", retried)
    monkeypatch.setattr(theirs, "add_response_schema", lambda tokenizer: tokenizer)
    monkeypatch.setattr(
        theirs, "parse_response", lambda tok, ids, **_: {"role": "assistant", "content": tok.decode(ids)}
    )
    return made


@pytest.fixture
def make_loop(server: Server, model_folder: Path, tmp_path: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    from edgewise.adapters.trl_async import CurriculumLoop

    tokenizer = PreTrainedTokenizerFast.from_pretrained(model_folder, padding_side="left")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    data = table().map(lambda row: {"prompt": [{"role": "user", "content": row["prompt"]}]})

    def build(**options: Any) -> Any:
        return CurriculumLoop(
            **{
                "state": str(tmp_path / "edgewise.npz"),
                "model_name": "m",
                "dataset": data,
                "reward_funcs": [by_text],
                "processing_class": tokenizer,
                "eos_token_ids": [1],
                "rollout_buffer": queue.Queue(),
                "model_version_value": SimpleNamespace(value=0),
                "heartbeat_value": SimpleNamespace(value=0.0),
                "failed_event": threading.Event(),
                "exception_info_queue": queue.Queue(1),
                "metrics_queue": queue.Queue(4096),
                "num_generations": 4,
                "max_inflight_tasks": 32,
                "id_column": "name",
                "category_column": "kind",
                **options,
            }
        )

    return build


@contextlib.contextmanager
def running(loop: Any) -> Iterator[None]:
    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading, "excepthook", lambda *_: None)
            try:
                loop.run()
            except Exception as error:
                loop.error = error

    loop.error = None
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):  # closed already
            loop._loop.call_soon_threadsafe(loop._stop_event.set)
        thread.join(60)
        assert not thread.is_alive()


def train(loop: Any, steps: int, groups: int = 8) -> list[list[str]]:
    """Consumes samples as the trainer does, one policy version a step; returns the prompts of each step."""
    trained: list[list[str]] = []
    for _ in range(steps):
        samples: list[Any] = []
        while len(samples) < 4 * groups:
            if loop.error is not None:
                raise loop.error
            try:
                samples.append(loop.rollout_buffer.get(timeout=0.5))
            except queue.Empty:
                continue
        trained.append([sample.prompt[0]["content"] for sample in samples[::4]])
        loop._model_version_value.value += 1
    return trained


def share(trained: list[list[str]]) -> float:
    """Of prompts that are solved now and then."""
    rate_of = dict(zip(table()["prompt"], table()["rate"], strict=True))
    return float(np.mean([rate_of[prompt] == 0.5 for prompts in trained for prompt in prompts]))


def test_more_groups_are_informative_than_with_uniform_prompts(make_loop, tmp_path):
    shares = {}
    for rule in ("uniform", "edge"):
        loop = make_loop(curriculum=rule, state=str(tmp_path / f"{rule}.npz"))
        with running(loop):
            trained = train(loop, 20)
        assert loop.error is None
        assert [len(step) for step in trained] == [8] * 20
        shares[rule] = share(trained[8:])
    assert shares["uniform"] < 0.45  # a third of the prompts
    assert shares["edge"] > shares["uniform"] + 0.1  # the loop runs ahead of the trainer
    numbers = loop.in_flight.metrics()
    assert numbers["steps"] > 10
    assert numbers["staleness"] > 0
    assert numbers["unmatched_groups"] == 0
    assert numbers["tokens"] == 3 * numbers["rollouts"]


def test_metrics_and_state_of_a_policy_version_go_out_before_the_next_begins(make_loop, tmp_path):
    loop = make_loop()
    draws = loop._repeat_iterator()
    steps = []
    for version in range(4):
        loop._model_version_value.value = version
        for _ in range(3 * 4):
            next(draws)
        row = next(iter(loop._rows.values()))
        loop.in_flight.observe(np.full(4, row), np.array([1.0, 0, 0, 1]), lengths=np.full(4, 3))
        steps += [numbers["edgewise/steps"] for numbers in loop._metrics_queue.queue]
        loop._metrics_queue.queue.clear()
        assert (tmp_path / "edgewise.npz").exists() == (version > 0)
    assert steps == [1, 2, 3]


def test_the_examples_are_those_of_the_selected_prompts(make_loop):
    """They are read some at a time."""
    loop = make_loop()
    draws = loop._repeat_iterator()
    for group in range(30):
        drawn = [next(draws) for _ in range(4)]
        assert {number for number, _ in drawn} == {group}
        assert {row["name"] for _, row in drawn} == {f"p{loop._rows[group]}"}
    assert len(loop._examples) <= len(loop.in_flight.waiting)


def gated(pool: PromptPool) -> Curriculum:
    return Curriculum(pool, "uniform", rollouts=4, gates=gates.Informative(max_rounds=1))


def test_features_reach_the_pool_of_the_process_that_selects(make_loop):
    pool = make_loop(features="rate").in_flight.curriculum.pool
    assert pool.features.tolist() == [[rate] for rate in table()["rate"][:]]
    with pytest.raises(ConfigError, match="prompt 'p1' has no features in features: every prompt needs them"):
        make_loop(features={"p0": 1.0})


def test_groups_without_a_gradient_are_dropped_and_refilled(make_loop):
    """trl#3708, trl#3758: dynamic sampling in the asynchronous trainer."""
    loop = make_loop(curriculum=gated)
    samples: list[Any] = []
    with running(loop):
        while len(samples) < 48:
            samples.append(loop.rollout_buffer.get(timeout=20))
    advantages = np.array([sample.advantage for sample in samples]).reshape(-1, 4)
    assert (np.abs(advantages) > 0).all()
    assert loop.in_flight.metrics()["wasted_rollouts"] > 0


def test_a_failed_rollout_does_not_end_the_run(make_loop, server):
    """trl#7176: one failure kills the worker."""
    server.fails = lambda number: number % 13 == 0
    loop, sizes = make_loop(), set()

    class Sizes:
        def observed(self, step, rows, successes, trials):
            sizes.update(trials.tolist())

        def restored(self, step):
            pass

    loop.in_flight.curriculum.listeners.append(Sizes())
    with running(loop):
        train(loop, 5)
    assert loop.error is None
    assert loop.in_flight.metrics()["rollouts"] > 5 * 8 * 4
    assert {3, 4} <= sizes  # groups of three are evidence, and do not train


def test_a_server_that_is_down_ends_the_run_with_one_sentence(make_loop, server, tmp_path):
    server.fails = lambda number: number > 60
    loop = make_loop()
    with running(loop), pytest.raises(EdgewiseError, match="the generation server at http://localhost:8000 is down: 8"):
        train(loop, 50)
    assert (tmp_path / "edgewise.npz").exists()


def test_a_request_is_retried_with_back_off_before_the_server_counts_as_down(make_loop, server, monkeypatch):
    """An outage of a few seconds loses no rollout: TRL's own retries come first."""
    waits, sleep = [], asyncio.sleep

    async def short(seconds: float, *rest: Any) -> Any:
        waits.append(seconds)
        return await sleep(min(seconds, 0.001), *rest)

    monkeypatch.setattr(asyncio, "sleep", short)
    server.retries, server.fails = True, lambda number: 17 <= number < 20
    loop = make_loop(max_inflight_tasks=1)
    with running(loop):
        train(loop, 2, groups=2)
    assert loop.error is None
    assert {1, 2} <= set(waits)  # seconds, doubled with each attempt
    assert loop._failures == 0


def test_a_worker_that_dies_is_followed_by_one_that_serves_first_what_was_in_flight(make_loop, tmp_path):
    """A killed process does not save: the state is that of the last policy version."""
    loop = make_loop()
    with running(loop):
        train(loop, 3)
        copied = tmp_path / "died.npz"
        copied.write_bytes((tmp_path / "edgewise.npz").read_bytes())
    waiting = make_loop(state=str(copied)).in_flight.curriculum.in_flight.tolist()
    assert waiting
    drawn = make_loop(state=str(copied))._repeat_iterator()
    assert [next(drawn)[1]["name"] for _ in range(4 * len(waiting))][::4] == [f"p{row}" for row in waiting]
    again = make_loop(state=str(copied))
    with running(again):
        train(again, 2)
    assert again.error is None


def test_a_group_that_is_stuck_does_not_hold_the_run_up(make_loop, server):
    """trl#7274: one stale group pins the resume position."""
    loop = make_loop(patience=2)
    with running(loop):
        train(loop, 1)
        # A row that is not rolled out any more.
        stuck = loop.in_flight.select(1, loop.in_flight._step)[0]
        train(loop, 5)
    assert stuck not in loop.in_flight.curriculum.in_flight[:1]
    assert loop.in_flight.metrics()["forgotten"] >= 1


def test_a_run_resumes_with_what_was_in_flight(make_loop, tmp_path):
    from edgewise.adapters.trl_async import _StateFiles

    loop = make_loop()
    with running(loop):
        train(loop, 4)
    saved, waiting = loop.in_flight.metrics(), loop.in_flight.curriculum.in_flight.tolist()
    files = _StateFiles(tmp_path / "edgewise.npz")
    (tmp_path / "checkpoint-4").mkdir()
    # Every process of the trainer has the callback.
    for is_first in (False, True):
        state = SimpleNamespace(global_step=4, is_world_process_zero=is_first)
        files.on_save(SimpleNamespace(output_dir=str(tmp_path)), state, None)
        assert (tmp_path / "checkpoint-4" / "edgewise.npz").exists() == is_first
    (tmp_path / "edgewise.npz").write_bytes(b"newer")
    files.resume(tmp_path / "checkpoint-4")
    again = make_loop()
    assert again.in_flight.metrics() == saved
    drawn = again._repeat_iterator()
    first = [next(drawn)[1]["name"] for _ in range(4 * len(waiting))][::4]
    assert first == [f"p{row}" for row in waiting]
    with pytest.raises(ConfigError, match=r"holds no edgewise\.npz: it was saved without a curriculum"):
        files.resume(tmp_path / "elsewhere")


def test_the_state_of_another_run_in_the_same_file_is_named(make_loop, caplog):
    """A run begun anew where an older one kept its state would go on from the beliefs about another model."""
    first = make_loop()
    with running(first):
        train(first, 3)
    assert "is of policy version" not in caplog.text
    make_loop(model_version_value=SimpleNamespace(value=3))._loop.close()
    assert "is of policy version" not in caplog.text
    make_loop()._loop.close()
    version = first.in_flight.state_dict()["trainer_step"]
    assert f"edgewise.npz is of policy version {version}, and this run begins at version 0" in caplog.text


def test_rewards_that_do_not_fit_stop_the_run(make_loop):
    loop = make_loop(reward_funcs=[lambda completions, **_: [-1.0] * len(completions)])
    with running(loop), pytest.raises(RewardError, match=r"has reward -1.0, outside \[0, 1\].*success="):
        train(loop, 2)
    with pytest.raises(ConfigError, match="2 reward functions"):
        make_loop(reward_funcs=[by_text, by_text])


def test_a_verifier_that_returns_nothing_is_no_evidence(make_loop):
    loop = make_loop(reward_funcs=[lambda completions, **_: [None] * len(completions)])
    with running(loop):
        deadline = time.time() + 20
        while loop.in_flight.metrics()["forgotten"] < 10 and time.time() < deadline:
            time.sleep(0.05)
    assert loop.in_flight.metrics()["rollouts"] == 0
    assert loop.in_flight.metrics()["forgotten"] >= 10
    assert loop.rollout_buffer.empty()


def test_trl_has_the_hook_points_of_the_asynchronous_loop():
    from trl.experimental.async_grpo.async_rollout_worker import AsyncRolloutWorker, RolloutGroup, _AsyncRolloutLoop

    from edgewise.adapters.trl_async import CurriculumLoop, CurriculumWorker

    assert CurriculumWorker._loop_cls is CurriculumLoop
    assert AsyncRolloutWorker._loop_cls is _AsyncRolloutLoop
    fields = set(RolloutGroup.__dataclass_fields__)
    assert {"completions_sequences", "completions_ids", "group_id"} <= fields
