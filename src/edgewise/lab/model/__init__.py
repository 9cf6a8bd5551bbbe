"""Models: decoder, generation, packing, tokenizers, checkpoints."""
