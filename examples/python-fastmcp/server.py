"""A small MCP server whose tools only people with a Postern access token can call (FastMCP)."""

import json
import os
from collections import defaultdict
from urllib.parse import urlsplit

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth import AccessToken, RemoteAuthProvider, TokenVerifier
from fastmcp.server.dependencies import get_access_token
from starlette.middleware import Middleware

from postern import AccessTokens, ScopeChallenges, metadata_url

PORT = int(os.environ.get("PORT", "9002"))
ISSUER = os.environ.get("ISSUER", "http://localhost:8080")
RESOURCE = os.environ.get("RESOURCE", f"http://localhost:{PORT}/mcp")
REVOCATION_DELAY = float(os.environ.get("REVOCATION_DELAY", "30"))

tokens = AccessTokens(ISSUER, RESOURCE, REVOCATION_DELAY)


class PosternVerifier(TokenVerifier):
    async def verify_token(self, token):
        claims = await tokens.claims(token)
        if claims is None:
            return None
        return AccessToken(
            token=token,
            client_id=claims["client_id"],
            scopes=claims.get("scope", "").split(),
            expires_at=claims["exp"],
            resource=RESOURCE,
            claims=claims,
        )


origin = f"{urlsplit(RESOURCE).scheme}://{urlsplit(RESOURCE).netloc}"
mcp = FastMCP(
    "notes-fastmcp",
    auth=RemoteAuthProvider(
        token_verifier=PosternVerifier(required_scopes=["notes:read"]),
        authorization_servers=[ISSUER],
        base_url=origin,
    ),
)
notes = defaultdict(list)


@mcp.tool
def whoami() -> str:
    """Says who is calling, and with which app."""
    token = get_access_token()
    return json.dumps({"sub": token.claims["sub"], "client_id": token.client_id, "scope": " ".join(token.scopes)})


@mcp.tool
def note_list() -> str:
    """Lists your notes."""
    return json.dumps(notes[get_access_token().claims["sub"]])


@mcp.tool
def note_add(text: str) -> str:
    """Keeps a note."""
    mine = notes[get_access_token().claims["sub"]]
    mine.append(text)
    return f"Kept. You have {len(mine)} notes."


# FastMCP puts this behind its own authentication.
challenges = Middleware(
    ScopeChallenges,
    path="/mcp",
    metadata_url=metadata_url(RESOURCE),
    scopes=["notes:read"],
    tools={"note_add": ["notes:write"]},
)
app = mcp.http_app(path="/mcp", middleware=[challenges])

if __name__ == "__main__":
    print(f"MCP server at {RESOURCE}, tokens from {ISSUER}", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
