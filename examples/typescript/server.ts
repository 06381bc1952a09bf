// A small MCP server whose tools only people with a Postern access token can call.
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  McpServer,
  originValidationResponse,
  requireScopes,
} from '@modelcontextprotocol/server';
import * as z from 'zod';
import { protect } from './postern.ts';

const port = Number(process.env.PORT ?? 9003);
const issuer = process.env.ISSUER ?? 'http://localhost:8080';
const resource = process.env.RESOURCE ?? `http://localhost:${port}/mcp`;

const notes = new Map<string, string[]>();

function notesServer(): McpServer {
  const server = new McpServer({ name: 'notes-typescript', version: '1.0.0' });
  const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

  server.registerTool('whoami', { description: 'Says who is calling, and with which app.' }, async ctx => {
    const auth = ctx.http?.authInfo;
    return text(JSON.stringify({ sub: auth?.extra?.sub, client_id: auth?.clientId, scope: auth?.scopes.join(' ') }));
  });

  server.registerTool('note_list', { description: 'Lists your notes.' }, async ctx => {
    const sub = String(ctx.http?.authInfo?.extra?.sub);
    return text(JSON.stringify(notes.get(sub) ?? []));
  });

  server.registerTool(
    'note_add',
    {
      description: 'Keeps a note.',
      inputSchema: z.object({ text: z.string().min(1).max(1000) }),
      // A token without these is answered 403 with a challenge, and the client asks its user for more.
      scopeChallenge: requireScopes('notes:read', 'notes:write'),
    },
    async (input, ctx) => {
      const sub = String(ctx.http?.authInfo?.extra?.sub);
      const mine = notes.get(sub) ?? [];
      notes.set(sub, [...mine, input.text]);
      return text(`Kept. You have ${mine.length + 1} notes.`);
    },
  );
  return server;
}

const handler = createMcpHandler(notesServer);
const gate = await protect({
  issuer,
  resource,
  requiredScopes: ['notes:read'],
  revocationDelay: Number(process.env.REVOCATION_DELAY ?? 30),
});

async function fetch(request: Request): Promise<Response> {
  // Web pages of other origins must not reach a server on this computer. Put your public host name here.
  const refused =
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins());
  if (refused) return refused;

  const auth = await gate(request);
  if (auth instanceof Response) return auth;
  if (new URL(request.url).pathname !== new URL(resource).pathname) return new Response('Not found', { status: 404 });
  return handler.fetch(request, { authInfo: auth });
}

createServer(toNodeHandler({ fetch })).listen(port, '127.0.0.1', () => {
  console.log(`MCP server at ${resource}, tokens from ${issuer}`);
});
