"""Tokenizers: texts come back to the letter, prompts and completions join, tokens are few, transformers reads the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import TaskError
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.tasks import GsmInfinite, Problem, make_task

PUBLISHED = 2.73
"""Characters per token of the tokenizer published with arXiv 2512.07783, on the original generator's texts."""
SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "gsm_infinite" / "samples.jsonl"
TASK = GsmInfinite()
TOKENIZER = Tokenizer.for_task(TASK)
ANYWHERE = {"mode": {"forward": 0.5, "reverse": 0.5}, "context": {"zoo": 0.4, "school": 0.3, "festival": 0.3}}


def decode(ids: list[list[int]]) -> list[str]:
    width = max(map(len, ids))
    rows = np.array([row + [TOKENIZER.pad] * (width - len(row)) for row in ids])
    return TOKENIZER.decode(rows, np.array([len(row) for row in ids]))


def check(problems: list[Problem]) -> float:
    """Round trip of prompts, completions and both together; characters per token."""
    prompts, completions = [problem.prompt for problem in problems], [problem.solution for problem in problems]
    both = [f"{prompt} {completion}" for prompt, completion in zip(prompts, completions, strict=True)]
    ids = TOKENIZER.encode(both)
    assert decode(ids) == both
    assert decode(TOKENIZER.encode(completions)) == completions
    joined = zip(TOKENIZER.encode(prompts), TOKENIZER.encode(completions), strict=True)
    assert [prompt + completion for prompt, completion in joined] == ids
    assert all(row[-1] == TOKENIZER.end and TOKENIZER.end not in row[:-1] for row in ids)
    return sum(map(len, both)) / sum(map(len, ids))


def test_generated_texts_come_back_and_need_few_tokens() -> None:
    assert check(TASK.block(0, 0, 150, op=(2, 40), **ANYWHERE)) > 1.5 * PUBLISHED


def test_original_texts_come_back_and_need_few_tokens() -> None:
    if not SAMPLES.exists():
        pytest.skip(f"the original generator's samples are not at {SAMPLES}")
    assert check(TASK.load(SAMPLES)) > 1.5 * PUBLISHED
    samples = [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]
    texts = [f"{sample['problem']} {sample['question']} {sample['solution']}" for sample in samples]
    ids = TOKENIZER.encode(texts)
    assert decode(ids) == texts
    assert sum(map(len, texts)) / sum(map(len, ids)) > 1.5 * PUBLISHED


@settings(max_examples=100)
@given(st.lists(st.sampled_from(TASK.vocabulary()), min_size=1, max_size=30).map("".join))
def test_any_text_of_known_pieces_comes_back(text: str) -> None:
    try:
        ids = TOKENIZER.encode([text])
    except TaskError:  # two pieces without a space between them made a word that is none
        return
    assert decode(ids) == [text]


def test_a_word_that_is_not_known_is_named() -> None:
    with pytest.raises(TaskError, match="'penguin' in 'How"):
        TOKENIZER.encode(["How many penguin does South Zoo have?"])
    with pytest.raises(TaskError, match="'x7' in '1 x7'"):
        Tokenizer.for_task(make_task("countdown")).encode(["1 x7"])


def test_half_a_character_is_refused_in_words() -> None:
    for encode in (TOKENIZER.encode, TOKENIZER.encode_completions):
        with pytest.raises(TaskError, match=r"half a character .*: 'How\\ud83d'"):
            encode(["How many", "How\ud83d"])


def test_numbers_of_any_length_are_known() -> None:
    text = "so f = 90210 * 7 = 631470"
    ids = TOKENIZER.encode([text])
    assert decode(ids) == [text]
    assert len(ids[0]) == 17


def test_texts_of_words_are_read_as_ever() -> None:
    """The shipped checkpoints know these ids."""
    for name in ("opgraph", "countdown"):
        task = make_task(name)
        shipped = Path(__file__).parents[3] / "src" / "edgewise" / "lab" / "model" / "shipped" / name / "tokenizer.json"
        words = json.loads(shipped.read_text())["model"]["vocab"]
        assert words == {word: index for index, word in enumerate(["<pad>", "<unk>", *task.vocabulary()])}
        assert Tokenizer.for_task(task).core.to_str() == Tokenizer.load(shipped, task.end).core.to_str()


def test_transformers_reads_the_file_and_returns_the_same_texts(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    TOKENIZER.core.save(str(tmp_path / "tokenizer.json"))
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": TOKENIZER.end_word}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (len(theirs), theirs.eos_token_id, theirs.pad_token_id) == (len(TOKENIZER), TOKENIZER.end, TOKENIZER.pad)
    texts = [f"{problem.prompt} {problem.solution}" for problem in TASK.block(0, 0, 40, op=(2, 20), **ANYWHERE)]
    ids = TOKENIZER.encode(texts)
    assert theirs(texts, add_special_tokens=False)["input_ids"] == ids
    assert theirs.batch_decode(ids) == texts
