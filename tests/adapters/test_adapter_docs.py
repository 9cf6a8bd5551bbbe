"""The scripts of the pages run: recording as it is, those of other trainers on their stand-ins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.standins.loading import standing_in

import edgewise as ew
from edgewise.cli import main
from edgewise.replay import Recorder, Trace

PAGES = Path(__file__).parents[2] / "docs" / "adapters"


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def run(page: str, number: int = 0, **names: Any) -> dict[str, Any]:
    exec(compile(blocks(page)[number], page, "exec"), names)
    return names


def test_recording_and_the_replay_of_what_was_recorded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("recording.md")
    trace = Trace.load(tmp_path / "trace.npz")
    assert len(trace) == 100 * 32
    assert trace.pool.categories is not None
    (command,) = blocks("recording.md", "bash")
    monkeypatch.setattr("sys.argv", [*command.split(), "--seeds", "1"])
    main()
    shown = capsys.readouterr().out
    assert re.search(r"^uniform \(this run\) +all +\d+%", shown, re.MULTILINE)
    for selector in ("mopps", "dps", "edge"):
        assert re.search(rf"^{selector} +best 1 of \d candidates +\d+%", shown, re.MULTILINE)


@pytest.mark.filterwarnings("default")
def test_recording_in_trl(make, tmp_path):
    pytest.importorskip("trl")
    from tests.adapters.known_rates import spy, table

    data = table()
    curriculum = spy(data)
    recorder = Recorder(curriculum.pool).attach(curriculum)
    make(curriculum=curriculum, trace=tmp_path / "by_trl.npz").train()
    attached, by_trl = recorder.trace(), Trace.load(tmp_path / "by_trl.npz")
    assert attached.steps.tolist() == by_trl.steps.tolist() == [1, 2, 3]
    for name in ("rows", "successes", "trials"):
        assert getattr(attached, name).tolist() == getattr(by_trl, name).tolist()


def test_prime_rl(tmp_path):
    with standing_in("prime_rl", "prime_rl") as adapter:
        names = run("prime_rl.md")
        started = names["main"].started_with
        assert started.func is adapter.CurriculumTrainSource
        assert started.keywords["options"]["success"] == 1.0
        gated = run("prime_rl.md", 1, ew=ew, install=adapter.install)["curriculum"]
        tasks = [type("Task", (), {"key": f"t{i}"})() for i in range(5)]
        assert adapter.CurriculumSampler(tasks, 16, gated).curriculum.gates.parts


def test_openrlhf():
    pytest.importorskip("ray", reason="OpenRLHF's trainers are Ray actors: pip install 'edgewise[ray]'")
    with standing_in("openrlhf", "openrlhf") as adapter:
        run("openrlhf.md")
        from openrlhf.trainer import ppo_trainer

        assert ppo_trainer.started_with is adapter.CurriculumSamplesGenerator
        run("openrlhf.md", 2, ew=ew, install=adapter.install)
        assert ppo_trainer.prepare_datasets.args[1]["curriculum"](ew.PromptPool([1, 2])).random_share == 0.05


def test_slime():
    with standing_in("slime", "slime") as adapter:
        simple = run("slime.md")["Source"]
        assert (simple.curriculum, simple.id_key, simple.success) == ("edge", "id", 0.9)
        for path in re.findall(r"edgewise\.adapters\.slime\.(\w+)", blocks("slime.md", "bash")[0]):
            assert callable(getattr(adapter, path))
        rich = run("slime.md", 1, ew=ew, CurriculumDataSource=adapter.CurriculumDataSource)["Source"]
        assert rich.curriculum(None, ew.PromptPool([1, 2])).gates.max_rounds == 1
        assert rich.success(None, type("Sample", (), {"reward": {"accuracy": 1}}))


def test_every_page_is_linked_from_the_index():
    index = (PAGES / "index.md").read_text()
    for page in PAGES.glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index
