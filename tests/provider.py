"""A little OpenID Connect provider: real keys, real HTTP, and every way to get it wrong."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "pairloop-tests", "se:cret/with%odd characters"


class LittleProvider:
    """Signs in `user` at once; what it says of them can be changed, and how it signs."""

    def __init__(self) -> None:
        self.address = ""
        self.user = {"preferred_username": "ann"}
        self.userinfo: dict[str, object] = {}
        self.changes: dict[str, object] = {}  # to the ID token's claims
        self.signs = "its key"
        self.document: dict[str, object] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.app = self._app()

    def new_key(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def discovery():
            self.asked.append("discovery")
            return {
                "issuer": self.address,
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
                "jwks_uri": f"{self.address}/keys",
                "userinfo_endpoint": f"{self.address}/userinfo",
            } | self.document

        @app.get("/keys")
        def keys():
            self.asked.append("keys")
            return {"keys": [self.key.as_dict(private=False)]}

        @app.get("/authorize")
        def authorize(request: Request):
            asked = dict(request.query_params)
            assert asked["client_id"] == CLIENT
            assert asked["response_type"] == "code"
            assert asked["code_challenge_method"] == "S256"
            assert "openid" in asked["scope"]
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"]})
            return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=302)

        @app.post("/token")
        async def token(request: Request):
            self.asked.append("token")
            form = {k: v[0] for k, v in parse_qs((await request.body()).decode()).items()}
            said = base64.b64decode(request.headers["authorization"].split()[1]).decode()
            asked = self.codes.pop(form["code"], None)
            made = base64.urlsafe_b64encode(
                hashlib.sha256(form["code_verifier"].encode()).digest()
            ).rstrip(b"=")
            right = (
                asked is not None
                and [unquote(part) for part in said.split(":")] == [CLIENT, SECRET]
                and made.decode() == asked["code_challenge"]
                and form["redirect_uri"] == asked["redirect_uri"]
                and form["grant_type"] == "authorization_code"
            )
            if not right:
                return JSONResponse({"error": "internal-secret-of-the-provider"}, status_code=400)
            now = int(time.time())
            claims = {
                "iss": self.address,
                "aud": CLIENT,
                "sub": "subject",
                "iat": now,
                "exp": now + 300,
                "nonce": asked["nonce"],
                **self.user,
            }
            return {
                "access_token": "access",
                "token_type": "Bearer",
                "id_token": self._signed(claims | self.changes),
            }

        @app.post("/moved")
        def moved():
            self.asked.append("moved")
            return RedirectResponse(f"{self.address}/token", status_code=307)

        @app.get("/userinfo")
        def userinfo(request: Request):
            assert request.headers["authorization"] == "Bearer access"
            return {"sub": "subject"} | self.userinfo

        return app

    def _signed(self, claims) -> str:
        claims = {k: v for k, v in claims.items() if v is not None}
        header = {"alg": "RS256", "kid": self.key.kid}
        match self.signs:
            case "its key":
                return jwt.encode(header, claims, self.key)
            case "another key":
                other = RSAKey.generate_key(2048, {"kid": self.key.kid})
                return jwt.encode(header, claims, other)
            case "the client's secret":
                key = OctKey.import_key(SECRET)
                return jwt.encode({"alg": "HS256"}, claims, key, algorithms=["HS256"])
            case "its public key":
                # By hand: the library refuses to make such a token, too.
                parts = (json.dumps(header | {"alg": "HS256"}), json.dumps(claims))
                whole = b".".join(_base64(part.encode()) for part in parts)
                key = self.key.as_pem(private=False)
                mac = hmac.new(key, whole, hashlib.sha256).digest()
                return (whole + b"." + _base64(mac)).decode()
            case "nothing":
                whole = jwt.encode(header, claims, self.key).split(".")
                head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=")
                return f"{head.decode()}.{whole[1]}."
            case _:
                whole = jwt.encode(header, claims, self.key)
                return whole[:-8] + ("AAAAAAAA" if whole[-8:] != "AAAAAAAA" else "BBBBBBBB")


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def query_of(address: str) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}
