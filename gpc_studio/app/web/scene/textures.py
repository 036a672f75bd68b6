"""Textures of a MuJoCo model: image extraction and the mappings of MuJoCo's renderer.

The mappings follow the classic renderer of MuJoCo (`src/render/classic/render_gl3.c`): explicit
coordinates for meshes that have them, a projection along z for other 2-D textures, and OpenGL's
cube-map lookup by direction for cube textures.
"""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.scene.glb import Material, Part
from gpc_studio.app.web.scene.meshes import Surface

if TYPE_CHECKING:
    import mujoco

# Per face, in MuJoCo's order +x -x +y -y +z -z: which component the image's s and t axes follow,
# and with which sign (OpenGL 4.6 core specification, table 8.19).
_CUBE_FACES = (
    (0, 1.0, (2, -1.0), (1, -1.0)),
    (0, -1.0, (2, 1.0), (1, -1.0)),
    (1, 1.0, (0, 1.0), (2, 1.0)),
    (1, -1.0, (0, 1.0), (2, -1.0)),
    (2, 1.0, (0, 1.0), (1, -1.0)),
    (2, -1.0, (0, -1.0), (1, -1.0)),
)


def texture_of_material(model: mujoco.MjModel, material: int) -> int:
    """Index of a material's colour texture, or -1."""
    import mujoco

    if material < 0:
        return -1
    roles = mujoco.mjtTextureRole
    for role in (roles.mjTEXROLE_RGB, roles.mjTEXROLE_RGBA):
        texture = int(model.mat_texid[material, int(role)])
        if texture >= 0:
            return texture if int(model.tex_nchannel[texture]) in (3, 4) else -1
    return -1


def texture_image(model: mujoco.MjModel, texture: int) -> np.ndarray:
    """Pixels of a texture (height, width, channels) uint8, first row at the top.

    The six faces of a cube texture are stacked, in the order +x -x +y -y +z -z.
    """
    width, height = int(model.tex_width[texture]), int(model.tex_height[texture])
    channels, start = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
    data = model.tex_data[start : start + width * height * channels]
    return np.array(data).reshape(height, width, channels)


def is_cube(model: mujoco.MjModel, texture: int) -> bool:
    """Whether a texture is mapped by direction."""
    import mujoco

    return int(model.tex_type[texture]) != int(mujoco.mjtTexture.mjTEXTURE_2D)


class TextureAtlas:
    """PNG files of a model's textures, encoded once.

    Attributes:
        model: The model, only read.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self._files: dict[tuple[int, int], bytes] = {}

    def flat(self, texture: int) -> bytes:
        """A 2-D texture as a PNG file."""
        return self._file(texture, -1)

    def face(self, texture: int, face: int) -> bytes:
        """One of the six faces of a cube texture as a PNG file."""
        return self._file(texture, face)

    def _file(self, texture: int, face: int) -> bytes:
        key = (texture, face)
        if key not in self._files:
            pixels = texture_image(self.model, texture)
            if face >= 0:
                width = pixels.shape[1]
                # A square cube texture shows the same image on all six faces.
                row = 0 if pixels.shape[0] == width else face * width
                pixels = pixels[row : row + width]
            self._files[key] = encode_png(pixels)
        return self._files[key]


def encode_png(pixels: np.ndarray) -> bytes:
    """A PNG file from (height, width, 3 or 4) uint8."""
    from PIL import Image

    with io.BytesIO() as buffer:
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png")
        return buffer.getvalue()


def plane_uv(points: np.ndarray, half: np.ndarray, repeat: np.ndarray, uniform: bool) -> np.ndarray:
    """Texture coordinates (V, 2) of a 2-D texture projected along z.

    Args:
        points: Vertices in the geom's frame, m (V, 3).
        half: Half sizes of the geom in x and y, m; 0 for an infinite side (2,).
        repeat: `texrepeat` of the material (2,).
        uniform: `texuniform` of the material: repeat per 2 m instead of per object.
    """
    scale = np.array(repeat, dtype=float)
    finite = half > 0
    if not uniform:
        scale[finite] /= half[finite]
    return np.stack([points[:, 0] * scale[0], -points[:, 1] * scale[1]], 1) * 0.5 - 0.5


def cube_uv(directions: np.ndarray, face: int) -> np.ndarray:
    """Texture coordinates (V, 2) on one face of a cube texture of directions (V, 3)."""
    axis, _, (s_axis, s_sign), (t_axis, t_sign) = _CUBE_FACES[face]
    depth = np.maximum(np.abs(directions[:, axis]), 1e-9)
    s = s_sign * directions[:, s_axis] / depth
    t = t_sign * directions[:, t_axis] / depth
    return (np.stack([s, t], 1) + 1.0) / 2.0


def cube_face(direction: np.ndarray) -> np.ndarray:
    """Face of a cube texture that each direction (F, 3) meets (F,)."""
    axis = np.abs(direction).argmax(1)
    negative = np.take_along_axis(direction, axis[:, None], 1)[:, 0] < 0
    return 2 * axis + negative


def textured_parts(
    surface: Surface,
    material: Material,
    atlas: TextureAtlas,
    material_id: int,
    size: np.ndarray,
) -> list[Part]:
    """The surface of a geom with its material's texture, in the geom's frame.

    Args:
        surface: Triangles of the geom.
        material: Its colour and gloss.
        atlas: Textures of the model.
        material_id: Material of the geom, or -1.
        size: Half sizes of the geom, m; 0 for an infinite side (3,).
    """
    vertices, faces = surface.triangles
    model = atlas.model
    texture = texture_of_material(model, material_id)
    if texture < 0:
        return [Part(vertices, faces, material)]
    uniform = bool(model.mat_texuniform[material_id])
    if not is_cube(model, texture):
        look = dataclasses.replace(material, texture=atlas.flat(texture))
        repeat = np.array(model.mat_texrepeat[material_id])
        if surface.uv is None:
            uv = plane_uv(vertices, size[:2], repeat, uniform)
        else:
            uv = surface.uv * repeat * (size[:2] if uniform else 1.0)
        return [Part(vertices, faces, look, uv)]
    directions = vertices if uniform else vertices / np.where(size > 0, size, 1.0)
    chosen = cube_face(directions[faces].mean(1))  # (F,)
    parts = []
    for face in np.unique(chosen):
        used, local = np.unique(faces[chosen == face], return_inverse=True)
        look = dataclasses.replace(material, texture=atlas.face(texture, int(face)), clamp=True)
        uv = cube_uv(directions[used], int(face))
        parts.append(Part(vertices[used], local.reshape(-1, 3), look, uv))
    return parts
