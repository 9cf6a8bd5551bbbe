"""Endless text for language modelling: every pack of documents is a function of the seed and the pack's number.

So nothing is stored, any process makes any pack by itself, and a run that resumes needs no state of its data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from edgewise.errors import ConfigError
from edgewise.lab.model.packed import Pack
from edgewise.lab.model.policy import PromptFormat, encode_prompts, encode_solutions
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.lab.model.vision import Patches, PictureFormat
from edgewise.lab.run.interrupts import leave_group, withheld
from edgewise.lab.run.problems import refused
from edgewise.tasks import Task
from edgewise.tasks.base import check_difficulty

LOSSES = ("completion", "text")
BLOCK = 512
"""Documents made at once, at least: a task takes its time to begin."""
PLAIN = PromptFormat()
PROBE = 256
"""Documents whose mean length tells how many a pack needs, and that one fits in."""


@dataclass(frozen=True)
class _Document:
    """A prompt and its completion; tokens beyond the vocabulary are rows of its patches."""

    prompt: list[int]
    completion: list[int]
    patches: Patches | None = None

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)

    @property
    def text_start(self) -> int:
        """Place from which the loss of texts counts: after the pictures, whose tokens cannot be predicted."""
        return 0 if self.patches is None else self.prompt.index(max(self.prompt)) + 1


class Corpus(Dataset[Pack]):
    """Packs of exactly `tokens` tokens, by number; the last document of a pack is cut where the pack ends.

    Args:
        task: whose demonstrations are the documents: a prompt and its completion each.
        tokenizer: with the task's vocabulary, or that of a pretrained model, whose completions get what ends them.
        difficulty: arguments of the task's `demonstrations`, mixtures included.
        tokens: of a pack.
        loss: "completion" counts completions, "text" counts prompts too.
        longest: no document may have more tokens.
        seed: of everything.
        pictures: form in which the model reads the pictures of demonstrations; None: it reads none.
        form: of the prompts of a pretrained model, and of what ends its completions.
    """

    def __init__(
        self,
        task: Task,
        tokenizer: Tokenizer,
        difficulty: Mapping[str, Any],
        tokens: int,
        loss: str = "completion",
        longest: int = 2**31,
        seed: int = 0,
        pictures: PictureFormat | None = None,
        form: PromptFormat = PLAIN,
    ):
        if loss not in LOSSES:
            raise ConfigError(f"loss must be one of {', '.join(LOSSES)}, got '{loss}'")
        check_difficulty(difficulty)
        self.task, self.tokenizer, self.difficulty = task, tokenizer, dict(difficulty)
        self.tokens, self.loss, self.longest, self.seed = tokens, loss, longest, seed
        self.pictures, self.form = pictures, form
        probe = self._documents(PROBE, "probe")
        mean = sum(map(len, probe)) / PROBE
        if mean > tokens:
            raise ConfigError(
                f"documents of {mean:.0f} tokens on average do not fit into packs of {tokens}, which cut off what completions teach;"
                " set tokens to several times that, or narrow the difficulty"
            )
        # Some more than a pack takes on average; rarely is it not enough, and then there is a next block.
        self.per_pack = ceil(1.2 * tokens / mean) + 2
        self.packs_per_block = max(BLOCK // self.per_pack, 1)
        self._last: tuple[int, list[_Document]] = (-1, [])

    def __getitem__(self, number: int) -> Pack:
        documents: list[list[int]] = []
        starts: list[int] = []
        pictures: list[Patches] = []
        room, shown = self.tokens, 0
        for document in self._stream(number):
            prompt = document.prompt
            if document.patches is not None and self.pictures is not None:
                # Rows of the pack's patches instead of the document's.
                first = self.pictures.vocab_size
                prompt = [token + shown if token >= first else token for token in prompt]
                pictures.append(document.patches)
                shown += len(document.patches)
            text = (prompt + document.completion)[:room]
            documents.append(text)
            starts.append(len(prompt) if self.loss == "completion" else document.text_start)
            room -= len(text)
            if not room:
                break
        return Pack.of(documents, starts, torch.from_numpy(np.concatenate(pictures)) if pictures else None)

    def _stream(self, number: int) -> Iterator[_Document]:
        """Documents of a pack: its share of a block, and more if that was not enough."""
        block, place = divmod(number, self.packs_per_block)
        yield from self._block(block)[place * self.per_pack : (place + 1) * self.per_pack]
        extra = 0
        while True:
            yield from self._documents(self.per_pack, f"pack {number} {extra}")
            extra += 1

    def _block(self, block: int) -> list[_Document]:
        """The documents of several packs; the last block is kept, since its packs are asked for in turn."""
        if self._last[0] != block:
            self._last = (block, self._documents(self.packs_per_block * self.per_pack, f"block {block}"))
        return self._last[1]

    def _documents(self, n: int, name: str) -> list[_Document]:
        """n documents, a function of the seed and the name."""
        with refused(f"the difficulty settings of task {self.task.name}", self.difficulty):
            pairs = self.task.demonstrations(n, _seed(self.seed, name), **self.difficulty)
        asked, written = [prompt for prompt, _ in pairs], [completion for _, completion in pairs]
        prompts = encode_prompts(asked, self.form, self.tokenizer)
        completions = encode_solutions(asked, written, self.form, self.tokenizer)
        shown = (getattr(pair, "images", ()) for pair in pairs)
        documents = [self._document(*parts) for parts in zip(prompts, completions, shown, strict=True)]
        longest = max(map(len, documents))
        if longest > self.longest:
            raise ConfigError(
                f"a document of {longest} tokens is longer than the model's {self.longest} positions;"
                " narrow the difficulty or set max_position_embeddings"
            )
        return documents

    def _document(self, prompt: list[int], completion: list[int], images: Sequence[Any]) -> _Document:
        if not images:
            return _Document(prompt, completion)
        form = self.pictures
        if form is None:
            raise ConfigError(
                f"task {self.task.name} has pictures: set image_size and patch_size under model, such as"
                " image_size: 60, patch_size: 10"
            )
        firsts = range(0, len(images) * form.count, form.count)
        return _Document(
            form.expand(prompt, firsts), completion, np.concatenate([form.patches(image) for image in images])
        )


def packs(corpus: Corpus, numbers: Sequence[int], workers: int) -> Iterator[Pack]:
    """The packs of these numbers in order, made ahead by `workers` processes; 0: made here when they are asked for."""
    if not workers:
        return (corpus[number] for number in numbers)
    ahead: dict[str, Any] = {"prefetch_factor": 4, "multiprocessing_context": "spawn", "worker_init_fn": _begin}
    with withheld():
        return iter(DataLoader(corpus, batch_size=None, sampler=numbers, num_workers=workers, **ahead))


def _begin(worker: int) -> None:
    """In a process that makes packs: the step that a signal lets finish needs them still."""
    leave_group()


def _seed(*parts: object) -> int:
    digest = hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")
