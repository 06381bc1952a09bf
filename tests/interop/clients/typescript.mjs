// The official TypeScript client SDK as an MCP client on the command line. See lib/client.mjs for what it understands.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import readline from 'node:readline';
import {
  Client,
  ClientCredentialsProvider,
  PrivateKeyJwtProvider,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from '@modelcontextprotocol/client';

const settings = JSON.parse(process.argv[2]);
const say = event => process.stdout.write(`${JSON.stringify(event)}\n`);

// The loopback address the browser comes back to.
const callbacks = [];
const arrivals = [];
const { port, pathname } = new URL(settings.redirect_uri);
http
  .createServer((request, response) => {
    const url = new URL(request.url, settings.redirect_uri);
    if (url.pathname !== pathname) return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><p>You can close this page.');
    const waiting = arrivals.shift();
    if (waiting) waiting(url.searchParams);
    else callbacks.push(url.searchParams);
  })
  .listen(Number(port), '127.0.0.1');
const callback = () =>
  callbacks.length ? Promise.resolve(callbacks.shift()) : new Promise(resolve => arrivals.push(resolve));

// What the client remembers: in a file if it is given one, as clients do that run as several processes at once. The file is
// read when a command begins, so processes that are asked at the same time hold the same refresh token.
const kept = {};
const load = () => {
  if (settings.store && existsSync(settings.store)) Object.assign(kept, JSON.parse(readFileSync(settings.store, 'utf8')));
};
const save = changes => {
  Object.assign(kept, changes);
  if (!settings.store || settings.forgetful) return;
  const { client, tokens, discovery } = kept;
  writeFileSync(`${settings.store}.${process.pid}`, JSON.stringify({ client, tokens, discovery }));
  renameSync(`${settings.store}.${process.pid}`, settings.store);
};

const person = {
  redirectUrl: settings.redirect_uri,
  clientMetadata: {
    client_name: settings.name,
    redirect_uris: [settings.redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: settings.auth_method ?? 'none',
    ...(settings.scope && { scope: settings.scope }),
  },
  state: () => (kept.state = crypto.randomUUID()),
  clientInformation: () => {
    const { client } = kept;
    if (client || !settings.client_id) return client;
    return { client_id: settings.client_id, ...(settings.client_secret && { client_secret: settings.client_secret }) };
  },
  saveClientInformation: client => save({ client }),
  tokens: () => kept.tokens,
  saveTokens: tokens => save({ tokens }),
  saveCodeVerifier: verifier => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  saveDiscoveryState: discovery => save({ discovery }),
  discoveryState: () => kept.discovery,
  invalidateCredentials(what) {
    if (what === 'all' || what === 'tokens') save({ tokens: undefined });
    if (what === 'all' || what === 'client') save({ client: undefined });
  },
  redirectToAuthorization: url => say({ authorize: url.href }),
};

// Without a person: a machine that acts for itself, with a secret or with a key.
const machine = { clientId: settings.client_id, scope: settings.scope, expectedIssuer: settings.issuer };
const provider = !settings.machine
  ? person
  : settings.private_key
    ? new PrivateKeyJwtProvider({ ...machine, privateKey: settings.private_key, algorithm: 'ES256' })
    : new ClientCredentialsProvider({ ...machine, clientSecret: settings.client_secret });

let transport;
let client;
const commands = {
  async connect() {
    return withPerson(async () => {
      transport = new StreamableHTTPClientTransport(new URL(settings.mcp_url), { authProvider: provider });
      client = new Client(
        { name: settings.name, version: '1.0.0' },
        { versionNegotiation: { mode: settings.revision ? 'legacy' : { pin: '2026-07-28' } } },
      );
      await client.connect(transport);
      return { tools: (await client.listTools()).tools.map(tool => tool.name) };
    });
  },
  async call({ tool, arguments: input = {} }) {
    return withPerson(async () => {
      const result = await client.callTool({ name: tool, arguments: input });
      if (result.isError) throw new Error(JSON.stringify(result.content));
      return { text: result.content.map(part => part.text).join('\n') };
    });
  },
};

/** Does the work; when the SDK has sent its user to the browser, waits for the answer and does it once more. */
async function withPerson(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    const answer = await callback();
    if (answer.get('state') !== kept.state) throw new Error('the answer carries another state');
    await transport.finishAuth(answer);
    return work();
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  load();
  try {
    say({ done: await commands[command.do](command) });
  } catch (error) {
    say({ failed: `${error.name}: ${error.message}` });
  }
}
