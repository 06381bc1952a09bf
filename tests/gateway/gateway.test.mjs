// What the official conformance suite says of a server is the same through the gateway as without it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { run } from './lib/conformance.mjs';

const here = import.meta.dirname;
const key = 'upstream-key-0123456789';
let server, postern, direct, gate, token;

before(async () => {
  server = spawn(process.execPath, [path.join(here, 'server.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(readline.createInterface({ input: server.stdout }), 'line');
  direct = JSON.parse(line).url;
  postern = await Postern.start({ command: 'serve' });
  const uri = `${postern.issuer}/mcp/all`;
  // Past the recorder in front of the issuer, which would be measured too.
  gate = `http://${postern.env.POSTERN_LISTEN}/mcp/all`;
  await postern.cli([
    ...['resource', 'add', uri, '--name', 'Everything', '--slug', 'all', '--upstream', direct],
    ...['--access-token-ttl', '1h'],
  ]);
  await postern.cli(['upstream', 'set', uri, '--header', 'X-Api-Key'], { input: `${key}\n` });
  const client = await postern.cli([
    ...['client', 'add', '--name', 'Suite', '--auth', 'client_secret_post', '--grant-type', 'client_credentials'],
    ...['--resource', uri, '--scope', 'tools:read'],
  ]);
  // What a command does takes effect in the running server within a second.
  token = await until('a token', async () => {
    const answer = await fetch(`${postern.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: client.client_id,
        client_secret: client.client_secret,
        resource: uri,
      }),
    });
    const said = await answer.json();
    if (answer.status !== 200) throw new Error(JSON.stringify(said));
    return said.access_token;
  }, 5);
  // The tools of this server do not say what they can do; an administrator does, once they have been seen.
  assert.deepEqual((await list()).filter(({ annotations }) => !annotations), []);
  await postern.cli(['tool', 'approve', uri, '--class', 'read']);
});
after(async () => {
  await postern?.stop();
  server?.kill();
});

async function list() {
  const version = '2026-07-28';
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const answer = await fetch(gate, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'MCP-Protocol-Version': version,
      'Mcp-Method': 'tools/list',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } }),
  });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  const data = text.match(/^data: (.*)$/m)?.[1] ?? text;
  return JSON.parse(data).result.tools;
}

for (const specVersion of ['2026-07-28', '2025-11-25']) {
  describe(`the conformance suite, ${specVersion}`, () => {
    test('says the same through the gateway as without it', async t => {
      const out = path.join(here, 'results');
      const without = await run(direct, { specVersion, out: path.join(out, `${specVersion}-direct`) });
      const headers = { Authorization: `Bearer ${token}` };
      const through = await run(gate, { specVersion, headers, out: path.join(out, `${specVersion}-gateway`) });
      assert(Object.keys(without).length >= 30, 'the suite has run');
      for (const [name, checks] of Object.entries(without)) {
        await t.test(name, () => assert.deepEqual(through[name], checks));
      }
      assert.deepEqual(Object.keys(through), Object.keys(without));
    });
  });
}
