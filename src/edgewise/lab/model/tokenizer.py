"""Tokenizers: word-level ones of a task, and those of pretrained models, both saved as tokenizer.json.

Texts of most tasks are words between spaces. Where a task has a `token_pattern`, a token is a match with the space
before it, and decoding gives the text back to the letter; every text is then read as if a space stood before it, so that the
tokens of a prompt followed by those of its completion are those of both texts with a space between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Core

from edgewise.checkpoint import read_json, write_atomic, write_json
from edgewise.errors import CheckpointError, ConfigError, TaskError
from edgewise.lab.model.chat import ChatTemplate
from edgewise.tasks import TextWorld

SURROGATE = re.compile("[\ud800-\udfff]")
PARTS = ("normalizers", "pretokenizers")
"""Names of the parts of a sequence in a tokenizer.json."""
PAD, UNKNOWN = "<pad>", "<unk>"
QWEN2_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What transformers splits the texts of every model of type qwen2 into, behind NFC, whatever its tokenizer.json says."""


class Tokenizer:
    """Text <-> token ids.

    Attributes:
        core: the tokenizer of the library `tokenizers`.
        ends: ids of the tokens that end a completion, at least one; the first is the end-of-sequence token.
        end: the first of `ends`.
        pad: id that rows are filled up with.
        unknown: id that stands for words outside the vocabulary; None where every text can be encoded.
        settings: content of tokenizer_config.json.
        chat: chat template of the model, or None.
    """

    def __init__(
        self,
        core: Core,
        ends: Sequence[int],
        pad: int,
        unknown: int | None = None,
        settings: dict[str, Any] | None = None,
    ):
        core.no_padding()
        core.no_truncation()
        self.core, self.ends, self.pad, self.unknown = core, tuple(ends), pad, unknown
        self.settings = dict(settings or {})
        template = self.settings.get("chat_template")
        self.chat = ChatTemplate(template, self._special()) if isinstance(template, str) else None
        self.is_qwen2 = isinstance(core.model, models.BPE) and _splits_as_qwen2(core)

    def __repr__(self) -> str:
        return f"Tokenizer({len(self)} tokens, ends={self.ends}, chat={self.chat is not None})"

    @classmethod
    def for_task(cls, task: TextWorld) -> Tokenizer:
        """The word-level tokenizer of a task's vocabulary; the task's end word is the end-of-sequence token."""
        words = [PAD, UNKNOWN, *task.vocabulary()]
        core = Core(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN))
        if task.token_pattern:
            core.normalizer = normalizers.Prepend(" ")
            core.pre_tokenizer = pre_tokenizers.Split(Regex(task.token_pattern), "isolated")
            core.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        else:
            core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        core.add_special_tokens([PAD, UNKNOWN])
        return cls.of_words(core, task.end)

    @classmethod
    def load(cls, path: Path, end: str) -> Tokenizer:
        """A word-level tokenizer from its tokenizer.json; `end` is the task's end word."""
        return cls.of_words(read_core(path), end)

    @classmethod
    def of_words(cls, core: Core, end: str) -> Tokenizer:
        """A word-level tokenizer whose end-of-sequence token is the word `end`."""

        def place(word: str) -> int:
            index = core.token_to_id(word)
            if index is None:
                raise CheckpointError(f"the tokenizer lacks '{word}'")
            return int(index)

        end = end if core.token_to_id(end) is not None else f" {end}"
        settings = {"pad_token": PAD, "unk_token": UNKNOWN, "eos_token": end}
        return cls(core, [place(end)], place(PAD), place(UNKNOWN), settings)

    @classmethod
    def read(cls, folder: Path, config: dict[str, Any]) -> Tokenizer:
        """The tokenizer of a pretrained model: tokenizer.json and the files beside it.

        Args:
            folder: a Hugging Face folder.
            config: the content of its config.json.

        Raises:
            CheckpointError: a file is missing or damaged.
            ConfigError: no file says which token ends a text.
        """
        path = folder / "tokenizer.json"
        if not path.exists():
            raise CheckpointError(
                f"{folder} has no tokenizer.json; save it once with transformers:"
                " AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            )
        core = read_core(path)
        settings, generation, older = (
            _optional(folder / f"{name}.json")
            for name in ("tokenizer_config", "generation_config", "special_tokens_map")
        )
        settings = {name: token for name, token in older.items() if name.endswith("_token")} | settings
        template = folder / "chat_template.jinja"
        if template.exists():
            settings["chat_template"] = template.read_text(encoding="utf-8")
        elif isinstance(settings.get("chat_template"), list):
            listed = [item for item in settings["chat_template"] if isinstance(item, dict)]
            named = {item.get("name"): item.get("template") for item in listed}
            settings["chat_template"] = named.get("default")
        eos = core.token_to_id(_content(settings.get("eos_token")))
        declared = generation.get("eos_token_id", config.get("eos_token_id"))
        ends = list(dict.fromkeys([*_ids(eos, folder), *_ids(declared, folder)]))
        if not ends:
            raise ConfigError(
                f"the tokenizer in {folder} names no end token: completions would never end;"
                " set eos_token in tokenizer_config.json or eos_token_id in generation_config.json"
            )
        pad = core.token_to_id(_content(settings.get("pad_token")))
        return cls(
            core, ends, [*_ids(pad, folder), *_ids(config.get("pad_token_id"), folder), *ends][0], None, settings
        )

    @property
    def end(self) -> int:
        return self.ends[0]

    @property
    def end_word(self) -> str:
        """Text of the end-of-sequence token."""
        return str(self.core.id_to_token(self.end))

    @property
    def bos(self) -> int | None:
        """Id of the token that begins a text, where the model has one."""
        return self.core.token_to_id(_content(self.settings.get("bos_token")))

    def __len__(self) -> int:
        """The highest id and one: some vocabularies leave ids out."""
        return 1 + max(self.core.get_vocab().values())

    def save(self, folder: Path, family: str) -> None:
        """Write tokenizer.json and tokenizer_config.json for a model of type `family` into an existing folder."""
        # Not by `core.save`, whose error at a full disk is a plain Exception.
        write_atomic(folder / "tokenizer.json", self.core.to_str(pretty=True).encode())
        kept = {name: value for name, value in self.settings.items() if name != "auto_map"}
        # A class by name would build its own pre-tokenizer instead of the one in tokenizer.json.
        kind = "Qwen2Tokenizer" if family == "qwen2" else "PreTrainedTokenizerFast"
        write_json(folder / "tokenizer_config.json", {**kept, "tokenizer_class": kind})

    def encode(self, texts: list[str], special: bool = True) -> list[list[int]]:
        """Token ids of each text; a word outside a word-level vocabulary raises `TaskError`.

        Args:
            texts: any number of texts.
            special: add the tokens that the model expects before a text, such as one that begins it; a rendered chat
                holds them already.
        """
        encoded = [self._open(item) for item in _encoded(self.core, texts, special)]
        if self.unknown is None:
            return encoded
        for text, ids in zip(texts, encoded, strict=True):
            if self.unknown in ids:
                begin, end = self.core.encode(text).offsets[ids.index(self.unknown)]
                raise TaskError(f"'{text[begin:end].strip()}' in '{text[:80]}' is not in the vocabulary")
        return encoded

    def encode_completions(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts that go on where a prompt ends: without a space that a pretrained model's tokenizer puts before
        every text."""
        if self.unknown is not None:
            return self.encode(texts, special=False)
        return [item.ids for item in _encoded(self._inner, texts, special=False)]

    def decode(self, tokens: np.ndarray, lengths: np.ndarray) -> list[str]:
        """Texts of rows of token ids (n, time), each of its own length (n,); without special tokens and the end token, save a
        word-level end word."""
        rows = [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
        if self.unknown is not None:
            return self.core.decode_batch(rows, skip_special_tokens=False)
        # The tokenizer.json of some chat models does not say that their end token is special.
        return self.core.decode_batch([row[:-1] if row and row[-1] in self.ends else row for row in rows])

    def special_tokens(self) -> dict[str, int]:
        """Ids of the tokens that texts are decoded without, by their text."""
        if self.unknown is not None:
            return {}
        added = self.core.get_added_tokens_decoder()
        return {token.content: index for index, token in added.items() if token.special}

    @cached_property
    def _inner(self) -> Core:
        """The same without a space that it puts before every text."""
        state = json.loads(self.core.to_str())
        inner = state | {name: _without_prefix(state[name]) for name in ("normalizer", "pre_tokenizer")}
        return self.core if inner == state else Core.from_str(json.dumps(inner))

    def _open(self, text: Encoding) -> list[int]:
        """Ids without an end token that was added behind: the text goes on."""
        ids = text.ids
        for added in reversed(text.special_tokens_mask):
            if not added or ids[-1] not in self.ends:
                break
            ids.pop()
        return ids

    def _special(self) -> dict[str, str]:
        """Texts of the special tokens by name, as chat templates use them."""
        named = ((name, _content(value)) for name, value in self.settings.items() if name.endswith("_token"))
        return {name: text for name, text in named if text}


def read_core(path: Path) -> Core:
    """The tokenizer in a tokenizer.json."""
    try:
        return Core.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for whatever is wrong with the file
        raise CheckpointError(f"{path} is not a readable tokenizer: {error}") from error


def _encoded(core: Core, texts: list[str], special: bool) -> list[Encoding]:
    try:
        return core.encode_batch_fast(texts, add_special_tokens=special)
    except TypeError as error:
        broken = next((text for text in texts if SURROGATE.search(text)), None)
        if broken is None:
            raise
        raise TaskError(
            f"a text holds half a character (a lone surrogate), which no tokenizer reads: {broken!r:.80}"
        ) from error


def is_word_level(core: Core) -> bool:
    """Whether a tokenizer knows the words of one task alone, and not text at large."""
    return isinstance(core.model, models.WordLevel)


def _splits_as_qwen2(core: Core) -> bool:
    if core.pre_tokenizer is None or not isinstance(core.normalizer, normalizers.NFC):
        return False
    state = json.loads(core.pre_tokenizer.__getstate__())
    return any(part.get("pattern", {}).get("Regex") == QWEN2_PIECES for part in state.get("pretokenizers", []))


def _without_prefix(part: Any) -> Any:
    """A normalizer or pre-tokenizer, as plain values, that puts no space before a text."""
    if part is None or part["type"] == "Prepend":
        return None
    off = {"prepend_scheme": "never", "add_prefix_space": False}
    lists = {name: [_without_prefix(item) for item in part[name]] for name in part if name in PARTS}
    lists = {name: [item for item in items if item is not None] for name, items in lists.items()}
    return part | {name: value for name, value in off.items() if name in part} | lists


def _content(token: Any) -> str:
    """The text of a token, which older files write as an object."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _ids(value: Any, folder: Path) -> list[int]:
    """The token ids of a setting, which is one, several or none; -1 stands for none, as in Meta's files."""
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(index) is int for index in ids):
        raise CheckpointError(
            f"{folder}: the ids of end tokens and of padding must be whole numbers, got {value!r:.80}"
        )
    return [index for index in ids if index >= 0]


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
