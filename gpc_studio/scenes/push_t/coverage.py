"""How much of the goal the T covers, by exact polygon intersection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mujoco
    from shapely import Polygon

Pose = tuple[float, float, float]
"""Planar pose: x, y in m and yaw in rad."""


def footprint(model: mujoco.MjModel, geoms: Sequence[str]) -> Polygon:
    """Outline, in the body's frame, of a body made of upright boxes."""
    import shapely
    from shapely.affinity import rotate

    boxes = []
    for name in geoms:
        x, y = model.geom(name).pos[:2]
        half_x, half_y = model.geom(name).size[:2]
        w, _, _, z = model.geom(name).quat
        box = shapely.box(x - half_x, y - half_y, x + half_x, y + half_y)
        boxes.append(rotate(box, 2.0 * np.arctan2(z, w), origin=(x, y), use_radians=True))
    union = shapely.union_all(boxes)
    if not isinstance(union, shapely.Polygon):
        raise ValueError(f"expected the boxes {', '.join(geoms)} to touch and form one outline")
    return union


def coverage(shape: Polygon, pose: Pose, goal: Pose) -> float:
    """Share of the goal's area that the shape covers, 0 to 1.

    Args:
        shape: Outline in the body's frame; the same for block and goal.
        pose: Pose of the block.
        goal: Pose of the goal.
    """
    from shapely.affinity import affine_transform

    cosine, sine = np.cos(goal[2]), np.sin(goal[2])
    dx, dy = pose[0] - goal[0], pose[1] - goal[1]
    turn_cosine, turn_sine = np.cos(pose[2] - goal[2]), np.sin(pose[2] - goal[2])
    block_in_goal = affine_transform(
        shape,
        [
            turn_cosine, -turn_sine, turn_sine, turn_cosine,
            cosine * dx + sine * dy, -sine * dx + cosine * dy,
        ],
    )  # fmt: skip
    return min(shape.intersection(block_in_goal).area / shape.area, 1.0)


def largest_offset(shape: Polygon, share: float) -> float:
    """Distance, m, between block and goal beyond which coverage is surely below `share`.

    The body's frame has its origin at the centroid of the shape. Centroids of two shapes A and B
    of equal area that share at least `share` of it differ by an average, over the unshared part,
    of vectors from B to A. Each is no longer than 2 R + d, with R the largest distance of a corner
    from the centroid and d the difference itself: d <= (1 - share) (2 R + d).
    """
    corners = np.asarray(shape.exterior.coords)
    radius = float(np.max(np.linalg.norm(corners, axis=1)))
    return 2.0 * radius * (1.0 - share) / share
