"""Puts a snapshot together."""

from __future__ import annotations

from gpc_studio.app.session.desk import Desk
from gpc_studio.app.session.episode import Episode
from gpc_studio.app.session.snapshot import Message, Snapshot


def picture(
    number: int, episode: Episode, desk: Desk, paused: bool, messages: tuple[Message, ...]
) -> Snapshot:
    """The picture of a session at this moment.

    Args:
        number: Number of the snapshot.
        episode: The world and its plans.
        desk: What the user asked for.
        paused: Whether the session is paused.
        messages: Newest messages.
    """
    plant, request, session = episode.plant, desk.request, desk.session
    options = desk.options_for(episode.pilot) if episode.pilot else request.options
    return Snapshot(
        number=number,
        epoch=episode.epoch,
        task=plant.task,
        controller=episode.controller or request.controller,
        wanted_controller=request.controller,
        options=request.options,
        weights=desk.weights,
        mode=session.mode,
        paused=paused,
        preparing=desk.preparing,
        speed=session.speed,
        seed=session.seed,
        state=plant.state(),
        control=plant.control,
        plan=episode.plan,
        path=plant.path,
        push=plant.push,
        success=plant.success,
        progress=plant.progress,
        timing=episode.timing(options),
        messages=messages,
        choices=desk.choices,
        origin=episode.origin,
    )
