// The same reference server, run by the gateway for each person over standard input and output.
import assert from 'node:assert/strict';
import { writeFile, readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';

const entry = path.join(import.meta.dirname, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
const secret = 'stdio-key-0123456789';
let postern, uri, gate;

before(async () => {
  postern = await Postern.start({ command: 'serve' });
  await postern.cli(['user', 'add', 'ana@example.com', '--password-stdin'], { input: 'seven green umbrellas' });
  await postern.cli(['user', 'add', 'ben@example.com', '--password-stdin'], { input: 'seven green umbrellas' });
  // As it stands in the configuration of a client; moving it is all there is to do.
  const file = path.join(os.tmpdir(), `postern-mcp-${process.pid}.json`);
  const server = { command: process.execPath, args: [entry, 'stdio'], env: { API_KEY: secret, MODE: 'a' } };
  await writeFile(file, JSON.stringify({ mcpServers: { everything: server } }));
  const left = await postern.cli(['import', file]);
  assert.match(left.servers[0].note, /--stdio/);
  await postern.cli(['import', file, '--stdio', '--out', `${file}.new`]);
  uri = `${postern.issuer}/mcp/everything`;
  gate = `http://${postern.env.POSTERN_LISTEN}/mcp/everything`;
  const { mcpServers } = JSON.parse(await readFile(`${file}.new`, 'utf8'));
  assert.deepEqual(mcpServers, { everything: { type: 'http', url: uri } });
  await postern.knows('everything');
});
after(() => postern?.stop());

const grant = (email, ...more) =>
  postern.cli([
    ...['grant', 'create', '--user', email, '--resource', uri, '--name', 'laptop'],
    ...['--scope', 'tools:read', '--scope', 'tools:write', '--scope', 'tools:delete', ...more],
  ]);

async function connect(transport, capabilities = {}) {
  const client = new Client({ name: 'test', version: '1' }, { capabilities });
  await client.connect(transport);
  return client;
}
const through = (token, capabilities) =>
  connect(
    new StreamableHTTPClientTransport(new URL(gate), { requestInit: { headers: { Authorization: `Bearer ${token}` } } }),
    capabilities,
  );

test('through the gateway it is the same server, with its secret and nothing of ours', async () => {
  const { token } = await grant('ana@example.com');
  const direct = await connect(new StdioClientTransport({ command: process.execPath, args: [entry, 'stdio'] }));
  const client = await through(token);
  await client.listTools();
  const held = (await postern.cli(['tool', 'list', uri])).filter(({ state }) => state !== 'approved');
  if (held.length) await postern.cli(['tool', 'approve', uri, '--class', 'read']);
  const all = (await direct.listTools()).tools;
  await until('every tool is shown', async () => (await client.listTools()).tools.length === all.length);
  assert.deepEqual((await client.listTools()).tools, all);
  assert.deepEqual(await client.listPrompts(), await direct.listPrompts());
  assert.deepEqual((await client.listResources()).resources, (await direct.listResources()).resources);
  const echo = { name: 'echo', arguments: { message: 'grün\nand more' } };
  assert.deepEqual(await client.callTool(echo), await direct.callTool(echo));
  const steps = [];
  const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } };
  await client.callTool(long, { onprogress: ({ progress }) => steps.push(progress) });
  assert.deepEqual(steps, [1, 2, 3, 4], 'progress comes as it is made');
  const { content } = await client.callTool({ name: 'get-env', arguments: {} });
  const env = JSON.parse(content[0].text);
  assert.deepEqual(Object.keys(env).sort(), ['API_KEY', 'HOME', 'LANG', 'MODE', 'PATH', 'TMPDIR']);
  assert.equal(env.API_KEY, '[removed]', 'what it has been given does not come back');
  await Promise.all([direct.close(), client.close()]);
});

test('what the server asks of its client comes to the one that it asks', async () => {
  const { token } = await grant('ben@example.com');
  const client = await through(token, { sampling: {} });
  const other = await through(token, { sampling: {} });
  other.setRequestHandler('sampling/createMessage', () => assert.fail('the other one was asked'));
  client.setRequestHandler('sampling/createMessage', () => ({
    model: 'a model',
    role: 'assistant',
    content: { type: 'text', text: 'said the model' },
  }));
  // The server shows it to clients alone that can be asked, so that it is new here, and waits for an administrator.
  const asks = ({ name }) => name.includes('sampling') && !name.includes('async');
  await until('it is noted', async () => {
    await client.listTools();
    return (await postern.cli(['tool', 'list', uri])).some(asks);
  });
  await postern.cli(['tool', 'approve', uri, '--class', 'read']);
  const sampling = await until('it is shown', async () => (await client.listTools()).tools.find(asks));
  const answer = await client.callTool({ name: sampling.name, arguments: { prompt: 'x', maxTokens: 5 } });
  assert.match(JSON.stringify(answer.content), /said the model/);
  await Promise.all([client.close(), other.close()]);
});

test('a call that runs ends within a second of the cut', async () => {
  const { id, token } = await grant('ana@example.com');
  const client = await through(token);
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
  await client.close();
});
