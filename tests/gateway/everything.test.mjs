// A reference server that others have written, with the official client in front of it, through the gateway.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { freePort, until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';

const entry = path.join(import.meta.dirname, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
let server, postern, direct, uri, gate;

before(async () => {
  const port = await freePort();
  direct = `http://127.0.0.1:${port}/mcp`;
  server = spawn(process.execPath, [entry, 'streamableHttp'], {
    env: { PATH: process.env.PATH, PORT: String(port) },
    stdio: 'ignore',
  });
  await until('the reference server listens', async () => (await fetch(direct)).status >= 400);
  postern = await Postern.start({ command: 'serve' });
  uri = `${postern.issuer}/mcp/everything`;
  gate = `http://${postern.env.POSTERN_LISTEN}/mcp/everything`;
  await postern.cli(['resource', 'add', uri, '--name', 'Everything', '--slug', 'everything', '--upstream', direct]);
  await postern.cli(['user', 'add', 'ana@example.com', '--password-stdin'], { input: 'seven green umbrellas' });
  await postern.knows('everything');
});
after(async () => {
  await postern?.stop();
  server?.kill();
});

/** A grant token, as somebody has it whose client knows no OAuth. */
const grant = (...more) =>
  postern.cli(['grant', 'create', '--user', 'ana@example.com', '--resource', uri, '--name', 'laptop', ...more]);

async function connect(url, token) {
  const client = new Client({ name: 'test', version: '1' }, { capabilities: {} });
  const headers = token && { Authorization: `Bearer ${token}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

const names = async client => (await client.listTools()).tools.map(({ name }) => name).sort();

test('somebody who may do all of it has the same server', async () => {
  const { token } = await grant('--scope', 'tools:read', '--scope', 'tools:write', '--scope', 'tools:delete');
  const [without, through] = [await connect(direct), await connect(gate, token)];
  // The first list is noted; what does not say what it can do waits.
  await through.listTools();
  const held = (await postern.cli(['tool', 'list', uri])).filter(({ state }) => state !== 'approved');
  if (held.length) await postern.cli(['tool', 'approve', uri, '--class', 'read']);
  // The running server hears of the decision within a second.
  const all = (await without.listTools()).tools;
  await until('every tool is shown', async () => (await through.listTools()).tools.length === all.length);
  assert.deepEqual((await through.listTools()).tools, all);
  assert.deepEqual(await through.listPrompts(), await without.listPrompts());
  assert.deepEqual((await through.listResources()).resources, (await without.listResources()).resources);
  const echo = { name: 'echo', arguments: { message: 'grün' } };
  assert.deepEqual(await through.callTool(echo), await without.callTool(echo));
  const steps = [];
  const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } };
  await through.callTool(long, { onprogress: ({ progress }) => steps.push(progress) });
  assert.deepEqual(steps, [1, 2, 3, 4], 'progress comes as it is made');
  await Promise.all([without.close(), through.close()]);
});

test('somebody who may only look sees what only looks', async () => {
  const { token } = await grant('--tool', 'echo', '--tool', 'get-sum');
  const client = await connect(gate, token);
  assert.deepEqual(await names(client), ['echo', 'get-sum']);
  await assert.rejects(client.callTool({ name: 'get-env', arguments: {} }), /not for the tool/);
  await client.close();
});

test('a call that runs ends within a second of the cut, and so does everything after it', async () => {
  const { id, token } = await grant('--scope', 'tools:read');
  const client = await connect(gate, token);
  await client.listTools();
  let begun;
  const first = new Promise(resolve => (begun = resolve));
  const call = client.callTool(
    { name: 'trigger-long-running-operation', arguments: { duration: 60, steps: 600 } },
    { onprogress: begun },
  );
  call.catch(() => {});
  await first;
  await postern.cli(['grant', 'revoke', '--id', id]);
  const revoked = Date.now();
  await assert.rejects(call);
  assert(Date.now() - revoked < 1000, `it took ${Date.now() - revoked} ms`);
  await assert.rejects(client.callTool({ name: 'echo', arguments: { message: 'x' } }));
  await client.close();
});
