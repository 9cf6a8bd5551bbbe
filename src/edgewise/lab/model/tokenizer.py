"""Word-level tokenizer of a task, saved as tokenizer.json so that transformers loads it.

Texts of most tasks are words between spaces. Where a task has a `token_pattern`, a token is a match with the space
before it, and decoding gives the text back to the letter; every text is then read as if a space stood before it, so that the
tokens of a prompt followed by those of its completion are those of both texts with a space between.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Core

from edgewise.errors import CheckpointError, TaskError
from edgewise.tasks import TextWorld

PAD, UNKNOWN = "<pad>", "<unk>"


class Tokenizer:
    """Text <-> token ids. The task's end word is the end-of-sequence token."""

    def __init__(self, core: Core, end: str):
        self.core = core
        self.end_word = end if core.token_to_id(end) is not None else f" {end}"
        self.pad, self.unknown, self.end = (self._id(word) for word in (PAD, UNKNOWN, self.end_word))

    @classmethod
    def for_task(cls, task: TextWorld) -> Tokenizer:
        words = [PAD, UNKNOWN, *task.vocabulary()]
        core = Core(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN))
        if task.token_pattern:
            core.normalizer = normalizers.Prepend(" ")
            core.pre_tokenizer = pre_tokenizers.Split(Regex(task.token_pattern), "isolated")
            core.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        else:
            core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        core.add_special_tokens([PAD, UNKNOWN])
        return cls(core, task.end)

    @classmethod
    def load(cls, path: Path, end: str) -> Tokenizer:
        try:
            return cls(Core.from_file(str(path)), end)
        except Exception as error:  # the library raises plain Exception for whatever is wrong with the file
            raise CheckpointError(f"{path} is not a readable tokenizer: {error}") from error

    def _id(self, word: str) -> int:
        index = self.core.token_to_id(word)
        if index is None:
            raise CheckpointError(f"the tokenizer lacks '{word}'")
        return int(index)

    def __len__(self) -> int:
        return self.core.get_vocab_size()

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text; a word outside the vocabulary raises `TaskError`."""
        encoded = [item.ids for item in self.core.encode_batch_fast(texts)]
        for text, ids in zip(texts, encoded, strict=True):
            if self.unknown in ids:
                begin, end = self.core.encode(text).offsets[ids.index(self.unknown)]
                raise TaskError(f"'{text[begin:end].strip()}' in '{text[:80]}' is not in the vocabulary")
        return encoded

    def decode(self, tokens: np.ndarray, lengths: np.ndarray) -> list[str]:
        """Texts of rows of token ids (n, time), each of its own length (n,)."""
        rows = [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
        return self.core.decode_batch(rows, skip_special_tokens=False)
