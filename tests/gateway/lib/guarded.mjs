// An MCP server, made with the official SDK, that takes nothing but tokens of its company, and says who is asking.
import http from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { freePort } from '../../interop/lib/net.mjs';

/** The official client, with a token. */
export async function connectThrough(url, token) {
  const client = new Client({ name: 'test', version: '1' }, { capabilities: {} });
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  return client;
}

export class Guarded {
  /** Starts it. */
  static async start({ scopes }) {
    const guarded = new Guarded();
    const port = await freePort();
    Object.assign(guarded, { origin: `http://127.0.0.1:${port}`, url: `http://127.0.0.1:${port}/mcp`, scopes, calls: [] });
    guarded.server = http.createServer((request, response) => void guarded.#answer(request, response));
    await new Promise(resolve => guarded.server.listen(port, '127.0.0.1', resolve));
    return guarded;
  }

  /** Takes the tokens of a company from now on. */
  trusts(company) {
    this.company = company;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }

  async #answer(request, response) {
    const place = '/.well-known/oauth-protected-resource/mcp';
    if (request.url === place) {
      response.setHeader('content-type', 'application/json');
      const { url: resource, scopes } = this;
      const metadata = { resource, scopes_supported: scopes, authorization_servers: [this.company.issuer] };
      return response.end(JSON.stringify(metadata));
    }
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    const who = token && (await this.company.whose(token, this.url));
    if (!who) {
      response.statusCode = 401;
      response.setHeader('www-authenticate', `Bearer resource_metadata="${this.origin}${place}"`);
      return response.end();
    }
    const handler = createMcpHandler(() => {
      const mcp = new McpServer({ name: 'mail', version: '1' });
      mcp.registerTool('whoami', { description: 'Says who is asking', annotations: { readOnlyHint: true } }, () => {
        this.calls.push(who);
        return { content: [{ type: 'text', text: who }] };
      });
      return mcp;
    });
    return toNodeHandler(handler)(request, response);
  }
}
