"""Reading of JSONL files that may still be written: block by block, from where the last read ended."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError

BLOCK = 4 * 2**20
LONGEST = 64 * 2**20
"""Bytes of the longest line that is read."""
END = 1000
"""Bytes before the place where a read ended, by which the next one sees that it is the same file."""


class JsonLines:
    """Objects of a JSONL file with the place of each; a last line without its end waits for the next read.

    Args:
        path: the file.

    Attributes:
        bad: lines that are no JSON object. first_bad: number of the first of them, from 1.
        partial: the file ends within an object.
        restarted: the file was written anew since it was last read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.offset = self.line = self.bad = self.first_bad = 0
        self.partial = self.restarted = False
        # The file ends in a line without its end that is no object, and will not be one.
        self._odd_end = False
        self._stamp: tuple[int, int] = (-1, -1)
        # What was read last, and where it begins.
        self._end = (0, b"")

    def read(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(offset in bytes, object) of each complete line since the last read.

        Raises:
            ConfigError: the file cannot be read, or a line is longer than 64 MB.
        """
        try:
            status = os.stat(self.path)
            stamp = (status.st_size, status.st_mtime_ns)
            if stamp == self._stamp:
                return
            with self.path.open("rb") as file:
                if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    raise ConfigError(
                        f"{self.path} is UTF-16, as > of PowerShell writes it; make it UTF-8: iconv -f utf-16 -t utf-8"
                    )
                if status.st_size < self.offset or not self._goes_on(file):
                    self.offset = self.line = self.bad = self.first_bad = 0
                    self.restarted = True
                yield from self._lines(file)
                place = max(self.offset - END, 0)
                file.seek(place)
                self._end = place, file.read(self.offset - place)
            self._stamp = stamp
        except OSError as error:
            raise ConfigError(f"cannot read {self.path}: {error.strerror or error}") from error

    @property
    def is_waited_for(self) -> bool:
        """Whether the file holds the beginning of an object, or nothing at all: its writer has not come further."""
        return self.partial or (self.line == 0 and not self._odd_end)

    def _goes_on(self, file: Any) -> bool:
        """Whether the file still holds what was read last; one that was written anew may be as long by now."""
        place, text = self._end
        file.seek(place)
        return bool(file.read(len(text)) == text)

    def _lines(self, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        file.seek(self.offset)
        rest = b""
        while block := file.read(BLOCK):
            *whole, rest = (rest + block).split(b"\n")
            for text in whole:
                place = self.offset
                self.offset += len(text) + 1
                self.line += 1
                if (found := self._parsed(text)) is not None:
                    yield place, found
            if len(rest) > LONGEST:
                raise ConfigError(f"{self.path}, line {self.line + 1} is longer than 64 MB: this is no JSONL file")
        found = _object(rest)
        self.partial = found is None and _begins_object(rest)
        self._odd_end = found is None and not self.partial and bool(rest.strip())
        if found is not None:
            # A complete object without a line end: the writer is done, or it will begin the next line first.
            place, self.offset = self.offset, self.offset + len(rest)
            self.line += 1
            yield place, found

    def _parsed(self, text: bytes) -> dict[str, Any] | None:
        if not text.strip():
            return None
        found = _object(text)
        if found is None:
            self.bad += 1
            self.first_bad = self.first_bad or self.line
        return found

    def notes(self) -> list[str]:
        """Sentences on what could not be read."""
        notes = []
        bad = self.bad + self._odd_end
        if bad:
            lines = "line is" if bad == 1 else "lines are"
            first = self.first_bad or self.line + 1
            notes.append(f"{self.path.name}: {bad} {lines} no JSON object and left out (the first is line {first}).")
        if self.partial:
            notes.append(cut_note(self.path))
        return notes


def cut_note(path: Path) -> str:
    """Sentence on a file of which the last line is not whole."""
    return f"{path.name} ends within a line: it is still being written, or was cut; that line is left out."


def lines_from(path: Path, offset: int, most: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Up to `most` objects from an offset on, with their offsets; lines that cannot be read are passed over."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for _ in range(most):
                place = file.tell()
                text = file.readline(LONGEST)
                if not text:
                    return
                if (found := _object(text)) is not None:
                    yield place, found
    except OSError:
        return


def _begins_object(text: bytes) -> bool:
    """Whether a text that is no object begins one, and not one with more behind it."""
    if not text.lstrip().startswith(b"{"):
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.msg != "Extra data"
    except (ValueError, RecursionError):
        return True
    return False


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
