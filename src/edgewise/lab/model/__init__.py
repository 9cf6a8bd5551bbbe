"""Models: decoder, generation, packing, tokenizers, checkpoints, import of pretrained models."""

from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.decoder import Decoder

__all__ = ["Decoder", "ModelConfig"]
