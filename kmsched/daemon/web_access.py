"""Who may ask what over HTTP: rights by token, and the certificate that this server shows.

Knows tokens, the rights that they give, and how files that are read anew take the place of the old ones.  It does not
know which route needs which right.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import ssl
import tempfile
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from kmsched.errors import ConfigRefused
from kmsched.http_settings import ACT_TOKEN, CERT, KEY, READ_TOKEN, HttpSettings, Tokens, read_tokens

BEARER, BASIC = "Bearer", "Basic"
CHALLENGE = 'Bearer realm="kmsched"'
#: browsers ask for user and password then: any user, and the token
CHALLENGE_OF_PAGES = 'Basic realm="kmsched"'


_FOREIGN = f"%r is no name of this machine; ask for 127.0.0.1 or localhost, or give the scheduler --{READ_TOKEN}=FILE"


class Right(enum.Enum):
    """What a route asks for; who may act may read, too."""

    OPEN = "everybody"
    READ = "read"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`challenges`: of a 401; each is a header of its own, since browsers read no more than one from each."""

    status: int
    words: str
    challenges: tuple[str, ...] = ()


@dataclass(slots=True)
class Access:
    """Rights and certificate of one server. ConfigRefused: a file cannot be used."""

    settings: HttpSettings = field(default_factory=HttpSettings)
    #: for every new connection; None: plain HTTP
    tls: ssl.SSLContext | None = field(init=False, default=None)
    _tokens: Tokens = field(init=False, default_factory=Tokens, repr=False)

    def __post_init__(self) -> None:
        self._tokens = read_tokens(self.settings)
        if self.settings.cert_file:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            _load(self.tls, self.settings)

    def reload(self) -> list[str]:
        """Read tokens and certificate anew; why what was there before stays, one line for each."""
        kept = []
        try:
            self._tokens = read_tokens(self.settings)
        except ConfigRefused as error:
            kept.append(f"the tokens stay as they were: {error}")
        if self.tls is not None:
            try:
                _load(self.tls, self.settings)
            except ConfigRefused as error:
                kept.append(f"the certificate stays as it was: {error}")
        return kept

    def refusal(self, right: Right, authorization: str | None, host: str | None = None) -> Refusal | None:
        """Why a request with this header may not have `right`; None: it may. `host`: what it was sent to, if none but
        this machine can send any."""
        if right is Right.OPEN:
            return None
        if right is Right.READ and self._tokens.read is None:
            return None if host is None or is_own(host) else Refusal(421, _FOREIGN % (host,))
        if right is Right.ACT and self._tokens.act is None:
            return Refusal(403, f"acting is switched off; start the scheduler with --{ACT_TOKEN}=FILE")
        challenges = (CHALLENGE, CHALLENGE_OF_PAGES) if right is Right.READ else (CHALLENGE,)
        if authorization is None:
            return Refusal(401, f"a token with the right to {right.value} is needed", challenges)
        # a browser sends what it was once told to wherever a page of another origin makes it: never enough to act
        shown = presented(authorization, takes_basic=right is Right.READ)
        is_reader, is_actor = _same(shown, self._tokens.read), _same(shown, self._tokens.act)
        if is_actor or (is_reader and right is Right.READ):
            return None
        if is_reader:
            return Refusal(403, f"this token may only read; acting needs that of --{ACT_TOKEN}")
        return Refusal(401, "this token is not known", challenges)


def is_own(host: str) -> bool:
    """Whether this machine alone can be meant: any other name may be of a site that has pointed it here."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def presented(authorization: str, *, takes_basic: bool) -> str:
    """The token in an Authorization header, or ""; of Basic, the password is the token."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() == BEARER.lower():
        return rest.strip()
    if scheme.lower() == BASIC.lower() and takes_basic:
        try:
            return base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")[2]
        except ValueError:  # no base64, no ASCII, no UTF-8
            return ""
    return ""


def _same(shown: str, token: str | None) -> bool:
    """In a time that tells nothing of the token, not even how long it is."""
    digests = (hashlib.sha256((each or "").encode("utf-8", "surrogateescape")).digest() for each in (shown, token))
    return hmac.compare_digest(*digests) and bool(token)


def _load(context: ssl.SSLContext, settings: HttpSettings) -> None:
    """Put the pair into `context`, once it was seen to be one. ConfigRefused leaves the context as it was."""
    cert_file, key_file = settings.cert_file or "", settings.key_file or ""
    pem = "\n".join(_text(flag, path) for flag, path in ((CERT, cert_file), (KEY, key_file)))
    # from one copy: the files may be replaced between the two loads
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as copy:
        copy.write(pem)
        copy.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(copy.name, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigRefused(
                f"--{CERT}={cert_file} and --{KEY}={key_file} are not a matching PEM pair without passphrase: {error}"
            ) from error
        context.load_cert_chain(copy.name, password="")


def _text(flag: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"--{flag}: cannot read {path!r}: {error}; put the PEM file there") from None
