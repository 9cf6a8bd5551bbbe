"""Colours of the pictures: people who see two primary colours can tell them apart too, and text can be read."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from edgewise import report

STYLE = (Path(report.__file__).parent / "style.css").read_text("utf-8")
COLOURS = {
    name: pair for name, *pair in re.findall(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLE)
}
STATES = [f"state-{name}" for name in ("unseen", "hopeless", "edge", "mastered", "forgotten")]
# Linear RGB as seen without one of the three cones (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "all cones": np.eye(3).tolist(),
}
APART = 0.055
"""Distance in OKLab; 0.02 is just noticeable side by side."""


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    cones = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
    lab = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    return lab @ np.cbrt(np.clip(cones @ rgb, 0, 1))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("names", [STATES, ["uniform", "ds", "mopps", "edge"]], ids=["states", "methods"])
def test_colours_of_one_picture_can_be_told_apart(names: list[str], sight: str, scheme: int) -> None:
    seen = {name: oklab(np.array(SIGHT[sight]) @ linear(COLOURS[name][scheme])) for name in names}
    near = {pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in itertools.combinations(names, 2)}
    assert min(near.values()) > APART, near


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "muted", "good", "bad", "doubt"])
def test_text_has_the_contrast_that_reading_needs(name: str, scheme: int) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    text = float(weights @ linear(COLOURS[name][scheme]))
    for ground in ("card", "ground"):
        under = float(weights @ linear(COLOURS[ground][scheme]))
        # WCAG 2 AA for text of normal size.
        assert (max(text, under) + 0.05) / (min(text, under) + 0.05) >= 4.5, ground


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_shades_of_heat_maps_go_one_way_in_lightness(scheme: int) -> None:
    lightness = [float(oklab(linear(COLOURS[f"heat-{i}"][scheme]))[0]) for i in range(6)]
    assert lightness == sorted(lightness, reverse=scheme == 0)
