"""Checks that a task keeps its contract, with a message that says where it does not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from gpc_studio.scenes.errors import TaskError
from gpc_studio.scenes.source import TaskSource, in_short
from gpc_studio.scenes.state import InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Mirror, Randomisation, Task, Weight

if TYPE_CHECKING:
    import mujoco

_ATTRIBUTES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "text"),
    "title": (str, "text"),
    "summary": (str, "text"),
    "mjcf": (str, "the name of an MJCF file"),
    "weights": (Mapping, "a dict of Weight by term name"),
    "traces": (tuple, "a tuple of sensor names"),
    "goal": ((Goal, type(None)), "a Goal or None"),
    "randomisations": (tuple, "a tuple of Randomisation"),
    "success_hold": ((int, float), "a time in s"),
    "episode_seconds": ((int, float), "a time in s"),
    "camera": (Camera, "a Camera"),
    "mirror": ((Mirror, type(None)), "a Mirror or None"),
    "policies_of": (tuple, "a tuple of task names"),
    "defaults": (Mapping, "a dict of option values by controller name"),
}


def validate_task(task: Task) -> None:
    """Checks attributes, model, reset, and every function by tracing it.

    Raises:
        TaskError: The first thing found wrong, with file and line.
    """
    source = TaskSource.of(type(task))
    _check_attributes(task, source)
    model = _check_model(task, source)
    _check_names(task, source, model)
    state = _check_reset(task, source, model)
    _check_traced(task, source, model, state)
    _check_host(task, source, state)
    _check_dynamics(task, source, model, state)


def validate_class(task_class: type[Task]) -> None:
    """Checks that a class can be made into a task at all.

    Raises:
        TaskError: Methods are missing.
    """
    missing = sorted(getattr(task_class, "__abstractmethods__", ()))
    if missing:
        methods = ", ".join(f"{name}()" for name in missing)
        raise TaskSource.of(task_class).error(
            f"class {task_class.__name__} lacks {methods}; see gpc_studio.scenes.task.Task"
        )


def _check_attributes(task: Task, source: TaskSource) -> None:
    for name, (kind, expected) in _ATTRIBUTES.items():
        if not hasattr(task, name):
            raise source.error(f"class {type(task).__name__} lacks `{name}`: {expected}")
        value = getattr(task, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise source.error(
                f"{name}: expected {expected}, got {value!r}", source.member_line(name)
            )
    for name, weight in task.weights.items():
        if not isinstance(weight, Weight) or not isinstance(name, str):
            problem = f"weights: expected Weight(default, max, help), got {name!r}: {weight!r}"
        elif not weight.min <= weight.default <= weight.max or math.isinf(weight.max):
            problem = (
                f"weight {name!r}: expected min <= default <= max, all finite, got"
                f" {weight.min:g}, {weight.default:g}, {weight.max:g}"
            )
        else:
            continue
        raise source.error(problem, source.text_line("weights", str(name)))
    for item in task.randomisations:
        if not isinstance(item, Randomisation) or not 0.0 <= item.low <= item.high < math.inf:
            raise source.error(
                f"randomisations: expected Randomisation(field, low <= high), got {item!r}",
                source.member_line("randomisations"),
            )
    for name, least in (("success_hold", 0.0), ("episode_seconds", 1e-9)):
        value = getattr(task, name)
        if not least <= value < math.inf:
            raise source.error(
                f"{name}: expected a positive time in s, got {value!r}", source.member_line(name)
            )


def _check_model(task: Task, source: TaskSource) -> mujoco.MjModel:
    if not task.model_path.is_file():
        raise source.error(
            f"mjcf: no file {task.model_path}; a relative name starts at the task's folder",
            source.member_line("mjcf"),
        )
    try:
        return task.model
    except Exception as error:
        raise _model_error(error, task.model_path) from error


def _model_error(error: Exception, mjcf: Path) -> TaskError:
    """The error for a model that MuJoCo refused, in the file and line at fault."""
    files = model_files(mjcf)
    for path in files:
        try:
            ElementTree.parse(path)
        except ElementTree.ParseError as malformed:
            # MuJoCo gives the line at which it gave up, which may be far below the mistake.
            return TaskError(f"malformed XML: {malformed.msg}", path, malformed.position[0])
    # MuJoCo names the line, 0 in an included file, but never the file: the quoted words of its
    # message tell which line is meant.
    line = re.search(r"line (\d+)", str(error))
    number = int(line[1]) if line else 0
    words = re.findall(r"'([^']+)'", str(error))
    at_fault, most = (mjcf, number or None), 0
    for path in files:
        for at, text in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            matches = sum(word in text for word in words) if number in (0, at) else 0
            if matches > most:
                at_fault, most = (path, at), matches
    return TaskError(f"MuJoCo cannot compile this model: {in_short(error)}", *at_fault)


def _check_names(task: Task, source: TaskSource, model: mujoco.MjModel) -> None:
    import mujoco
    from mujoco.batch import MODEL_FIELDS

    def sensor_dim(name: str) -> int:
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, name)
        return int(model.sensor_dim[index]) if index >= 0 else 0

    for name in task.traces:
        if sensor_dim(name) != 3:
            raise source.error(
                f"traces: expected the names of framepos sensors of the model, got {name!r}",
                source.text_line("traces", name),
            )
    if task.goal is not None:
        body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, task.goal.body)
        if body < 0 or model.body_mocapid[body] < 0:
            raise source.error(
                f"goal: expected the name of a mocap body of the model, got {task.goal.body!r}",
                source.text_line("goal", task.goal.body),
            )
        wrong = set(task.goal.translate + task.goal.rotate) - set("xyz")
        if wrong:
            raise source.error(
                f'goal: expected axes out of "x", "y", "z", got {sorted(wrong)}',
                source.member_line("goal"),
            )
    for item in task.randomisations:
        line = source.text_line("randomisations", item.field)
        if item.field not in MODEL_FIELDS:
            raise source.error(
                f"randomisations: expected a field of mujoco.MjModel, got {item.field!r}", line
            )
        known = _element_names(model, item.field)
        unknown = [name for name in item.names if name not in known]
        if unknown:
            raise source.error(
                f"randomisations: {item.field}: expected names out of {', '.join(known)},"
                f" got {', '.join(unknown)}",
                line,
            )


def _element_names(model: mujoco.MjModel, field: str) -> list[str]:
    kinds = {"body": (model.nbody, model.body), "geom": (model.ngeom, model.geom)}
    kinds |= {"actuator": (model.nu, model.actuator), "pair": (model.npair, model.pair)}
    kinds |= dict.fromkeys(("dof", "jnt"), (model.njnt, model.joint))
    number, accessor = kinds.get(field.split("_", maxsplit=1)[0], (0, None))
    names = [accessor(index).name for index in range(number)] if accessor is not None else []
    return [name for name in names if name]


def _check_reset(task: Task, source: TaskSource, model: mujoco.MjModel) -> State:
    import mujoco

    initial = _call(source, "reset", task.reset, np.random.default_rng(0))
    line = source.member_line("reset")
    if not isinstance(initial, InitialState):
        raise source.error(f"reset: expected an InitialState, got {type(initial).__name__}", line)
    shapes = {
        "qpos": (model.nq,),
        "qvel": (model.nv,),
        "mocap_pos": (model.nmocap, 3),
        "mocap_quat": (model.nmocap, 4),
    }
    data = mujoco.MjData(model)
    for name, shape in shapes.items():
        value = getattr(initial, name)
        if value is None and name.startswith("mocap"):
            continue
        numbers = _call(source, "reset", lambda value=value: np.asarray(value, dtype=float))
        if numbers.shape != shape or not np.all(np.isfinite(numbers)):
            raise source.error(
                f"reset: {name}: expected {shape} finite numbers, got {numbers.shape}: {value!r}",
                line,
            )
        getattr(data, name)[:] = numbers
    mujoco.mj_forward(model, data)
    return State.from_data(data)


def _check_traced(task: Task, source: TaskSource, model: mujoco.MjModel, state: State) -> None:
    import jax

    control = np.zeros(model.nu)
    names: dict[str, list[str]] = {}

    def terms(method: str, *args: Any) -> None:
        found = getattr(task, method)(*args)
        if not isinstance(found, Mapping):
            raise source.error(
                f"{method}: expected a dict of scalars by name, got {type(found).__name__}",
                source.member_line(method),
            )
        for name, value in found.items():
            line = source.text_line(method, name)
            if name not in task.weights:
                raise source.error(
                    f"{method}: term {name!r} has no weight; weights has {', '.join(task.weights)}",
                    line,
                )
            _expect_shape(source, f"{method}: term {name!r}", value, (), line)
        names[method] = list(found)

    def vector(method: str, shape: tuple[int | None, ...]) -> Callable[[State], None]:
        def check(state: State) -> None:
            value = getattr(task, method)(state)
            _expect_shape(source, method, value, shape, source.member_line(method))

        return check

    _call(source, "cost_terms", jax.eval_shape, lambda s, u: terms("cost_terms", s, u),
          state, control)  # fmt: skip
    _call(source, "terminal_terms", jax.eval_shape, lambda s: terms("terminal_terms", s), state)
    running, terminal = names["cost_terms"], names["terminal_terms"]
    both = set(running) & set(terminal)
    if both:
        name = min(both)
        raise source.error(
            f"terminal_terms: {name!r} is also a running term; each needs its own name and weight",
            source.text_line("terminal_terms", name),
        )
    unused = [name for name in task.weights if name not in {*running, *terminal}]
    if unused:
        raise source.error(
            f"weights: {unused[0]!r} is not a term of cost_terms or terminal_terms",
            source.text_line("weights", unused[0]),
        )
    _call(source, "observe", jax.eval_shape, vector("observe", (None,)), state)
    _call(source, "hold_control", jax.eval_shape, vector("hold_control", (model.nu,)), state)


def _check_host(task: Task, source: TaskSource, state: State) -> None:
    success = _call(source, "is_success", task.is_success, state)
    if not isinstance(success, (bool, np.bool_)):
        raise source.error(
            f"is_success: expected True or False, got {type(success).__name__}",
            source.member_line("is_success"),
        )
    progress = _call(source, "progress", task.progress, state)
    if not isinstance(progress, Mapping) or not all(
        isinstance(value, (int, float, np.number)) for value in progress.values()
    ):
        raise source.error(
            f"progress: expected a dict of numbers by name, got {progress!r}",
            source.member_line("progress"),
        )


def _check_dynamics(task: Task, source: TaskSource, model: mujoco.MjModel, state: State) -> None:
    import jax

    dynamics = _call(source, "dynamics", task.dynamics)
    if dynamics is None:
        return
    line = source.member_line("dynamics")
    parameters = _call(source, "dynamics", dynamics.parameters, model)
    control = np.zeros(model.nu)
    qpos, qvel = _call(
        source, "dynamics", jax.eval_shape, dynamics.step, parameters, state.qpos, state.qvel,
        control,
    )  # fmt: skip
    sensors = _call(source, "dynamics", jax.eval_shape, dynamics.sensors, parameters, state)
    _expect_shape(source, "dynamics: qpos after a step", qpos, (model.nq,), line)
    _expect_shape(source, "dynamics: qvel after a step", qvel, (model.nv,), line)
    _expect_shape(source, "dynamics: sensors", sensors, (model.nsensordata,), line)


def _call(source: TaskSource, member: str, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except TaskError:
        raise
    except Exception as error:
        raise source.raised(error, member) from error


def _expect_shape(
    source: TaskSource, what: str, value: Any, shape: tuple[int | None, ...], line: int
) -> None:
    """`None` in `shape` stands for any length."""
    found = tuple(getattr(value, "shape", np.shape(value)))
    kind = np.dtype(getattr(value, "dtype", np.result_type(value))).kind
    fits = len(found) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, found, strict=True)
    )
    if not fits or kind not in "fiub":
        wanted = "a scalar" if shape == () else f"numbers of shape {_shown(shape)}"
        raise source.error(f"{what}: expected {wanted}, got shape {found} of {kind!r}", line)


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(n,)" if shape == (None,) else str(shape)


def model_files(mjcf: Path) -> list[Path]:
    """An MJCF file and the files it includes, as far as they exist."""
    files: list[Path] = []
    pending = [mjcf]
    while pending:
        path = pending.pop()
        if path in files or not path.is_file():
            continue
        files.append(path)
        included = re.findall(r"<include\s+file=[\"']([^\"']+)", path.read_text(errors="replace"))
        pending += [(mjcf.parent / name).resolve() for name in included]
    return files
