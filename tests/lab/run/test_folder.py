"""Run folders: one holder, one configuration, the same weights, checkpoints that are whole or refused; journals."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.small import PRETRAINING, rl_config

from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.evaluation.evaluation import ExamConfig, examine
from edgewise.lab.evaluation.rollouts import Roller
from edgewise.lab.model.checkpoints import find
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl.trainer import Trainer, train
from edgewise.lab.run.config import write_yaml
from edgewise.lab.run.folder import RunCheckpoints, fingerprint, load_policy, run_folder
from edgewise.lab.run.journal import Journal, read
from edgewise.lab.run.pretrain import pretrain

HOLDER = """
import sys, time
from pathlib import Path
from edgewise.lab.run.folder import run_folder
from tests.small import rl_config
with run_folder(Path(sys.argv[1]), rl_config(Path(sys.argv[2]))):
    print("held", flush=True)
    time.sleep(60)
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def damage(path: Path, offset: int = -101) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 64
    path.write_bytes(data)


def test_a_second_process_is_refused_and_names_the_first(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    root = str(Path(__file__).parents[3])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out), str(base)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])},
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = tree(out)
        for refused in (
            lambda: train(rl_config(base), out),
            lambda: pretrain(PRETRAINING, out),
            lambda: examine(ExamConfig(base=str(base), problems=2, samples=1, k=(1,)), out),
        ):
            with pytest.raises(ConfigError, match=f"process {holder.pid} on .* works in"):
                refused()
        assert tree(out) == before
    finally:
        holder.kill()
        holder.communicate()
    # The lock of a process that was killed is not binding.
    train(rl_config(base, steps=1), out)
    assert not (out / ".lock").exists()


def test_an_error_before_the_first_result_leaves_nothing_behind(base: Path, tmp_path: Path) -> None:
    for there in (False, True):
        out = tmp_path / f"run_{there}"
        if there:
            out.mkdir()
        with pytest.raises(RuntimeError), run_folder(out, rl_config(base), str(base)):
            raise RuntimeError
        assert out.exists() == there
        assert not there or not list(out.iterdir())


def test_a_claim_without_a_result_binds_nobody(base: Path, tmp_path: Path) -> None:
    with run_folder(tmp_path, rl_config(base)):
        pass
    assert (tmp_path / "config.yaml").exists()
    train(rl_config(base, steps=1), tmp_path)
    with pytest.raises(ConfigError, match="another configuration"):
        train(rl_config(base, steps=2), tmp_path)


@pytest.mark.parametrize("name", ["config.yaml", "origin.json"])
def test_a_kill_while_the_claim_is_written_binds_no_configuration(
    base: Path, tmp_path: Path, monkeypatch: Any, name: str
) -> None:
    out = tmp_path / "run"

    class Killed(BaseException):
        pass

    def replace(temporary: Any, target: Path) -> None:
        if target.name == name:
            kept[temporary] = temporary.read_bytes()
            raise Killed
        rename(temporary, target)

    kept: dict[Path, bytes] = {}
    rename = os.replace
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed):
        train(rl_config(base), out)
    monkeypatch.undo()
    # An error tidies up; a kill leaves what was there: the half-written file, and the claim before it.
    out.mkdir(exist_ok=True)
    for temporary, data in kept.items():
        temporary.write_bytes(data)
    if name != "config.yaml":
        write_yaml(out / "config.yaml", rl_config(base))
    train(rl_config(base, steps=1), out)
    assert not list(out.glob(".*"))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.safetensors", "state.json", "curriculum.npz", "task.json"]
)
def test_one_flipped_bit_in_any_file_sends_a_run_back_to_the_checkpoint_before(
    base: Path, tmp_path: Path, name: str
) -> None:
    config = rl_config(base, steps=4, save_every=2)
    train(config, tmp_path)
    damage(
        tmp_path / "checkpoints/step_000004" / name,
        len((tmp_path / "checkpoints/step_000004" / name).read_bytes()) // 2,
    )
    trainer = Trainer(config, tmp_path)
    trainer.resume()
    assert trainer.step == 2


@pytest.mark.parametrize("how", ["missing file", "missing checksums", "half", "empty", "unreadable generator"])
def test_a_damaged_checkpoint_is_not_loaded(base: Path, tmp_path: Path, how: str) -> None:
    config = rl_config(base, steps=4, save_every=2)
    train(config, tmp_path)
    newest = tmp_path / "checkpoints/step_000004"
    if how == "missing file":
        (newest / "tokenizer.json").unlink()
    elif how == "missing checksums":
        (newest / "checksums.json").unlink()
    elif how == "empty":
        (newest / "model.safetensors").write_bytes(b"")
    elif how == "half":
        path = newest / "optimizer.safetensors"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        state = json.loads((newest / "state.json").read_text())
        (newest / "state.json").write_text(json.dumps({**state, "generator": "zz"}))
    trainer = Trainer(config, tmp_path)
    trainer.resume()
    assert trainer.step == 2


def test_the_base_of_a_run_is_verified(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    damage(tmp_path / "base/model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged: its checksum"):
        load_policy(str(tmp_path / "base"))
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        train(rl_config(tmp_path / "base"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def other_weights(folder: Path, value: float = 0.7) -> None:
    """Change one weight, as another training at the same path would."""
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "checksums.json").unlink()


def test_results_of_other_weights_are_not_served_again(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    config = ExamConfig(
        base=str(tmp_path / "base"), difficulty={"op": [1, 3]}, problems=8, samples=2, k=(1, 2), max_new_tokens=6
    )
    first = examine(config, tmp_path / "exam")
    assert examine(config, tmp_path / "exam") == first
    run = rl_config(tmp_path / "base", steps=2, save_every=1)
    train(run, tmp_path / "run")
    other_weights(tmp_path / "base")
    before = tree(tmp_path / "exam")
    with pytest.raises(ConfigError, match="holds results of other weights"):
        examine(config, tmp_path / "exam")
    with pytest.raises(ConfigError, match="holds results of other weights"):
        train(run, tmp_path / "run")
    assert tree(tmp_path / "exam") == before


def test_a_base_in_shards_has_other_weights_where_one_shard_has(tmp_path: Path) -> None:
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "config.json"):
        (tmp_path / name).write_text(name)
    before = fingerprint(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").write_text("trained on")
    assert fingerprint(tmp_path) != before


def test_weights_that_are_not_numbers_are_refused_before_anything_is_written(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    other_weights(tmp_path / "base", float("nan"))
    config = ExamConfig(base=str(tmp_path / "base"), problems=4, samples=1, k=(1,), max_new_tokens=6)
    for use in (
        lambda: train(rl_config(tmp_path / "base"), tmp_path / "run"),
        lambda: examine(config, tmp_path / "exam"),
    ):
        with pytest.raises(CheckpointError, match=r"weights in model\.norm\.weight"):
            use()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


def test_weights_that_diverge_are_never_saved(base: Path, tmp_path: Path) -> None:
    config = rl_config(base, steps=4, save_every=1, selector="uniform")
    trainer = Trainer(config, tmp_path)
    step = trainer.learner.optimizer.step

    def diverging(*arguments: Any) -> Any:
        result = step(*arguments)
        if trainer.step == 2:
            with torch.no_grad():
                trainer.policy.model.model.norm.weight[0] = float("inf")
        return result

    trainer.learner.optimizer.step = diverging  # type: ignore[method-assign]
    with pytest.raises(EdgewiseError, match="weights have diverged"):
        trainer.run()
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_000001", "step_000002"]


def test_greedy_answers_of_a_policy_whose_logits_overflow_are_no_answers(base: Path) -> None:
    policy = Policy.load(base)
    with torch.no_grad():
        policy.model.model.norm.weight.fill_(3e38)
    roller = Roller(policy, policy.task.problems(2, 0, split="eval", op=[1, 3]), 4, temperature=0.0)
    with pytest.raises(EdgewiseError, match="weights have diverged"):
        roller.roll(np.arange(2), np.ones(2, np.int64), torch.Generator())


def test_a_run_writes_its_summary(base: Path, tmp_path: Path) -> None:
    summary = train(rl_config(base, steps=2), tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert summary["steps"] == 2


def test_a_run_without_a_checkpoint_begins_anew(base: Path, tmp_path: Path) -> None:
    """Wherever it was stopped: also between the evaluation of step 0 and its samples."""
    config = rl_config(base, steps=2)
    train(config, tmp_path / "whole")
    for stopped in ("samples.jsonl", "evals.jsonl"):
        out = tmp_path / f"without_{stopped}"
        shutil.copytree(tmp_path / "whole", out)
        shutil.rmtree(out / "checkpoints")
        (out / stopped).unlink()
        train(config, out)
        for name in ("evals.jsonl", "samples.jsonl"):
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_run_whose_folder_is_removed_ends_with_a_sentence_and_leaves_no_half_of_one(tmp_path: Path) -> None:
    """Saved before a line was due, a checkpoint made the folder anew, without settings and the lines before."""
    out = tmp_path / "run"
    with pytest.raises(CheckpointError, match=r"cannot write the checkpoint of step 5 to .*No such file"):
        pretrain(dataclasses.replace(PRETRAINING, save_every=5), out, stopped=lambda: shutil.rmtree(out, True) or False)
    assert not out.exists()


@pytest.mark.parametrize("name", ["metrics.jsonl", "evals.jsonl", "samples.jsonl"])
def test_a_journal_that_ends_before_the_checkpoint_is_not_gone_on_with(base: Path, tmp_path: Path, name: str) -> None:
    """It would lack an evaluation that a whole run has, which nothing would say."""
    config = rl_config(base, steps=4)
    train(config, tmp_path)
    kept = [line for line in (tmp_path / name).read_text().splitlines(keepends=True) if json.loads(line)["step"] < 3]
    (tmp_path / name).write_text("".join(kept))
    (tmp_path / "summary.json").unlink()
    with pytest.raises(CheckpointError, match=f"{name} ends at step [0-2], the newest checkpoint is of step 4"):
        train(config, tmp_path)


def test_half_removed_checkpoints_are_cleared_away(base: Path, tmp_path: Path) -> None:
    config = rl_config(base, steps=2, save_every=1)
    train(config, tmp_path)
    rest = tmp_path / "checkpoints/.step_000000.old"
    rest.mkdir()
    (rest / "model.safetensors").write_bytes(b"")
    train(config, tmp_path)
    assert not rest.exists()


def test_a_run_of_more_than_a_million_steps_keeps_its_newest_checkpoints(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path)
    for step in (999_999, 1_000_000, 1_000_001):
        checkpoints.save(step, lambda folder: None)
    assert [path.name for path in checkpoints.steps()] == ["step_1000000", "step_1000001"]
    assert checkpoints.latest(lambda folder: folder.name) == "step_1000001"
    (checkpoints.root / "step_999999").mkdir()
    with pytest.raises(CheckpointError, match=r"such as .*step_1000001"):
        find(str(tmp_path))


def test_a_damaged_line_of_a_journal_stops_the_resume_and_is_named(base: Path, tmp_path: Path) -> None:
    config = rl_config(base, steps=4, save_every=4)
    train(config, tmp_path)
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:1], b"{" + lines[1][:-2] + b"\n", *lines[2:]]))
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"metrics.jsonl.*line 2"):
        train(config, tmp_path)
    assert path.read_bytes() == before
    path.write_bytes(b"".join(lines[:2]))
    with pytest.raises(CheckpointError, match="ends at step 2, the newest checkpoint is of step 4"):
        train(config, tmp_path)
    path.write_bytes(whole)
    train(config, tmp_path)
    assert path.read_bytes() == whole


def test_a_half_written_last_line_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    for step in range(1, 4):
        journal.append({"step": step})
    with journal.path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in read(journal.path)] == [1, 2, 3]
    journal.rewind(2)
    assert journal.path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    with pytest.raises(EdgewiseError, match=r"j\.jsonl at step 3 has values that are no finite numbers: loss"):
        journal.append({"step": 3, "loss": float("nan")})
    assert not journal.path.exists()


@pytest.mark.parametrize(
    "changes",
    [{"pool": {"size": 40, "difficulty": {"op": "abc"}}}, {"pool": {"size": 40, "difficulty": {"op": [1, "x"]}}},
     {"pool": {"size": 40, "difficulty": {"weights": "abc"}}}, {"pool": {"size": 40, "difficulty": {"opp": [1, 2]}}},
     {"selector_options": {"exploration": "much"}}, {"selector_options": {"sharpness": -1}}, {"max_new_tokens": 500},
     {"device": "cuda"}, {"base": "nowhere"}],
)  # fmt: skip
def test_settings_that_cannot_work_are_one_sentence_and_leave_nothing(
    base: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    from edgewise.lab.run.config import from_dict, to_dict

    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EdgewiseError) as caught:
        train(from_dict(type(rl_config(base)), {**to_dict(rl_config(base)), **changes}), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_settings_of_pretraining_that_cannot_work_leave_nothing(tmp_path: Path) -> None:
    for difficulty in ({"op": "abc"}, {"opp": 3}, {"split": "eval"}):
        with pytest.raises(EdgewiseError):
            pretrain(dataclasses.replace(PRETRAINING, difficulty=difficulty), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgewise.lab.rl import trainer

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("edgewise.lab.run.folder.write_json", full)
        with pytest.raises(EdgewiseError, match="No space left on device; make room"):
            train(rl_config(base, steps=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_json", full)
        with pytest.raises(EdgewiseError, match="No space left on device"):
            train(rl_config(base, steps=1), tmp_path / "run")
    assert train(rl_config(base, steps=1), tmp_path / "run")["steps"] == 1


def test_a_file_system_that_became_read_only_is_one_sentence(base: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def fails() -> None:
        with run_folder(tmp_path / "run", rl_config(base)):
            monkeypatch.setattr("os.unlink", refuse)
            monkeypatch.setattr("os.rmdir", refuse)
            refuse()

    with pytest.raises(EdgewiseError, match=r"cannot read or write in .*: Read-only file system; make room"):
        fails()


def test_a_full_disk_at_a_part_of_a_checkpoint_names_no_hidden_folder_and_leaves_none(tmp_path: Path) -> None:
    checkpoints = RunCheckpoints(tmp_path)

    def full(folder: Path) -> None:
        (folder / "part").write_text("written")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise CheckpointError(f"cannot write {folder}/curriculum.npz: No space left on device") from error

    with pytest.raises(
        CheckpointError, match=r"step 3 .*checkpoints: No space left on device; there is none"
    ) as caught:
        checkpoints.save(3, full)
    assert ".tmp" not in str(caught.value)
    assert list(checkpoints.root.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX systems")
def test_a_run_is_flushed_into_the_folders_above(base: Path, tmp_path: Path, monkeypatch: Any) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr("edgewise.checkpoint.sync_folder", lambda path: flushed.append(Path(path)))
    with run_folder(tmp_path / "runs" / "one", rl_config(base)):
        RunCheckpoints(tmp_path / "runs" / "one").save(1, lambda folder: None)
    assert {tmp_path, tmp_path / "runs", tmp_path / "runs" / "one"} <= set(flushed)
