"""A small MCP server whose tools only people with a Postern access token can call (official Python SDK)."""

import json
import os
from collections import defaultdict

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from starlette.middleware import Middleware

from postern import AccessTokens, ScopeChallenges, metadata_url

PORT = int(os.environ.get("PORT", "9001"))
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
            subject=claims["sub"],
            claims=claims,
        )


mcp = MCPServer(
    "notes-python",
    token_verifier=PosternVerifier(),
    auth=AuthSettings(
        issuer_url=ISSUER,
        resource_server_url=RESOURCE,
        required_scopes=["notes:read"],
        validate_token_resource=True,
    ),
)
notes = defaultdict(list)


@mcp.tool()
def whoami() -> str:
    """Says who is calling, and with which app."""
    token = get_access_token()
    return json.dumps({"sub": token.subject, "client_id": token.client_id, "scope": " ".join(token.scopes)})


@mcp.tool()
def note_list() -> str:
    """Lists your notes."""
    return json.dumps(notes[get_access_token().subject])


@mcp.tool()
def note_add(text: str) -> str:
    """Keeps a note."""
    mine = notes[get_access_token().subject]
    mine.append(text)
    return f"Kept. You have {len(mine)} notes."


app = mcp.streamable_http_app()
# Appended, not added: it has to stand behind the SDK's authentication.
app.user_middleware.append(
    Middleware(
        ScopeChallenges,
        path="/mcp",
        metadata_url=metadata_url(RESOURCE),
        scopes=["notes:read"],
        tools={"note_add": ["notes:write"]},
    )
)

if __name__ == "__main__":
    print(f"MCP server at {RESOURCE}, tokens from {ISSUER}", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
