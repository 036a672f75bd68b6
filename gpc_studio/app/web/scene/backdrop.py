"""Sky, light and ground: what the world stands in, dark or light."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.scene.glb import Material, Part, linear_to_srgb, srgb_to_linear, write_glb

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.web.scene.conversion import Ground

Rgb = tuple[int, int, int]

_DOME_RADIUS = 400.0  # m; the camera's far plane is at 1000 m
_SUN_POSITION = (-2.0, -3.0, 6.0)  # Only the direction to the origin counts.
_SUN_COLOUR = (255, 247, 235)

# The viewer's tone mapping: fit of the ACES filmic curve by Stephen Hill, as in three.js.
_ACES_IN = np.array(
    [[0.59719, 0.35458, 0.04823], [0.07600, 0.90834, 0.01566], [0.02840, 0.13383, 0.83777]]
)
_ACES_OUT = np.array(
    [[1.60475, -0.53108, -0.07367], [-0.10208, 1.10813, -0.00605], [-0.00327, -0.07276, 1.07602]]
)
_ACES_EXPOSURE = 1.0 / 0.6


@dataclass(frozen=True)
class Theme:
    """Colours of the surroundings, sRGB.

    Attributes:
        zenith: Sky straight up.
        horizon: Sky at eye level, into which the ground fades.
        nadir: Below the horizon.
        ground: Factor on the brightness of the ground, so that it suits the sky.
        sun: Strength of the light from one side, which casts the shadows.
        environment: Strength of the light from all around.
        ink: Neutral colour that stands out from the ground, for lines.
    """

    zenith: Rgb
    horizon: Rgb
    nadir: Rgb
    ground: float
    sun: float
    environment: float
    ink: Rgb


LIGHT = Theme(
    zenith=(146, 178, 210), horizon=(228, 234, 240), nadir=(214, 221, 229), ground=0.92,
    sun=2.1, environment=0.42, ink=(38, 44, 52),
)  # fmt: skip
DARK = Theme(
    zenith=(12, 15, 23), horizon=(40, 48, 62), nadir=(24, 29, 38), ground=0.31,
    sun=1.9, environment=0.42, ink=(238, 242, 247),
)  # fmt: skip


def theme(dark: bool) -> Theme:
    """The dark or the light theme."""
    return DARK if dark else LIGHT


class Backdrop:
    """Sky dome, light and ground of one view.

    Attributes:
        dark: Which theme is shown.
    """

    def __init__(
        self, server: viser.ViserServer, ground: Ground | None, prefix: str, dark: bool
    ) -> None:
        """Args: server, the ground of the model, node-name prefix and the theme to start with."""
        self._server = server
        self._ground = ground
        self._prefix = prefix
        self.dark = dark
        server.scene.configure_default_lights(enabled=False)
        self._sun = server.scene.add_light_directional(
            f"{prefix}/sun", color=_SUN_COLOUR, cast_shadow=True, position=_SUN_POSITION
        )
        self._nodes: list[viser.GlbHandle] = []
        self._draw()

    def set_dark(self, dark: bool) -> None:
        """Changes the theme."""
        if dark != self.dark:
            self.dark = dark
            self._draw()

    def set_shadows(self, shadows: bool) -> None:
        """Turns cast shadows on or off; off is faster on software renderers."""
        if shadows != self._sun.cast_shadow:
            self._sun.cast_shadow = shadows

    def remove(self) -> None:
        """Removes the nodes and gives the server its default light back."""
        for node in self._nodes:
            node.remove()
        self._nodes = []
        self._sun.remove()
        self._server.scene.configure_default_lights(enabled=True)

    def _draw(self) -> None:
        look = theme(self.dark)
        scene = self._server.scene
        with self._server.atomic():
            self._sun.intensity = look.sun
            scene.configure_environment_map(
                "city", environment_intensity=look.environment, background=False
            )
            nodes = [
                scene.add_glb(
                    f"{self._prefix}/sky", write_glb([sky_dome(look)]),
                    cast_shadow=False, receive_shadow=False,
                )
            ]  # fmt: skip
            if self._ground is not None:
                parts = [_tinted(part, look.ground) for part in self._ground.parts]
                name = f"{self._prefix}/ground"
                nodes.append(scene.add_glb(name, write_glb(parts), cast_shadow=False))
            self._nodes = nodes


def sky_dome(look: Theme) -> Part:
    """A sphere seen from inside, coloured from nadir over the horizon to the zenith."""
    elevation = np.radians([-90, -60, -30, -12, -4, 0, 3, 7, 13, 22, 35, 55, 90])
    azimuth = np.linspace(0.0, 2 * np.pi, 33)
    up, around = (grid.ravel() for grid in np.meshgrid(elevation, azimuth, indexing="ij"))
    flat = np.cos(up)
    vertices = _DOME_RADIUS * np.stack(
        [flat * np.cos(around), flat * np.sin(around), np.sin(up)], 1
    )
    # Skies whiten towards the horizon; the square root makes most of the change happen there.
    share = np.sqrt(np.abs(np.sin(up)))[:, None]
    ends = np.where(up[:, None] >= 0, np.array(look.zenith), np.array(look.nadir)) / 255
    mixed = (1 - share) * srgb_to_linear(np.array(look.horizon) / 255) + share * srgb_to_linear(
        ends
    )
    index = np.arange(len(vertices)).reshape(len(elevation), len(azimuth))
    a, b, c, d = (
        corner.ravel()
        for corner in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:])
    )
    faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    rgb = linear_to_srgb(before_tone_mapping(mixed))
    colors = np.column_stack([rgb, np.ones(len(rgb))])
    return Part(vertices, faces, Material((1.0, 1.0, 1.0, 1.0), unlit=True), colors=colors)


def before_tone_mapping(linear: np.ndarray) -> np.ndarray:
    """Linear light (..., 3) that the viewer's tone mapping turns into `linear`, below 1."""
    curve = np.clip(linear @ np.linalg.inv(_ACES_OUT).T, 0.0, 0.99)
    # y = (v^2 + a v - b) / (c v^2 + d v + e), solved for the positive v.
    a = 1.0 - 0.983729 * curve
    b = 0.0245786 - 0.4329510 * curve
    c = -(0.000090537 + 0.238081 * curve)
    scene = (-b + np.sqrt(b * b - 4.0 * a * c)) / (2.0 * a)
    return np.maximum(scene @ np.linalg.inv(_ACES_IN).T / _ACES_EXPOSURE, 0.0)


def _tinted(part: Part, factor: float) -> Part:
    red, green, blue, alpha = part.material.rgba
    rgba = (red * factor, green * factor, blue * factor, alpha)
    return dataclasses.replace(part, material=dataclasses.replace(part.material, rgba=rgba))
