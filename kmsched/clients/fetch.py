"""Reading an artifact by its URI: file:, http(s):, hdfs:.

Knows how each scheme is read, with timeouts, and that a body shorter or longer than announced is an error.  It does
not know digests, nor where the bytes go: a caller that keeps them must verify them, since a server may send anything.
"""

from __future__ import annotations

import http.client
import os
import re
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from typing import IO, Any
from urllib.parse import urldefrag, urlsplit

from kmsched.clients.hadoop_conf import HadoopConf
from kmsched.clients.hdfs_refusals import refusal
from kmsched.clients.webhdfs import WebHdfs
from kmsched.clients.webhdfs_answers import HdfsRefusal, NotThere
from kmsched.errors import ArtifactError, LocalFileUnreadable, NoPermission, StorageUnreachable, UsageError

#: for each connect and each read of a socket
HTTP_TIMEOUT_S = 30
CHUNK_BYTES = 1 << 20
#: no artifact is longer; a server that never ends is cut here
MAX_BYTES = 4 << 30


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Closes also the answer whose Location is none."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


_OPENER = urllib.request.OpenerDirector()
for _handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    _Redirects,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
):
    _OPENER.add_handler(_handler())


def read_uri(uri: str, conf: HadoopConf, *, user: str | None = None) -> Iterator[bytes]:
    """The content in pieces; a fragment is ignored. Blocks, for as long as the timeouts of each step allow.

    `user`: who to be in HDFS.  UsageError: no such scheme; ArtifactError and its kinds: it cannot be read, or is not
    as long as announced; ConfigRefused: the URI names no NameNode that `conf` knows.
    """
    plain = urldefrag(uri).url
    scheme = plain.partition(":")[0].lower()
    if scheme not in _READERS:
        raise UsageError(f"{without_secrets(uri)!r}: only {', '.join(f'{name}:' for name in _READERS)} can be read")
    return _checked(plain, _READERS[scheme](plain, conf, user))


def without_secrets(uri: str) -> str:
    """For messages: user, password and query may be credentials."""
    return re.sub(r"\?[^#]*", "?...", re.sub(r"//[^/@]*@", "//...@", uri))


def _checked(uri: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    done = 0
    try:
        for piece in pieces:
            done += len(piece)
            if done > MAX_BYTES:
                raise ArtifactError(f"{without_secrets(uri)} has more than {MAX_BYTES >> 30} GiB, and no artifact has")
            yield piece
    except (ValueError, TypeError, RecursionError) as error:  # a server may answer anything
        raise ArtifactError(
            f"{without_secrets(uri)} cannot be read, {_words(error)}; look at the URI and at what answers there"
        ) from error


def _length_is(uri: str, expected: int | None, pieces: Iterator[bytes]) -> Iterator[bytes]:
    done = 0
    for piece in pieces:
        done += len(piece)
        yield piece
    if expected is not None and done != expected:
        raise StorageUnreachable(
            f"{without_secrets(uri)}: the answer ended after {done} of {expected} bytes; try again, and look at the "
            "server if it stays so"
        )


def _from_file(uri: str, conf: HadoopConf, user: str | None) -> Iterator[bytes]:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise UsageError(f"{uri!r} is not like file:///path")
    try:
        # a pipe must not hold us here for ever
        with os.fdopen(os.open(parts.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise LocalFileUnreadable(f"{parts.path} is not a regular file; name one")
            while piece := file.read(CHUNK_BYTES):
                yield piece
    except OSError as error:
        raise LocalFileUnreadable(f"{parts.path}: {error.strerror or error}") from error


def _from_http(uri: str, conf: HadoopConf, user: str | None) -> Iterator[bytes]:
    shown = without_secrets(uri)
    try:
        with _OPENER.open(uri, timeout=HTTP_TIMEOUT_S) as answer:
            announced = answer.headers.get("Content-Length")
            expected = int(announced) if announced and announced.isascii() and announced.isdigit() else None
            # what is there: a server that drips must not keep the reader from looking at its clock
            yield from _length_is(uri, expected, iter(lambda: answer.read1(CHUNK_BYTES), b""))
    except urllib.error.HTTPError as error:
        with error:
            raise _http_refusal(error.code)(f"{shown}: {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise StorageUnreachable(f"{shown}: {error.reason}; is the server up, and its name right?") from error
    except (OSError, http.client.HTTPException) as error:
        reason = (
            f"no answer, or no more of it, for {HTTP_TIMEOUT_S} s" if isinstance(error, TimeoutError) else _words(error)
        )
        raise StorageUnreachable(f"{shown}: {reason}") from error


def _http_refusal(status: int) -> type[ArtifactError]:
    if status in (401, 403, 407):
        return NoPermission
    return StorageUnreachable if status >= 500 or status in (408, 429) else ArtifactError


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _from_hdfs(uri: str, conf: HadoopConf, user: str | None) -> Iterator[bytes]:
    authority = conf.authority(uri)
    path = urlsplit(uri).path
    hdfs = WebHdfs(conf.http_addresses(authority), user=user)
    try:
        status = hdfs.status(path)
        if status.is_folder:
            raise ArtifactError(f"{uri} is a folder in HDFS; name a file")
        yield from hdfs.read(path, status)
    except NotThere as error:
        raise ArtifactError(
            f"{uri}: there is no such file in HDFS at {authority}; publish it, or correct the URI"
        ) from error
    except HdfsRefusal as error:
        raise refusal(error.name, str(error), f"HDFS does not give {uri}") from error


_READERS: dict[str, Callable[[str, HadoopConf, str | None], Iterator[bytes]]] = {
    "file": _from_file,
    "http": _from_http,
    "https": _from_http,
    "hdfs": _from_hdfs,
}
