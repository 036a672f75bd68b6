"""What is controlled: tasks (model, cost, goal, observation) and their MJCF."""

from gpc_studio.scenes.state import InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Randomisation, Task, Weight

__all__ = ["Camera", "Goal", "InitialState", "Randomisation", "State", "Task", "Weight"]
