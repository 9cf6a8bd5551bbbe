"""The doctor's findings on trainers that are installed, missing, too new or broken."""

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
    monkeypatch.setitem(installed.SUPPORTED, "numpy", installed.Support("edgewise.pool", ("0.1", "0.2")))
    with pytest.raises(ConfigError, match=r"numpy [\d.]+ is not supported; versions that work: 0.1.\*, 0.2.\*"):
        installed.require("numpy")
    found = {trainer.name: trainer for trainer in doctor()}["numpy"]
    assert not found.works
    assert "not supported" in table([found])


def test_versions_are_compared_by_number_not_by_letter(monkeypatch):
    monkeypatch.setitem(installed.SUPPORTED, "some", installed.Support("edgewise.pool", ("1.1",)))
    for version, fits in (("1.1", True), ("1.1.9", True), ("1.10", False), ("1.16.0", False)):
        monkeypatch.setattr(installed, "_version", lambda package, version=version: version)
        if fits:
            installed.require("some")
        else:
            with pytest.raises(ConfigError, match="not supported"):
                installed.require("some")


def test_a_range_takes_what_lies_between_and_tries_what_is_newer_with_a_warning(monkeypatch, caplog):
    support = installed.Support("edgewise.pool", ("1.10", "1.15", "1.16"), range=True)
    monkeypatch.setitem(installed.SUPPORTED, "some", support)
    for version, fits, warns in (
        ("1.9.2", False, False),
        ("1.10", True, False),
        ("1.10.0rc1", True, False),
        ("1.12.3", True, False),
        ("1.16.4", True, False),
        ("1.17.0", True, True),
        ("2.0.dev1", True, True),
        ("0.29", False, False),
    ):
        caplog.clear()
        monkeypatch.setattr(installed, "_version", lambda package, version=version: version)
        if fits:
            installed.require("some")
            found = {trainer.name: trainer for trainer in doctor()}["some"]
            assert ("newer than 1.16" in table([found])) == warns
        else:
            with pytest.raises(ConfigError, match=r"versions that work: 1.10 to 1.16 \(tested: 1.10, 1.15, 1.16\)"):
                installed.require("some")
        assert ("newer than 1.16, the newest version tested" in caplog.text) == warns


def test_missing_hook_points_are_named():
    class Trainer:
        def generate(self, inputs): ...

        def reward(self, inputs, texts): ...

        def anything(self, *args, **kwargs): ...

    wanted = {"generate": ("inputs",), "reward": ("inputs", "prompts"), "anything": ("x",), "save": ()}
    assert installed.missing_hooks(Trainer, wanted) == ["argument prompts of reward", "method save"]


def test_a_missing_trainer(monkeypatch):
    monkeypatch.setitem(installed.SUPPORTED, "no-such-trainer", installed.Support("edgewise.pool", ("1",)))
    found = {trainer.name: trainer for trainer in doctor()}["no-such-trainer"]
    assert found.installed is None
    assert "not installed" in str(found.problem)
    assert "  no  " in table([found])


def test_an_adapter_that_does_not_load(monkeypatch):
    monkeypatch.setitem(installed.SUPPORTED, "numpy", installed.Support("edgewise_broken_adapter", ("",)))
    monkeypatch.setattr(installed, "_version", lambda package: "")
    monkeypatch.setitem(sys.modules, "edgewise_broken_adapter", None)
    found = {trainer.name: trainer for trainer in doctor()}["numpy"]
    assert "does not load" in str(found.problem)


def test_importing_the_adapters_loads_no_trainer():
    import subprocess

    code = "import sys, edgewise.adapters; sys.exit(any(name in sys.modules for name in ('trl', 'torch', 'datasets')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
