"""What the testbed refuses on purpose. Knows no exit codes but its own two."""

from __future__ import annotations


class LabError(Exception):
    """The testbed cannot do what was asked; the message says why and what to do. Exit code 1."""


class UsageError(LabError):
    """The command line or a KM_* variable is wrong. Exit code 2."""
