"""Checks of the files that agents need: where they lie, whether they can be read, whether they are what they say.

Knows URIs and digests.  What only an agent can see of them it calls unseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from kmsched.artifact_uri import sha256_of, without_digest
from kmsched.doctor.findings import NOT_CHECKED, Found, NotChecked, Severity
from kmsched.doctor.records import kept_digests
from kmsched.doctor.subject import Subject, is_there, local_path, named
from kmsched.errors import ArtifactError, ConfigRefused, KmError, LocalFileUnreadable, UsageError


async def only_here(subject: Subject) -> list[Found]:
    """file: paths that this host has, and of which nothing says that the agents have them, too."""
    local = [(flag, uri, path) for flag, uri in subject.artifacts() if (path := local_path(uri)) is not None]
    if not local:
        return []
    try:
        others = await subject.other_hosts()
    except KmError as error:
        return [
            Found(f"{NOT_CHECKED}whether agents on other hosts have {named([uri for _, uri, _ in local])}: {error}")
        ]
    if not others:
        return []
    where = f"{len(others)} agents on other hosts ({named(others)})"
    return [
        Found(f"--{flag}={uri} is a file of this host, and {where} need it at the same path")
        if is_there(path)
        else Found(
            f"{NOT_CHECKED}--{flag}={uri} is not on this host, which is in order; whether {where} have it can only be"
            " seen there",
            "deploy.yml puts it there; an agent without it fails each launch with the file's name",
            Severity.NOTE,
        )
        for flag, uri, path in local
    ]


async def mutable(subject: Subject) -> list[Found]:
    """URIs that name no digest, and URIs whose digests contradict each other."""
    found = []
    for flag, uri in subject.artifacts():
        try:
            if sha256_of(uri) is None:
                severity = Severity.WARNING if subject.has_peers else Severity.NOTE
                found.append(Found(f"--{flag}={uri} names no SHA-256, and its content may change", severity=severity))
        except ValueError as error:
            found.append(Found(f"--{flag}={uri} {error}", severity=Severity.ERROR))
    return found


async def readable(subject: Subject) -> list[Found]:
    """Whether each URI can be read from here. A file: path of the agents must have a known digest."""
    return await _each(subject, lambda uri: subject.digests[uri].answer())


async def beginning(subject: Subject) -> list[Found]:
    """The same by the first bytes of each, which is quick."""
    return await _each(subject, subject.begin)


Reading = Callable[[str], Awaitable[object]]


async def _each(subject: Subject, reading: Reading) -> list[Found]:
    flags = subject.artifacts()
    answers = await asyncio.gather(*(_read(subject, *pair, reading) for pair in flags))
    return [each for found in answers for each in found]


async def _read(subject: Subject, flag: str, uri: str, reading: Reading) -> list[Found]:
    try:
        if _is_elsewhere(uri):
            return await _unknown_digest(subject, flag, uri)
        await reading(uri)
    except LocalFileUnreadable as error:
        return [
            Found(
                f"--{flag}={uri} cannot be read by this user: {error}",
                "run the doctor as the scheduler's user, and let that user read the file",
                Severity.WARNING,
            )
        ]
    except (ArtifactError, UsageError, ConfigRefused) as error:
        return [Found(f"--{flag}={uri} cannot be read: {error}")]
    except NotChecked as error:
        return [Found(f"{NOT_CHECKED}{error}", severity=Severity.WARNING)]
    return []


async def _unknown_digest(subject: Subject, flag: str, uri: str) -> list[Found]:
    """A path of the agents that this host has not: its digest must be in the URI, or known from an earlier start."""
    try:
        in_uri = sha256_of(uri)
    except ValueError:
        return []  # `mutable` tells
    if in_uri is not None or without_digest(uri) in await kept_digests(subject):
        return []
    words = f"--{flag}={uri} names no SHA-256 and is not on this host to be read: the scheduler does not start"
    return [Found(words, "put #sha256=<hex> behind the path, or give .../<sha256>/name")]


async def digest(subject: Subject) -> list[Found]:
    """Whether what can be read is what the URI says. What cannot be read is `readable`'s."""
    return [each for flag, uri in subject.artifacts() for each in await _compare(subject, flag, uri)]


async def _compare(subject: Subject, flag: str, uri: str) -> Sequence[Found]:
    try:
        in_uri = sha256_of(uri)
    except ValueError:
        return ()  # `mutable` tells
    bare = without_digest(uri)
    expected = in_uri or (await kept_digests(subject)).get(bare)
    try:
        if expected is None or _is_elsewhere(uri):
            return ()
        actual = await subject.digests[uri].answer()
    except KmError:
        return ()
    if actual == expected:
        return ()
    if in_uri is None:
        return [
            Found(
                f"--{flag}: what lies at {bare} now has SHA-256 {actual}; when it was first read it had {expected},"
                " and agents run no other",
                "put the old file back, or publish the new one under its own digest (km-upload)",
            )
        ]
    return [Found(f"--{flag}: what lies at {bare} has SHA-256 {actual}, its URI says {expected}")]


def _is_elsewhere(uri: str) -> bool:
    path = local_path(uri)
    return path is not None and not is_there(path)


def host_of(uri: str) -> str:
    """The host that a URI names, "" for none."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""
