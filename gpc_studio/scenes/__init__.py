"""What is controlled: tasks (model, cost, goal, observation, reset, success) and their MJCF.

task.py, state.py         what a task is, and the state that its functions see
pendulum/, cart_pole/, double_cart_pole/, push_t/, push_k/
                          the built-in tasks: `task.py`, the model, and maybe `dynamics.py`
look.xml                  the palette and light that their models share
dynamics.py, planar.py    a task's own JAX dynamics: the protocol, and parameters read from a model
planar_push.py, push_model.py
                          the dynamics that the pushing tasks share, and their parameters
registry.py               tasks by name
loader.py                 a user's own task from one file, and its reloading
validation.py, source.py, errors.py
                          what is checked of a task, and messages with file and line
"""

from gpc_studio.scenes.errors import TaskError
from gpc_studio.scenes.registry import load_task, task_class, task_names
from gpc_studio.scenes.state import InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Randomisation, Task, Weight

__all__ = [
    "Camera",
    "Goal",
    "InitialState",
    "Randomisation",
    "State",
    "Task",
    "TaskError",
    "Weight",
    "load_task",
    "task_class",
    "task_names",
]
