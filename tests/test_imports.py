"""The core is light: it never loads a framework."""

import subprocess
import sys

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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
