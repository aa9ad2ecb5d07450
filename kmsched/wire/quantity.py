"""Kubernetes quantities (`0.5`, `1500m`, `2e9`, `1Gi`, `100u`) as exact integers.

Kubernetes keeps no finer amount than a billionth and rounds what is finer up; so do these.  Turning an amount into
the core's whole numbers rounds up, requests and supplies alike, as kubelet does.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kmsched.core.resources import MIB
from kmsched.errors import ProtocolError

NANO = 10**9
NANOS_PER_MILLI = 10**6
#: longer texts, and exponents beyond this, are nobody's amount of a resource
MAX_CHARACTERS = 64
MAX_EXPONENT = 30

_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,9})", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@lru_cache(maxsize=8192)  # the same few texts stand in every pod
def nanos(text: str) -> int:
    """Billionths of the unit, rounded up in size.  ProtocolError: no quantity, negative, or beyond all measure."""
    match = _FORM.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if match is None or not (match[2] or match[3]):
        raise ProtocolError(f"{text[:MAX_CHARACTERS]!r} is not a quantity: write it like 500m, 0.5, 1Gi or 2e9")
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    value = int(whole + fraction)
    if sign == "-" and value:
        raise ProtocolError(f"{text!r} is negative: a resource is counted from 0 up")
    if suffix in _BINARY:
        value <<= _BINARY[suffix]
        exponent = 0
    else:
        exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
        if abs(exponent) > MAX_EXPONENT:
            raise ProtocolError(f"{text!r} has an exponent beyond {MAX_EXPONENT}")
    exponent += 9 - len(fraction)
    scale: int = 10 ** abs(exponent)
    return value * scale if exponent >= 0 else -(-value // scale)


def milli_up(amount: int) -> int:
    """Nanos of a core, as thousandths, rounded up."""
    return -(-amount // NANOS_PER_MILLI)


def milli_mib_up(amount: int) -> int:
    """Nanos of a byte, as thousandths of a MiB, rounded up."""
    return -(-amount * 1000 // (NANO * MIB))


def count_up(amount: int) -> int:
    """Nanos of something counted in ones, rounded up."""
    return -(-amount // NANO)
