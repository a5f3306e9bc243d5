"""A clinic's OAuth 2.0 client credentials, and references to secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from attrs import Attribute, field

from ._arguments import path_like, shown_name, shown_path
from ._frozen import frozen
from ._masked import Masked, masked
from ._tracebacks import hides_arguments
from ._validation import decoded_text, plain_text, web_url
from .errors import ConfigurationError

__all__ = ["READ_SCOPE", "ClinicCredentials", "SecretFromEnv", "SecretFromFile"]

#: The one scope the vendor publishes (developers' pages, "Authentication").
READ_SCOPE = "https://api.nextgen.arzamed.com/read"

#: The most bytes of a secret: a device, or the wrong file, must not fill the memory.
MOST_SECRET_BYTES = 65_536
_MOST = f"{MOST_SECRET_BYTES // 1024} KiB"
#: The most characters of what is sent as (part of) a header or a request line, for which servers accept 8 KiB.
_MOST_TEXT = 8192
#: A name is in each error, event and line of the log.
_MOST_NAME = 1024


def _text(instance: object, attribute: Attribute[Any], value: object) -> None:
    _keep(instance, attribute, plain_text(attribute.name, value), value)


def _name(instance: object, attribute: Attribute[Any], value: object) -> None:
    _keep(instance, attribute, plain_text(attribute.name, value, empty=True), value, _MOST_NAME)


def _keep(instance: object, attribute: Attribute[Any], text: str, given: object, most: int = _MOST_TEXT) -> None:
    """Check a text's length, and keep it as checked. (A converter would raise while fields are not set, where the repr fails.)"""
    if len(text) > most:
        raise ConfigurationError(f"{attribute.name} has more than {most:,} characters")
    if text is not given:
        object.__setattr__(instance, attribute.name, text)


@frozen
class SecretFromEnv:
    """A reference to a secret in an environment variable (at most 64 KiB). It is read at each token request."""

    variable: str = field(validator=_text)
    """The name of the variable."""

    @hides_arguments
    def resolve(self) -> str:
        """Return the secret.

        Raises:
            ConfigurationError: The variable is not set, or the secret is empty, too long or contains a control character.
        """
        value = masked(os.environ.get(self.variable))
        if value is None:
            raise ConfigurationError(f"the environment variable {shown_name(self.variable)} is not set")
        # A byte order mark, where the variable was set from a file; in an ASCII locale it is three surrogates.
        if len(value) > MOST_SECRET_BYTES:
            raise ConfigurationError(f"the environment variable {shown_name(self.variable)} has more than {_MOST}")
        value = masked(value.removeprefix("\ufeff").removeprefix("\udcef\udcbb\udcbf"))
        return plain_text(f"the environment variable {shown_name(self.variable)}", value)


def _path(path: str | os.PathLike[str]) -> Path:
    return Path(path_like("SecretFromFile.path", path))


@frozen
class SecretFromFile:
    """A reference to a secret in a UTF-8 file (at most 64 KiB). The file is read at each token request.

    So an orchestrator may change a mounted secret while the process runs. A byte order mark and trailing line breaks are
    removed.
    """

    path: Path = field(converter=_path)
    """The path of the file. Text is converted to a Path."""

    @hides_arguments
    def resolve(self) -> str:
        """Return the secret.

        Raises:
            ConfigurationError: The file cannot be read or is too large, or the secret is empty or contains a control
                character.
        """
        value, problem = _read(self.path)
        if problem:
            raise ConfigurationError(f"the secret file {shown_path(self.path)} {problem}")
        return plain_text(f"the secret file {shown_path(self.path)}", value)


def _read(path: Path) -> tuple[Masked, str]:
    """Return the text of a secret file, and "" or what is wrong. (No frame of an error holds the bytes.)"""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:  # a path with NUL in it is a ValueError
        return Masked(), f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
    if len(data) > MOST_SECRET_BYTES:
        return Masked(), f"has more than {_MOST}"
    text, problem = decoded_text(data)
    return Masked(text.rstrip("\r\n")), problem


Secret = str | SecretFromEnv | SecretFromFile


def _masked(secret: Secret) -> Secret:
    kept: Secret = masked(secret)
    return kept


def _hidden(secret: Secret) -> str:
    return "'***'" if isinstance(secret, str) else repr(secret)


def _secret(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, (SecretFromEnv, SecretFromFile)):
        plain_text(attribute.name, value)
        if len(cast("str", value)) > MOST_SECRET_BYTES:
            raise ConfigurationError(f"{attribute.name} has more than {_MOST}")


def _url(instance: object, attribute: Attribute[Any], value: object) -> None:
    _keep(instance, attribute, web_url(attribute.name, value), value)


def _encoding(instance: ClinicCredentials, attribute: Attribute[Any], value: object) -> None:
    if value not in ("form", "raw"):
        raise ConfigurationError("basic_encoding must be 'form' or 'raw'")
    if value == "raw" and ":" in instance.client_id:
        raise ConfigurationError("a client_id that contains a colon cannot be sent with basic_encoding='raw'")


@frozen
class ClinicCredentials:
    """The OAuth 2.0 client credentials of one clinic, as the clinic's administrator issues them.

    Credentials that differ only in `name` are equal and share one token. Raises ConfigurationError if a value is invalid.

        ClinicCredentials("milano-7", SecretFromEnv("MILANO_SECRET"), "https://auth.example/token", name="Milano")
    """

    client_id: str = field(validator=_text)
    """The OAuth 2.0 client id, at most 8,192 characters."""
    client_secret: Secret = field(repr=_hidden, validator=_secret)
    """The secret (at most 64 KiB), or a reference to it. A secret given as text is masked in every repr."""
    token_url: str = field(validator=_url)
    """The URL of the clinic's token endpoint: https, or http on this machine (loopback)."""
    name: str = field(default="", eq=False, validator=_name)
    """The clinic's name in errors, events and tables, at most 1,024 characters. Empty: the client id is used."""
    scope: str = field(default=READ_SCOPE, validator=_text)
    """The OAuth 2.0 scope to request."""
    basic_encoding: Literal["form", "raw"] = field(default="form", validator=_encoding)
    """How id and secret are encoded for HTTP Basic: "form" follows RFC 6749 section 2.3.1 (both are form-encoded first);
    "raw" is for servers that do not follow it."""

    def __init__(
        self,
        client_id: str,
        client_secret: Secret,
        token_url: str,
        name: str = "",
        scope: str = READ_SCOPE,
        basic_encoding: Literal["form", "raw"] = "form",
    ) -> None:
        client_secret = _masked(client_secret)  # in this frame too: validation may raise from here
        self.__attrs_init__(client_id, client_secret, token_url, name, scope, basic_encoding)

    if TYPE_CHECKING:

        def __attrs_init__(self, *values: object) -> None:
            """Set the fields; attrs generates this method."""

    def __hash__(self) -> int:  # computed for each call, and these are enough: a clinic may have had many secrets
        try:
            secret = self.client_secret
            return hash((self.client_id, self.token_url, secret if isinstance(secret, str) else ""))
        except AttributeError:  # its constructor has raised
            return hash(ClinicCredentials)

    @property
    def display_name(self) -> str:
        """The name, or the client id if no name was given."""
        return self.name or self.client_id

    @classmethod
    @hides_arguments
    def from_env(cls, prefix: str = "ARZAMED_") -> ClinicCredentials:
        """Read the credentials of one clinic from environment variables. The secret is kept as a reference (SecretFromEnv).

        The variables are CLIENT_ID, CLIENT_SECRET and TOKEN_URL, and optionally NAME and SCOPE, each with the prefix.

        Args:
            prefix: The beginning of the variables' names.

        Raises:
            ConfigurationError: A variable is missing or invalid; the text names it.
        """
        plain_text("prefix", prefix, empty=True)
        names = ("CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL")
        missing = [prefix + name for name in names if not os.environ.get(prefix + name)]
        if missing:
            raise ConfigurationError(f"missing environment variables: {', '.join(map(shown_name, missing))}")
        return cls(
            os.environ[prefix + "CLIENT_ID"],
            SecretFromEnv(prefix + "CLIENT_SECRET"),
            os.environ[prefix + "TOKEN_URL"],
            name=os.environ.get(prefix + "NAME", ""),
            scope=os.environ.get(prefix + "SCOPE") or READ_SCOPE,
        )
