"""What Kubernetes takes as the key and the value of a label."""

from __future__ import annotations

import re

MAX_CHARACTERS = 63
MAX_PREFIX = 253
_WORD = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_DOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*", re.ASCII)


def is_value(text: str) -> bool:
    return not text or is_name(text)


def is_key(text: str) -> bool:
    """A name, or a domain and a name: `zone`, `example.com/zone`."""
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > MAX_PREFIX or _DOMAIN.fullmatch(prefix) is None):
        return False
    return is_name(name)


def is_name(text: str) -> bool:
    return len(text) <= MAX_CHARACTERS and _WORD.fullmatch(text) is not None
