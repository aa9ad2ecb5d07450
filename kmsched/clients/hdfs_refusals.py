"""HDFS's exceptions by their names, and which error of ours each one is.

Nearly every refusal is a 403, so the name decides and not the status.  Knows nothing of the calls that are refused.
"""

from __future__ import annotations

from kmsched.errors import ArtifactError, NoPermission, NoSpace, SafeMode, StorageUnreachable

MESSAGE_CHARS = 300

#: name of HDFS's exception -> ours; what is not here is an ArtifactError
REFUSALS: dict[str, type[ArtifactError]] = {
    "AccessControlException": NoPermission,
    "AuthenticationException": NoPermission,
    "AuthorizationException": NoPermission,
    "InvalidToken": NoPermission,
    "SecurityException": NoPermission,
    "DSQuotaExceededException": NoSpace,
    "NSQuotaExceededException": NoSpace,
    "QuotaExceededException": NoSpace,
    "SafeModeException": SafeMode,
    # from a DataNode whose NameNode went away
    "ConnectException": StorageUnreachable,
    "EOFException": StorageUnreachable,
    "NoRouteToHostException": StorageUnreachable,
    "SocketTimeoutException": StorageUnreachable,
    "RetriableException": StorageUnreachable,
    "StandbyException": StorageUnreachable,
}
#: the name is only IOException: the text decides
TEXTS: tuple[tuple[str, type[ArtifactError]], ...] = (
    ("could only be written to 0 of", NoSpace),
    ("could only be replicated to 0 nodes", NoSpace),
    ("Failed to find datanode", StorageUnreachable),
)
ADVICE: dict[type[ArtifactError], str] = {
    NoPermission: "use another user (--user, --token-file) or folder, or have the folder's rights changed",
    NoSpace: "free space or raise the quota, then upload again",
    SafeMode: "upload again when the NameNode has left safe mode (hdfs dfsadmin -safemode get)",
    StorageUnreachable: "check --namenode and the daemons of HDFS, then upload again",
}


def refusal(name: str | None, message: str, what: str) -> ArtifactError:
    """Our error for an exception of HDFS; messages of DataNodes carry Java stacks, so only the first line is kept."""
    kind = next((kind for text, kind in TEXTS if text in message), REFUSALS.get(name or "", ArtifactError))
    if name is None and "Authentication" in message:
        kind = NoPermission
    first = (message.strip().splitlines() or ["no reason given"])[0].strip().rstrip(".")[:MESSAGE_CHARS]
    advice = f"; {ADVICE[kind]}" if kind in ADVICE else ""
    return kind(f"{what}: {name or 'error'}: {first}{advice}")
