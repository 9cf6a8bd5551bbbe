"""Reinforcement learning: advantages, losses, the update and the training loop."""
