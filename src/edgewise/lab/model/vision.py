"""Pictures in a decoder: patches as tokens whose ids lie beyond the vocabulary.

A picture of `image_size` pixels a side is cut into patches of `patch_size`. Its placeholder in a prompt becomes one token a patch;
token vocab_size + i stands for row i of the gallery, which holds the patches of all pictures that were shown to the model. Only the
embedding looks there. Prompts stay lists of ints, so lengths, packing, masks and the KV cache need no change, and two
pictures under the same words are two different prompts.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgewise.errors import ConfigError, TaskError

IMAGE = "<image>"
"""Placeholder of a picture in a prompt."""
LARGEST_SIDE = 20_000
"""Pixels of a side of a picture that is resized."""

Patches = npt.NDArray[np.uint8]
"""Patches of pictures in reading order, (patches, pixels of a patch), 0 for black."""


@dataclass(frozen=True)
class PictureFormat:
    """Form in which a model reads pictures.

    Args:
        image_size: pixels of a side.
        patch_size: pixels of a side of a patch; divides image_size.
        vocab_size: the id of the first row of the gallery.
        placeholder: id of the placeholder's token.
    """

    image_size: int
    patch_size: int
    vocab_size: int
    placeholder: int

    @property
    def count(self) -> int:
        """Patches of a picture."""
        return (self.image_size // self.patch_size) ** 2

    def patches(self, image: Any) -> Patches:
        """Patches (count, patch_size ** 2) of a PIL image or a uint8 array, in grey levels.

        A picture of another size is fitted into the square on a white ground, which needs Pillow.
        """
        pixels = grey(image)
        if pixels.shape != (self.image_size, self.image_size):
            pixels = _fitted(pixels, self.image_size)
        side = self.image_size // self.patch_size
        parts = pixels.reshape(side, self.patch_size, side, self.patch_size).swapaxes(1, 2)
        return np.ascontiguousarray(parts.reshape(self.count, self.patch_size**2))

    def expand(self, tokens: Sequence[int], firsts: Sequence[int]) -> list[int]:
        """A prompt whose placeholders are replaced by the tokens of pictures, given the row of each one's first patch.

        Raises:
            TaskError: the prompt has more or fewer placeholders than pictures.
        """
        places = [place for place, token in enumerate(tokens) if token == self.placeholder]
        if len(places) != len(firsts):
            raise TaskError(
                f"a prompt with {len(places)} times {IMAGE} has {len(firsts)} pictures; the two must be equal"
            )
        result: list[int] = []
        begin = 0
        for place, first in zip(places, firsts, strict=True):
            result += tokens[begin:place]
            result += range(self.vocab_size + first, self.vocab_size + first + self.count)
            begin = place + 1
        return result + list(tokens[begin:])


class Gallery:
    """Patches of the pictures shown to a model, each picture once. Copies of a model share its gallery."""

    def __init__(self, pixels: int):
        self.rows = np.empty((0, pixels), np.uint8)
        self.used = 0
        self._first: dict[bytes, int] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Gallery:
        return self

    def add(self, patches: Patches) -> int:
        """The row of the first patch of a picture, which is added if it is new."""
        mark = hashlib.blake2b(patches.tobytes(), digest_size=16).digest()
        if mark not in self._first:
            while self.used + len(patches) > len(self.rows):
                grown = np.empty((max(2 * len(self.rows), 4096), self.rows.shape[1]), np.uint8)
                grown[: self.used] = self.rows[: self.used]
                self.rows = grown
            self.rows[self.used : self.used + len(patches)] = patches
            self._first[mark] = self.used
            self.used += len(patches)
        return self._first[mark]

    def take(self, rows: Tensor) -> Tensor:
        """Patches at these rows, uint8, on their device."""
        return torch.from_numpy(self.rows[rows.cpu().numpy()]).to(rows.device)


class Vision(nn.Module):
    """Embeddings of patches: a linear map of their ink, and a learned vector of their place in the picture."""

    def __init__(self, image_size: int, patch_size: int, hidden_size: int):
        super().__init__()
        self.count = (image_size // patch_size) ** 2
        self.patch = nn.Linear(patch_size**2, hidden_size)
        self.position = nn.Parameter(torch.zeros(self.count, hidden_size))
        self.gallery = Gallery(patch_size**2)

    def forward(self, rows: Tensor, patches: Tensor | None = None) -> Tensor:
        """Embeddings (..., hidden) of rows (...) of the gallery, or of `patches`, in which whole pictures stand one after another."""
        pixels = self.gallery.take(rows) if patches is None else patches[rows]
        ink = 1.0 - pixels.to(self.patch.weight.dtype) / 255
        return self.patch(ink) + self.position[rows % self.count]


def grey(image: Any) -> npt.NDArray[np.uint8]:
    """Grey levels (height, width) of a PIL image or a uint8 array; transparency becomes white."""
    if hasattr(image, "convert"):
        image = image.convert("L" if image.mode in ("L", "RGB") else "RGBA")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not pixels.size:
        raise TaskError(f"a picture must be a PIL image or a uint8 array, got {type(image).__name__} {pixels.shape}")
    if pixels.ndim == 2:
        return pixels
    colours = pixels[..., :3].astype(np.float64).mean(-1)
    if pixels.shape[-1] in (2, 4):
        share = pixels[..., -1] / 255
        own = colours if pixels.shape[-1] == 4 else pixels[..., 0].astype(np.float64)
        colours = share * own + (1 - share) * 255
    return np.floor(colours + 0.5).astype(np.uint8)


def blank(image: Any) -> npt.NDArray[np.uint8]:
    """A white picture of the same size."""
    return np.full(grey(image).shape, 255, np.uint8)


def data_uri(image: Any) -> str:
    """A picture as the address of a PNG of its grey levels, for reports: data:image/png;base64,..."""
    pixels = grey(image)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    # 8 bits a pixel, one channel; each line begins with its filter, which is none.
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 0)
    lines = np.pad(pixels, ((0, 0), (1, 0))).tobytes()
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()
    return f"data:image/png;base64,{png}"


def _fitted(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The picture scaled to fit into a white square."""
    if max(pixels.shape) > LARGEST_SIDE:
        raise TaskError(f"a picture of {pixels.shape[1]} x {pixels.shape[0]} pixels is too large to be resized")
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError(f"pictures that are not {size} x {size} pixels need Pillow: pip install pillow") from error
    scale = size / max(pixels.shape)
    height, width = (max(round(side * scale), 1) for side in pixels.shape)
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
    square = np.full((size, size), 255, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = small
    return square
