"""Evaluation: held-out accuracy, pass@k and likelihood."""
