"""Protects an MCP server with access tokens issued by Postern. Copy this file into your server.

`AccessTokens` says whether a token is good, `ScopeChallenges` asks callers for what their token lacks.
"""

import asyncio
import base64
import json
import time
import urllib.request
import zlib
from urllib.parse import urlsplit

import jwt

ALGORITHMS = ["ES256", "RS256", "EdDSA"]
LARGEST_LIST = 16 * 1024 * 1024
LARGEST_BODY = 4 * 1024 * 1024


class AccessTokens:
    """Accepts a token of this issuer for this server, in time, and not revoked (RFC 9068 section 4).

    `revocation_delay` is how long a revoked token may still work, in seconds.
    """

    def __init__(self, issuer, resource, revocation_delay=30):
        self.issuer, self.resource, self.revocation_delay = issuer, resource, revocation_delay
        self._keys = jwt.PyJWKClient(f"{issuer}/jwks.json", lifespan=600)
        self._lists = {}

    async def claims(self, token):
        """The token's claims, or None for a token that is not good here.

        Anything else that goes wrong (no keys, no status list) is raised, and becomes a 500: the client then keeps its
        token and tries again, instead of sending its user through a new sign-in.
        """
        try:
            claims = await asyncio.to_thread(self._verify, token, "at+jwt", audience=self.resource)
        except jwt.PyJWKClientConnectionError:
            raise
        except (jwt.PyJWTError, jwt.PyJWKClientError):
            return None
        return None if await asyncio.to_thread(self._revoked, claims) else claims

    def _verify(self, token, typ, **expected):
        if jwt.get_unverified_header(token).get("typ") != typ:
            raise jwt.InvalidTokenError(f"typ is not {typ}")
        key = self._keys.get_signing_key_from_jwt(token)
        if key.algorithm_name not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError(f"{key.algorithm_name} keys are not accepted")
        required = ["exp", "iss", "sub"] + (["aud", "client_id"] if typ == "at+jwt" else [])
        # The key says which algorithm it is for, never the token.
        algorithms = [key.algorithm_name]
        return jwt.decode(
            token, key.key, algorithms=algorithms, issuer=self.issuer, options={"require": required}, **expected
        )

    def _revoked(self, claims):
        """Looks the token up in the issuer's Token Status List, which is fetched once for all tokens."""
        reference = claims.get("status", {}).get("status_list")
        if reference is None:
            return False
        bits, entries = self._status_list(reference["uri"])
        position = reference["idx"] * bits
        return entries[position // 8] >> position % 8 & (1 << bits) - 1 != 0

    def _status_list(self, uri):
        fresh_until, bits, entries = self._lists.get(uri, (0, 0, b""))
        if time.monotonic() < fresh_until:
            return bits, entries
        if not uri.startswith(f"{self.issuer}/"):
            raise RuntimeError(f"{uri} is not a list of {self.issuer}")
        request = urllib.request.Request(uri, headers={"Accept": "application/statuslist+jwt"})
        with urllib.request.urlopen(request, timeout=5) as response:
            payload = self._verify(response.read(LARGEST_LIST).decode("ascii"), "statuslist+jwt", subject=uri)
        bits, lst = payload["status_list"]["bits"], payload["status_list"]["lst"]
        packed = base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4))
        entries = zlib.decompressobj().decompress(packed, LARGEST_LIST)
        age = min(payload.get("ttl", self.revocation_delay), self.revocation_delay)
        self._lists[uri] = (time.monotonic() + age, bits, entries)
        return bits, entries


class ScopeChallenges:
    """ASGI middleware that refuses callers in the way MCP clients act on (MCP 2026-07-28, Authorization).

    It stands behind the framework's authentication. No token or a bad one is answered 401, a token whose scopes do not
    cover the called tool 403, and both answers name the scopes that would do, so that the client can ask its user for
    them. `tools` maps the name of a tool to what it needs beyond `scopes`.
    """

    def __init__(self, app, path, metadata_url, scopes, tools):
        self.app, self.path, self.metadata_url = app, path, metadata_url
        self.scopes, self.tools = scopes, tools

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"].rstrip("/") != self.path:
            return await self.app(scope, receive, send)
        user = scope.get("user")
        if user is None or not user.is_authenticated:
            sent = any(name.lower() == b"authorization" for name, _ in scope["headers"])
            return await self._challenge(send, 401, "invalid_token" if sent else None, self.scopes)

        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > LARGEST_BODY:
                return await respond(send, 413, [], {"error": "invalid_request"})
        needed = self._needed(body)
        if not needed <= set(scope["auth"].scopes):
            return await self._challenge(send, 403, "insufficient_scope", [*self.scopes, *needed])

        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay():
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    def _needed(self, body):
        needed = set(self.scopes)
        try:
            messages = json.loads(body) if body else []
        except ValueError:
            messages = []
        for message in messages if isinstance(messages, list) else [messages]:
            if isinstance(message, dict) and message.get("method") == "tools/call":
                needed.update(self.tools.get((message.get("params") or {}).get("name"), []))
        return needed

    async def _challenge(self, send, status, error, scopes):
        parts = [f'error="{error}"'] if error else []
        parts += [f'scope="{" ".join(dict.fromkeys(scopes))}"', f'resource_metadata="{self.metadata_url}"']
        header = (b"www-authenticate", f"Bearer {', '.join(parts)}".encode())
        await respond(send, status, [header], {"error": error or "unauthorized"})


def metadata_url(resource):
    """Where RFC 9728 section 3.1 puts the metadata of a resource."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path.rstrip('/')}"


async def respond(send, status, headers, document):
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
