"""A session: plant, planner and preparation at work in their threads, without any front end.

- `session`: `Session`, the commands
- `snapshot`, `picture`: what front ends draw
- `history`: figures of the plans over time
- `desk`: what the user asked for, checked
- `plant`, `goal`, `push`: the world
- `plant_thread`, `mailbox`, `motion`, `timing`, `waiters`: how it runs
- `episode`, `rewind`: what happened in it; `pilot`, `planning`: who plans
- `preparation`: what is loaded and compiled in the background
- `inspector`, `lens`: a look inside a plan, for pictures
- `messages`, `checks`: what people are told, and what is refused
"""

from gpc_studio.app.session.desk import MODES, SessionOptions
from gpc_studio.app.session.history import History
from gpc_studio.app.session.push import push_limit
from gpc_studio.app.session.session import Session
from gpc_studio.app.session.snapshot import Message, PlanRecord, Snapshot, Timing
from gpc_studio.app.session.waiters import SessionError

__all__ = [
    "MODES",
    "History",
    "Message",
    "PlanRecord",
    "Session",
    "SessionError",
    "SessionOptions",
    "Snapshot",
    "Timing",
    "push_limit",
]
