from typing import Any

from mujoco import MjModel

class Batch:
    def __init__(
        self, model: MjModel, nsim: int, nthread: int = 0, persistent: bool = False
    ) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...

class SimulationError(RuntimeError):
    ids: Any

def __getattr__(name: str) -> Any: ...
