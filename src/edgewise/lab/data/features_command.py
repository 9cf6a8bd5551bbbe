"""Command `edgewise features`: how likely a model finds each prompt's gold answer, as a feature for selection."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.adapters.prompts import digest
from edgewise.checkpoint import require_place, write_json, writing_to
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.lab.evaluation.likelihood import likelihood
from edgewise.lab.model.checkpoints import find
from edgewise.lab.model.policy import PromptFormat, encode_answers, encode_prompts
from edgewise.lab.model.pretrained import find_source, load_pretrained
from edgewise.lab.run.journal import Journal, read
from edgewise.lab.run.parallel import find_device
from edgewise.progress import bar
from edgewise.tasks.math.records import read_rows

IDS = ("id", "extra_info.index")
GOLD = ("answer", "reward_model.ground_truth", "problem.answer", "solution")
BLOCK = 256
"""Prompts computed between two lines of what is done."""
MISSING = object()


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
    require_place(out, read=[data])
    values = read_rows(data)[1]
    gold = gold or next((name for name in GOLD if _value(values[0], name) is not MISSING), None)
    if gold is None:
        raise ConfigError(
            f"{data} has no column of gold answers that is known; {_columns(values[0])}: name one with --gold"
        )
    name = id or next((name for name in IDS if _value(values[0], name) is not MISSING), None)
    prompts = [
        _prompt(_required(row, prompt, data, number), data, number) for number, row in enumerate(values, start=1)
    ]
    texts = {isinstance(asked, str) for asked in prompts}
    if len(texts) > 1:
        raise ConfigError(f"{data}: column {prompt} holds both texts and messages; make them one kind")
    ids = _ids(values, prompts, name, data)
    answers = [
        _answer(_required(row, gold, data, number), gold, data, number) for number, row in enumerate(values, start=1)
    ]
    form = PromptFormat(chat or not texts.pop(), system, stop)
    source = find_source(model) if Path(model).exists() else find(model)
    decoder, tokenizer = load_pretrained(source)
    asked, own = encode_prompts(prompts, form, tokenizer), encode_answers(prompts, answers, form, tokenizer)
    longest = max(map(len, map(list.__add__, asked, own)))
    if longest > decoder.config.max_position_embeddings:
        raise ConfigError(
            f"a prompt and its {gold} have {longest} tokens, more than the {decoder.config.max_position_embeddings} positions of {model}"
        )
    journal = Journal(out.with_name(f"{out.name}.part"))
    done = _done(journal, _key(source, asked, own))
    decoder.to(find_device(device))
    with bar("likelihood", len(ids)) as progress:
        progress(len(done), "prompts")
        for begin in range(len(done), len(ids), BLOCK):
            part = slice(begin, begin + BLOCK)
            nats = -likelihood(decoder, asked[part], own[part]).nats
            if not np.isfinite(nats).all():
                raise EdgewiseError(f"{source} gives log-likelihoods that are not finite; are its weights whole?")
            done += np.round(nats, 4).tolist()
            journal.append({"step": len(done), "nats": done[part]})
            progress(len(done), "prompts")
    with writing_to(out):
        write_json(out, dict(zip(ids, done, strict=True)))
    journal.clear()
    print(f"{out}: log p({gold} | {prompt}) of {len(ids)} prompts under {model}, {np.mean(done):.2f} nats on average")
    print(f"give it to the trainer's adapter as features={out}")


def _prompt(asked: Any, data: Path, number: int) -> str | list[dict[str, Any]]:
    messages = isinstance(asked, list) and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in asked)
    if not isinstance(asked, str) and not (messages and asked):
        raise ConfigError(f"{data}, row {number}: a prompt is a text or a list of messages, got {asked!r:.80}")
    return asked


def _answer(answer: Any, gold: str, data: Path, number: int) -> str:
    if not isinstance(answer, (str, int, float)) or isinstance(answer, bool) or answer == "":
        raise ConfigError(f"{data}, row {number}: column {gold} must be a text or a number, got {answer!r:.80}")
    return str(answer)


def _ids(values: Sequence[Mapping[str, Any]], prompts: Sequence[Any], name: str | None, data: Path) -> list[str]:
    """The ids of a column, or those that adapters give to prompts without any."""
    if name is None:
        ids: list[Any] = [digest(asked) for asked in prompts]
    else:
        ids = [_required(row, name, data, number) for number, row in enumerate(values, start=1)]
    seen: set[str] = set()
    for number, value in enumerate(ids, start=1):
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ConfigError(f"{data}, row {number}: column {name} must be an int or a text, got {value!r:.80}")
        if str(value) in seen:
            raise ConfigError(f"{data}, row {number}: id {value!r} comes twice; name a column of unique ids with --id")
        seen.add(str(value))
    return list(map(str, ids))


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
        raise ConfigError(f"{data}, row {number} has no {column}; {_columns(row)}")
    return value


def _columns(row: Mapping[str, Any]) -> str:
    return f"its columns are {', '.join(sorted(row))}"


def _key(path: Path, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> str:
    """Of the model and of what it reads: results of other ones are not gone on with."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(f"{path.resolve()} {stats}".encode())
    for tokens in (*prompts, *answers):
        key.update(np.array([len(tokens), *tokens], np.int64).tobytes())
    return key.hexdigest()


def _done(journal: Journal, key: str) -> list[float]:
    """What an earlier call has computed of the same; of anything else the journal begins anew."""
    lines = read(journal.path) if journal.path.exists() else []
    if not lines or lines[0].get("key") != key:
        journal.clear()
        journal.append({"step": 0, "key": key})
        return []
    done: list[float] = []
    for line in lines[1:]:
        nats = line.get("nats")
        if not isinstance(nats, list) or line.get("step") != len(done) + len(nats) or set(map(type, nats)) != {float}:
            raise CheckpointError(
                f"{journal.path} is damaged, or two commands wrote it; delete it, and the command begins anew"
            )
        done += nats
    journal.rewind(len(done))  # a line that a kill left half-written
    return done
