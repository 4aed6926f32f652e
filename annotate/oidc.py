"""OpenID Connect: the authorization-code flow with PKCE, and the checks of the ID token.

Requests go to the issuer and to the endpoints that its discovery document names, over https (http
on loopback only); redirects are not followed, and what an answer held is never shown.
OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3; RFC 7636 (PKCE).
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from annotate.config import Oidc
from storage.errors import ConfigurationError

SECRET = "PAIRLOOP_OIDC_SECRET"  # noqa: S105 - the variable's name
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
_ALGORITHMS += ["EdDSA", "Ed25519"]  # signatures only others can make: no HS*, no none
_KEEP_SECONDS = 3600.0  # discovery and keys
_LOOK_AGAIN_SECONDS = 60.0  # for a key that is not known
_LEEWAY_SECONDS = 60
_MAX_ANSWER_BYTES = 512 * 1024
_TIMEOUT = httpx.Timeout(10.0)


class OidcError(RuntimeError):
    """Raised when a sign-in through the provider fails; the sentence is for the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A sign-in that has begun: kept by the browser in a cookie until it comes back."""

    state: str
    nonce: str
    verifier: str

    @staticmethod
    def new() -> "Started":
        return Started(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
        )

    def cookie(self) -> str:
        return f"{self.state}.{self.nonce}.{self.verifier}"

    @staticmethod
    def of_cookie(value: str) -> "Started | None":
        parts = value.split(".")
        if len(parts) != 3 or not all(parts):
            return None
        return Started(state=parts[0], nonce=parts[1], verifier=parts[2])


class Provider:
    """One configured issuer. Thread-safe."""

    def __init__(self, config: Oidc, *, secret: str) -> None:
        if not _may_ask(config.issuer):
            raise ConfigurationError(
                f"annotate.oidc.issuer {config.issuer!r} is not https, so sign-ins could be read "
                "on the way. Use an https address (http works on this machine only)."
            )
        self._config = config
        self._secret = secret
        self._issuer = config.issuer.rstrip("/")
        self._lock = Lock()
        self._known: dict[str, tuple[float, dict[str, Any]]] = {}
        self._used: dict[str, float] = {}  # states that came back, until their cookie ends

    def begin(self, started: Started, *, redirect_uri: str) -> str:
        """Where to send the browser."""
        challenge = hashlib.sha256(started.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._config.scopes,
            "state": started.state,
            "nonce": started.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    def finish(
        self,
        started: Started | None,
        *,
        state: str,
        code: str,
        redirect_uri: str,
        cookie_seconds: float,
    ) -> str:
        """The account's name by the configured claim; raises OidcError for anything amiss."""
        if started is None or not hmac.compare_digest(started.state.encode(), state.encode()):
            raise OidcError("This sign-in was not begun in this browser, or took too long.")
        self._use_once(state, seconds=cookie_seconds)
        answer = self._exchange(code, started.verifier, redirect_uri=redirect_uri)
        claims = self._checked(answer.get("id_token"), nonce=started.nonce)
        name = self._name_in(claims)
        if name is None and isinstance(answer.get("access_token"), str):
            more = self._userinfo(answer["access_token"])
            if more.get("sub") == claims["sub"]:
                name = self._name_in(more)
        if name is None:
            raise OidcError(f"The provider did not tell a usable {self._config.claim}.")
        return name

    def _use_once(self, state: str, *, seconds: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._used = {s: until for s, until in self._used.items() if until > now}
            if state in self._used:
                raise OidcError("This sign-in was finished already. Begin again.")
            self._used[state] = now + seconds

    def _exchange(self, code: str, verifier: str, *, redirect_uri: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._config.client_id,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        methods = self._discovery().get("token_endpoint_auth_methods_supported")
        if self._secret and (methods is None or "client_secret_basic" in methods):
            pair = f"{quote(self._config.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif self._secret:
            form["client_secret"] = self._secret
        return _ask("POST", self._endpoint("token_endpoint"), data=form, headers=headers)

    def _checked(self, token: object, *, nonce: str) -> dict[str, Any]:
        """The claims of an ID token: signed by the issuer, for us, now, and for this sign-in."""
        if not isinstance(token, str):
            raise OidcError("The provider sent no ID token.")
        try:
            claims = dict(self._decoded(token).claims)
            jwt.JWTClaimsRegistry(
                now=int(time.time()),
                leeway=_LEEWAY_SECONDS,
                iss={"essential": True, "value": self._discovery()["issuer"]},
                aud={"essential": True, "value": self._config.client_id},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcError("The provider's ID token does not hold.") from error
        audience = claims["aud"]
        alone = isinstance(audience, str) or len(audience) == 1
        if claims.get("azp", self._config.client_id) != self._config.client_id or (
            not alone and "azp" not in claims
        ):
            raise OidcError("The provider's ID token is for somebody else.")
        told = claims.get("nonce")
        if not isinstance(told, str) or not hmac.compare_digest(told.encode(), nonce.encode()):
            raise OidcError("The provider's ID token belongs to another sign-in.")
        return claims

    def _decoded(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._keys(), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            # The issuer may have new keys; ask again, but not for every forged token.
            keys = self._keys(max_age=_LOOK_AGAIN_SECONDS)
            return jwt.decode(token, keys, algorithms=_ALGORITHMS)

    def _keys(self, *, max_age: float = _KEEP_SECONDS) -> KeySet:
        found = self._kept(self._endpoint("jwks_uri"), max_age=max_age)
        keys = [k for k in found.get("keys", ()) if isinstance(k, dict) and k.get("kty") != "oct"]
        return KeySet.import_key_set({"keys": keys})

    def _name_in(self, claims: Mapping[str, Any]) -> str | None:
        name = claims.get(self._config.claim)
        if self._config.claim == "email" and claims.get("email_verified") is not True:
            return None  # anybody may claim an address
        return name if isinstance(name, str) and name else None

    def _userinfo(self, access_token: str) -> dict[str, Any]:
        if "userinfo_endpoint" not in self._discovery():
            return {}
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        return _ask("GET", self._endpoint("userinfo_endpoint"), headers=headers)

    def _discovery(self) -> dict[str, Any]:
        document = self._kept(
            f"{self._issuer}/.well-known/openid-configuration", max_age=_KEEP_SECONDS
        )
        told = document.get("issuer")
        if not isinstance(told, str) or told.rstrip("/") != self._issuer:
            raise OidcError("The provider's description is of another issuer.")
        return document

    def _endpoint(self, name: str) -> str:
        address = self._discovery().get(name)
        if not isinstance(address, str) or not _may_ask(address):
            raise OidcError(f"The provider's description has no {name} over https.")
        return address

    def _kept(self, address: str, *, max_age: float) -> dict[str, Any]:
        with self._lock:
            since, document = self._known.get(address, (0.0, {}))
            if document and time.monotonic() - since < max_age:
                return document
        document = _ask("GET", address)
        with self._lock:
            self._known[address] = (time.monotonic(), document)
        return document


def _may_ask(address: str) -> bool:
    """https, or http to this machine; no user information in it."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ask(method: str, address: str, **named: Any) -> dict[str, Any]:
    """A JSON object; raises OidcError that tells nothing of what was answered."""
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client,
            client.stream(method, address, **named) as answer,
        ):
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > _MAX_ANSWER_BYTES:
                    raise OidcError("The provider's answer is too long.")
    except httpx.HTTPError as error:
        raise OidcError(
            "The provider can't be reached. Try again, or use your password."
        ) from error
    if answer.status_code != 200:
        raise OidcError("The provider refused this sign-in. Begin again.")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise OidcError("The provider's answer can't be read.") from error
    if not isinstance(found, dict):
        raise OidcError("The provider's answer can't be read.")
    return found
