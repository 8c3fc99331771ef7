"""Options of passes: dataclass fields that have a text.

Options are written ``option=value``, separated by spaces, the items of a list by commas; a value is
converted by the type of its field, and a bare ``option`` means true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from convc.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def near(word: str, words: Sequence[str]) -> str:
    """A hint that names what the user may have meant."""
    close = get_close_matches(word, words, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(words)}"


def make(options_type: type[T], name: str, body: str) -> T:
    """An instance from the text of its options.

    Args:
        options_type: the dataclass.
        name: what it is called in messages.
        body: the text between the braces.

    Raises UsageError where an option is unknown (naming what is near), missing, or out of range.
    """
    values = _values(options_type, name, body)
    missing = [f.name for f in fields(options_type) if _is_required(f) and f.name not in values]
    if missing:
        raise UsageError(f"pass {name!r} needs the option {_kebab(missing[0])}")
    try:
        return options_type(**values)
    except ValueError as error:  # a value out of the range that the pass itself knows
        raise UsageError(f"pass {name!r}: {error}") from error


def print_options(instance: DataclassInstance) -> str:
    """The options whose value is not their default, as text."""
    return " ".join(
        f"{_kebab(f.name)}={_print_value(getattr(instance, f.name))}"
        for f in fields(instance)
        if getattr(instance, f.name) != _default(f)
    )


def describe(options_type: type[DataclassInstance]) -> dict[str, tuple[str, str]]:
    """The options of a dataclass: name → (type, default), as text."""
    hints = get_type_hints(options_type)
    return {
        _kebab(f.name): (
            _print_type(hints[f.name]),
            "required" if _is_required(f) else _print_value(_default(f)),
        )
        for f in fields(options_type)
    }


def _values(options_type: type[DataclassInstance], name: str, body: str) -> dict[str, Any]:
    hints = get_type_hints(options_type)
    names = {_kebab(f.name): f.name for f in fields(options_type)}
    values: dict[str, Any] = {}
    for word in body.split():
        key, equals, text = word.partition("=")
        if key not in names:
            known = near(key, sorted(names)) if names else "it has none"
            raise UsageError(f"pass {name!r} has no option {key!r}: {known}")
        values[names[key]] = _convert(
            hints[names[key]], text if equals else "true", f"{name}{{{key}}}"
        )
    return values


def _convert(hint: Any, text: str, where: str) -> Any:
    if get_origin(hint) is Literal:
        choices = {_print_value(choice): choice for choice in get_args(hint)}
        if text not in choices:
            raise UsageError(f"{where} is one of {', '.join(choices)}, not {text!r}")
        return choices[text]
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(_convert(inner, item, where) for item in text.split(",") if item)
    if hint is bool:
        if text not in ("true", "false"):
            raise UsageError(f"{where} is true or false, not {text!r}")
        return text == "true"
    try:
        return hint(text)
    except ValueError as error:
        raise UsageError(f"{where} takes {hint.__name__}, not {text!r}") from error


def _print_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(_print_value(item) for item in value)
    return repr(value) if isinstance(value, float) else str(value)


def _print_type(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(_print_value(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"{_print_type(get_args(hint)[0])},..."
    return str(getattr(hint, "__name__", hint))


def _is_required(option: Field[Any]) -> bool:
    return option.default is MISSING and option.default_factory is MISSING


def _default(option: Field[Any]) -> Any:
    return option.default_factory() if option.default_factory is not MISSING else option.default


def _kebab(name: str) -> str:
    return name.replace("_", "-")
