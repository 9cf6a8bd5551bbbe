"""Wheel and sdist: built from the sources, compared with them, installed in bare environments and used there.

    python -m tools.dist                              this Python, with the newest and the lowest numpy
    python -m tools.dist --python python3.12 python3.13
    python -m tools.dist --extras report logs         each extra alone, in an environment of its own
    python -m tools.dist --extras report --lowest     the same with the lowest versions that pyproject.toml allows
    python -m tools.dist --fast                       this Python and the newest numpy, as in `.ci/run`
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
from typing import Any

ROOT = Path(__file__).parent.parent
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "SECURITY.md")
PROGRAM = ROOT / "tools" / "outside" / "program.py"
GOLDEN = ("tests/golden", "tests/selectors/test_golden.py")
EXTRAS = ROOT / "tools" / "outside" / "extras.py"
PARTS = ("report", "logs", "math", "geometry", "models", "reasoning-gym", "lab", "lora", "ray", "trl", "verl")
"""Extras with a program of a user in `EXTRAS`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="*", default=[], help="further interpreters")
    parser.add_argument("--extras", nargs="*", default=[], choices=sorted(PARTS), help="extras to install alone")
    parser.add_argument("--types", action="store_true", help="check the types of the user program from outside")
    parser.add_argument("--lowest", action="store_true", help="the extras with the lowest versions allowed")
    parser.add_argument("--fast", action="store_true", help="one environment, without the golden hashes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheel = build(work)
        compare(wheel)
        for number, python in enumerate([sys.executable, *options.python]):
            if version(python) < OLDEST:
                refused(work / f"refused{number}", python, wheel)
                continue
            bare = environment(work / f"bare{number}", python, wheel)
            core(bare)
            if options.fast:
                continue
            golden(bare)
            if options.types and number == 0:
                types(bare)
            if version(bare) < (3, 13):  # numpy 1.26 has no wheels beyond Python 3.12
                oldest = environment(work / f"lowest{number}", python, wheel, lowest(project()["dependencies"][0]))
                core(oldest)
                golden(oldest)
        for extra in options.extras:
            pins = lowest_of(extra) if options.lowest else []
            part(environment(work / f"extra-{extra}", sys.executable, f"{wheel}[{extra}]", *pins), extra, pins)
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
    for name, extra in (("demo", "edgewise[lab"), ("watch", "edgewise[logs]")):
        refused = subprocess.run([command, name], capture_output=True, text=True, env=clean())
        require(refused.returncode == 2 and extra in refused.stderr, f"edgewise {name} without an extra: {refused}")
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


def part(python: Path, extra: str, pins: list[str]) -> None:
    """A user's program of the extra works with it alone."""
    output(python, "-W", "ignore", str(EXTRAS), extra)
    print(f"extra {extra}: works alone, with {' '.join(pins) or 'the newest versions'}")


def refused(folder: Path, python: str, wheel: Path) -> None:
    """An interpreter that is too old: pip says which one is needed, and installs nothing."""
    old = bare_environment(folder, python)
    done = subprocess.run([old, "-m", "pip", "install", str(wheel)], capture_output=True, text=True, env=clean())
    said = next((line for line in done.stderr.splitlines() if "requires a different Python" in line), "")
    require(
        done.returncode != 0 and bool(said), f"Python {version(python)} was not refused: {done.stdout}{done.stderr}"
    )
    print(f"Python {'.'.join(map(str, version(python)))}: refused. {said.removeprefix('ERROR: ').strip()}")


def environment(folder: Path, python: str, *packages: str | Path) -> Path:
    """A new environment with these packages; its interpreter."""
    made = bare_environment(folder, python)
    run(made, "-m", "pip", "install", "--quiet", *map(str, packages))
    return made


def bare_environment(folder: Path, python: str) -> Path:
    run(python, "-m", "venv", str(folder))
    return folder / "bin" / "python"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


OLDEST = (3, 11)
"""Python that is needed, as `requires-python` says."""


def lowest(requirement: str) -> str:
    """A requirement such as `rich>=13` at the lowest version that it allows."""
    found = re.match(r"([\w-]+)(?:\[[\w,-]+\])?>=([\d.]+)", requirement)
    if found is None:
        sys.exit(f"{requirement} names no lowest version")
    numbers = found[2].split(".")
    return f"{found[1]}=={'.'.join([*numbers, *['0'] * (3 - len(numbers))])}"


def lowest_of(extra: str) -> list[str]:
    pins = []
    for requirement in project()["optional-dependencies"][extra]:
        inner = re.fullmatch(r"edgewise\[([\w-]+)\]", requirement)
        pins += lowest_of(inner[1]) if inner else [lowest(requirement)]
    return pins


def version(python: Path | str) -> tuple[int, int]:
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
