"""What ends a completion: tokens, and strings however their tokens are decoded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Core

from edgewise.errors import ConfigError
from edgewise.lab.model.ending import Ending
from edgewise.lab.model.tokenizer import Tokenizer


def byte_level() -> Tokenizer:
    """Bytes, an end token, another special token and an added one that is text."""
    core = Core(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.add_special_tokens([AddedToken("<|endoftext|>", special=True), AddedToken("<|im_end|>", special=True)])
    core.add_tokens([AddedToken("</answer>", special=False)])
    return Tokenizer(core, [core.token_to_id("<|endoftext|>")], 0)


def sentence_piece() -> Tokenizer:
    """Pieces as in Llama's tokenizer.json, whose decoder strips the space that begins a text."""
    pieces = ["<unk>", "</s>", "\u2581", "a", "Q", ":", "\u2581a", "\u2581Q", "<"]
    core = Core(
        models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[("\u2581", "a"), ("\u2581", "Q")])
    )
    core.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.Fuse(), decoders.Strip(content=" ", left=1, right=0)]
    )
    return Tokenizer(core, [1], 0)


def ended(tokenizer: Tokenizer, stop: str, text: str) -> list[int]:
    """Numbers of tokens of a text after which a completion ends."""
    ending, tokens = Ending(tokenizer.ends, (stop,), tokenizer), tokenizer.encode([text], special=False)[0]
    return [n for n in range(1, len(tokens) + 1) if ending(torch.tensor([tokens[:n]]))[0]]


@pytest.mark.parametrize(
    ("stop", "text", "kept"),
    [
        ("<|im_end|>", "42<|im_end|>", "42"),
        ("<|endoftext|>", "42<|endoftext|>", "42"),
        ("</answer>", "42</answer>", "42"),
        ("\nuser", "42\nuser", "42"),
        ("\u00e9", "42\u00e9", "42"),
    ],
)
def test_a_completion_ends_at_a_stop_string_whatever_kind_of_token_completes_it(
    stop: str, text: str, kept: str
) -> None:
    tokenizer = byte_level()
    tokens = tokenizer.encode([text])[0]
    assert ended(tokenizer, stop, text) == [len(tokens)]
    decoded = tokenizer.decode(np.array([tokens]), np.array([len(tokens)]))
    assert [Ending(tokenizer.ends, (stop,), tokenizer).cut(found) for found in decoded] == [kept]


@pytest.mark.parametrize(("stop", "places"), [("Q: ", [4]), ("Q:", [3]), (" Q", [2]), ("b", [])])
def test_a_stop_string_may_end_with_a_space_that_a_decoder_strips_at_the_begin_of_a_text(
    stop: str, places: list[int]
) -> None:
    tokenizer = sentence_piece()
    assert len(tokenizer.encode(["a Q: "])[0]) == 4
    assert ended(tokenizer, stop, "a Q: ") == places


def test_a_stop_string_that_holds_a_special_token_and_more_is_refused() -> None:
    tokenizer = byte_level()
    with pytest.raises(
        ConfigError, match=r"'<\|im_end\|>\\n' holds the special token '<\|im_end\|>'; name that token alone"
    ):
        Ending(tokenizer.ends, ("<|im_end|>\n",), tokenizer)
