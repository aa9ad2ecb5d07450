"""YAML as Kubernetes reads it, and texts that would take all memory, or the process with them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import yaml

from kmsched.wire.kube_yaml import documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
        ("!!timestamp soon", "soon"),
        ("12:30", "12:30"),
        ("1:30.5", "1:30.5"),
        ("=", "="),
        ("0.5", 0.5),
        ("-3", -3),
        ("1e3", "1e3"),
        ("yes", True),
        ("~", None),
    ],
)
def test_plain_words(text: str, value: object) -> None:
    assert documents(f"a: {text}") == [{"a": value}]


def test_documents_that_are_empty_are_left_out() -> None:
    assert documents("---\na: 1\n---\n# nothing\n---\n- b\n") == [{"a": 1}, ["b"]]


def test_aliases_and_merges() -> None:
    assert documents("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == [
        {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    ]


def laughs(first: str, more: str) -> str:
    lines = (more.format(name=name, inner=", ".join(["*" + before] * 9)) for before, name in pairwise("abcdefghijk"))
    return "\n".join([first, *lines])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (laughs("a: &a [x]", "{name}: &{name} [{inner}]"), "its aliases stand for more than 1000 values\n.* line 4"),
        # each would be copied into the next
        (laughs("a: &a {x: 1}", "{name}: &{name} {{<<: [{inner}]}}"), "its aliases stand for more than 1000 values"),
        ("&a [*a]", r"\*a stands for itself\n.* line 1, column 5"),
        ("a: &a {b: [*a]}", r"\*a stands for itself"),
        ("- " * 100_000 + "x", "it is nested deeper than 200"),
        ("? " * 100_000 + "x", "it is nested deeper than 200"),
        ("a: " + "[" * 100_000, "it is nested deeper than 200"),
        ("a: !!bool maybe", "it is not what its tag says\n.* line 1, column 4"),
        ("a: !!int many", "it is not what its tag says"),
        ("a: " + "9" * 5000, "it is not what its tag says"),
        ("a: *b", "found undefined alias"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(yaml.YAMLError, match=words):
        documents(text, max_values=1000)


def test_what_is_written_out_may_be_long() -> None:
    assert len(documents("- &a x\n" + "- *a\n" * 900 + "- y\n" * 2000, max_values=1000)[0]) == 2901
