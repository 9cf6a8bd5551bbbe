"""Models: decoder, generation, packing, tokenizers, checkpoints, import of pretrained models."""

from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.pretrained import import_model, load_pretrained

__all__ = ["Decoder", "ModelConfig", "import_model", "load_pretrained"]
