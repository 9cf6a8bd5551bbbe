"""The script of the documentation runs, on a model and dataset that are here."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

datasets = pytest.importorskip("datasets")
pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")
PAGE = Path(__file__).parents[2] / "docs" / "adapters" / "trl.md"


def test_the_script_of_the_page(model_folder, tmp_path, monkeypatch):
    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    config = json.loads((model / "tokenizer_config.json").read_text())
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    (model / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    rows = {"question": [f"{n} + 1 =" for n in range(20)], "answer": [f"... #### {n + 1}" for n in range(20)]}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.Dataset.from_dict(rows))
    script = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    for theirs, ours in (
        ('"Qwen/Qwen2.5-0.5B-Instruct"', repr(str(model))),
        (
            'output_dir="run"',
            f"output_dir={str(tmp_path / 'run')!r}, max_steps=2, max_completion_length=4, use_cpu=True, bf16=False,"
            " gradient_checkpointing=False, report_to='none', disable_tqdm=True",
        ),
    ):
        assert theirs in script
        script = script.replace(theirs, ours)
    names: dict = {}
    exec(compile(script, str(PAGE), "exec"), names)
    assert names["trainer"].curriculum.metrics()["rollouts"] == 2 * 8


def test_the_asynchronous_script_of_the_page_takes_arguments_that_exist():
    """It needs vLLM to run: the arguments are compared with those of the loop."""
    import ast
    import inspect

    pytest.importorskip("trl", minversion="1.16")
    from trl.experimental.async_grpo.async_rollout_worker import _AsyncRolloutLoop

    from edgewise.adapters.trl_async import CurriculumLoop

    script = next(b for b in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "CurriculumWorker" in b)
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)]
    (worker,) = [node for node in calls if getattr(node.func, "id", "") == "CurriculumWorker"]
    known = {**inspect.signature(CurriculumLoop).parameters, **inspect.signature(_AsyncRolloutLoop).parameters}
    assert {keyword.arg for keyword in worker.keywords} <= set(known)
