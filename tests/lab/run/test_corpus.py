"""Endless text: the same pack from anywhere, the mixture as asked, nothing held out."""

from collections import Counter

import numpy as np
import pytest
import torch

from edgewise.errors import ConfigError
from edgewise.lab.model.packed import Pack
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.lab.run.corpus import Corpus, packs
from edgewise.tasks import make_task
from edgewise.tasks.base import held_out

TASK = make_task("opgraph")
WORDS = Tokenizer.for_task(TASK)


def corpus(**settings) -> Corpus:
    return Corpus(TASK, WORDS, **{"difficulty": {"op": [1, 6]}, "tokens": 600, **settings})


def texts(pack: Pack) -> list[list[str]]:
    """The words of each document of a pack."""
    word = {index: text for text, index in WORDS.core.get_vocab().items()}
    # A document begins where a position of 0 is found in the row.
    position = pack.positions[pack.gathered].tolist()
    found: list[list[str]] = []
    for place, token in zip(position, pack.tokens.tolist(), strict=True):
        if place == 0:
            found.append([])
        found[-1].append(word[token])
    return found


def ops(pack: Pack) -> Counter[int]:
    """How many documents of each op; the one that was cut has no end."""
    return Counter(text.index("=") - 1 for text in texts(pack) if text[-1] == ".")


def test_every_pack_is_full_and_its_own() -> None:
    source = corpus()
    first = [source[number] for number in range(6)]
    assert all(len(pack.tokens) == 600 for pack in first)
    whole = [text for pack in first for text in texts(pack)]
    assert sum(text[-1] != "." for text in whole) <= 6
    assert len({" ".join(text) for text in whole}) > 0.9 * len(whole)
    # In any order, from any process.
    again = corpus()
    for number in (5, 0, 3):
        assert torch.equal(again[number].tokens, first[number].tokens)
    assert not torch.equal(corpus(seed=1)[0].tokens, first[0].tokens)


def test_nothing_held_out_is_trained_on() -> None:
    source = corpus(tokens=5000)
    prompts = [" ".join(text[: text.index("=") + 1]) for text in texts(source[0]) if "=" in text]
    assert len(prompts) > 300
    assert not any(held_out(prompt) for prompt in prompts)


def test_a_pack_larger_than_a_block_goes_on() -> None:
    source = corpus(tokens=30_000)
    source.per_pack = 40
    assert len(source[0].tokens) == 30_000
    assert torch.equal(source[0].tokens, source[0].tokens)


def test_mixtures_have_the_shares_asked() -> None:
    mixture = [{"share": 0.2, "op": [2, 2]}, {"share": 0.8, "op": [5, 6]}]
    source = corpus(difficulty={"mixture": mixture}, tokens=10_000)
    found = sum((ops(source[number]) for number in range(4)), Counter())
    assert set(found) == {2, 5, 6}
    total = sum(found.values())
    # Five standard errors of a share.
    assert abs(found[2] / total - 0.2) < 5 * np.sqrt(0.2 * 0.8 / total)
    with pytest.raises(ConfigError, match="sum to 1"):
        corpus(difficulty={"mixture": [{"share": 0.2, "op": [2, 2]}, {"share": 0.7, "op": [5, 6]}]})


def test_the_loss_counts_completions_or_all_text() -> None:
    completion, text = corpus()[0], corpus(loss="text")[0]
    assert torch.equal(completion.tokens, text.tokens)
    documents = texts(text)
    assert len(text.targets) == 600 - len(documents)
    answers = sum(len(words) - words.index("=") - 1 for words in documents if "=" in words)
    assert len(completion.targets) == answers
    with pytest.raises(ConfigError, match="loss must be"):
        corpus(loss="prompt")


def test_a_document_longer_than_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"document of \d+ tokens is longer than the model's 20"):
        corpus(difficulty={"op": [3, 20]}, longest=20)


def test_packs_that_cannot_hold_a_document_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"documents of \d+ tokens on average do not fit into packs of 8,"):
        corpus(tokens=8)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
def test_worker_processes_make_the_same_packs_in_order() -> None:
    source, numbers = corpus(), [4, 1, 7, 2]
    there = list(packs(source, numbers, workers=2))
    assert all(torch.equal(pack.tokens, source[number].tokens) for pack, number in zip(there, numbers, strict=True))
    assert [len(pack.groups) for pack in there] == [len(source[number].groups) for number in numbers]
