"""Triangles of MuJoCo's geometry types.

Vertices are shared where a surface is smooth and doubled where it has an edge, since the viewer
computes normals by averaging over shared vertices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import mujoco

_SLICES = 32
_STACKS = 16


class Triangles(NamedTuple):
    """Vertices (V, 3), m, and faces (F, 3), counter-clockwise seen from outside."""

    vertices: np.ndarray
    faces: np.ndarray


class Surface(NamedTuple):
    """Triangles with the texture coordinates they bring along (V, 2), or None."""

    triangles: Triangles
    uv: np.ndarray | None = None


def surface_of_geom(model: mujoco.MjModel, geom: int) -> Surface | None:
    """Triangles of a geom in its own frame, m; None for a plane (see `conversion`) or nothing."""
    import mujoco

    kinds = mujoco.mjtGeom
    kind, size = int(model.geom_type[geom]), np.array(model.geom_size[geom])
    if kind in (kinds.mjGEOM_MESH, kinds.mjGEOM_SDF):
        mesh = int(model.geom_dataid[geom])
        return None if mesh < 0 else mesh_surface(model, mesh)
    if kind == kinds.mjGEOM_HFIELD:
        return Surface(hfield(model, int(model.geom_dataid[geom])))
    shape = primitive(kind, size)
    return None if shape is None else Surface(shape)


def primitive(kind: int, size: np.ndarray) -> Triangles | None:
    """Triangles of a primitive of type `mjtGeom`, with MuJoCo's half sizes (3,), m."""
    import mujoco

    kinds = mujoco.mjtGeom
    if kind == kinds.mjGEOM_SPHERE:
        return ellipsoid(np.full(3, size[0]))
    if kind == kinds.mjGEOM_ELLIPSOID:
        return ellipsoid(size)
    if kind == kinds.mjGEOM_CAPSULE:
        return capsule(size[0], size[1])
    if kind == kinds.mjGEOM_CYLINDER:
        return cylinder(size[0], size[1])
    if kind == kinds.mjGEOM_BOX:
        return box(size)
    return None


def box(half: np.ndarray, divisions: int = 1) -> Triangles:
    """A box with half sizes (3,), every face a grid of `divisions` squares a side."""
    ticks = np.linspace(-1.0, 1.0, divisions + 1)
    u, v = (grid.ravel() for grid in np.meshgrid(ticks, ticks, indexing="ij"))
    faces = _grid_faces(divisions + 1, divisions + 1)
    vertices, all_faces = [], []
    for axis in range(3):
        for sign in (1.0, -1.0):
            face = np.empty((len(u), 3))
            face[:, axis] = sign
            face[:, (axis + 1) % 3] = u
            face[:, (axis + 2) % 3] = sign * v
            all_faces.append(faces + sum(len(part) for part in vertices))
            vertices.append(face)
    return Triangles(np.concatenate(vertices) * half, np.concatenate(all_faces))


def ellipsoid(radii: np.ndarray) -> Triangles:
    """An ellipsoid with semi-axes (3,)."""
    latitudes = np.linspace(-np.pi / 2, np.pi / 2, _STACKS + 1)[1:-1]
    profile = np.stack([np.cos(latitudes), np.sin(latitudes)], 1)
    turned = _revolved(profile, bottom=-1.0, top=1.0)
    return Triangles(turned.vertices * radii, turned.faces)


def capsule(radius: float, half_length: float) -> Triangles:
    """A capsule along z; `half_length` is that of its cylindrical part."""
    angles = np.linspace(0.0, np.pi / 2, _STACKS // 2 + 1)[:-1]
    upper = np.stack([radius * np.cos(angles), half_length + radius * np.sin(angles)], 1)
    profile = np.concatenate([upper[::-1] * [1.0, -1.0], upper])
    return _revolved(profile, bottom=-half_length - radius, top=half_length + radius)


def cylinder(radius: float, half_length: float) -> Triangles:
    """A closed cylinder along z."""
    ring = _ring() * radius
    count = len(ring)
    low = np.column_stack([ring, np.full(count, -half_length)])
    high = np.column_stack([ring, np.full(count, half_length)])
    # Side and lids have their own vertices, so that the rim stays sharp.
    vertices = np.concatenate(
        [low, high, low, high, [[0, 0, -half_length], [0, 0, half_length]]]
    )  # (4 * count + 2, 3)
    here, there = np.arange(count), np.roll(np.arange(count), -1)
    side = _quads(here, there, there + count, here + count)
    bottom = np.column_stack([there, here, np.full(count, 2 * count)]) + 2 * count
    top = np.column_stack([here, there, np.full(count, count + 1)]) + 3 * count
    return Triangles(vertices, np.concatenate([side, bottom, top]))


def hfield(model: mujoco.MjModel, index: int) -> Triangles:
    """A height field: its surface, walls and base."""
    rows, columns = int(model.hfield_nrow[index]), int(model.hfield_ncol[index])
    start = int(model.hfield_adr[index])
    x_half, y_half, z_top, z_base = np.array(model.hfield_size[index])
    heights = np.array(model.hfield_data[start : start + rows * columns]).reshape(rows, columns)
    y, x = np.meshgrid(
        np.linspace(-y_half, y_half, rows), np.linspace(-x_half, x_half, columns), indexing="ij"
    )
    top = np.stack([x, y, heights * z_top], -1)  # (rows, columns, 3)
    pieces = [Triangles(top.reshape(-1, 3), _grid_faces(rows, columns)[:, ::-1])]
    # Walls run counter-clockwise seen from above, so that they face outwards.
    for edge in (top[0], top[:, -1], top[-1, ::-1], top[::-1, 0]):
        count = len(edge)
        foot = edge.copy()
        foot[:, 2] = -z_base
        here = np.arange(count - 1)
        faces = _quads(here, here + 1, here + 1 + count, here + count)
        pieces.append(Triangles(np.concatenate([foot, edge]), faces))
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * [x_half, y_half]
    base = np.column_stack([corners, np.full(4, -z_base)])
    pieces.append(Triangles(base, np.array([[0, 1, 2], [0, 2, 3]])))
    return joined(pieces)


def mesh_surface(model: mujoco.MjModel, mesh: int) -> Surface:
    """A mesh of the model, with edges where its normals leave the faces' normals.

    As MuJoCo's renderer does, a corner whose normal is more than about 37 degrees (cosine 0.8) off
    its face is drawn flat, unless the mesh has texture coordinates.
    """
    start, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    vertices = np.array(model.mesh_vert[start : start + count], dtype=np.float64)
    first, faces_count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
    rows = slice(first, first + faces_count)
    corner_vertex = np.array(model.mesh_face[rows]).reshape(-1)  # (3F,)
    normal_start = int(model.mesh_normaladr[mesh])
    corner_normal = np.array(model.mesh_facenormal[rows]).reshape(-1) + normal_start
    uv_start = int(model.mesh_texcoordadr[mesh])
    if uv_start >= 0:
        corner_uv = np.array(model.mesh_facetexcoord[rows]).reshape(-1)
        edge = np.full(len(corner_vertex), -1)
    else:
        corner_uv = np.zeros_like(corner_vertex)
        corners = vertices[corner_vertex].reshape(-1, 3, 3)
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
        normals = np.array(model.mesh_normal[corner_normal], dtype=np.float64).reshape(-1, 3, 3)
        sharp = (np.einsum("fcx,fx->fc", normals, flat) < 0.8).reshape(-1)
        edge = np.where(sharp, np.repeat(np.arange(faces_count), 3), -1)
    keys = np.column_stack([corner_vertex, corner_normal, corner_uv, edge])
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    triangles = Triangles(vertices[unique[:, 0]], inverse.reshape(-1, 3))
    if uv_start < 0:
        return Surface(triangles)
    return Surface(triangles, np.array(model.mesh_texcoord[uv_start + unique[:, 2]]))


def joined(pieces: list[Triangles]) -> Triangles:
    """All pieces as one."""
    offsets = np.cumsum([0] + [len(piece.vertices) for piece in pieces[:-1]])
    return Triangles(
        np.concatenate([piece.vertices for piece in pieces]),
        np.concatenate([p.faces + o for p, o in zip(pieces, offsets, strict=True)]),
    )


def _ring() -> np.ndarray:
    angles = np.linspace(0.0, 2 * np.pi, _SLICES, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _revolved(profile: np.ndarray, bottom: float, top: float) -> Triangles:
    """Surface of revolution about z through (radius, z) points (P, 2), closed by two poles."""
    ring, rows = _ring(), len(profile)
    body = np.concatenate([np.column_stack([ring * r, np.full(_SLICES, z)]) for r, z in profile])
    vertices = np.concatenate([body, [[0, 0, bottom], [0, 0, top]]])
    here, there = np.arange(_SLICES), np.roll(np.arange(_SLICES), -1)
    faces = [
        _quads(here + low, there + low, there + low + _SLICES, here + low + _SLICES)
        for low in range(0, (rows - 1) * _SLICES, _SLICES)
    ]
    last = (rows - 1) * _SLICES
    faces.append(np.column_stack([there, here, np.full(_SLICES, rows * _SLICES)]))
    faces.append(np.column_stack([here + last, there + last, np.full(_SLICES, len(body) + 1)]))
    return Triangles(vertices, np.concatenate(faces))


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    index = np.arange(rows * columns).reshape(rows, columns)
    corners = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    return _quads(*(corner.ravel() for corner in corners))


def _quads(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
