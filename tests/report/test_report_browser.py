"""The page in a real browser: plots are drawn, controls work, and nothing goes wrong on the console."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgewise.report import build_report

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed (Debian: apt-get install chromium)"),
    pytest.mark.timeout(240),
]
PROBE = """<!doctype html><iframe style="width:WIDTHpx;height:900px;border:0" src="report.html"></iframe><pre></pre><script>
const seen = {};
const pause = () => new Promise((done) => setTimeout(done, 400));
const ground = (page) => page.defaultView.getComputedStyle(page.body).backgroundColor;
addEventListener("load", async () => {
  try {
    await pause();
    const page = document.querySelector("iframe").contentDocument;
    const all = (selector) => [...page.querySelectorAll(selector)];
    const believed = () => all("[data-figure=predicted] path.cell").map((cell) => cell.getAttribute("d")).join();
    const count = () => all("[data-figure=accuracy-steps] path:is(.line, .band, .mark)").length;
    seen.boxes = all("[data-figure]").length;
    seen.drawn = all("[data-figure]").filter((box) => box.querySelector("svg path")).length;
    seen.titles = all("text.axis").map((title) => title.textContent);
    seen.traces = count();
    seen.foreign = all("img, main b:not(.legend b, .tip b), main a").length;
    seen.title = page.title;
    seen.heading = page.querySelector("h1").textContent;
    seen.overflow = page.documentElement.scrollWidth - page.documentElement.clientWidth;
    seen.widest = Math.max(...all("[data-figure]").map((box) => box.querySelector("svg").clientWidth - box.clientWidth));
    const outside = (svg) => [...svg.querySelectorAll("text")].filter((text) => {
      const [own, all] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];
      return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1 || own.bottom > all.bottom + 1;
    }).map((text) => text.textContent);
    seen.outside = all("[data-figure] > svg").flatMap(outside);
    const plot = page.querySelector("[data-figure=accuracy-steps] svg"), place = plot.getBoundingClientRect();
    plot.dispatchEvent(new page.defaultView.PointerEvent("pointermove", { clientX: place.left + place.width / 2, clientY: place.top + 90 }));
    seen.tip = page.querySelector("[data-figure=accuracy-steps] .tip").textContent;
    const chip = page.querySelector("[data-method=edge]");
    chip.click(); await pause();
    seen.pressed = chip.getAttribute("aria-pressed");
    seen.fewer = count();
    chip.click(); await pause();
    seen.again = count();
    const before = believed();
    page.querySelector("input[name=method][value='0']").click(); await pause();
    seen.switched = before !== believed();
    const light = ground(page);
    page.getElementById("scheme").click(); await pause();
    seen.schemes = [light, ground(page)];
  } catch (error) { seen.error = String(error); }
  document.querySelector("pre").textContent = JSON.stringify(seen);
});
</script>"""


def browse(page: Path, profile: Path, *options: str) -> tuple[str, list[str]]:
    """The page's final DOM and what its console said."""
    command = [
        str(BROWSER),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--enable-logging=stderr", f"--user-data-dir={profile}", "--virtual-time-budget=20000", *options),
        *("--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, timeout=200, env={**os.environ, "LC_ALL": "C.UTF-8"})
    log = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    return done.stdout.decode("utf-8", "replace"), [line for line in log.splitlines() if ":CONSOLE" in line]


def probe(folder: Path, width: int) -> tuple[dict[str, Any], list[str]]:
    """Open the page in a frame of this width, use its controls, and report what was seen."""
    frame = folder / "frame.html"
    frame.write_text(PROBE.replace("WIDTH", str(width)))
    dom, console = browse(
        frame, folder / f"profile_{width}", "--allow-file-access-from-files", "--window-size=1400,1000"
    )
    found = re.search(r"<pre>(\{.*\})</pre>", dom)
    assert found, (dom[-500:], console)
    return json.loads(html.unescape(found[1])), console


@pytest.mark.parametrize("width", [1300, 390])
def test_plots_are_drawn_and_controls_work_and_hostile_text_runs_nothing(
    make_folder: Callable[..., Path], width: int
) -> None:
    folder = make_folder(("uniform", "ds", "edge", "stranger"), seeds=3)
    summary = json.loads((folder / "summary.json").read_text())
    hostile = "<img src=x onerror=document.title='owned'>"
    summary["task"] = summary["setting"]["target_rule"] = hostile
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "stranger").rename(folder / "<img src=x onerror=alert(1)>")
    build_report(folder)
    seen, console = probe(folder, width)
    assert console == []
    assert "error" not in seen, seen
    assert seen["drawn"] == seen["boxes"] == 15
    assert seen["outside"] == []
    assert re.match(r"step 30Uniform 0\.\d+ \(0\.\d+ to 0\.\d+\)", seen["tip"])
    assert {"training step", "rollouts (cumulative)", "predicted success rate"} <= set(seen["titles"])
    assert seen["overflow"] <= 0
    assert seen["widest"] <= 0
    # Per method: three seeds, band, mean; and of three the diamond where the target was reached.
    assert seen["traces"] == seen["again"] == 4 * 5 + 3
    assert seen["pressed"] == "false"
    assert seen["fewer"] == 3 * 5 + 2
    assert seen["switched"]
    assert len(set(seen["schemes"])) == 2
    assert seen["foreign"] == 0
    assert seen["title"] == f"{hostile}: selection methods compared · Edgewise"
    assert hostile in seen["heading"]
