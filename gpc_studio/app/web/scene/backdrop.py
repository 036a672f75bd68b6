"""Sky, light and ground: what the world stands in, dark or light."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.scene.glb import Material, Part, srgb_to_linear, write_glb

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.web.scene.conversion import Ground

Rgb = tuple[int, int, int]

_DOME_RADIUS = 400.0  # m; the camera's far plane is at 1000 m


@dataclass(frozen=True)
class Theme:
    """Colours of the surroundings, sRGB.

    Attributes:
        zenith: Sky straight up.
        horizon: Sky at eye level, into which the ground fades.
        nadir: Below the horizon.
        ground: Factor on the brightness of the ground, so that it suits the sky.
        environment: Strength of the light from all around.
        ink: Neutral colour that stands out from the ground, for lines.
    """

    zenith: Rgb
    horizon: Rgb
    nadir: Rgb
    ground: float
    environment: float
    ink: Rgb


LIGHT = Theme(
    zenith=(150, 182, 214), horizon=(236, 241, 246), nadir=(226, 232, 238), ground=1.0,
    environment=0.75, ink=(38, 44, 52),
)  # fmt: skip
DARK = Theme(
    zenith=(9, 12, 20), horizon=(36, 44, 58), nadir=(22, 27, 36), ground=0.30,
    environment=0.45, ink=(238, 242, 247),
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
        self._shadows: bool | None = None
        self.dark = dark
        self._nodes: list[viser.GlbHandle] = []
        self._draw()

    def set_dark(self, dark: bool) -> None:
        """Changes the theme."""
        if dark != self.dark:
            self.dark = dark
            self._draw()

    def set_shadows(self, shadows: bool) -> None:
        """Turns cast shadows on or off; off is faster on software renderers."""
        if shadows != self._shadows:
            self._shadows = shadows
            self._server.scene.configure_default_lights(enabled=True, cast_shadow=shadows)

    def remove(self) -> None:
        """Removes the nodes."""
        for node in self._nodes:
            node.remove()
        self._nodes = []

    def _draw(self) -> None:
        look = theme(self.dark)
        scene = self._server.scene
        with self._server.atomic():
            scene.configure_environment_map(
                "studio", environment_intensity=look.environment, background=False
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
    rgb = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)
    index = np.arange(len(vertices)).reshape(len(elevation), len(azimuth))
    a, b, c, d = (
        corner.ravel()
        for corner in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:])
    )
    faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    colors = np.column_stack([rgb, np.ones(len(rgb))])
    return Part(vertices, faces, Material((1.0, 1.0, 1.0, 1.0), unlit=True), colors=colors)


def _tinted(part: Part, factor: float) -> Part:
    red, green, blue, alpha = part.material.rgba
    rgba = (red * factor, green * factor, blue * factor, alpha)
    return dataclasses.replace(part, material=dataclasses.replace(part.material, rgba=rgba))
