"""Command `edgewise features`: how likely a model finds each prompt's gold answer, as a feature for selection."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.adapters.prompts import digest
from edgewise.checkpoint import require_place, write_json, writing_to
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.evaluation.likelihood import likelihood
from edgewise.lab.model.checkpoints import find
from edgewise.lab.model.policy import PromptFormat, encode_answers, rendered
from edgewise.lab.model.pretrained import find_source, load_pretrained
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.lab.run.parallel import find_device
from edgewise.progress import bar

IDS = ("id", "extra_info.index")
GOLD = ("answer", "reward_model.ground_truth", "problem.answer", "solution")
BLOCK = 256
"""Prompts computed between two lines of what is done."""
MISSING = object()


@dataclass(frozen=True)
class Row:
    """A prompt as the model reads it, its own end, from which a completion goes on, and the gold completion."""

    id: Any
    text: str
    end: str
    gold: str


def features_command(
    data: Path,
    model: str,
    out: Path,
    prompt: str = "prompt",
    gold: str | None = None,
    id: str | None = None,
    chat: bool = False,
    system: str | None = None,
    stop: tuple[str, ...] = (),
    device: str = "auto",
) -> None:
    """Measure how likely a model finds the gold answer of each prompt, before training and without a rollout.

    log p(answer | prompt), in nats, is a feature that tells prompts of one category apart: every adapter takes the file as its
    option `features`. One pass over prompt and answer; killed, the same command goes on.

    Args:
        data: JSONL or Parquet, such as `edgewise data` writes.
        model: the model that is going to be trained: of the families Llama, Qwen2 or Qwen3, as a folder, a GGUF file or the name
            of an imported one.
        out: JSON file to write, id -> nats.
        prompt: column of the prompts: texts, or messages, which the model's chat template renders.
        gold: column of the gold answers or worked solutions; default: the first there is of answer, reward_model.ground_truth,
            problem.answer and solution. A dot leads into a struct or a JSON text.
        id: column of the ids that the trainer's adapter uses; default: id or extra_info.index, otherwise a hash of the prompt.
        chat: show prompts that are texts as a user's message.
        system: system message, with chat.
        stop: what ends an answer instead of the end token.
        device: auto, cpu or cuda.
    """
    form = PromptFormat(chat, system, stop)
    require_place(out)
    values = list(_records(data))
    if not values:
        raise ConfigError(f"{data} holds no rows")
    gold = gold or _first(GOLD, values[0], "gold answers", data)
    name = id or next((column for column in IDS if _value(values[0], column) is not MISSING), None)
    source = find_source(model) if Path(model).exists() else find(model)
    decoder, tokenizer = load_pretrained(source)
    rows = _rows(values, prompt, gold, name, form, tokenizer, data)
    # A rendered chat holds its special tokens already.
    plain = not chat and isinstance(_value(values[0], prompt), str)
    prompts = tokenizer.encode([row.text for row in rows], special=plain)
    answers = encode_answers([row.end for row in rows], [row.gold for row in rows], form, tokenizer)
    longest = max(len(asked) + len(own) for asked, own in zip(prompts, answers, strict=True))
    if longest > decoder.config.max_position_embeddings:
        raise ConfigError(
            f"a prompt and its {gold} have {longest} tokens, more than the {decoder.config.max_position_embeddings} positions of {model}"
        )
    key = _key(source, prompts, answers)
    part = out.with_name(f"{out.name}.part")
    done = _done(part, key, len(rows))
    decoder.to(find_device(device))
    with writing_to(part), bar("likelihood", len(rows)) as progress, part.open("a", encoding="utf-8") as file:
        if not done:
            file.truncate(0)
            print(json.dumps(key), file=file, flush=True)
        progress(len(done), "prompts")
        for begin in range(len(done), len(rows), BLOCK):
            end = min(begin + BLOCK, len(rows))
            found = -likelihood(decoder, prompts[begin:end], answers[begin:end]).nats
            done += np.round(found, 4).tolist()
            print(json.dumps(done[begin:end]), file=file, flush=True)
            progress(end, "prompts")
    if not np.isfinite(done).all():
        part.unlink()
        raise EdgewiseError(f"{source} gives log-likelihoods that are not finite; are its weights whole?")
    with writing_to(out):
        write_json(out, {str(row.id): value for row, value in zip(rows, done, strict=True)})
    part.unlink()
    print(f"{out}: log p({gold} | {prompt}) of {len(rows)} prompts under {model}, {np.mean(done):.2f} nats on average")
    print(f"give it to the trainer's adapter as features={out}")


def _rows(
    values: Sequence[Mapping[str, Any]],
    prompt: str,
    gold: str,
    name: str | None,
    form: PromptFormat,
    tokenizer: Tokenizer,
    data: Path,
) -> list[Row]:
    rows, seen = [], set()
    for number, value in enumerate(values, start=1):
        asked, answer = _required(value, prompt, data, number), _required(value, gold, data, number)
        identifier = digest(asked) if name is None else _required(value, name, data, number)
        if not isinstance(answer, (str, int, float)) or isinstance(answer, bool) or str(answer) == "":
            raise ConfigError(f"{data}, row {number}: column {gold} must be a text or a number, got {answer!r:.80}")
        if not isinstance(identifier, (str, int)) or isinstance(identifier, bool):
            raise ConfigError(f"{data}, row {number}: column {name} must be an int or a text, got {identifier!r:.80}")
        if str(identifier) in seen:
            raise ConfigError(
                f"{data}, row {number}: id {identifier!r} comes twice; name a column of unique ids with --id"
            )
        seen.add(str(identifier))
        rows.append(Row(identifier, *_shown(asked, form, tokenizer, data, number), str(answer)))
    kinds = {isinstance(_value(value, prompt), str) for value in values}
    if len(kinds) > 1:
        raise ConfigError(f"{data}: column {prompt} holds both texts and messages; make them one kind")
    return rows


def _shown(asked: Any, form: PromptFormat, tokenizer: Tokenizer, data: Path, number: int) -> tuple[str, str]:
    """What the model reads of a prompt, and the end from which a completion goes on."""
    if isinstance(asked, str):
        return rendered(asked, form, tokenizer), asked
    if not isinstance(asked, list) or not all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in asked):
        raise ConfigError(f"{data}, row {number}: a prompt is a text or a list of messages, got {asked!r:.80}")
    if tokenizer.chat is None:
        raise ConfigError(f"{data} holds messages and the model has no chat template; give prompts as texts")
    system = [] if form.system is None else [{"role": "system", "content": form.system}]
    # Behind a rendered chat the answer begins without a space.
    return tokenizer.chat.render([*system, *asked]), "\n"


def _records(data: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if data.suffix == ".parquet":
            try:
                import pyarrow.parquet
            except ModuleNotFoundError as error:
                raise ConfigError("a parquet file needs pyarrow: pip install pyarrow") from error
            for batch in pyarrow.parquet.ParquetFile(data).iter_batches(1024):
                yield from batch.to_pylist()
            return
        with data.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _object(line, data, number)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {data}: {getattr(error, 'strerror', None) or error}") from error
    except ValueError as error:  # pyarrow's errors of damaged files
        raise ConfigError(f"{data} is no parquet file that can be read: {error}") from error


def _object(line: str, data: Path, number: int) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{data}, line {number} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{data}, line {number} is no JSON object: {line.strip()!r:.80}")
    return value


def _value(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, by a dotted name inside structs and JSON texts; MISSING if there is none."""
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return MISSING
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return value


def _required(row: Mapping[str, Any], column: str, data: Path, number: int) -> Any:
    value = _value(row, column)
    if value is MISSING or value is None:
        known = ", ".join(sorted(row))
        raise ConfigError(f"{data}, row {number} has no {column}; its columns are {known}")
    return value


def _first(columns: Iterable[str], row: Mapping[str, Any], what: str, data: Path) -> str:
    for column in columns:
        if _value(row, column) is not MISSING:
            return column
    raise ConfigError(
        f"{data} has no column of {what} that is known; its columns are {', '.join(sorted(row))}: name one with --gold"
    )


def _key(path: Path, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> str:
    """Of the model and of what it reads: results of other ones are not gone on with."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(f"{path.resolve()} {stats}".encode())
    for tokens in (*prompts, *answers):
        key.update(np.array([len(tokens), *tokens], np.int64).tobytes())
    return key.hexdigest()


def _done(part: Path, key: str, most: int) -> list[float]:
    """What an earlier call has computed; a line that a kill left half-written does not count."""
    done: list[float] = []
    if not part.exists():
        return done
    with writing_to(part):
        lines = part.read_text("utf-8", errors="replace").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        try:
            if not whole or json.loads(whole[0]) != key:
                return done
            done = [float(value) for line in whole[1:] for value in json.loads(line)]
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{part} is damaged; delete it, and the command begins anew") from error
        if len(done) > most:
            raise CheckpointError(
                f"{part} holds more prompts than {most}: two commands wrote it; delete it, and begin anew"
            )
        if len(whole) < len(lines):
            part.write_text("".join(whole), "utf-8")
    return done
