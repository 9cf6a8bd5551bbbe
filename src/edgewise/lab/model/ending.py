"""Condition that ends a completion: end tokens, and strings that end it as soon as its text holds one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from edgewise.errors import ConfigError
from edgewise.lab.model.tokenizer import Tokenizer


class Ending:
    """Recognises the token that ends a completion.

    Example:
        >>> import torch
        >>> from edgewise.lab.model.ending import Ending
        >>> Ending([3, 5])(torch.tensor([[1, 3], [3, 4], [2, 5]])).tolist()
        [True, False, True]
    """

    def __init__(self, ends: Sequence[int], strings: Sequence[str] = (), tokenizer: Tokenizer | None = None):
        """Args:
        ends: ids of end tokens.
        strings: stop strings, not empty; one that is a special token is an end token.
        tokenizer: needed for stop strings.
        """
        if not all(isinstance(text, str) and text for text in strings):
            raise ConfigError(f"stop strings must be texts that are not empty, got {list(strings)}")
        special = {} if tokenizer is None else tokenizer.special_tokens()
        self.ends = (*ends, *(special[text] for text in strings if text in special))
        self.strings = tuple(text for text in strings if text not in special)
        for text in self.strings:
            # The text of a completion is without special tokens: the string would never be found.
            if inside := [token for token in special if token in text]:
                raise ConfigError(
                    f"the stop string {text!r} holds the special token {inside[0]!r}; name that token alone"
                )
        if not self.ends and not self.strings:
            raise ConfigError("a completion needs an end token or a stop string")
        self._ends = torch.tensor(self.ends, dtype=torch.int64)
        self._tokenizer, self._may = tokenizer, torch.zeros(0, dtype=torch.bool)
        if self.strings:
            if tokenizer is None:
                raise ConfigError("stop strings need a tokenizer")
            # Only a token that holds a stop string's last character can complete it; one that holds a part of a
            # character is decoded as U+FFFD.
            last = {text[-1] for text in self.strings}
            split = any(ord(character) > 127 for character in last)
            # Twice, for a token's text is that behind other tokens: some decoders strip the space that begins a text.
            twice = [[index, index] for index in range(len(tokenizer))]
            texts = tokenizer.core.decode_batch(twice, skip_special_tokens=False)
            may = [not last.isdisjoint(text) or (split and "\ufffd" in text) for text in texts]
            self._may = torch.tensor(may)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Whether each completion ends with its last token, bool (rows,); tokens (rows, time) without padding."""
        last = tokens[:, -1]
        ended = torch.isin(last, self._ends.to(last.device))
        if self.strings:
            may = self._may.to(last.device)
            # Rows of the embeddings beyond the tokenizer stand for no text.
            hits = (may[last.clamp(max=len(may) - 1)] & (last < len(may)) & ~ended).nonzero()[:, 0]
            if len(hits):
                texts = cast(Tokenizer, self._tokenizer).core.decode_batch(tokens[hits].tolist())
                ended[hits] = torch.tensor([self._holds(text) for text in texts], device=ended.device)
        return ended

    def cut(self, text: str) -> str:
        """The text before the first stop string."""
        places = [place for place in map(text.find, self.strings) if place >= 0]
        return text[: min(places)] if places else text

    def _holds(self, text: str) -> bool:
        return any(string in text for string in self.strings)
