"""What the doctor says about trainers that are here, missing, too new or broken."""

from __future__ import annotations

import sys

import pytest

from edgewise.adapters import doctor, installed, table
from edgewise.errors import ConfigError


def test_a_trainer_that_is_here():
    trl = pytest.importorskip("trl")
    found = {trainer.name: trainer for trainer in doctor()}["trl"]
    assert found.works
    assert found.installed == trl.__version__
    assert "loads" in table([found])


def test_an_unsupported_version_names_those_that_work(monkeypatch):
    monkeypatch.setitem(installed.SUPPORTED, "numpy", ("edgewise.pool", ("0.1", "0.2")))
    with pytest.raises(ConfigError, match=r"numpy [\d.]+ is not supported; versions that work: 0.1.\*, 0.2.\*"):
        installed.require("numpy")
    found = {trainer.name: trainer for trainer in doctor()}["numpy"]
    assert not found.works
    assert "not supported" in table([found])


def test_versions_are_compared_by_number_not_by_letter(monkeypatch):
    monkeypatch.setitem(installed.SUPPORTED, "some", ("edgewise.pool", ("1.1",)))
    for version, fits in (("1.1", True), ("1.1.9", True), ("1.10", False), ("1.16.0", False)):
        monkeypatch.setattr(installed, "_version", lambda package, version=version: version)
        if fits:
            installed.require("some")
        else:
            with pytest.raises(ConfigError, match="not supported"):
                installed.require("some")


def test_a_missing_trainer(monkeypatch):
    monkeypatch.setitem(installed.SUPPORTED, "no-such-trainer", ("edgewise.pool", ("1",)))
    found = {trainer.name: trainer for trainer in doctor()}["no-such-trainer"]
    assert found.installed is None
    assert "not installed" in str(found.problem)
    assert "  no  " in table([found])


def test_an_adapter_that_does_not_load(monkeypatch):
    monkeypatch.setitem(installed.SUPPORTED, "numpy", ("edgewise_broken_adapter", ("",)))
    monkeypatch.setattr(installed, "_version", lambda package: "")
    monkeypatch.setitem(sys.modules, "edgewise_broken_adapter", None)
    found = {trainer.name: trainer for trainer in doctor()}["numpy"]
    assert "does not load" in str(found.problem)


def test_the_adapters_room_loads_no_trainer():
    import subprocess

    code = "import sys, edgewise.adapters; sys.exit(any(name in sys.modules for name in ('trl', 'torch', 'datasets')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
