"""Who may ask the server: whoever has its token, or, without one, programs of this machine."""

import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass

from data_prep.core.errors import DataError

VARIABLE = "SDUNET_TOKEN"
# What those who watch over servers ask for, and where a token is asked for and shown.
OPEN = ("/health", "/auth/", "/auth/token")


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        token: what a request must show; `None` for none.
        local: whether requests must name this machine as their host. A page in a browser can be
            made to send them here by another name, and would read the answers.
    """

    token: str | None
    local: bool

    def check(self, path: str, headers: Mapping[str, str]) -> None:
        """Refuse a request of somebody else.

        Raises:
            DataError: SERVE_HOST, SERVE_TOKEN.
        """
        if self.local and not is_loopback(_name_of(headers.get("host", ""))):
            found = "a request for a host of another name, and no token is set"
            fix = f"ask for it as 127.0.0.1 or localhost, or start the server with {VARIABLE}"
            raise DataError("SERVE_HOST", found, fix)
        if self.token is None or path in OPEN:
            return
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.accepts(shown.strip()):
            found = "a wrong token" if shown else "no token"
            fix = "send the header 'Authorization: Bearer TOKEN', with the token of the server"
            raise DataError("SERVE_TOKEN", found, fix)

    def accepts(self, shown: str) -> bool:
        """Tell whether something is the token, if there is one."""
        # In constant time, or how long it takes would tell how much of a guess is right.
        return self.token is not None and hmac.compare_digest(shown.encode(), self.token.encode())


def access_for(host: str, token: str | None, *, no_token: bool) -> Access:
    """Return who may ask a server at a host.

    Args:
        host: where it listens.
        token: as it was given; default: that of the environment, if there is one.
        no_token: whether anybody may ask.

    Raises:
        DataError: SERVE_TOKEN if others could reach it without a token, or the token cannot stand
            in a header.
    """
    token = os.environ.get(VARIABLE) if token is None else token
    if token is not None:
        if no_token:
            found = f"a token, by --token or {VARIABLE}, and --no-token"
            raise DataError("SERVE_TOKEN", found, "give one of them")
        if wrong := _fault_of(token):
            raise DataError("SERVE_TOKEN", wrong, "take letters and digits, without spaces")
        return Access(token, local=False)
    if not no_token and not is_loopback(host):
        found = f"no token, and other machines may reach {host}"
        fix = f"set {VARIABLE} or --token, or give --no-token to let anybody ask"
        raise DataError("SERVE_TOKEN", found, fix)
    return Access(None, local=not no_token)


def _fault_of(token: str) -> str:
    """Return why a token cannot stand in a header; nothing if it can."""
    if not token:
        return "a token that is empty"
    if any(letter.isspace() for letter in token):
        return "a token with a space, or the end of a line"
    if not all("!" <= letter <= "~" for letter in token):
        return "a token with other letters than those of ASCII"
    return ""


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is one that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name_of(host: str) -> str:
    """Return the name or address in a header `Host`, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host
