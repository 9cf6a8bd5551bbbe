"""Published numbers: recorded by the command that measured them, quoted in README and docs, and compared with the text.

    python -m tools.numbers                                   compare, exit with 1 where text and results differ
    python -m tools.numbers --fix                             write the recorded numbers into the text; exit with 1 where there is none
    python -m tools.numbers record NAME FILE.json -- COMMAND  keep a result as docs/results/NAME.json

A recorded result holds its values beside the command, commit, date and machine. A number in the text names its source in a
comment behind it: `1.73<!-- demo: speedup_vs_uniform.edge.median .2f -->` quotes docs/results/demo.json, path and format.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewise.experiments.provenance import stamped

ROOT = Path(__file__).parent.parent
COMMENT = re.compile(r"<!--\s*(?P<name>[\w/-]+)\s*:.*?-->", re.DOTALL)
MARK = re.compile(r"(?P<text>[-+\w.,%×–∞]*)<!-- (?P<name>[\w/-]+): (?P<path>[^ >]+)(?: (?P<form>[^ >]+))? -->")


def pages(root: Path) -> Iterator[Path]:
    """README and docs, in order."""
    yield root / "README.md"
    yield from sorted((root / "docs").rglob("*.md"))


def check(root: Path, fix: bool = False) -> list[str]:
    """Numbers of the text that differ from their results, a line each; with `fix`, the text is corrected where there is a number.

    A comment that begins with the name of a result, and is no mark all the same, is one of them: its number would never be compared.
    """
    found: list[str] = []
    for page in pages(root):
        if not page.exists():
            continue
        text = page.read_text("utf-8")

        def quoted(match: re.Match[str], page: Path = page, text: str = text) -> str:
            right = shown(root, match)
            if match["text"] == right:
                return match[0]
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{page.relative_to(root)}, line {line}: '{match['text']}', {match['name']} says '{right}'")
            return match[0] if right.startswith("<") else right + match[0][len(match["text"]) :]

        corrected = MARK.sub(quoted, text)
        for match in COMMENT.finditer(MARK.sub(lambda mark: "\n" * mark[0].count("\n"), text)):
            if result(root, match["name"]).exists():
                line = match.string.count("\n", 0, match.start()) + 1
                found.append(
                    f"{page.relative_to(root)}, line {line}: {match[0]} is no mark: <!-- NAME: PATH FORMAT -->"
                )
        if fix and corrected != text:
            page.write_text(corrected, "utf-8")
    return found


def result(root: Path, name: str) -> Path:
    """Where a result is kept."""
    return root / "docs" / "results" / f"{name}.json"


def shown(root: Path, match: re.Match[str]) -> str:
    """The number that a mark asks for, as text; an error in angle brackets where there is none."""
    file = result(root, match["name"])
    if not file.exists():
        return f"<no {file.name}>"
    value: Any = json.loads(file.read_text("utf-8"))["values"]
    for key in match["path"].split("."):
        try:
            value = value[int(key) if isinstance(value, list) else key]
        except (KeyError, IndexError, ValueError, TypeError):
            return f"<no {match['path']}>"
    if value is None or isinstance(value, (dict, list)):
        return f"<{match['path']} is no number>"
    # An infinite waiting time is the text "inf" in JSON; the mark may hold a format for numbers.
    return "∞" if value == "inf" else format(value, match["form"] or "")


def record(root: Path, name: str, values: Any, command: str) -> Path:
    """Keep a result with its command, commit, date and machine."""
    entry = stamped(values, command, root)
    path = result(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return path


def main(words: list[str]) -> int:
    if words[:1] == ["record"]:
        if len(words) < 5 or words[3] != "--":
            print("usage: python -m tools.numbers record NAME FILE.json -- COMMAND", file=sys.stderr)
            return 2
        values = json.loads(Path(words[2]).read_text("utf-8"))
        print(record(ROOT, words[1], values, " ".join(words[4:])))
        return 0
    if words not in ([], ["--fix"]):
        raise SystemExit(__doc__)
    found = check(ROOT, fix=bool(words))
    print("\n".join(found) if found else "text and results agree")
    return int(bool(check(ROOT) if words else found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
