// Every server in examples/, started as its README says, against the real issuer.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Browser } from './browser.mjs';
import { Client } from './lib/client.mjs';
import { HandMadeClient } from './lib/flow.mjs';
import { freePort, until } from './lib/net.mjs';
import { Postern } from './lib/postern.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const EXAMPLES = ['python-sdk', 'python-fastmcp', 'typescript', 'rust'];
const EMAIL = 'ada@example.com';
const PASSWORD = 'correct horse battery staple';
const TOKEN_SECONDS = 12;

let browser;
let postern;
let person;
let handMade;
const servers = {};

before(async () => {
  browser = await Browser.open();
  postern = await Postern.start({ command: 'serve' });
  await postern.cli(['user', 'add', EMAIL, '--name', 'Ada', '--password-stdin'], { input: `${PASSWORD}\n` });
  await Promise.all(EXAMPLES.map(async name => (servers[name] = await Server.start(name))));
  handMade = await HandMadeClient.register(postern);
  person = await browser.person({ email: EMAIL, password: PASSWORD });
});
after(async () => {
  handMade?.stop();
  for (const server of Object.values(servers)) await server.stop();
  await postern?.stop();
  await browser?.close();
});

/** One example, started by its own command and known to the issuer. */
class Server {
  static async start(name) {
    const server = new Server();
    const port = await freePort();
    server.url = `http://localhost:${port}/mcp`;
    await postern.cli([
      ...['resource', 'add', server.url, '--name', `Notes (${name})`, '--access-token-ttl', `${TOKEN_SECONDS}s`],
      ...['--scope', 'notes:read=Read your notes', '--scope', 'notes:write=Write notes for you'],
    ]);
    server.log = '';
    server.child = spawn(path.join(root, 'examples', name, 'run'), [], {
      env: { ...process.env, ISSUER: postern.issuer, PORT: String(port), REVOCATION_DELAY: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      // The command may leave a child behind (cargo run does); both go together.
      detached: true,
    });
    server.child.stdout.on('data', chunk => (server.log += chunk));
    server.child.stderr.on('data', chunk => (server.log += chunk));
    server.ended = new Promise(resolve => server.child.on('exit', code => resolve((server.code = code ?? 'a signal'))));
    server.metadataUrl = `http://localhost:${port}/.well-known/oauth-protected-resource/mcp`;
    await until(
      `examples/${name} answers`,
      async () => {
        if (server.code !== undefined) return true;
        return (await fetch(server.metadataUrl)).ok;
      },
      // The first start installs or builds what the server needs.
      900,
    );
    assert.equal(server.code, undefined, `examples/${name}/run ended:\n${server.log}`);
    return server;
  }

  /** What the server says to a request with this token. */
  async ask(token, message = { method: 'tools/list' }) {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-11-25',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, params: {}, ...message }),
    });
    await response.body?.cancel();
    return { status: response.status, challenge: challenge(response.headers.get('www-authenticate')) };
  }

  async stop() {
    if (this.code !== undefined) return;
    process.kill(-this.child.pid, 'SIGTERM');
    const forced = setTimeout(() => process.kill(-this.child.pid, 'SIGKILL'), 5000);
    await this.ended;
    clearTimeout(forced);
  }
}

function challenge(header) {
  if (!header) return undefined;
  assert.match(header, /^Bearer /);
  return Object.fromEntries([...header.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

// The SDKs add offline_access by themselves where it is advertised.
const words = scope => (scope ?? '').split(' ').filter(word => word && word !== 'offline_access').sort();
// A token that is accepted leads to whatever MCP says of the request, never to one of these.
const accepted = ({ status }) => ![401, 403].includes(status) && status < 500;

for (const name of EXAMPLES) {
  describe(`examples/${name}`, () => {
    test('says where tokens come from', async () => {
      const server = servers[name];
      const refused = await server.ask(undefined);
      assert.equal(refused.status, 401);
      assert.equal(refused.challenge.resource_metadata, server.metadataUrl);
      assert.equal(refused.challenge.scope, 'notes:read');
      const metadata = await (await fetch(refused.challenge.resource_metadata)).json();
      assert.equal(metadata.resource, server.url);
      assert.deepEqual(metadata.authorization_servers, [postern.issuer]);
      assert.deepEqual(metadata.scopes_supported, ['notes:read']);
    });

    test('serves a real client, and asks for more when a tool needs more', async () => {
      const server = servers[name];
      const client = await Client.start('typescript', server.url);
      try {
        const { visits } = await client.run({ do: 'connect' }, person);
        assert.equal(visits.length, 1);
        const whoami = JSON.parse((await client.run({ do: 'call', tool: 'whoami' }, person)).result.text);
        assert.equal(whoami.client_id, visits[0].url.searchParams.get('client_id'));
        assert.deepEqual(words(whoami.scope), ['notes:read']);
        assert.deepEqual(JSON.parse((await client.run({ do: 'call', tool: 'note_list' }, person)).result.text), []);
        const added = await client.run({ do: 'call', tool: 'note_add', arguments: { text: 'Buy milk' } }, person);
        assert.equal(added.visits.length, 1, 'the step-up');
        assert.deepEqual(words(added.visits[0].url.searchParams.get('scope')), ['notes:read', 'notes:write']);
        const notes = JSON.parse((await client.run({ do: 'call', tool: 'note_list' }, person)).result.text);
        assert.deepEqual(notes, ['Buy milk']);
      } finally {
        client.stop();
      }
    });

    test('refuses a token that is not for it, or has been tampered with', async () => {
      const server = servers[name];
      const { access_token: good } = await handMade.token(person, { resource: server.url, scope: 'notes:read' });
      assert(accepted(await server.ask(good)), 'the good token is accepted');

      const other = EXAMPLES[(EXAMPLES.indexOf(name) + 1) % EXAMPLES.length];
      const { access_token: foreign } = await handMade.token(person, { resource: servers[other].url, scope: 'notes:read' });
      const [head, body, signature] = good.split('.');
      const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
      const forged = Buffer.from(JSON.stringify({ ...claims, scope: 'notes:read notes:write' })).toString('base64url');
      const header = JSON.parse(Buffer.from(head, 'base64url').toString());
      const withHeader = changes => Buffer.from(JSON.stringify({ ...header, ...changes })).toString('base64url');
      const bad = {
        'for another server': foreign,
        'with changed claims': `${head}.${forged}.${signature}`,
        'without a signature': `${withHeader({ alg: 'none' })}.${body}.`,
        'of another algorithm': `${withHeader({ alg: 'RS256' })}.${body}.${signature}`,
        'of a shared secret': `${withHeader({ alg: 'HS256' })}.${body}.${signature}`,
        'of an unknown key': `${withHeader({ kid: 'unknown' })}.${body}.${signature}`,
        'of another kind': `${withHeader({ typ: 'JWT' })}.${body}.${signature}`,
        'that is no token': 'letmein',
      };
      for (const [what, token] of Object.entries(bad)) {
        const refused = await server.ask(token);
        assert.equal(refused.status, 401, `a token ${what}`);
        assert.equal(refused.challenge.error, 'invalid_token', `a token ${what}`);
      }
    });

    test('names the scopes when a token has too few', async () => {
      const server = servers[name];
      const call = { method: 'tools/call', params: { name: 'note_add', arguments: { text: 'No' } } };
      const { access_token: reading } = await handMade.token(person, { resource: server.url, scope: 'notes:read' });
      const refused = await server.ask(reading, call);
      assert.equal(refused.status, 403);
      assert.equal(refused.challenge.error, 'insufficient_scope');
      assert.deepEqual(words(refused.challenge.scope), ['notes:read', 'notes:write']);
      assert.equal(refused.challenge.resource_metadata, server.metadataUrl);
    });

    test('learns that a token was revoked', async () => {
      const server = servers[name];
      const { access_token: token } = await handMade.token(person, { resource: server.url, scope: 'notes:read' });
      assert(accepted(await server.ask(token)));
      await postern.cli(['grant', 'revoke', '--user', EMAIL]);
      // One second for the issuer, one for the list the server keeps; the token itself would last much longer.
      await until('the revoked token is refused', async () => (await server.ask(token)).status === 401, 4);
    });
  });
}

test('no example accepts a token after its end', async () => {
  const tokens = {};
  for (const name of EXAMPLES) {
    tokens[name] = (await handMade.token(person, { resource: servers[name].url, scope: 'notes:read' })).access_token;
    assert(accepted(await servers[name].ask(tokens[name])), name);
  }
  for (const name of EXAMPLES) {
    await until(`${name} refuses it`, async () => (await servers[name].ask(tokens[name])).status === 401, TOKEN_SECONDS + 5);
  }
});

test('the TypeScript example has no type errors', async () => {
  const folder = path.join(root, 'examples/typescript');
  await promisify(execFile)(path.join(folder, 'node_modules/.bin/tsc'), ['--noEmit'], { cwd: folder }).catch(error => {
    throw new Error(error.stdout);
  });
});

test('the Python examples share one file', async () => {
  const [one, other] = await Promise.all(
    ['python-sdk', 'python-fastmcp'].map(name => readFile(path.join(root, 'examples', name, 'postern.py'), 'utf8')),
  );
  assert.equal(one, other);
});
