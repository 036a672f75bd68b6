"""Options declared once: a dataclass field that knows its range, unit and help text.

A frozen dataclass whose fields are made with :func:`option` is everything a setting needs: the
command line, the controls of a front end and the keys of a saved configuration are derived from
:func:`describe`, and every value from outside passes :func:`updated`, which refuses a bad one with
a message that names the field and what was expected.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

_KEY = "gpc_studio.option"


class OptionError(ValueError):
    """A value that an option cannot take.

    Attributes:
        name: The option's name.
        expected: What the option would have accepted, in words.
    """

    def __init__(self, name: str, expected: str, got: object) -> None:
        super().__init__(f"{name}: expected {expected}, got {_shown(got)}")
        self.name = name
        self.expected = expected


@dataclass(frozen=True)
class Option:
    """What is known about one option.

    Attributes:
        name: Field name; also its key in files and on the command line.
        kind: `bool`, `int`, `float` or `str`.
        default: Value when nothing else is said.
        min: Smallest value (numbers only).
        max: Largest value (numbers only).
        step: Step of a slider (numbers only).
        unit: SI unit or other measure, for display.
        choices: The allowed values, for a `str`.
        group: Heading under which front ends show it.
        help: One sentence.
        label: Name that people see.
        static: Whether a new value needs preparation, as code compiled for other array shapes.
        dynamic: Whether there are only certain values, but which is known only at run time, as
            with names of files; `choices` is empty then.
    """

    name: str
    kind: type
    default: Any
    min: float | None = None
    max: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    group: str = ""
    help: str = ""
    label: str = ""
    static: bool = False
    dynamic: bool = False

    @property
    def expected(self) -> str:
        """What is accepted, in words: `a number from 0 to 1 s`."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is bool:
            return "true or false"
        noun = {int: "a whole number", float: "a number", str: "text"}[self.kind]
        unit = f" {self.unit}" if self.unit else ""
        if self.min is not None and self.max is not None:
            return f"{noun} from {number_text(self.min)} to {number_text(self.max)}{unit}"
        if self.min is not None:
            return f"{noun} of at least {number_text(self.min)}{unit}"
        return noun + (f" in{unit}" if unit else "")

    def check(self, value: object) -> Any:
        """Returns `value` as the option's type.

        Raises:
            OptionError: The type, the range or the choice is wrong, or the number is not finite.
        """
        if self.kind is str:
            if isinstance(value, str) and (not self.choices or value in self.choices):
                return value
        elif self.kind is bool:
            if _is_bool(value):
                return bool(value)
        elif not isinstance(value, (str, bytes)) and not _is_bool(value):
            number = _as_number(value)
            if number is not None and self._in_range(number):
                if self.kind is float:
                    return number
                if number == int(number):
                    return int(number)
        raise OptionError(self.name, self.expected, value)

    def _in_range(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.min is None or number >= self.min)
            and (self.max is None or number <= self.max)
        )


def option(
    default: Any,
    *,
    help: str,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    group: str = "",
    label: str = "",
    static: bool = False,
    dynamic: bool = False,
) -> Any:
    """A dataclass field with the metadata of an :class:`Option`; its type is that of `default`."""
    facts: dict[str, Any] = dict(
        kind=type(default), min=min, max=max, step=step, unit=unit, choices=tuple(choices),
        group=group, help=help, label=label, static=static, dynamic=dynamic,
    )  # fmt: skip
    return dataclasses.field(default=default, metadata={_KEY: facts})


@cache
def describe(options_type: type) -> dict[str, Option]:
    """The options of a dataclass, by name, in the order of their declaration.

    A subclass may give a field a new plain default (`horizon: float = 3.0`): the facts of the
    parent's field stay.
    """
    found: dict[str, Option] = {}
    for field in dataclasses.fields(options_type):
        facts = field.metadata.get(_KEY) or _inherited_facts(options_type, field.name)
        if facts is None:
            raise TypeError(f"{options_type.__name__}.{field.name} was not declared with option()")
        label = facts["label"] or field.name.replace("_", " ").capitalize()
        found[field.name] = Option(
            name=field.name, default=field.default, **{**facts, "label": label}
        )
    return found


def updated(options: T, changes: Mapping[str, object]) -> T:
    """A copy of `options` with `changes`, all of them checked.

    Raises:
        OptionError: A name is unknown or a value is not acceptable; nothing is changed then.
    """
    known = describe(type(options))
    checked = {}
    for name, value in changes.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise OptionError(str(name), f"an option of {type(options).__name__}{hint}", value)
        checked[name] = known[name].check(value)
    return dataclasses.replace(options, **checked)  # pyright: ignore[reportArgumentType]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """` (did you mean cem?)` when a known name is near, else nothing."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def number_text(value: float) -> str:
    """A number as people write it: unlike `:g` alone, large whole numbers are written out."""
    return f"{value:.12g}"


def _inherited_facts(options_type: type, name: str) -> dict[str, Any] | None:
    for base in options_type.__mro__[1:]:
        field = getattr(base, "__dataclass_fields__", {}).get(name)
        if field is not None and _KEY in field.metadata:
            return field.metadata[_KEY]
    return None


def _is_bool(value: object) -> bool:
    kind = type(value)
    return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


def _as_number(value: object) -> float | None:
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        return None


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # Python refuses to write integers of more than 4300 digits
        text = f"something of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
