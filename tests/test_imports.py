"""The core is light: it never loads a framework, and what evaluates a model never loads the compiler."""

import subprocess
import sys

import pytest

from edgewise.cli import main

HEAVY = ("torch", "scipy", "transformers", "rich", "tyro", "yaml", "tokenizers", "importlib.metadata")


def test_the_core_imports_numpy_only():
    code = (
        "import sys, edgewise as ew\n"
        "pool = ew.PromptPool(range(8))\n"
        "curriculum = ew.Curriculum(pool, 'edge')\n"
        "batch = curriculum.select(2)\n"
        "curriculum.observe(batch, [1.0] * 16)\n"
        "curriculum.metrics()\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert printed(code) == "[]"


def test_evaluation_imports_no_compiler():
    code = (
        "import sys, edgewise.lab.evaluation.evaluation; print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    )
    assert printed(code) == "True False"


@pytest.mark.parametrize(("command", "extra"), [("watch", "[logs]"), ("fit", "[logs]"), ("demo", "[lab,report]")])
def test_a_command_without_its_packages_names_the_extra_that_has_them(monkeypatch, capsys, command, extra):
    monkeypatch.setitem(sys.modules, "tyro", None)
    monkeypatch.setattr(sys, "argv", ["edgewise", command])
    with pytest.raises(SystemExit):
        main()
    assert f"pip install 'edgewise{extra}' (tyro is missing)" in capsys.readouterr().err


def printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
