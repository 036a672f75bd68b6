"""From a MuJoCo model to meshes, one set per rigid group of bodies.

Bodies without a joint between them move as one, so their geoms are drawn as one node: a frame of
the animation is then one pose per *moving* group. The model is only read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.scene import meshes, textures
from gpc_studio.app.web.scene.glb import Material, Part, merged

if TYPE_CHECKING:
    import mujoco

VISIBLE_GROUPS = 3  # MuJoCo shows groups 0, 1 and 2 by default.
_DEFAULT_RGBA = np.array([0.5, 0.5, 0.5, 1.0])
_CUBE_DIVISIONS = 8
_FADE_START = 0.35  # Share of the ground's radius at which it starts to fade.


@dataclass(frozen=True)
class Ground:
    """A plane so large that its edge should not be seen.

    Attributes:
        parts: The surface, world frame; the rim fades to transparent.
    """

    parts: list[Part]


@dataclass(frozen=True)
class Group:
    """Bodies that move as one.

    Attributes:
        body: The body that the others are fixed to; 0 for the world.
        name: Its name, usable as a part of a node's name.
        mocap: Index of its mocap pose, or -1.
        parts: Geoms and sites in the frame of `body`, m, one part per material.
    """

    body: int
    name: str
    mocap: int
    parts: list[Part]


@dataclass(frozen=True)
class Converted:
    """A model as meshes.

    Attributes:
        static: What never moves, world frame.
        ground: Large planes, world frame.
        moving: Groups with degrees of freedom or a mocap pose.
    """

    static: list[Part]
    ground: Ground | None
    moving: list[Group]


def convert(model: mujoco.MjModel) -> Converted:
    """Meshes of all visible geoms and sites of a model.

    Geoms and sites of group 3 and above and fully transparent ones are left out, as in MuJoCo's
    own viewer.
    """
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    atlas = textures.TextureAtlas(model)
    roots = rigid_roots(model)
    parts: dict[int, list[Part]] = {int(root): [] for root in np.unique(roots)}
    ground: list[Part] = []
    for geom in range(model.ngeom):
        rgba = element_rgba(model, model.geom_rgba[geom], int(model.geom_matid[geom]))
        if model.geom_group[geom] >= VISIBLE_GROUPS or rgba[3] <= 0:
            continue
        root = int(roots[model.geom_bodyid[geom]])
        pose = _relative_pose(data, root, data.geom_xpos[geom], data.geom_xmat[geom])
        is_plane = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE
        if is_plane and root == 0 and _is_ground(model, geom):
            ground += [_placed(p, *pose) for p in _ground_parts(model, geom, rgba, atlas)]
        else:
            parts[root] += [_placed(p, *pose) for p in _geom_parts(model, geom, rgba, atlas)]
    for site in range(model.nsite):
        rgba = element_rgba(model, model.site_rgba[site], int(model.site_matid[site]))
        if model.site_group[site] >= VISIBLE_GROUPS or rgba[3] <= 0:
            continue
        shape = meshes.primitive(int(model.site_type[site]), np.array(model.site_size[site]))
        if shape is not None:
            root = int(roots[model.site_bodyid[site]])
            pose = _relative_pose(data, root, data.site_xpos[site], data.site_xmat[site])
            look = _material(model, int(model.site_matid[site]), rgba)
            parts[root].append(_placed(Part(*shape, look), *pose))
    return Converted(
        static=merged(parts.pop(0, [])),
        ground=Ground(merged(ground)) if ground else None,
        moving=[
            Group(root, node_name(model, root), int(model.body_mocapid[root]), merged(found))
            for root, found in parts.items()
            if found
        ],
    )


def rigid_roots(model: mujoco.MjModel) -> np.ndarray:
    """For every body, the body it moves with: itself if jointed or mocap, 0 if fixed (nbody,)."""
    roots = np.zeros(model.nbody, dtype=int)
    for body in range(1, model.nbody):
        own = model.body_jntnum[body] > 0 or model.body_mocapid[body] >= 0
        roots[body] = body if own else roots[model.body_parentid[body]]
    return roots


def node_name(model: mujoco.MjModel, body: int) -> str:
    """A name for the body's scene node, without the slashes that separate levels."""
    name = model.body(body).name
    return f"{body}_{re.sub(r'[^A-Za-z0-9_.-]', '.', name)}" if name else str(body)


def element_rgba(model: mujoco.MjModel, own: np.ndarray, material: int) -> np.ndarray:
    """Colour in force: the element's own unless that is the default and there is a material."""
    if material >= 0 and np.allclose(own, _DEFAULT_RGBA):
        return np.array(model.mat_rgba[material], dtype=float)
    return np.array(own, dtype=float)


def _material(model: mujoco.MjModel, material: int, rgba: np.ndarray) -> Material:
    color = tuple(float(value) for value in np.clip(rgba, 0.0, 1.0))
    if material < 0:
        return Material(rgba=color)  # pyright: ignore[reportArgumentType]
    roughness, metallic = float(model.mat_roughness[material]), float(model.mat_metallic[material])
    if roughness < 0:  # Not given: from the Phong figures, of which shininess is the exponent.
        shine = float(model.mat_shininess[material]) * float(model.mat_specular[material])
        roughness = 0.95 - 0.65 * np.sqrt(np.clip(shine, 0.0, 1.0))
    return Material(
        rgba=color,  # pyright: ignore[reportArgumentType]
        roughness=float(np.clip(roughness, 0.05, 1.0)),
        metallic=float(np.clip(metallic, 0.0, 1.0)) if metallic >= 0 else 0.0,
        emission=float(model.mat_emission[material]),
    )


def _geom_parts(
    model: mujoco.MjModel, geom: int, rgba: np.ndarray, atlas: textures.TextureAtlas
) -> list[Part]:
    import mujoco

    material_id = int(model.geom_matid[geom])
    texture = textures.texture_of_material(model, material_id)
    size = np.array(model.geom_size[geom], dtype=float)
    kinds = mujoco.mjtGeom
    kind = int(model.geom_type[geom])
    divided = texture >= 0 and textures.is_cube(model, texture)
    if kind == kinds.mjGEOM_PLANE:
        side = np.where(size[:2] > 0, size[:2], _endless(model))
        surface = meshes.Surface(_rectangle(side))
    elif kind == kinds.mjGEOM_BOX and divided:
        surface = meshes.Surface(meshes.box(size, _CUBE_DIVISIONS))
    else:
        surface = meshes.surface_of_geom(model, geom)
    if surface is None:
        return []
    look = _material(model, material_id, rgba)
    if kind == kinds.mjGEOM_CAPSULE:
        size = np.array([size[0], size[0], size[1] + size[0]])
    elif kind == kinds.mjGEOM_CYLINDER:
        size = np.array([size[0], size[0], size[1]])
    elif kind == kinds.mjGEOM_SPHERE:
        size = np.full(3, size[0])
    elif kind in (kinds.mjGEOM_MESH, kinds.mjGEOM_SDF, kinds.mjGEOM_HFIELD) and divided:
        size = np.ones(3)  # The renderer does not scale these before it maps a cube texture.
    return textures.textured_parts(surface, look, atlas, material_id, size)


def _endless(model: mujoco.MjModel) -> float:
    """Half size, m, at which the model's infinite planes end."""
    return float(np.clip(12.0 * model.stat.extent, 10.0, 100.0))


def _is_ground(model: mujoco.MjModel, geom: int) -> bool:
    x, y = np.array(model.geom_size[geom][:2])
    return bool((x <= 0 and y <= 0) or min(x, y) >= 2.0 * model.stat.extent)


def _ground_parts(
    model: mujoco.MjModel, geom: int, rgba: np.ndarray, atlas: textures.TextureAtlas
) -> list[Part]:
    """A disc in place of a large plane: opaque in the middle, fading out towards its rim."""
    size = np.array(model.geom_size[geom], dtype=float)
    radius = float(min(size[:2])) if (size[:2] > 0).all() else _endless(model)
    material_id = int(model.geom_matid[geom])
    look = replace(_material(model, material_id, rgba), roughness=0.95, metallic=0.0)
    angles = np.linspace(0.0, 2.0 * np.pi, 96, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], 1)
    core = np.concatenate([ring * (_FADE_START * radius), np.zeros((1, 3))])
    here, there = np.arange(len(ring)), np.roll(np.arange(len(ring)), -1)
    fan = np.column_stack([here, there, np.full(len(ring), len(ring))])
    steps = np.linspace(0.0, 1.0, 17)
    rim = np.concatenate([ring * radius * (_FADE_START + (1 - _FADE_START) * s) for s in steps])
    alpha = np.repeat(np.cos(np.pi / 2 * steps) ** 2, len(ring))
    faces = np.concatenate([
        _band(here + k * len(ring), there + k * len(ring), len(ring))
        for k in range(len(steps) - 1)
    ])  # fmt: skip
    parts: list[Part] = []
    for vertices, triangles, opacity in ((core, fan, None), (rim, faces, alpha)):
        surface = meshes.Surface(meshes.Triangles(vertices, triangles))
        for part in textures.textured_parts(surface, look, atlas, material_id, size):
            colors = None
            if opacity is not None and len(part.vertices) == len(opacity):
                colors = np.column_stack([np.ones((len(opacity), 3)), opacity])
            parts.append(replace(part, colors=colors))
    return parts


def _band(here: np.ndarray, there: np.ndarray, step: int) -> np.ndarray:
    inner = np.column_stack([here, here + step, there + step])
    return np.concatenate([inner, np.column_stack([here, there + step, there])])


def _rectangle(half: np.ndarray) -> meshes.Triangles:
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=float)
    return meshes.Triangles(corners * [*half, 1.0], np.array([[0, 1, 2], [0, 2, 3]]))


def _relative_pose(
    data: mujoco.MjData, root: int, position: np.ndarray, rotation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pose in the frame of body `root`: position (3,), m, and rotation (3, 3)."""
    frame = data.xmat[root].reshape(3, 3)
    return frame.T @ (position - data.xpos[root]), frame.T @ rotation.reshape(3, 3)


def _placed(part: Part, position: np.ndarray, rotation: np.ndarray) -> Part:
    return replace(part, vertices=part.vertices @ rotation.T + position)
