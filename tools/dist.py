"""Wheel and sdist: built from the sources, compared with them, installed in bare environments and used there.

    python -m tools.dist                              this Python, with the newest and the lowest numpy
    python -m tools.dist --python python3.12 python3.13
    python -m tools.dist --extras report logs         each extra alone, in an environment of its own
    python -m tools.dist --types                      the user program under mypy --strict, and pyright where it is installed

dist/ holds the two files afterwards. Exit code 1, and the reason, where something is wrong.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "SECURITY.md")
PROGRAM = ROOT / "tools" / "outside" / "program.py"
GOLDEN = ("tests/golden", "tests/selectors/test_golden.py")
PARTS = {
    "lab": "edgewise.lab.rl.trainer",
    "models": "edgewise.lab.model.chat",
    "report": "edgewise.report",
    "logs": "edgewise.replay.logs",
    "math": "edgewise.tasks.math",
    "geometry": "edgewise.tasks.geometry",
    "reasoning-gym": "edgewise.tasks.reasoning_gym",
    "trl": "edgewise.adapters.trl",
}
"""Module that each extra is for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="*", default=[], help="further interpreters")
    parser.add_argument("--extras", nargs="*", default=[], choices=sorted(PARTS), help="extras to install alone")
    parser.add_argument("--types", action="store_true", help="check the types of the user program from outside")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheel = build(work)
        compare(wheel)
        for number, python in enumerate([sys.executable, *options.python]):
            bare = environment(work / f"bare{number}", python, wheel)
            core(bare)
            golden(bare)
            if options.types and number == 0:
                types(bare)
            if version(bare) < (3, 13):  # numpy 1.26 has no wheels beyond Python 3.12
                oldest = environment(work / f"lowest{number}", python, wheel, lowest("numpy"))
                core(oldest)
                golden(oldest)
        for extra in options.extras:
            part(environment(work / f"extra-{extra}", sys.executable, f"{wheel}[{extra}]"), extra)
    print(f"{wheel.name} and its sdist are in {wheel.parent.relative_to(ROOT)}/")


def build(work: Path) -> Path:
    """The sdist from a copy of the sources, and the wheel from the unpacked sdist; both in dist/."""
    copy, tools, out = work / "sources", work / "build", ROOT / "dist"
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, copy / name)
    python = bare_environment(tools, sys.executable)
    run(python, "-m", "pip", "install", "--quiet", "setuptools>=77")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    backend = "import sys, setuptools.build_meta as backend; backend.build_{}(sys.argv[1])"
    run(python, "-c", backend.format("sdist"), str(out), cwd=copy)
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    run(python, "-c", backend.format("wheel"), str(out), cwd=unpacked)
    (wheel,) = out.glob("*.whl")
    return wheel


def compare(wheel: Path) -> None:
    """Every file of the package is in the wheel, and nothing else; the core requires numpy alone."""
    package = ROOT / "src" / "edgewise"
    there = {
        f"edgewise/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
        licences = [name for name in archive.namelist() if ".dist-info/licenses/" in name]
    required = [line for line in re.findall(r"^Requires-Dist: (.*)$", text, re.M) if "extra ==" not in line]
    require(packed == there, f"missing {sorted(there - packed)[:5]}, unexpected {sorted(packed - there)[:5]}")
    require("edgewise/py.typed" in packed, "no py.typed")
    require([re.split(r"[<>=!~ ]", line)[0] for line in required] == ["numpy"], f"the core requires {required}")
    require(len(licences) == 1, f"licence files: {licences}")
    print(f"{wheel.name}: {len(packed)} files, {wheel.stat().st_size / 1e6:.1f} MB, requires {required[0]}")


def core(python: Path) -> None:
    """The core works with numpy alone, with warnings as errors and with -O; the commands say what they need."""
    installed = output(python, "-m", "pip", "list", "--format=freeze").split()
    names = {line.partition("==")[0].partition("@")[0].strip().lower() for line in installed}
    require(names <= {"edgewise", "numpy", "pip", "setuptools"}, f"installed with the core: {sorted(names)}")
    said = output(python, "-W", "error", str(PROGRAM)).splitlines()[-1]
    output(python, "-O", "-W", "error", str(PROGRAM))
    command = python.with_name("edgewise")
    require(output(command, "--version").startswith("edgewise "), "edgewise --version")
    refused = subprocess.run([command, "demo"], capture_output=True, text=True, env=clean())
    require(refused.returncode == 2 and "edgewise[lab" in refused.stderr, f"edgewise demo without torch: {refused}")
    print(f"Python {'.'.join(map(str, version(python)))}: {said}")


def golden(python: Path) -> None:
    """Selections and states are those recorded."""
    run(python, "-m", "pip", "install", "--quiet", "pytest")
    passed = output(
        python,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(ROOT),
        "-p",
        "no:cacheprovider",
        *GOLDEN,
        cwd=ROOT,
    )
    print(f"  golden selections and states: {passed.splitlines()[-1]}")


def types(python: Path) -> None:
    """The user program under mypy --strict, and under pyright or basedpyright where there is one, against the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        program = shutil.copy(PROGRAM, folder)
        strict = ("--strict", "--python-executable", str(python), "--cache-dir", os.devnull, program)
        print(f"  mypy --strict: {output(sys.executable, '-m', 'mypy', *strict, cwd=folder).strip()}")
        for name in ("pyright", "basedpyright"):
            found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            if found:
                checked = output(found, "--pythonpath", str(python), "--level", "error", program, cwd=folder)
                print(f"  {name}: {checked.strip().splitlines()[-1]}")


def part(python: Path, extra: str) -> None:
    """The part of the package that an extra is for can be imported."""
    output(python, "-c", f"import {PARTS[extra]}")
    print(f"extra {extra}: {PARTS[extra]} works alone")


def environment(folder: Path, python: str, *packages: str | Path) -> Path:
    """A new environment with these packages; its interpreter."""
    made = bare_environment(folder, python)
    run(made, "-m", "pip", "install", "--quiet", *map(str, packages))
    return made


def bare_environment(folder: Path, python: str) -> Path:
    run(python, "-m", "venv", str(folder))
    return folder / "bin" / "python"


def lowest(package: str) -> str:
    """The lowest version of a dependency that pyproject.toml allows, as a requirement."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    (found,) = (re.fullmatch(rf"{package}>=([\d.]+)", line) for line in listed)
    if found is None:
        sys.exit(f"pyproject.toml names no lowest {package}")
    numbers = found[1].split(".")
    return f"{package}=={'.'.join([*numbers, *['0'] * (3 - len(numbers))])}"


def version(python: Path) -> tuple[int, int]:
    major, minor = output(python, "-c", "import sys; print(*sys.version_info[:2])").split()
    return int(major), int(minor)


def clean() -> dict[str, str]:
    """The environment without what would let an installed package see the sources."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_CONSTRAINT")}


def output(*command: str | Path, cwd: Path | str | None = None) -> str:
    # Not in the sources' folder unless asked: the installed package is tried, not the one beside it.
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run([*command], cwd=cwd or elsewhere, env=clean(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def run(*command: str | Path, cwd: Path | None = None) -> None:
    output(*command, cwd=cwd)


def require(holds: bool, reason: str) -> None:
    if not holds:
        sys.exit(f"dist: {reason}")


if __name__ == "__main__":
    main()
