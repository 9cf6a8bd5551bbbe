"""Pictures of pages and curves for the documentation; screenshots by headless Chromium.

python docs/images/screens.py demo runs/demo       report.png and demo.svg, of a finished `edgewise demo`
python docs/images/screens.py real FOLDER ...      real.svg, of `edgewise experiment real` and C1: a method from the first that has it
python docs/images/screens.py watch                watch.png, of a simulated run
python docs/images/screens.py site FOLDER          the built site, wide and narrow, light and dark, to look at
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from edgewise.experiments.study.svg import Line, Panel, panels
from edgewise.statistics import t_quantile

OUT = Path(__file__).parent
ROOT = OUT.parents[1]
CURVES = {"uniform": "uniform", "edge": "edge", "mopps": "MoPPS", "ds": "dynamic sampling"}
PAGES = ("index", "tutorials/savings", "how", "selectors", "adapters/trl", "reference/core", "experiments/E1")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def screenshot(page: Path, out: Path, width: int, height: int, *, dark: bool = False) -> None:
    """A picture of the top of a page. Chromium's own windows are 500 pixels wide at least, so a narrow page is shown in a frame."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit("screenshots need chromium or chrome")
    with tempfile.TemporaryDirectory() as place:
        frame = Path(place) / "frame.html"
        style = f"border:0;width:{width}px;height:{height}px"
        frame.write_text(
            f'<!doctype html><style>body{{margin:0}}</style><iframe src="{page.as_uri()}" style="{style}"></iframe>'
        )
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
        ]
        command += [f"--window-size={width},{height}", "--virtual-time-budget=6000", f"--screenshot={out}"]
        command += ["--blink-settings=preferredColorScheme=0"] * dark
        command += [(frame if width < 500 else page).as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    print(out)


def demo(folder: Path) -> None:
    """The top of a comparison's page, and held-out accuracy by steps and by rollouts: means and 95% intervals over seeds."""
    from edgewise.report import build_report

    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "demo"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("checkpoints"))
        build_report(copy)
        screenshot(copy / "report.html", OUT / "report.png", 1280, 1100)
    curves([folder], "demo.svg", steps=(0, 40, 80, 120), thousands=(0, 20, 40, 60), top=0.4)


def real(*folders: Path) -> None:
    """Held-out accuracy of SmolLM2 by steps and by rollouts."""
    curves(
        [folder / "school" for folder in folders], "real.svg", steps=(0, 20, 40, 60), thousands=(0, 10, 20, 30), top=0.3
    )


def curves(
    folders: list[Path], name: str, *, steps: tuple[float, ...], thousands: tuple[float, ...], top: float
) -> None:
    """Accuracy of a comparison's methods; ticks of the policy steps and of the thousands of rollouts."""
    by_steps, by_rollouts = [], []
    for method, title in CURVES.items():
        found = (sorted(folder.glob(f"{method}/seed_*/summary.json")) for folder in folders)
        runs = [read_evals(path.with_name("evals.jsonl")) for path in next(filter(None, found), [])]
        if not runs:
            continue
        end = min(run["rollouts"][-1] for run in runs)
        grid = np.linspace(0, end, len(runs[0]["step"]))
        by_steps.append(band(title, runs[0]["step"], [run["accuracy"] for run in runs]))
        spent = [np.interp(grid, run["rollouts"], run["accuracy"]) for run in runs]
        by_rollouts.append(band(title, grid / 1000, spent))
    pictures = [
        Panel("by policy steps", "policy step", by_steps, steps, top=top),
        Panel("by what is paid for", "thousand rollouts", by_rollouts, thousands, top=top),
    ]
    (OUT / name).write_text(panels(pictures, "held-out accuracy"))
    print(OUT / name)


def read_evals(path: Path) -> dict[str, np.ndarray]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {key: np.array([line[key] for line in lines], float) for key in ("step", "rollouts", "accuracy")}


def band(name: str, x: np.ndarray, seeds: list[np.ndarray]) -> Line:
    mean = np.mean(seeds, axis=0)
    half = t_quantile(len(seeds) - 1) * np.std(seeds, axis=0, ddof=1) / np.sqrt(len(seeds))
    return Line(name, x.tolist(), mean.tolist(), (mean - half).tolist(), (mean + half).tolist())


def site(folder: Path) -> None:
    """Pages of the built site as pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        for width, height in ((1440, 1300), (390, 1500)):
            for dark in (False, True):
                out = folder / f"{name.replace('/', '-')}-{width}{'-dark' if dark else ''}.png"
                screenshot(ROOT / "site" / f"{name}.html", out, width, height, dark=dark)


def main(words: list[str]) -> None:
    if words[:1] == ["demo"] and len(words) == 2:
        demo(Path(words[1]))
    elif words[:1] == ["real"] and len(words) > 1:
        real(*map(Path, words[1:]))
    elif words == ["watch"]:
        import watch

        watch.main()
    elif words[:1] == ["site"] and len(words) == 2:
        site(Path(words[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
