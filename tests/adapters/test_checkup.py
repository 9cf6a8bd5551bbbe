"""Warnings about a run's configuration before it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgewise.adapters import check_config, companions, installed
from edgewise.adapters.prompts import digest
from edgewise.cli import main
from edgewise.errors import ConfigError


def test_groups_so_small_that_most_are_silent():
    (warning,) = check_config(["num_generations=2"], rates=[0.05, 0.95])
    assert (
        "num_generations is 2: at the success rates known, 90% of the groups have no gradient; with groups of 14"
        in warning
    )
    assert check_config(["num_generations=8"], rates=[0.3, 0.6]) == []
    (warning,) = check_config(["actor_rollout_ref.rollout.n=8"], rates=[0.0, 1.0])
    assert "other prompts are needed" in warning
    for name in ("rollouts", "algorithm.repeat_times", "rollout.n_samples_per_prompt"):
        (warning,) = check_config([f"{name}=1"])
        assert f"{name} is 1" in warning
        assert "no advantage" in warning


def test_dataloader_workers_unless_the_trainer_mode_needs_none():
    (warning,) = check_config(["data.dataloader_num_workers=8"])
    assert "set it to 0" in warning
    assert check_config(["data.dataloader_num_workers=8", "trainer.v1.trainer_mode=edgewise_colocate_async"]) == []
    assert check_config(["dataloader_num_workers=4", "num_generations=8"]) == []  # TRL


def test_a_configuration_without_any_setting_that_is_checked_is_not_called_right():
    (warning,) = check_config(["orchestrator.batch_size=64"])
    assert warning.startswith("no setting that is checked is in it: neither a group size (actor_rollout_ref.rollout.n,")


def test_a_value_that_is_filled_in_later_is_not_checked_and_the_others_are(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "actor_rollout_ref: {rollout: {n: '${oc.env:ROLLOUTS,8}'}}\ndata: {dataloader_num_workers: 8, train_files: '${files}'}\n"
    )
    later, workers, files = check_config([str(path)])
    assert later.startswith("actor_rollout_ref.rollout.n is ${oc.env:ROLLOUTS,8}, which is known when the run begins")
    assert workers.startswith("data.dataloader_num_workers is 8")
    assert files.startswith("data.train_files names ${files}, which is not on this machine")


def test_an_override_that_deletes_a_setting_is_one():
    assert check_config(["data.dataloader_num_workers=8", "~data.dataloader_num_workers"]) == []
    assert check_config(["~data.dataloader_num_workers=8"]) == []


def test_repeated_ids_in_the_training_files(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    for name, first in (("a", 0), ("b", 2)):
        rows = [{"prompt": f"{name}{i}", "extra_info": {"index": i}} for i in range(first, first + 3)]
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    files = f"[{tmp_path / 'a.parquet'}, {tmp_path / 'b.parquet'}]"
    (warning,) = check_config([f"data.train_files={files}"])
    assert "row 2 of a.parquet and row 0 of b.parquet have the same id 2" in warning
    assert check_config([f"data.train_files={files}", "+data.edgewise.ids=prompt"]) == []
    assert check_config([f"data.train_files={tmp_path / 'a.parquet'}"]) == []


def test_extra_info_that_is_text_holds_no_ids(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    parquet.write_table(pa.Table.from_pylist([{"prompt": "a", "extra_info": "{}"}] * 2), tmp_path / "a.parquet")
    assert check_config([f"data.train_files={tmp_path / 'a.parquet'}"]) == []


@pytest.mark.parametrize(("column", "named"), [("prompt", []), ("question", ["data.prompt_key=question"])])
def test_prompts_of_messages_differ_by_their_hash(tmp_path: Path, column: str, named: list[str]):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    rows = [{column: [{"role": "user", "content": text}], "extra_info": {"index": 0}} for text in "aba"]
    given = [f"data.train_files={tmp_path / 'a.parquet'}", "+data.edgewise.ids=prompt", *named]
    parquet.write_table(pa.Table.from_pylist(rows[:2]), tmp_path / "a.parquet")
    assert check_config(given) == []
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (warning,) = check_config(given)
    assert f"have the same id '{digest(rows[0][column])}': drop repetitions" in warning


def test_training_files_that_cannot_be_read_are_named(tmp_path: Path):
    (warning,) = check_config([f"data.train_files={tmp_path / 'nowhere.parquet'}"])
    assert "nowhere.parquet, which is not on this machine: repeated ids were not looked for" in warning
    pytest.importorskip("pyarrow")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    (warning,) = check_config([f"data.train_files={tmp_path / 'cut.parquet'}"])
    assert "which is no whole parquet file" in warning
    assert check_config(["prompt_data=" + str(Path(__file__))]) == []  # of another kind


def test_a_yaml_file_by_nested_names(tmp_path: Path):
    # As Hydra names the folders of a sweep.
    path = tmp_path / "lr=1e-6" / "run.yaml"
    path.parent.mkdir()
    path.write_text("data:\n  dataloader_num_workers: 4\nactor_rollout_ref:\n  rollout:\n    n: 1\n")
    assert len(check_config([str(path)])) == 2


def test_options_of_a_command_line_are_overrides():
    (warning,) = check_config(["--num_generations=1", "--seed=2"])
    assert warning.startswith("num_generations is 1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nowhere.yaml"], "there is no file nowhere.yaml"),
        (["a=1", "b"], "'b' is no override"),
        (["LIST"], "no settings by"),
        (["CUT"], r"cut.yaml is not valid YAML: .* \(line 2, column 1\)$"),
        (["BINARY"], "is no text that can be read"),
        (["a=[1,"], r"a=\[1, is not valid YAML"),
        (["num_generations=many"], "num_generations must be a whole number >= 1, got 'many'"),
        (["dataloader_num_workers=0.5"], "must be a whole number >= 0, got 0.5"),
    ],
)
def test_what_is_no_configuration(given: list[str], message: str, tmp_path: Path):
    for name, content in (("list", b"- 1\n"), ("cut", b"a: [1,\n"), ("binary", b"a: \xd2\x00")):
        (tmp_path / f"{name}.yaml").write_bytes(content)
    given = [str(tmp_path / f"{item.lower()}.yaml") if item.isupper() else item for item in given]
    with pytest.raises(ConfigError, match=message):
        check_config(given)


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["edgewise", "doctor", "--config", "num_generations=1", "seed=2"])
    main()
    assert capsys.readouterr().out.startswith("- num_generations is 1")


def test_the_doctor_needs_none_of_the_laboratorys_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Beside verl or slime there is no tyro, and installing one may be what a user wants to avoid."""
    monkeypatch.setitem(sys.modules, "tyro", None)
    for words, said in (
        (["doctor"], "installed  supported"),
        (["doctor", "--config", "num_generations=1"], "- num_gen"),
    ):
        monkeypatch.setattr(sys, "argv", ["edgewise", *words])
        main()
        assert said in capsys.readouterr().out
    for words in (["demo"], ["doctor", "--config"], ["doctor", "--help"]):
        monkeypatch.setattr(sys, "argv", ["edgewise", *words])
        with pytest.raises(SystemExit):
            main()
        assert "tyro is missing" in capsys.readouterr().err


def test_companions_are_named_with_what_was_tested(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(installed, "_version", lambda name: "9.9" if name == "vllm" else None)
    assert companions() == "vllm 9.9: generation in TRL and verl is not tested"
