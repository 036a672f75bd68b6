"""Colours that mean something can be told apart, by people with any kind of colour vision."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gpc_studio.app.web.overlays.colours import BEST, source_colour
from gpc_studio.app.web.scene.glb import srgb_to_linear
from gpc_studio.controllers.plan import Source

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009: what dichromats see, in linear light.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip

# Björn Ottosson, "A perceptual color space for image processing", 2020 (Oklab).
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                     [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                   [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def seen(rgb, vision):
    linear = srgb_to_linear(np.asarray(rgb) / 255.0)
    return TO_LAB @ np.cbrt(TO_CONES @ np.clip(VISION[vision] @ linear, 0.0, 1.0))


@pytest.mark.parametrize("vision", VISION)
def test_sources_and_the_best_plan_are_told_apart(vision):
    colours = [*(source_colour(source) for source in Source), BEST]
    for a, b in combinations(colours, 2):
        assert np.linalg.norm(seen(a, vision) - seen(b, vision)) > 0.09, (a, b)


def test_every_source_has_its_own_colour():
    assert len({source_colour(source) for source in Source}) == len(Source)
