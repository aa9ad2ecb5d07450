"""Every error that kmsched raises on purpose, and every exit code.

    KmError
    ├── Retryable          the same call may go through later; the caller backs off and tries again
    │   ├── Unavailable    no answer, refused, 5xx, redirect without a target, deadline passed
    │   │   └── NobodyListens  the host answers, and nothing has the port
    │   ├── Conflict       409: read again, then decide
    │   ├── Forbidden      401 or 403 of Kubernetes: rights may be granted, credentials rotated
    │   ├── Gone           410: the version asked for is no longer kept; list again
    │   └── NotSubscribed  Mesos takes no calls from us now; subscribe first
    ├── Refused            final for this one call, harmless for the process
    │   ├── NotFound       404
    │   ├── Invalid        400 or 422: the object or request itself is not accepted
    │   └── NotHandedOver  the lead stays where it is; the message says why
    └── Fatal              trying again cannot help; carries an exit code
        ├── UsageError         2   the command line
        ├── ConfigRefused     10   flags, files or credentials that cannot work
        ├── FrameworkRemoved  12   Mesos says that the framework id is completed
        ├── FrameworkIdMissing 13  pods are bound by us, but no framework id is stored
        ├── Mismatched        14  what is stored is not what was named
        ├── ArtifactError     20   an artifact cannot be made, published or read
        │   ├── StorageUnreachable  21  no NameNode or DataNode answers
        │   ├── NoPermission        22  the storage knows the user and says no, or does not know it
        │   ├── NoSpace             23  a quota or the disks are full
        │   ├── SafeMode            24  the NameNode takes no changes now
        │   ├── VerificationFailed  25  the stored bytes are not those of the file
        │   └── LocalFileUnreadable 26  the file that shall be published
        ├── ExecutorUnknown   70   the agent does not know this executor or its framework (any more)
        ├── Deposed           11   another scheduler subscribed with our framework id
        ├── InternalError     70   a defect of kmsched: the core raised
        └── ProtocolError     70   an upstream sent what its protocol does not allow

A message says what was wrong, with which value, and what to do.
"""

from __future__ import annotations

from types import MappingProxyType

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_CONFIG = 10
EXIT_DEPOSED = 11
EXIT_FRAMEWORK_REMOVED = 12
EXIT_FRAMEWORK_ID_MISSING = 13
EXIT_MISMATCH = 14
EXIT_NOT_HANDED_OVER = 15
EXIT_NOBODY_LEADS = 16
EXIT_ARTIFACT = 20
EXIT_STORAGE_UNREACHABLE = 21
EXIT_NO_PERMISSION = 22
EXIT_NO_SPACE = 23
EXIT_SAFE_MODE = 24
EXIT_VERIFICATION_FAILED = 25
EXIT_LOCAL_FILE = 26
EXIT_UNAVAILABLE = 69
EXIT_INTERNAL = 70

#: code -> (meaning, whether another start may help without a person's doing)
EXIT_CODES: MappingProxyType[int, tuple[str, bool]] = MappingProxyType(
    {
        EXIT_OK: ("done, or ended as asked", False),
        EXIT_USAGE: ("the command line is wrong", False),
        EXIT_CONFIG: ("the configuration is refused", False),
        EXIT_DEPOSED: ("another scheduler leads; start me again as a standby", True),
        EXIT_FRAMEWORK_REMOVED: ("Mesos has removed the framework", False),
        EXIT_FRAMEWORK_ID_MISSING: ("pods are bound, but the framework id is missing", False),
        EXIT_MISMATCH: ("what was expected does not match", False),
        EXIT_NOT_HANDED_OVER: ("the lead stays where it is", False),
        EXIT_NOBODY_LEADS: ("no scheduler leads, or none that is known", True),
        EXIT_ARTIFACT: ("an artifact cannot be made, published or read; 21 to 26 say why", False),
        EXIT_STORAGE_UNREACHABLE: ("artifacts: HDFS is not reachable", True),
        EXIT_NO_PERMISSION: ("artifacts: HDFS refuses this user", False),
        EXIT_NO_SPACE: ("artifacts: a quota or the disks of HDFS are full", False),
        EXIT_SAFE_MODE: ("artifacts: HDFS is in safe mode", True),
        EXIT_VERIFICATION_FAILED: ("artifacts: what is stored is not the file", False),
        EXIT_LOCAL_FILE: ("artifacts: the local file cannot be read", False),
        EXIT_UNAVAILABLE: ("a server that was asked does not answer", True),
        EXIT_INTERNAL: ("internal error", True),
    }
)


class KmError(Exception):
    """Root of the tree above."""


class Retryable(KmError):
    """The same call may go through later."""


class Unavailable(Retryable):
    """The upstream did not answer, or answered that it cannot serve now."""


class NobodyListens(Unavailable):
    """The connection was refused: the host lives, and no process has the port."""


class Conflict(Retryable):
    """The upstream's object is not what the call expected: read again, then decide."""


class Forbidden(Retryable):
    """401 or 403 of Kubernetes: the message names who asked for what."""


class Gone(Retryable):
    """410: list again."""


class NotSubscribed(Retryable):
    """The call belongs to a subscription that has ended."""


class Refused(KmError):
    """The answer is final for this call."""


class NotFound(Refused):
    """404: there is no such object."""


class Invalid(Refused):
    """400 or 422: the upstream does not accept the object or request itself."""


class NotHandedOver(Refused):
    """This process leads on, or never led."""


class Fatal(KmError):
    """Trying again cannot help."""

    exit_code = EXIT_INTERNAL


class UsageError(Fatal):
    exit_code = EXIT_USAGE


class ConfigRefused(Fatal):
    exit_code = EXIT_CONFIG


class FrameworkRemoved(Fatal):
    exit_code = EXIT_FRAMEWORK_REMOVED


class FrameworkIdMissing(Fatal):
    exit_code = EXIT_FRAMEWORK_ID_MISSING


class Mismatched(Fatal):
    exit_code = EXIT_MISMATCH


class Deposed(Fatal):
    exit_code = EXIT_DEPOSED


class InternalError(Fatal):
    exit_code = EXIT_INTERNAL


class ArtifactError(Fatal):
    exit_code = EXIT_ARTIFACT


class StorageUnreachable(ArtifactError):
    exit_code = EXIT_STORAGE_UNREACHABLE


class NoPermission(ArtifactError):
    exit_code = EXIT_NO_PERMISSION


class NoSpace(ArtifactError):
    exit_code = EXIT_NO_SPACE


class SafeMode(ArtifactError):
    exit_code = EXIT_SAFE_MODE


class VerificationFailed(ArtifactError):
    exit_code = EXIT_VERIFICATION_FAILED


class LocalFileUnreadable(ArtifactError):
    exit_code = EXIT_LOCAL_FILE


class ExecutorUnknown(Fatal):
    exit_code = EXIT_INTERNAL


class ProtocolError(Fatal):
    exit_code = EXIT_INTERNAL
