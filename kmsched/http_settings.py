"""Who may ask the HTTP server of the process, and what it proves itself with: token files and certificates by flag.

Knows the files' form, and refuses what cannot protect anything.  Which page needs which right is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kmsched.errors import ConfigRefused

READ_TOKEN, ACT_TOKEN = "http-read-token-file", "http-act-token-file"
CERT, KEY, CA = "http-tls-cert-file", "http-tls-key-file", "http-tls-ca-file"
MAX_TOKEN_BYTES = 4096


class Given(Protocol):
    """Values by flag name, None where nothing was given."""

    def __getitem__(self, name: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Paths, None where nothing was given. `ca_file` is what peers' certificates are checked against."""

    read_token_file: str | None = None
    act_token_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    ca_file: str | None = None

    @property
    def scheme(self) -> str:
        return "https" if self.cert_file else "http"


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    """None: there is no such token."""

    read: str | None = None
    act: str | None = None


def http_settings(given: Given) -> HttpSettings:
    """ConfigRefused: a certificate without its key, or a key without its certificate."""
    if bool(given[CERT]) != bool(given[KEY]):
        raise ConfigRefused(f"--{CERT} and --{KEY} go together; give both or none")
    return HttpSettings(given[READ_TOKEN], given[ACT_TOKEN], given[CERT], given[KEY], given[CA])


def read_tokens(settings: HttpSettings) -> Tokens:
    """What the files hold now. ConfigRefused names the flag and the file."""
    tokens = Tokens(_token(READ_TOKEN, settings.read_token_file), _token(ACT_TOKEN, settings.act_token_file))
    if tokens.read is not None and tokens.read == tokens.act:
        raise ConfigRefused(
            f"--{READ_TOKEN} and --{ACT_TOKEN} hold the same token, so whoever may read could act; make two"
        )
    return tokens


def read_token(path: Path, origin: str) -> str:
    """The token in a file, without blanks around it. ConfigRefused names `origin`, the option that named the file."""
    try:
        with path.open("rb") as file:
            token = file.read(MAX_TOKEN_BYTES + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{origin}: cannot read {str(path)!r}: {error}; put the token there") from None
    if not token:
        raise ConfigRefused(f"{origin}: {str(path)!r} is empty; put the token there")
    if len(token) > MAX_TOKEN_BYTES or not token.isprintable() or " " in token:
        raise ConfigRefused(
            f"{origin}: what {str(path)!r} holds is no token: one word of printable ASCII is, like the output of"
            " openssl rand -hex 32"
        )
    return token


def _token(flag: str, path: str | None) -> str | None:
    return None if path is None else read_token(Path(path), f"--{flag}")
