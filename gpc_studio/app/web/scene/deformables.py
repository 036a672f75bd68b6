"""Flexes and skins: surfaces whose vertices move with several bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpc_studio.app.web.overlays.colours import line_colour
from gpc_studio.app.web.scene.conversion import VISIBLE_GROUPS, element_rgba

if TYPE_CHECKING:
    import mujoco
    import viser


class Deformables:
    """The flexes and skins of a model, moved vertex by vertex.

    Of a solid flex its shell is drawn; cloth has no thickness, and skins are not inflated.
    """

    def __init__(self, server: viser.ViserServer, model: mujoco.MjModel, name: str) -> None:
        self._model = model
        self._flexes: list[tuple[Any, slice, np.ndarray | None]] = []
        self._skins: list[tuple[viser.MeshHandle, list[_Bone], np.ndarray]] = []
        for flex in np.flatnonzero(model.flex_group < VISIBLE_GROUPS):
            first = int(model.flex_vertadr[flex])
            vertices = slice(first, first + int(model.flex_vertnum[flex]))
            blank = np.zeros((vertices.stop - first, 3), np.float32)
            corners = _flex_corners(model, int(flex))
            rgba = element_rgba(model, model.flex_rgba[flex], int(model.flex_matid[flex]))
            if corners.shape[1] == 3:
                self._flexes.append(
                    (_surface(server, f"{name}/flex{flex}", blank, corners, rgba), vertices, None)
                )
                continue
            lines = server.scene.add_line_segments(
                f"{name}/flex{flex}", blank[corners], line_colour(255 * rgba[:3]),
                thickness=2.0 * float(model.flex_radius[flex]), thickness_units="world",
            )  # fmt: skip
            self._flexes.append((lines, vertices, corners))
        for skin in np.flatnonzero(model.skin_group < VISIBLE_GROUPS):
            first, face = int(model.skin_vertadr[skin]), int(model.skin_faceadr[skin])
            blank = np.zeros((int(model.skin_vertnum[skin]), 3), np.float32)
            corners = model.skin_face[face : face + int(model.skin_facenum[skin])]
            rgba = element_rgba(model, model.skin_rgba[skin], int(model.skin_matid[skin]))
            node = _surface(server, f"{name}/skin{skin}", blank, corners, rgba)
            rest = np.array(model.skin_vert[first : first + len(blank)], dtype=float)
            self._skins.append((node, _bones(model, int(skin)), rest))

    def update(self, data: mujoco.MjData) -> None:
        """Moves the vertices to where the bodies are."""
        for node, vertices, ends in self._flexes:
            points = data.flexvert_xpos[vertices].astype(np.float32)
            if ends is None:
                node.vertices = points
            else:
                node.points = points[ends]
        for node, bones, rest in self._skins:
            node.vertices = skin_vertices(data, bones, rest).astype(np.float32)


@dataclass(frozen=True)
class _Bone:
    """What one body does to a skin: it carries vertices from where they were bound to it.

    Attributes:
        body: The body.
        rotation: From the frame of the skin to that of the body, when bound (3, 3).
        origin: The body's origin when bound, frame of the skin, m (3,).
        vertices: Which it moves (n,).
        weights: How much (n,); over all bones they add up to 1.
    """

    body: int
    rotation: np.ndarray
    origin: np.ndarray
    vertices: np.ndarray
    weights: np.ndarray


def skin_vertices(data: mujoco.MjData, bones: list[_Bone], rest: np.ndarray) -> np.ndarray:
    """Linear blend skinning: vertices as bound (n, 3) to world frame, m (n, 3)."""
    out = np.zeros_like(rest)
    for bone in bones:
        turn = data.xmat[bone.body].reshape(3, 3) @ bone.rotation
        moved = (rest[bone.vertices] - bone.origin) @ turn.T + data.xpos[bone.body]
        out[bone.vertices] += bone.weights[:, None] * moved
    return out


def _bones(model: mujoco.MjModel, skin: int) -> list[_Bone]:
    import mujoco

    found = []
    first = int(model.skin_boneadr[skin])
    for bone in range(first, first + int(model.skin_bonenum[skin])):
        bound = np.empty(9)
        mujoco.mju_quat2Mat(bound, model.skin_bonebindquat[bone])
        start = int(model.skin_bonevertadr[bone])
        mine = slice(start, start + int(model.skin_bonevertnum[bone]))
        found.append(
            _Bone(
                int(model.skin_bonebodyid[bone]), bound.reshape(3, 3).T,
                np.array(model.skin_bonebindpos[bone], dtype=float),
                np.array(model.skin_bonevertid[mine]), np.array(model.skin_bonevertweight[mine]),
            )
        )  # fmt: skip
    return found


def _flex_corners(model: mujoco.MjModel, flex: int) -> np.ndarray:
    """Vertices of each edge (n, 2) of a rope, each triangle (n, 3) of a cloth or a shell."""
    dim = int(model.flex_dim[flex])
    if dim == 3:
        start, count, width = model.flex_shelldataadr[flex], model.flex_shellnum[flex], 3
        values = model.flex_shell
    else:
        start, count, width = model.flex_elemdataadr[flex], model.flex_elemnum[flex], dim + 1
        values = model.flex_elem
    return np.array(values[start : start + count * width]).reshape(count, width)


def _surface(
    server: viser.ViserServer, name: str, vertices: np.ndarray, faces: np.ndarray, rgba: np.ndarray
) -> viser.MeshHandle:
    red, green, blue = (round(255 * float(value)) for value in np.clip(rgba[:3], 0.0, 1.0))
    return server.scene.add_mesh_simple(
        name, vertices, np.asarray(faces, np.uint32), color=(red, green, blue), side="double",
        opacity=None if rgba[3] >= 1.0 else float(rgba[3]),
    )  # fmt: skip
