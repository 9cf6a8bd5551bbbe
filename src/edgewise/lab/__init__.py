"""Laboratory: models, reinforcement learning, evaluation and the infrastructure of runs."""
