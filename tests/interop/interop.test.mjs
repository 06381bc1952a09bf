// The official client SDKs against `postern quickstart`, with a real browser: discovery, registration, sign-in and
// consent, token, tool call, refresh, step-up, revocation.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Browser } from './browser.mjs';
import { Client } from './lib/client.mjs';
import { MetadataDocuments } from './lib/documents.mjs';
import { freePort, until } from './lib/net.mjs';
import { Postern } from './lib/postern.mjs';

const READ = 'notes:read';
const WRITE = 'notes:write';
// Long enough to use a token, short enough to wait for its end.
const TOKEN_SECONDS = 5;

let browser;
let documents;
before(async () => {
  browser = await Browser.open();
  documents = await MetadataDocuments.start();
});
after(async () => {
  await browser?.close();
  await documents?.stop();
});

const claims = token => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
// The SDKs add offline_access by themselves where it is advertised.
const words = scope => (scope ?? '').split(' ').filter(word => word && word !== 'offline_access').sort();

/** The status with which the MCP server answers a request with this token. */
async function statusOf(mcpUrl, token) {
  const response = await fetch(mcpUrl, {
    method: 'POST',
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
  });
  await response.body?.cancel();
  return response.status;
}

/** The newest token response that a client got for this kind of grant. */
function latest(postern, grantType) {
  const exchange = postern.recorder.of('/token', grantType).filter(one => one.status === 200).at(-1);
  assert(exchange, `no ${grantType} at /token; there was: ${JSON.stringify(postern.recorder.seen.map(one => [one.method, one.path, one.status]))}`);
  return exchange;
}

/** A confidential client that an administrator has entered. */
async function registerByHand(postern, language) {
  const port = await freePort();
  const client = await postern.cli([
    ...['client', 'add', '--name', `${language} by hand`, '--auth', 'client_secret_basic'],
    ...['--grant-type', 'authorization_code', '--grant-type', 'refresh_token'],
    ...['--redirect-uri', `http://127.0.0.1:${port}/callback`],
  ]);
  return { port, client_id: client.client_id, client_secret: client.client_secret };
}

async function wholeStory({ postern, language, registration, revision }) {
  const { mcp_url: mcpUrl, email, password } = postern.quickstart;
  const person = await browser.person({ email, password });
  const options = { revision };
  if (registration === 'document') Object.assign(options, await documents.add({ name: `${language} with a document` }));
  if (registration === 'by hand') Object.assign(options, await registerByHand(postern, language));
  const client = await Client.start(language, mcpUrl, options);
  postern.recorder.forget();
  try {
    // Discovery, registration, sign-in, consent, token.
    const { result, visits } = await client.run({ do: 'connect' }, person);
    assert.deepEqual([...result.tools].sort(), ['note_add', 'note_list', 'whoami']);
    assert.equal(visits.length, 1, 'one visit to the browser');
    assert(visits[0].signedIn, 'the person had to sign in');
    assert.equal(visits[0].consents.length, 1, 'and was asked once');
    const asked = visits[0].url.searchParams;
    assert.equal(asked.get('resource'), mcpUrl);
    assert.equal(asked.get('code_challenge_method'), 'S256');
    assert.deepEqual(words(asked.get('scope')).filter(scope => scope === WRITE), [], 'reading is all that was asked for');
    const answered = new URL(visits[0].final).searchParams;
    assert.equal(answered.get('iss'), postern.issuer);

    const registrations = postern.recorder.of('/register');
    if (registration === 'dynamic') {
      assert.equal(registrations.length, 1);
      assert.equal(registrations[0].status, 201);
      assert.equal(asked.get('client_id'), registrations[0].response.client_id);
      assert(Object.values(registrations[0].response).every(value => value !== null), 'absent members are left out');
      assert.match(visits[0].consents[0].text, /unverified/i, 'nobody vouches for the name');
    } else {
      assert.equal(registrations.length, 0);
      assert.equal(asked.get('client_id'), options.client_id);
      assert.doesNotMatch(visits[0].consents[0].text, /unverified/i);
    }
    if (registration === 'document') {
      assert(documents.fetched(options.client_id) > 0, 'the issuer fetched the document');
      assert.match(visits[0].consents[0].text, /127\.0\.0\.1/, 'the page says where the client comes from');
    }

    const first = latest(postern, 'authorization_code');
    assert.equal(first.headers['cache-control'], 'no-store');
    assert.equal(first.response.token_type, 'Bearer');
    assert.deepEqual(words(first.response.scope), [READ]);
    const token = claims(first.response.access_token);
    assert.equal(token.iss, postern.issuer);
    assert.equal(token.aud, mcpUrl);
    assert.equal(token.client_id, asked.get('client_id'));
    assert.equal(token.exp - token.iat, TOKEN_SECONDS);

    // Tool calls, for as long as the token lasts and after.
    const whoami = await client.run({ do: 'call', tool: 'whoami' }, person);
    assert.match(whoami.result.text, new RegExp(token.sub));
    await client.run({ do: 'call', tool: 'note_list' }, person);
    // At the server, and by the client's own clock too: the Python SDK refreshes only what it believes to have expired.
    const end = first.at + first.response.expires_in * 1000 + 200;
    await until('the token expires', async () => Date.now() > end && (await statusOf(mcpUrl, first.response.access_token)) === 401);
    const before = postern.recorder.of('/token', 'refresh_token').length;
    const later = await client.run({ do: 'call', tool: 'note_list' }, person);
    assert.equal(later.visits.length, 0, 'a refresh needs no person');
    const refresh = latest(postern, 'refresh_token');
    assert(postern.recorder.of('/token', 'refresh_token').length > before, 'the client refreshed');
    assert.deepEqual(words(refresh.response.scope), [READ]);
    assert.notEqual(refresh.response.refresh_token, refresh.request.refresh_token, 'refresh tokens rotate');
    assert.equal(claims(refresh.response.access_token).grant_id, token.grant_id);

    // Step-up: the tool needs more, and the person is asked for the difference.
    const added = await client.run({ do: 'call', tool: 'note_add', arguments: { text: 'Buy milk' } }, person);
    assert.equal(added.visits.length, 1, 'the person was asked for more');
    assert(!added.visits[0].signedIn, 'without signing in again');
    const more = words(added.visits[0].url.searchParams.get('scope'));
    assert(more.includes(READ) && more.includes(WRITE), `the request is for both, not for ${more}`);
    assert.deepEqual(words(latest(postern, 'authorization_code').response.scope), [READ, WRITE]);
    const notes = await client.run({ do: 'call', tool: 'note_list' }, person);
    assert.match(notes.result.text, /Buy milk/);
    assert.equal(notes.visits.length, 0);

    // Revocation: the token is dead at the server within a second, and the client cannot help itself.
    const held = postern.recorder.of('/token').filter(one => one.status === 200).at(-1).response.access_token;
    await postern.cli(['grant', 'revoke', '--user', email]);
    await until('the revoked token is refused', async () => (await statusOf(mcpUrl, held)) === 401, 1);
    postern.recorder.forget();
    const refused = await client.ask({ do: 'call', tool: 'note_list' });
    assert(refused.authorize || refused.failed, `the call succeeded after the revocation: ${JSON.stringify(refused)}`);
    for (const attempt of postern.recorder.of('/token')) {
      assert.equal(attempt.status, 400);
      assert.equal(attempt.response.error, 'invalid_grant');
    }

    // And a person who approves again gets in again.
    if (refused.authorize) {
      await person.answer(refused.authorize);
      const again = await client.next();
      assert('done' in again, `after a new approval: ${JSON.stringify(again)}\n${client.log}`);
    }
  } finally {
    client.stop();
    await person.context.close();
  }
}

/** A client that acts for itself, without a person: MCP's client credentials extension. */
async function machineStory({ postern, language, proof }) {
  const { mcp_url: mcpUrl } = postern.quickstart;
  const auth = ['--auth', proof === 'key' ? 'private_key_jwt' : 'client_secret_basic'];
  const options = { machine: true, issuer: postern.issuer };
  if (proof === 'key') {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' };
    const file = path.join(postern.folder, `${language}.jwks.json`);
    await writeFile(file, JSON.stringify({ keys: [jwk] }));
    auth.push('--jwks', file);
    options.private_key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  }
  const added = await postern.cli([
    ...['client', 'add', '--name', `${language} machine`, '--grant-type', 'client_credentials', ...auth],
    ...['--resource', mcpUrl, '--scope', READ],
  ]);
  Object.assign(options, { client_id: added.client_id, client_secret: added.client_secret });
  const client = await Client.start(language, mcpUrl, options);
  postern.recorder.forget();
  try {
    const connected = await client.ask({ do: 'connect' });
    assert('done' in connected, JSON.stringify(connected));
    const whoami = await client.ask({ do: 'call', tool: 'whoami' });
    assert.match(whoami.done?.text ?? '', new RegExp(added.client_id), JSON.stringify(whoami));
    const exchange = latest(postern, 'client_credentials');
    const token = claims(exchange.response.access_token);
    assert.equal(token.aud, mcpUrl);
    assert.equal(token.sub, added.client_id);
    assert.equal(exchange.response.refresh_token, undefined);
    assert.deepEqual(words(exchange.response.scope), [READ]);
  } finally {
    client.stop();
  }
}

for (const under of ['', '/id']) {
  describe(`issuer ${under ? `under ${under}` : 'at the root'}`, () => {
    let postern;
    before(async () => {
      postern = await Postern.start({ path: under, env: { POSTERN_TOKENS__ACCESS_TOKEN_TTL: `${TOKEN_SECONDS}s` } });
    });
    after(() => postern?.stop());

    for (const language of ['typescript', 'python', 'rust']) {
      for (const registration of ['dynamic', 'document']) {
        test(`${language}, ${registration}`, () => wholeStory({ postern, language, registration }));
      }
    }
    if (under) return;
    for (const language of ['typescript', 'python', 'rust']) {
      test(`${language}, by hand`, () => wholeStory({ postern, language, registration: 'by hand' }));
    }
    for (const language of ['typescript', 'python']) {
      for (const proof of ['secret', 'key']) {
        test(`${language}, a machine with a ${proof}`, () => machineStory({ postern, language, proof }));
      }
    }
    for (const language of ['typescript', 'rust']) {
      test(`${language}, protocol 2025-11-25`, () =>
        wholeStory({ postern, language, registration: 'dynamic', revision: '2025-11-25' }));
    }

    // What users of every peer complain of: sessions lost because two processes refreshed at once. Each round, all five
    // hold the same expired token and the same refresh token. (A process that refreshes with the successor while another
    // still presents the predecessor ends the grant: that is reuse, and cannot be told from theft.)
    test('five processes with one token file keep their session', async () => {
      const { mcp_url: mcpUrl, email, password } = postern.quickstart;
      const person = await browser.person({ email, password });
      const options = { store: path.join(postern.folder, 'shared.json'), name: 'Five at once' };
      const clients = [await Client.start('typescript', mcpUrl, options)];
      try {
        await clients[0].run({ do: 'connect' }, person);
        const grant = claims(latest(postern, 'authorization_code').response.access_token).grant_id;
        postern.recorder.forget();
        while (clients.length < 5) {
          clients.push(await Client.start('typescript', mcpUrl, options));
          assert('done' in (await clients.at(-1).ask({ do: 'connect' })));
        }
        for (let round = 0; round < 3; round += 1) {
          const { access_token: held } = JSON.parse(await readFile(options.store, 'utf8')).tokens;
          await until('the token expires', async () => (await statusOf(mcpUrl, held)) === 401);
          const answers = await Promise.all(clients.map(client => client.ask({ do: 'call', tool: 'whoami' })));
          const history = () =>
            postern.recorder
              .of('/token', 'refresh_token')
              .map(({ at, request, response }) => `${at} ${request.refresh_token} → ${response.refresh_token ?? response.error}`)
              .join('\n');
          for (const answer of answers) assert('done' in answer, `${JSON.stringify(answer)}\n${history()}`);
        }
        const refreshes = postern.recorder.of('/token', 'refresh_token');
        assert(refreshes.length >= 3);
        for (const refresh of refreshes) {
          assert.equal(refresh.status, 200, JSON.stringify(refresh.response));
          assert.equal(claims(refresh.response.access_token).grant_id, grant);
        }
        const successors = new Map();
        for (const { request, response } of refreshes) {
          const before = successors.get(request.refresh_token) ?? response.refresh_token;
          assert.equal(response.refresh_token, before, 'one refresh token has one successor');
          successors.set(request.refresh_token, before);
        }
      } finally {
        for (const client of clients) client.stop();
        await person.context.close();
      }
    });

    test('a client that forgets its new refresh token keeps its session for a while', async () => {
      const { mcp_url: mcpUrl, email, password } = postern.quickstart;
      const person = await browser.person({ email, password });
      const store = path.join(postern.folder, 'forgotten.json');
      const first = await Client.start('typescript', mcpUrl, { store, name: 'Forgetful' });
      try {
        await first.run({ do: 'connect' }, person);
      } finally {
        first.stop();
        await person.context.close();
      }
      const { access_token: held } = JSON.parse(await readFile(store, 'utf8')).tokens;
      await until('the token expires', async () => (await statusOf(mcpUrl, held)) === 401);
      postern.recorder.forget();
      for (let start = 0; start < 3; start += 1) {
        const client = await Client.start('typescript', mcpUrl, { store, forgetful: true });
        try {
          const answer = await client.ask({ do: 'connect' });
          assert('done' in answer, JSON.stringify(answer));
        } finally {
          client.stop();
        }
      }
      const refreshes = postern.recorder.of('/token', 'refresh_token');
      assert.equal(new Set(refreshes.map(({ request }) => request.refresh_token)).size, 1, 'it only knows the old one');
      assert.equal(new Set(refreshes.map(({ response }) => response.refresh_token)).size, 1, 'and is given the same one');
    });

    test('a person may grant less than was asked for', async () => {
      const { mcp_url: mcpUrl, email, password } = postern.quickstart;
      const person = await browser.person({ email, password });
      const client = await Client.start('typescript', mcpUrl, {});
      try {
        await client.run({ do: 'connect' }, person);
        postern.recorder.forget();
        // The step-up asks for writing; the person leaves it out, and the tool stays out of reach.
        const asked = await client.ask({ do: 'call', tool: 'note_add', arguments: { text: 'No' } });
        const seen = await person.answer(asked.authorize, { scopes: [READ] });
        assert.deepEqual(seen.consents[0].scopes.find(scope => scope.name === WRITE)?.ticked, false);
        const outcome = await client.next();
        assert(!('done' in outcome), 'the tool was called without the permission');
        assert.deepEqual(words(latest(postern, 'authorization_code').response.scope), [READ]);
      } finally {
        client.stop();
        await person.context.close();
      }
    });

    test('a person may refuse', async () => {
      const { mcp_url: mcpUrl, email, password } = postern.quickstart;
      const person = await browser.person({ email, password });
      const client = await Client.start('typescript', mcpUrl, {});
      try {
        const asked = await client.ask({ do: 'connect' });
        postern.recorder.forget();
        const seen = await person.answer(asked.authorize, { decision: 'deny' });
        const answer = new URL(seen.final).searchParams;
        assert.equal(answer.get('error'), 'access_denied');
        assert.equal(answer.get('iss'), postern.issuer);
        assert.equal(answer.get('state'), new URL(asked.authorize).searchParams.get('state'));
        assert('failed' in (await client.next()));
        assert.equal(postern.recorder.of('/token').length, 0);
      } finally {
        client.stop();
        await person.context.close();
      }
    });
  });
}
