"""The official Python SDK as an MCP client on the command line. See lib/client.mjs for what it understands."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

settings = json.loads(sys.argv[1])
redirect = urlsplit(settings["redirect_uri"])


def say(**event):
    print(json.dumps(event), flush=True)


class Memory(TokenStorage):
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        if self.client is None and "client_id" in settings:
            return OAuthClientInformationFull(
                client_id=settings["client_id"],
                client_secret=settings.get("client_secret"),
                redirect_uris=[settings["redirect_uri"]],
                token_endpoint_auth_method="client_secret_basic" if "client_secret" in settings else "none",
            )
        return self.client

    async def set_client_info(self, client):
        self.client = client


arrivals = asyncio.Queue()


async def arrive(reader, writer):
    """Answers the browser that comes back to the loopback address."""
    target = urlsplit((await reader.readline()).split()[1].decode())
    while (await reader.readline()).strip():
        pass
    found = target.path == redirect.path
    page = b"<!doctype html><p>You can close this page."
    head = f"HTTP/1.1 {'200 OK' if found else '404 Not Found'}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + page)
    await writer.drain()
    writer.close()
    if found:
        await arrivals.put({name: values[0] for name, values in parse_qs(target.query).items()})


async def callback():
    answer = await arrivals.get()
    if "error" in answer:
        raise RuntimeError(f"the answer is {answer['error']}")
    return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


async def open_browser(url):
    say(authorize=url)


async def commands():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def machine():
    """Without a person: a machine that acts for itself, with a secret or with a key."""
    about = {
        "server_url": settings["mcp_url"],
        "storage": Memory(),
        "client_id": settings["client_id"],
        "scope": settings.get("scope"),
        "issuer": settings["issuer"],
    }
    if "private_key" not in settings:
        return ClientCredentialsOAuthProvider(client_secret=settings["client_secret"], **about)
    signer = SignedJWTParameters(
        issuer=settings["client_id"],
        subject=settings["client_id"],
        signing_algorithm="ES256",
        signing_key=settings["private_key"],
    )
    return PrivateKeyJWTOAuthProvider(assertion_provider=signer.create_assertion_provider(), **about)


async def main():
    if "machine" not in settings:
        await asyncio.start_server(arrive, "127.0.0.1", redirect.port)
    auth = machine() if "machine" in settings else OAuthClientProvider(
        server_url=settings["mcp_url"],
        client_metadata=OAuthClientMetadata(
            client_name=settings["name"],
            redirect_uris=[settings["redirect_uri"]],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method=settings.get("auth_method", "none"),
            scope=settings.get("scope"),
        ),
        storage=Memory(),
        redirect_handler=open_browser,
        callback_handler=callback,
    )
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(auth=auth, timeout=90))
        client = None
        async for command in commands():
            try:
                if command["do"] == "connect":
                    transport = streamable_http_client(settings["mcp_url"], http_client=http)
                    client = await stack.enter_async_context(Client(transport))
                    say(done={"tools": [tool.name for tool in (await client.list_tools()).tools]})
                else:
                    result = await client.call_tool(command["tool"], command.get("arguments", {}))
                    text = "\n".join(part.text for part in result.content)
                    say(failed=text) if result.is_error else say(done={"text": text})
            except BaseException as error:
                say(failed=f"{type(error).__name__}: {error!r}")
                if not isinstance(error, Exception):
                    raise


asyncio.run(main())
