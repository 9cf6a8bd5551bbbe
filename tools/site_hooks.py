"""Hooks of the documentation's site: pages from files outside docs/, formulas as MathML, comments removed.

Pages that the site takes from elsewhere: the changelog, CONTRIBUTING.md, each script and notebook of examples/, and the options of
every command. The site loads nothing from other hosts, so formulas become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import html
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import latex2mathml.converter
from mkdocs.structure.files import File

log = logging.getLogger("mkdocs.hooks.site")
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash"}
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the repository's root that are pages."""
COMMANDS = [
    "replay",
    "watch",
    "fit",
    "demo",
    "report",
    "experiment",
    "pretrain",
    "midtrain",
    "rl",
    "eval",
    "model",
    "data",
    "doctor",
]


def on_config(config: Any) -> Any:
    """`folder/*` in the navigation stands for the pages of the folder that have no place of their own."""
    named = set(_leaves(config["nav"]))
    config["nav"] = _expanded(config["nav"], named)
    return config


def on_files(files: Any, config: Any) -> Any:
    for uri, text in _outside().items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    parts = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    # Marks of published numbers and blocks that only the tests run; code keeps what looks like a comment.
    parts[::2] = [re.sub(r"<!--.*?-->", "", part, flags=re.DOTALL) for part in parts[::2]]
    folder = (DOCS / page.file.src_uri).parent
    return re.sub(r"(?<=\]\()(\.\.?/[^)#\s]+)", lambda link: _target(link[1], folder), "".join(parts))


def on_page_content(content: str, page: Any, config: Any, files: Any) -> str:
    content = re.sub(
        r'<span class="arithmatex">\\\((.*?)\\\)</span>', lambda found: _mathml(found[1], "inline"), content
    )
    block = r'<div class="arithmatex">\\\[(.*?)\\\]</div>'
    content = re.sub(block, lambda found: _mathml(found[1], "block"), content, flags=re.DOTALL)
    # Tables wider than a phone scroll by themselves.
    content = content.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return content


def on_post_build(config: Any) -> None:
    """Pages load nothing from other hosts; a link to follow is none of that."""
    loading = re.compile(r"""<(?:link|script|img|iframe)\b[^>]*?\b(?:href|src)=["']?(https?:)?//[^>]*>""")
    for page in Path(config["site_dir"]).rglob("*.html"):
        for tag in loading.finditer(page.read_text("utf-8")):
            log.warning("%s loads from another host: %s", page.relative_to(config["site_dir"]), tag[0])


def _mathml(latex: str, display: str) -> str:
    return latex2mathml.converter.convert(html.unescape(latex).strip(), display=display)


def _target(link: str, folder: Path) -> str:
    """The page of a file outside docs/, as a link from a page in `folder`; other links stay."""
    path = Path(os.path.normpath(folder / link))
    if path.is_relative_to(DOCS) or not path.is_relative_to(ROOT):
        return link
    inside = path.relative_to(ROOT)
    uri = OUTSIDE.get(str(inside), str(inside.with_suffix(".md")))
    return os.path.relpath(DOCS / uri, folder)


def _outside() -> dict[str, str]:
    pages = {}
    for name, uri in OUTSIDE.items():
        pages[uri] = re.sub(r"(?<=\]\()docs/", "", (ROOT / name).read_text("utf-8"))
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix == ".ipynb":
            # Links of a notebook are those of its place in the repository.
            pages[f"examples/{path.stem}.md"] = _notebook(json.loads(path.read_text("utf-8")), path.name)
        elif path.suffix in LANGUAGES:
            text = path.read_text("utf-8")
            pages[f"examples/{path.stem}.md"] = f"# {path.name}\n\n````{LANGUAGES[path.suffix]}\n{text}````\n"
    pages["reference/commands.md"] = _commands()
    return pages


def _notebook(notebook: dict[str, Any], name: str) -> str:
    """Cells and their text outputs, as they were when the notebook was last run."""
    parts = []
    for cell in notebook["cells"]:
        source = re.sub(r"(?<=\]\()\.\./docs/", "../", "".join(cell["source"]))
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"````python\n{source}\n````")
        printed = "\n".join(_printed(output) for output in cell["outputs"])
        if printed.strip():
            parts.append(f"````text\n{ANSI.sub('', printed).strip()}\n````")
    return "\n\n".join(parts) + f"\n\nThe notebook: `examples/{name}`.\n"


def _printed(output: dict[str, Any]) -> str:
    """Text of an output; warnings are left out."""
    if output["output_type"] == "stream":
        return "".join(output["text"]) if output["name"] == "stdout" else ""
    return "".join(output.get("data", {}).get("text/plain", ()))


def _commands() -> str:
    """The options of every command, as `--help` prints them."""
    code = f"""
import contextlib, io, json
from edgewise import cli
texts = {{}}
for name in {COMMANDS!r}:
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        cli._run([name, "--help"])
    texts[name] = text.getvalue()
print(json.dumps(texts))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    parts = ["# Commands\n\nThe options of each command, as `edgewise COMMAND --help` prints them.\n"]
    for name, text in json.loads(done.stdout.splitlines()[-1]).items():
        parts.append(f"## edgewise {name}\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(parts)


def _leaves(nav: list[Any]) -> list[str]:
    found = []
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += _leaves(value) if isinstance(value, list) else [value]
    return found


def _expanded(nav: list[Any], named: set[str]) -> list[Any]:
    entries: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, value),) = entry.items()
            entries.append({title: _expanded(value, named) if isinstance(value, list) else value})
        elif entry.endswith("*"):
            entries += _pages_of(entry[:-1], named)
        else:
            entries.append(entry)
    return entries


def _pages_of(prefix: str, named: set[str]) -> list[str]:
    if prefix == "examples/":
        found = [
            f"examples/{path.stem}.md"
            for path in sorted((ROOT / "examples").iterdir())
            if path.suffix in {*LANGUAGES, ".ipynb"}
        ]
    else:
        found = [path.relative_to(DOCS).as_posix() for path in sorted((DOCS / prefix).glob("*.md"))]
    return [uri for uri in found if uri not in named]
