// A company's identity provider: `oidc-provider`, which the OpenID Foundation has certified, with a small directory.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import Provider from 'oidc-provider';
import { freePort } from '../../interop/lib/net.mjs';

export class Company {
  /**
   * Starts it. `claimsInIdToken` is what most companies' providers do; without it the claims of a person are only at the
   * userinfo endpoint, as OpenID Connect Core §5.4 has it. `guards` is an MCP server of the company's, with the scopes that
   * its tokens may have; then apps may register themselves, and give tokens back.
   */
  static async start({ claimsInIdToken = true, guards } = {}) {
    const company = new Company();
    const port = await freePort();
    Object.assign(company, {
      issuer: `http://127.0.0.1:${port}`,
      claimsInIdToken,
      guards,
      people: new Map(),
      clients: [],
      rows: new Map(),
      asked: [],
      tokens: [],
      keysAsked: [],
      cookieKey: randomBytes(16).toString('hex'),
    });
    company.rotate();
    company.server = http.createServer((request, answer) => company.#answer(request, answer));
    await new Promise(resolve => company.server.listen(port, '127.0.0.1', resolve));
    return company;
  }

  /** Somebody who works there; the object is what the directory says of them, and may be changed. */
  hire(sub, claims) {
    const person = { sub, email_verified: true, groups: [], password: `${sub}'s own password`, ...claims };
    this.people.set(sub, person);
    return person;
  }

  /** Whom the directory does not know any more. */
  fire(person) {
    this.people.delete(person.sub);
  }

  rehire(person) {
    this.people.set(person.sub, person);
  }

  /** A client of the provider, with its secret. */
  register(id, redirectUri) {
    const secret = randomBytes(24).toString('base64url');
    this.clients.push({ client_id: id, client_secret: secret, redirect_uris: [redirectUri] });
    this.#open();
    return secret;
  }

  /** A new signing key, and not a trace of the old one. */
  rotate() {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.kid = randomBytes(8).toString('hex');
    this.key = { ...privateKey.export({ format: 'jwk' }), kid: this.kid, use: 'sig', alg: 'RS256' };
    this.#open();
  }

  /** The authorization request that Postern sent last. */
  get lastAsked() {
    return this.asked.at(-1);
  }

  /** Whose token that is, if it is for this server; nobody's once it is revoked. */
  async whose(token, resource) {
    const found = await this.provider.AccessToken.find(token);
    return found?.aud === resource ? found.accountId : undefined;
  }

  /** How many tokens of a kind somebody has. */
  count(model, sub) {
    return [...this.rows].filter(([key, row]) => key.startsWith(`${model}:`) && row.accountId === sub && !row.consumed).length;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }

  /** Reads its configuration again, as a restart would; what it has given out stays valid. */
  #open() {
    const provider = new Provider(this.issuer, {
      clients: this.clients.map(client => ({
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        ...client,
      })),
      adapter: model => new Rows(model, this.rows),
      jwks: { keys: [this.key] },
      cookies: { keys: [this.cookieKey] },
      claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
      scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
      conformIdTokenClaims: !this.claimsInIdToken,
      // Stricter than it has to be: no request without PKCE, and no refresh token twice.
      pkce: { required: () => true },
      rotateRefreshToken: true,
      ttl: { Interaction: 600, Session: 3600, Grant: 3600, AccessToken: 600, IdToken: 600, RefreshToken: 3600 },
      features: {
        devInteractions: { enabled: false },
        registration: { enabled: Boolean(this.guards) },
        revocation: { enabled: Boolean(this.guards) },
        resourceIndicators: {
          enabled: Boolean(this.guards),
          getResourceServerInfo: (_, resource) => {
            assert.equal(resource, this.guards.resource);
            return { scope: this.guards.scopes.join(' '), accessTokenFormat: 'opaque', accessTokenTTL: this.guards.ttl };
          },
          useGrantedResource: () => true,
        },
      },
      interactions: { url: (_, { uid }) => `/interaction/${uid}` },
      findAccount: (_, sub) => {
        const person = this.people.get(sub);
        return person && { accountId: sub, claims: () => this.#claims(person) };
      },
    });
    provider.on('interaction.started', ({ oidc }) => {
      // The login comes first; consent is a part of the same request.
      if (oidc.entities.Interaction.prompt.name === 'login') this.asked.push({ ...oidc.params });
    });
    for (const [event, result] of [['grant.success', 'ok'], ['grant.error', 'refused']]) {
      provider.on(event, ({ oidc, body }, error) =>
        this.tokens.push({ ...oidc.params, result, error: error?.error, idToken: body?.id_token }),
      );
    }
    provider.on('server_error', (_, error) => console.error(error));
    this.provider = provider;
    this.callback = provider.callback();
  }

  #claims({ sub, email, email_verified, name, groups }) {
    return { sub, email, email_verified, name, groups };
  }

  async #answer(request, answer) {
    const { pathname } = new URL(request.url, this.issuer);
    if (pathname === '/jwks') this.keysAsked.push(Date.now());
    const [, where, , step] = pathname.split('/');
    if (where !== 'interaction') return this.callback(request, answer);
    try {
      await this.#interact(request, answer, step);
    } catch (error) {
      answer.statusCode = 400;
      answer.end(String(error));
    }
  }

  /** Its own pages: who are you, and may they know it? */
  async #interact(request, answer, step) {
    const { uid, prompt, params, session, grantId } = await this.provider.interactionDetails(request, answer);
    const done = result => this.provider.interactionFinished(request, answer, result, { mergeWithLastSubmission: true });
    if (request.method !== 'POST') return show(answer, page(uid, prompt.name));
    const form = await read(request);
    if (step === 'cancel') return done({ error: 'access_denied', error_description: 'The person went away' });
    if (step === 'login') {
      const person = [...this.people.values()].find(({ email }) => email === form.get('email'));
      if (person?.password !== form.get('password')) return show(answer, page(uid, 'login', 'That is not right.'));
      return done({ login: { accountId: person.sub, amr: ['pwd'] } });
    }
    assert.equal(step, 'consent');
    const { Grant } = this.provider;
    const known = grantId && (await Grant.find(grantId));
    const grant = known || new Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    if (params.resource) grant.addResourceScope(params.resource, params.scope);
    return done({ consent: { grantId: await grant.save() } });
  }
}

function page(uid, prompt, wrong = '') {
  const at = step => `method="post" action="/interaction/${uid}/${step}"`;
  const ask = prompt === 'login'
    ? `<h1>The company: who are you?</h1><p>${wrong}</p><form ${at('login')}><label>Company address <input name="email"></label>
       <label>Company password <input name="password" type="password"></label><button>Go on</button></form>`
    : `<h1>The company: tell them who you are?</h1><form ${at('consent')}><button>Tell them</button></form>`;
  return `<!doctype html><html lang="en"><title>The company</title>${ask}<form ${at('cancel')}><button>Cancel</button></form>`;
}

function show(answer, html) {
  answer.setHeader('content-type', 'text/html; charset=utf-8');
  answer.end(html);
}

async function read(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

/** The provider's storage, which outlives its restarts. */
class Rows {
  constructor(model, rows) {
    Object.assign(this, { model, rows });
  }

  #key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, row) {
    this.rows.set(this.#key(id), structuredClone(row));
  }

  async find(id) {
    return structuredClone(this.rows.get(this.#key(id)));
  }

  async findByUid(uid) {
    return this.#first(row => row.uid === uid);
  }

  async findByUserCode(code) {
    return this.#first(row => row.userCode === code);
  }

  async consume(id) {
    this.rows.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.rows.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, row] of this.rows) if (row.grantId === grantId) this.rows.delete(key);
  }

  #first(fits) {
    for (const [key, row] of this.rows) if (key.startsWith(`${this.model}:`) && fits(row)) return structuredClone(row);
    return undefined;
  }
}
