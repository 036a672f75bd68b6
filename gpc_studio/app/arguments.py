"""Command-line flags made from options, so that an option is declared once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from gpc_studio.options import Option, OptionError, number_text

if TYPE_CHECKING:
    from gpc_studio.scenes.task import Weight

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def parse_text(option: Option, text: str) -> Any:
    """The value of an option that was typed.

    Raises:
        OptionError: The text is not acceptable.
    """
    if option.kind is str:
        return option.check(text)
    if option.kind is bool:
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise OptionError(option.name, option.expected, text)
    try:
        number = float(text)
    except ValueError:
        raise OptionError(option.name, option.expected, text) from None
    return option.check(number)


def weight_options(weights: Mapping[str, Weight]) -> dict[str, Option]:
    """The weights of a task as options."""
    return {
        name: Option(
            name=name, kind=float, default=w.default, min=w.min, max=w.max, group="Cost weights",
            help=w.help,
        )
        for name, w in weights.items()
    }  # fmt: skip


def flags_type(
    name: str,
    options: Iterable[Option],
    values: Mapping[str, Any],
    help: str = "",
    extra: Sequence[tuple[str, Any, Any]] = (),
) -> type:
    """A dataclass for tyro with one field an option.

    Args:
        name: Name of the class.
        options: What becomes a flag, with help, range and unit in the help text.
        values: Default of each option, by name.
        help: Docstring of the class.
        extra: Further fields: name, annotation, default.

    Returns:
        The dataclass; reading its fields gives checked values.
    """
    fields: list[Any] = []
    for option in options:
        fields.append((option.name, _annotation(option), values[option.name]))
    fields.extend(extra)
    made = dataclasses.make_dataclass(name, fields, frozen=True)
    made.__doc__ = help
    return made


def settings(pairs: Sequence[str], flag: str) -> dict[str, str]:
    """`["samples=64"]` as `{"samples": "64"}`.

    Raises:
        OptionError: A pair has no `=`.
    """
    found = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise OptionError(flag, "name=value", pair)
        found[name.strip().replace("-", "_")] = text.strip()
    return found


def _annotation(option: Option) -> Any:
    import tyro

    arg = tyro.conf.arg(help=_help(option))
    if option.kind is bool:
        return Annotated[bool, arg]
    spec = tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="{" + ",".join(option.choices) + "}" if option.choices else _metavar(option),
        instance_from_str=_reader(option),
        is_instance=lambda value: isinstance(value, (str, int, float)),
        str_from_instance=lambda value: [_text(value)],
    )
    return Annotated[option.kind, spec, arg]


def _reader(option: Option) -> Callable[[list[str]], Any]:
    def read(arguments: list[str]) -> Any:
        return parse_text(option, arguments[0])

    return read


def _metavar(option: Option) -> str:
    return {int: "INT", float: "FLOAT", str: "TEXT"}[option.kind]


def _text(value: Any) -> str:
    return number_text(value) if isinstance(value, float) else str(value)


def _help(option: Option) -> str:
    if option.kind not in (int, float) or option.min is None:
        return option.help
    upper = "" if option.max is None else f" to {number_text(option.max)}"
    unit = f" {option.unit}" if option.unit else ""
    word = "From" if upper else "At least"
    return f"{option.help} {word} {number_text(option.min)}{upper}{unit}."
