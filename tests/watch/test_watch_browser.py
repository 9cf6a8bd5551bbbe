"""The page in a real browser: as a file, and served while a run goes on."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edgewise.cli import main as command
from edgewise.errors import ConfigError
from edgewise.replay.logs import open_log, open_logs
from edgewise.watch import Watcher
from edgewise.watch.page import embedded_prompts, page
from edgewise.watch.server import Server
from tests.replay.logs.writing import HOSTILE, outcomes, write_lines, write_verl
from tests.watch.runs import write_run

pytest.importorskip("pyarrow")
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium or chrome is installed (Debian: apt-get install chromium)"
)
PROBE = """<!doctype html><iframe style="width:WIDTHpx;height:900px;border:0" src="PAGE"></iframe><pre></pre><script>
const seen = {};
const pause = (ms = 400) => new Promise((done) => setTimeout(done, ms));
addEventListener("load", async () => {
  try {
    await pause();
    const page = document.querySelector("iframe").contentDocument;
    const all = (selector) => [...page.querySelectorAll(selector)];
    const rows = () => all("#found tbody tr").length;
    seen.title = page.title;
    seen.heading = page.querySelector("h1").textContent;
    seen.pairs = page.querySelector("#pairs tbody")?.textContent || "";
    seen.headline = page.querySelector(".headline").textContent;
    seen.plots = all(".plot").length;
    seen.drawn = all(".plot > svg path, .plot > svg circle").length;
    seen.circles = all("#calibration-chart circle").length;
    seen.areas = all("#pool-chart path.area").length;
    seen.axes = all("text.axis").map((node) => node.textContent);
    seen.overflow = page.documentElement.scrollWidth - page.documentElement.clientWidth;
    seen.widest = Math.max(...all(".plot").map((box) => box.querySelector("svg") ? box.querySelector("svg").clientWidth - box.clientWidth : 0));
    seen.foreign = all("img, main a, main script").length + all("script").length - 3;  // the data, the charts, the page's own
    seen.alarms = all(".findings li.alarm").length;
    seen.found = rows();
    const query = page.getElementById("query");
    query.value = "QUERY"; query.dispatchEvent(new page.defaultView.Event("input", { bubbles: true }));
    await pause();
    seen.filtered = rows();
    all("#found button.link")[0]?.click(); await pause();
    seen.detail = page.querySelector(".prompt-detail")?.textContent || "";
    seen.history = all("#prompt-chart path.line").length;
    seen.completions = all(".prompt-detail .samples pre").map((node) => node.textContent);
    const ground = () => page.defaultView.getComputedStyle(page.body).backgroundColor;
    const before = ground();
    page.getElementById("scheme").click(); await pause();
    seen.schemes = [before, ground()];
    const chip = page.querySelector(".chip");
    if (chip) { const many = all("#effective-chart path.line").length; chip.click(); await pause(); seen.chips = [many, all("#effective-chart path.line").length]; }
    seen.end = page.title;
  } catch (error) { seen.error = String(error); }
  document.querySelector("pre").textContent = JSON.stringify(seen);
});
</script>"""


def browse(address: str, profile: Path, *options: str) -> tuple[str, list[str]]:
    """The page's final DOM and what its console said."""
    done = subprocess.run(
        [
            str(BROWSER),
            *(
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-dev-shm-usage",
            ),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", f"--user-data-dir={profile}", *options, "--dump-dom", address),
        ],
        capture_output=True,
        timeout=120,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    log = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    return done.stdout.decode("utf-8", "replace"), [line for line in log.splitlines() if ":CONSOLE" in line]


def probe(path: Path, width: int, query: str) -> dict[str, Any]:
    """Open a page in a frame of this width, use its controls, and report what was seen."""
    frame = path.parent / f"frame_{width}.html"
    frame.write_text(PROBE.replace("WIDTH", str(width)).replace("PAGE", path.name).replace("QUERY", query))
    dom, console = browse(
        frame.as_uri(),
        path.parent / f"profile_{width}",
        "--allow-file-access-from-files",
        "--virtual-time-budget=20000",
        "--window-size=1400,1000",
    )
    assert console == []
    found = re.search(r"<pre>(\{.*\})</pre>", dom)
    assert found, dom[-500:]
    seen: dict[str, Any] = json.loads(html.unescape(found[1]))
    assert "error" not in seen, seen
    return seen


@needs_browser
@pytest.mark.parametrize("width", [1300, 390])
def test_the_page_is_drawn_filters_and_shows_runs_side_by_side(width: int, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    write_run(folder / "edge" / "seed_0", steps=60, broken="level 01")
    write_run(folder / "mopps" / "seed_0", "mopps", steps=40)
    readers = open_logs([folder])
    watcher = Watcher(readers)
    watcher.update()
    path = tmp_path / "page.html"
    path.write_text(page(watcher.views, prompts=embedded_prompts(readers)))
    assert path.stat().st_size < 2e6
    seen = probe(path, width, "level 03")
    assert seen["heading"] == "edge/seed_0"
    assert "mopps" in seen["pairs"]
    assert "of the selected groups had a gradient" in seen["headline"]
    assert seen["areas"] == 5
    assert seen["circles"] > 5
    assert {"training step", "prompts", "share of groups", "success rate", "predicted success rate"} <= set(
        seen["axes"]
    )
    assert seen["overflow"] <= 0
    assert seen["widest"] <= 0
    assert 0 < seen["filtered"] < seen["found"] == 50
    assert "level 03" in seen["detail"]
    assert seen["history"] == 3  # predicted, observed, belief
    assert len(set(seen["schemes"])) == 2
    assert seen["chips"] == [4, 2]
    assert seen["foreign"] == 0


@needs_browser
def test_hostile_text_of_a_log_runs_nothing_and_is_shown_as_text(tmp_path: Path) -> None:
    lines = [
        {"step": t, "prompt": f"{HOSTILE} {t % 5}", "completion": HOSTILE, "reward": (t + j) % 2, "category": HOSTILE}
        for t in range(30)
        for j in range(2)
    ]
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    folder.mkdir()
    readers = open_logs([write_lines(folder / "<b>log.jsonl", lines)])
    watcher = Watcher(readers)
    watcher.update()
    path = tmp_path / "page.html"
    path.write_text(page(watcher.views, prompts=embedded_prompts(readers)))
    seen = probe(path, 1000, "")
    assert seen["heading"] == "<b>log"
    assert seen["title"] == seen["end"] == "<b>log · Edgewise watch"
    assert seen["foreign"] == 0
    assert seen["found"] == 5
    assert seen["completions"]
    assert set(seen["completions"]) == {HOSTILE}


def get(address: str, **headers: str) -> tuple[int, bytes, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


@pytest.fixture
def served(tmp_path: Path) -> Any:
    rollouts = outcomes(steps=12)
    folder = write_verl(tmp_path / "run", [r for r in rollouts if r["step"] <= 6])
    watcher = Watcher([open_log(folder)])
    watcher.update()
    servers: list[Server] = []

    def serve(**options: Any) -> Server:
        server = Server(watcher, every=0.3, **options)
        servers.append(server)
        server.start()
        return server

    yield serve, watcher, folder, rollouts
    for server in servers:
        server.stop()


def test_the_server_answers_searches_and_prompts_and_nothing_else(served: Any) -> None:
    serve, watcher, _, _ = served
    base = serve().address
    status, body, headers = get(base)
    assert status == 200
    assert b"Edgewise watch" in body
    assert headers["Cache-Control"] == "no-store"
    found = json.loads(get(f"{base}search?run=0&q=")[1])["found"]
    assert len(found) == len(watcher.readers[0].log.ids)
    entry = json.loads(get(f"{base}prompt?run=0&row={found[0]['row']}")[1])
    assert entry["completions"][0]["rollouts"][0]["completion"].startswith("x")
    assert set(json.loads(get(f"{base}data?since={watcher.version}")[1])) == {"version", "idle"}
    for wrong in (
        "../../etc/passwd",
        "prompt?run=9&row=0",
        "prompt?run=0&row=-1",
        "prompt?run=0&row=x",
        "prompt?run=0&row=99999",
        "nothing",
    ):
        assert get(base + wrong)[0] == 404
    assert get(base, Host="evil.example")[0] == 403
    assert get(base, Host="localhost:1")[0] == 200


def test_a_page_that_is_closed_before_its_answer_prints_nothing(
    served: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server = served[0]()
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port)) as page:
            # Closed with a reset.
            page.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            page.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert get(server.address)[0] == 200
    time.sleep(0.5)
    assert capsys.readouterr().err == ""


def test_a_token_is_asked_for_with_every_request(served: Any) -> None:
    serve = served[0]
    token = "0123456789abcdef"
    server = serve(token=token)
    base = f"http://127.0.0.1:{server.port}/"
    assert get(base)[0] == get(f"{base}data")[0] == get(f"{base}?token=0123456789abcdeX")[0] == 403
    status, _, headers = get(server.address)
    assert status == 200
    assert "HttpOnly; SameSite=Strict" in headers["Set-Cookie"]
    assert get(f"{base}data", Cookie=f"other=1; edgewise_token={token}")[0] == 200
    with pytest.raises(ConfigError, match="guard it with --token"):
        Server(server.watcher, host="0.0.0.0")


@needs_browser
def test_the_served_page_shows_what_the_run_gains(served: Any, tmp_path: Path) -> None:
    serve, watcher, folder, rollouts = served
    server = serve()
    asked, answer = [], server.answer

    def growing(path: str, query: dict[str, list[str]]) -> Any:
        asked.append(path)
        if asked.count("/data") == 3:
            write_verl(folder, rollouts)
            watcher.update()
        return answer(path, query)

    server.answer = growing
    # Virtual time waits for answers, so the page asks many times within it.
    dom, console = browse(server.address, tmp_path / "profile", "--virtual-time-budget=6000")
    assert asked.count("/data") > 3
    assert console == []
    assert "steps 1 to 12" in dom
    assert '<span id="state" role="status" class="live">live</span>' in dom


def test_the_command_serves_until_it_is_interrupted_and_writes_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run", steps=10)
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewise.cli", "watch", str(folder), "--web"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it otherwise
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found
        assert get(found[0])[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    monkeypatch.setattr(sys, "argv", ["edgewise", "watch", str(folder), "--html", str(tmp_path / "page.html")])
    command()
    text = html.unescape((tmp_path / "page.html").read_text())
    assert "connect-src 'none'" in text
    assert "unsafe" not in text.split("</head>")[0].split("<style>")[0]
    assert time.time() - (tmp_path / "page.html").stat().st_mtime < 60
