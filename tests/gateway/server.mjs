// An MCP server with every feature, for the gateway to stand in front of. It speaks 2026-07-28 and 2025-11-25 at one URL
// and asks nobody for a token:
//
//   node server.mjs [PORT]   → {"url":"http://127.0.0.1:1234/mcp"}
import http from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from '@modelcontextprotocol/server';
import { build } from './server/build.mjs';
import { Sessions } from './server/sessions.mjs';
import { World } from './server/world.mjs';

const world = new World();
const modern = createMcpHandler(() => build(world).mcp, { legacy: 'reject' });
const sessions = new Sessions(world);

world.on('tools', () => modern.notify.toolsChanged());
world.on('prompts', () => modern.notify.promptsChanged());
world.on('resource', uri => modern.notify.resourceUpdated(uri));

async function answer(request) {
  const refused =
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins());
  if (refused) return refused;
  if (new URL(request.url).pathname !== '/mcp') return new Response(null, { status: 404 });
  return (await isLegacyRequest(request)) ? sessions.fetch(request) : modern.fetch(request);
}

const handle = toNodeHandler({ fetch: answer }, { onerror: error => console.error(error) });
const server = http.createServer((request, response) => void handle(request, response));
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}/mcp` }));
});
