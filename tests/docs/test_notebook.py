"""The notebook of examples/ runs as it is, on a CPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

for package in ("nbclient", "nbformat", "ipykernel", "trl", "pyarrow"):
    pytest.importorskip(package)
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def run(folder: Path):
    import nbclient
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def printed(cell) -> str:
    return "".join(str(output.get("text", output.get("data", {}).get("text/plain", ""))) for output in cell["outputs"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_notebook_trains_watches_and_replays(tmp_path, monkeypatch):
    # The kernel's shell finds the command beside this Python.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cells = [cell for cell in run(tmp_path)["cells"] if cell["cell_type"] == "code"]
    _, replayed, selected, watched = map(printed, cells[-4:])
    assert "2,048 rollouts, in" in replayed
    assert "'mean_effective_ratio': " in selected
    assert "2,048 rollouts in groups of 8" in watched
    for folder in ("uniform", "selected"):
        written = sorted(path.name for path in (tmp_path / folder / "completions").iterdir())
        assert (len(written), written[-1]) == (16, "completions_00016.parquet")
