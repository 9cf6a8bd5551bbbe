r"""Final answer of a completion: the last `\boxed{...}`, `<answer>...</answer>`, `#### ...` or "the answer is ...".

Reading is linear in the length of the last 100,000 characters; the rest of a longer completion is not read.
"""

from __future__ import annotations

import re

from edgewise.tasks.quantities import CHANGED, SCALES, read_quantity

READ = 100_000
"""Characters at the end of a completion that are read."""
LONGEST_ANSWER = 1000
"""Characters; what is longer is not an answer."""
LONGEST_LINE = 120
ATTEMPTS = 8
"""Markers of one kind that are tried, from the last one backwards."""
OPEN, CLOSE = "<answer>", "</answer>"
THOUGHT = "</think>"
"""End of a chain of thought, whose answers are not final."""
FILLER = re.compile(
    r"^(?:[\s*_:\uff1a=}\u2192]|,? ?then\b,?|(?:is|was|equals|comes out (?:to(?: be)?|as)|therefore|thus|indeed|simply|given by|equal to|exactly|would be|should be|will be)\b)+",
    re.IGNORECASE,
)
REASON = re.compile(
    r"(?<=\S)(?:,?\s+\(?(?:because|since)\b|,\s+(?:as|not|which|who)\b(?!.*\b(?:wrong|false|incorrect)\b))",
    re.IGNORECASE,
)
"""What begins the reason of an answer in words, or what it is not."""
SENTENCE_END = re.compile(r"(?<!\\)[.!?](?:\s|$)")
EMPHASIS = re.compile(r"(?<!\^)[*_]+$")
MATH = re.compile(
    r"^(?:\$\$((?:[^$\\]|\\.)+)\$\$|\$((?:[^$\\]|\\.)+)\$(?![0-9])|\\\((.+?)\\\)|\\\[(.+?)\\\]|([^*\n]+)(?<!\s)\*\*(?![\w(]))",
    re.DOTALL,
)
"""A formula, or the rest of bold words."""
GOES_ON = re.compile(
    r"\s*(?:[,;/|+&\u2026\u2013-]?\s*|(?:[,;(]?\s*(?:or|and|to|times|else|possibly|perhaps|maybe|alternatively|if not,?(?: then)?)\b,?)+\s*|\.\s+Or\s+)"
    r"(?:\$|\\[(\[]|\*\*|[-0-9])"
    rf"|\s*(?:(?:{'|'.join(SCALES)})|(?:more|less) than|plus|minus|{CHANGED})\b"
)
"""What joins another answer to a formula, or makes another number of it."""
FORMULA = re.compile(r"(?<!\\)\$|\\[()\[\]]")
"""Signs around formulas."""
JOINTS = (",", ";", "and", "or", ", and", ", or")
JOINT = re.compile(r"(?:,? ?(?:and|or))?,? ?(?:alternatively|equivalently|possibly|perhaps|maybe),?")
"""What stands for "or" between two boxes."""
AROUND = re.compile(r"[\s$*{}()]|\\(?:[()\[\],;! ]|q?quad\b|text\b)")
"""What may stand around a joint of two boxes."""
ALTERNATIVE = re.compile(
    r"[\s$*]*(?:\\[)\]])?\s*[,(]?\s*(?:or|alternatively|possibly|perhaps|maybe|but (?:it|this) (?:could|might|may)(?: also| well)? be)\b"
    r"[,\s]*(?:\$([^$\n]{1,60})\$|([-0-9][^\s,;)]*))"
)
"""Another answer behind a box."""
EITHER = re.compile(r"\beither\s+\$([^$\n]{1,60})\$,?\s+or\s+[\s$*]*(?:\\[(\[])?$", re.IGNORECASE)
"""Another answer before a box."""
DENIED_BOX = re.compile(r"(?:\bnot|\\neq?|\u2260)\s*(?:\$+|\\[(\[])?\s*$", re.IGNORECASE)
NEGATIVE = re.compile(r"[=$(]\s*-$")
"""The sign of a box, not the dash of a list."""
PREFACE = re.compile(
    r"^\s*(?:\\text\s*\{\s*)?(?:the )?(?:final |correct )?answer\s*(?:is\b:?|[:=])[\s}]*(?=\S)", re.IGNORECASE
)
"""What stands before the answer inside of its marker."""
SUBJECT = re.compile(r"^ (?:to|of|for) (?:the|this|your|our) (?:[a-z]+ ){1,4}?(?=is\b)", re.IGNORECASE)
TITLE = re.compile(r"(?:^|\n)[#*_ ]*(?:the )?(?:final )?$", re.IGNORECASE)
"""What stands before the word of a line that is nothing but `### Final Answer`."""
WORDS = ("answer", "Answer", "ANSWER")
DENIED = re.compile(
    r"(?:(?:n't|n\u2019t|\bnot) (?:think|believe)|\bdoubt)(?: that)?(?: the| my)?(?: final| correct)? $"
)
"""What stands before the word where the sentence denies that it is the answer."""
ENDED = re.compile(r"(?:</s>|<\|[A-Za-z_]{1,24}\|>)$")
"""A token that ends a text, where it was not removed from it."""
MARKER = re.compile(r"\\f?boxed|<answer>|####")
WORDY = re.compile(r"[^\w\\]*[A-Za-z]{3}")
"""Beginning of a line of words, not of LaTeX."""
FORMAL = re.compile(r"[0-9\\$]")


def final_answer(text: str, *, lone_line: bool = True) -> str | None:
    r"""The answer that a completion ends with, without its marker; None if it has none.

    Where markers of several kinds are present, the one that comes last counts; empty ones do not, and `####` before words is a
    heading unless these are the last line. Without a marker, the answer is what follows the last "answer is" or "Answer:", or
    else the last heading, or (`lone_line`) the last line if it is short and its only one. Behind `</think>` an answer is looked
    for first.

    Example:
        >>> final_answer(r"So $x = 2$, hence \boxed{\frac{1}{2}}."), final_answer("We get 6.\n#### 6")
        ('\\frac{1}{2}', '6')
        >>> final_answer("The answer is 42. Bye."), final_answer("First line.\nSecond line.")
        ('42', None)
    """
    tail = text[-READ:].rstrip()
    for _ in range(ATTEMPTS):
        ended = ENDED.search(tail, max(0, len(tail) - LONGEST_LINE))
        tail = tail[: ended.start()].rstrip() if ended else tail
    thought, _, reply = tail.rpartition(THOUGHT)
    line = _only_line(reply) if lone_line and len(text) <= READ else None
    answer = announced(reply)
    if answer is None and line and (read_quantity(line) or (FORMAL.search(line) and not WORDY.match(line))):
        answer = line
    if answer is None:
        answer = announced(thought) or line
    if answer is None:
        return None
    answer = answer.strip()
    return answer if 0 < len(answer) <= LONGEST_ANSWER else None


def last_tagged(text: str) -> tuple[str, str] | None:
    """The text before the last `<answer>` that is closed, and what it holds; None without one.

    Example:
        >>> last_tagged("so <answer> 3 </answer> </answer>")
        ('so ', ' 3 ')
    """
    before, closed, _ = text.rpartition(CLOSE)
    work, opened, content = before.rpartition(OPEN)
    return (work, content.partition(CLOSE)[0]) if closed and opened else None


def _only_line(text: str) -> str | None:
    """The text, if it is a single short line without a marker."""
    lines = text.strip().splitlines()
    return lines[0] if len(lines) == 1 and len(lines[0]) <= LONGEST_LINE and not MARKER.search(lines[0]) else None


def announced(text: str) -> str | None:
    """The answer behind the last marker, behind "answer is", or the last heading; None without any. READ characters at most."""
    hashes, heading = _hashes(text)
    found = max(filter(None, (_boxed(text), _tagged(text), hashes)), default=None)
    if found is None:
        return _phrase(text) or heading
    inner = _boxed(found[1]) if found[2] else None
    return PREFACE.sub("", inner[1] if inner else found[1])


Marked = tuple[int, str, bool]
"""Position of the marker, the answer, and whether it may hold a box."""


def _boxed(text: str) -> Marked | None:
    """The content of the last box, and of those before it that nothing but a comma, "and" or "or" separates from it."""
    found = None
    end = len(text)
    for _ in range(ATTEMPTS):
        place = max(text.rfind("\\boxed", 0, end), text.rfind("\\fbox", 0, end))
        if place < 0:
            break
        start = place + (6 if text.startswith("\\boxed", place) else 5)
        content = _braced(text, start)
        if content and content.strip():
            if found is None:
                before = text[max(0, place - LONGEST_LINE) : place]
                if DENIED_BOX.search(before):
                    end = place
                    continue
                other = ALTERNATIVE.match(text, text.index(content, start) + len(content) + 1)
                whole = f"{content} or {other[1] or other[2].rstrip('.')}" if other else content
                either = EITHER.search(before)
                whole = f"{either[1]} or {whole}" if either else whole
                found = place, f"-({whole})" if NEGATIVE.search(before) else whole, False
            else:
                between = text[text.index(content, start) + len(content) : end]
                joint = " ".join(AROUND.sub(" ", between).split()) if len(between) <= LONGEST_LINE else ""
                joint = JOINT.sub("or", joint)
                if joint not in JOINTS:
                    break
                found = found[0], f"{content} {joint} {found[1]}", False
        elif found:
            break
        end = place
    return found


def _braced(text: str, start: int) -> str | None:
    """The content of the braces that open at `start`, or the word there; None if they do not close soon enough."""
    piece = text[start : start + LONGEST_ANSWER + 2]
    stripped = piece.lstrip()
    if not stripped.startswith("{"):
        stripped = piece.lstrip(" ")
        word = re.match(r"[^\s${}\\.,;]{1,40}", stripped)
        return word[0] if word and (stripped != piece or stripped[0].isdigit()) else None
    depth = 0
    escaped = False
    for index, character in enumerate(stripped):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return stripped[1:index]
    return None


def _tagged(text: str) -> Marked | None:
    close = len(text)
    for _ in range(ATTEMPTS):
        close = text.rfind(CLOSE, 0, close)
        place = text.rfind(OPEN, 0, close) if close >= 0 else -1
        if place < 0:
            return None
        content = text[place + len(OPEN) : close].partition(CLOSE)[0]
        if content.strip():
            return place, content, True
    return None


def _hashes(text: str) -> tuple[Marked | None, str | None]:
    """The last `####` before an answer, and the words behind the last one that is a heading, `#### Step 2`."""
    heading = None
    end = len(text)
    for _ in range(ATTEMPTS):
        place = text.rfind("####", 0, end)
        if place < 0:
            break
        line, _, behind = text[place:].lstrip("#").lstrip(" \t").partition("\n")
        if line.strip():
            if not WORDY.match(line) or read_quantity(line) or not behind.strip():
                return (place, line, True), heading
            heading = heading or line
        end = len(text[:place].rstrip("#"))
    return None, heading


def _phrase(text: str) -> str | None:
    end = len(text)
    for _ in range(ATTEMPTS):
        end = max(text.rfind(word, 0, end) for word in WORDS)
        if end < 0:
            return None
        rest = SUBJECT.sub(" ", text[end + len(WORDS[0]) : end + LONGEST_ANSWER])
        filler = FILLER.match(rest)
        if filler is None or DENIED.search(text, max(0, end - LONGEST_LINE), end):
            continue
        title = "\n" in filler[0] and TITLE.search(text, max(0, end - LONGEST_LINE), end)
        if title or re.search(r"is|be|was|equals|comes|[:\uff1a=\u2192]", filler[0], re.IGNORECASE):
            return sentence(rest[filler.end() :])
    return None


def sentence(text: str) -> str:
    """The formula or the sentence that a text begins with, without its reason."""
    formula = MATH.match(text)
    more = GOES_ON.match(text, formula.end()) if formula else None
    if formula and not more:
        return formula[formula.lastindex or 0]
    line = text.split("\n", 1)[0]
    first = 0
    if more:
        if re.search("[A-Za-z]", more[0]):  # a word joins what stands in the next line too
            line = text[: more.end()].replace("\n", " ") + text[more.end() :].split("\n", 1)[0]
            first = len(FORMULA.sub("", line[: more.end()]))
        line = FORMULA.sub("", line)
    ends = [stop.start() for pattern in (SENTENCE_END, REASON) if (stop := pattern.search(line, first))]
    return EMPHASIS.sub("", line[: min(ends, default=len(line))].rstrip())
