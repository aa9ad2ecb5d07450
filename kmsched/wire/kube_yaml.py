"""YAML as Kubernetes reads it: what looks like a date, a time or a value of its own kind is text.

A short text can stand for more than any memory holds (aliases and merges), and one that is nested deep enough ends the
process inside the parser.  So its events are counted before anything is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

MAX_DEPTH = 200
MAX_VALUES = 3_000_000
_TAG = "tag:yaml.org,2002:"
#: 12:30 is 750 to YAML 1.1 alone
_NUMBERS = frozenset({_TAG + "int", _TAG + "float"})
_TEXTS = (_TAG + "timestamp", _TAG + "value")
_MAKERS = (*_NUMBERS, _TAG + "bool", _TAG + "binary")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Its own tables."""


def _form(tag: str, form: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(f"(?!.*:){form.pattern}", form.flags) if tag in _NUMBERS else form


def _made(maker: Callable[[Any, yaml.Node], Any]) -> Callable[[Any, yaml.Node], Any]:
    """A value that is not what its tag says is a fault of the text."""

    def made(loader: Any, node: yaml.Node) -> Any:
        try:
            return maker(loader, node)
        except (ValueError, KeyError) as error:
            raise yaml.MarkedYAMLError(problem="it is not what its tag says", problem_mark=node.start_mark) from error

    return made


_Loader.yaml_implicit_resolvers = {
    first: [(tag, _form(tag, form)) for tag, form in resolvers if tag not in _TEXTS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _each in _TEXTS:
    _Loader.add_constructor(_each, yaml.SafeLoader.construct_yaml_str)
for _each in _MAKERS:
    _Loader.add_constructor(_each, _made(yaml.SafeLoader.yaml_constructors[_each]))


def documents(text: str, max_values: int = MAX_VALUES) -> list[Any]:
    """All that are not empty. YAMLError: it is no YAML, or beyond all measure."""
    _measure(text, max_values)
    return [each for each in yaml.load_all(text, _Loader) if each is not None]


def _measure(text: str, max_values: int) -> None:
    """YAMLError: it is nested too deep, or aliases stand for too many values, those in what they stand for included."""
    open_ones: list[tuple[str | None, int]] = []  # collections: the anchor, and how many values came before
    stands_for: dict[str, int] = {}  # anchor -> values
    written = values = 0
    for event in yaml.parse(text, _Loader):
        match event:
            case yaml.ScalarEvent() | yaml.CollectionStartEvent():
                written += 1
                values += 1
                if isinstance(event, yaml.CollectionStartEvent):
                    open_ones.append((event.anchor, values))
                elif event.anchor is not None:
                    stands_for[event.anchor] = 1
            case yaml.CollectionEndEvent():
                anchor, before = open_ones.pop()
                if anchor is not None:
                    stands_for[anchor] = values - before + 1
            case yaml.AliasEvent():
                if any(event.anchor == anchor for anchor, _ in open_ones):
                    raise _refusal(f"*{event.anchor} stands for itself", event)
                values += stands_for.get(event.anchor or "", 0)  # one that is not known is the parser's to refuse
        if len(open_ones) > MAX_DEPTH:
            raise _refusal(f"it is nested deeper than {MAX_DEPTH}", event)
        if values - written > max_values:
            raise _refusal(f"its aliases stand for more than {max_values} values", event)


def _refusal(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
