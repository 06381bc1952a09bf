// An app that asks for access: registered by itself, with an address that it listens at.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { freePort } from '../../interop/lib/net.mjs';

export class App {
  /** Registers itself. Without `redirectUri` it is a program on this computer and listens at a loopback address. */
  static async register(issuer, { name, redirectUri } = {}) {
    const app = await App.at(issuer, { redirectUri });
    app.registration = await app.#register({ method: 'POST', url: `${issuer}/register`, name });
    app.id = app.registration.client_id;
    return app;
  }

  /** One whose id is known already: registered by an administrator, or a metadata document. */
  static async at(issuer, { id, redirectUri } = {}) {
    const app = Object.assign(new App(), { issuer, id, redirectUri });
    if (!redirectUri) await app.#listen();
    return app;
  }

  /** Changes where it wants its answers sent, as RFC 7592 §2.2 lets it. */
  async moveTo(redirectUri, name) {
    this.redirectUri = redirectUri;
    this.registration = await this.#register({
      method: 'PUT',
      url: this.registration.registration_client_uri,
      token: this.registration.registration_access_token,
      name,
      id: this.id,
    });
  }

  /** The address that it opens in the person's browser. */
  asks(extra = {}) {
    this.verifier = randomBytes(32).toString('base64url');
    const url = new URL(`${this.issuer}/authorize`);
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: this.id,
      redirect_uri: this.redirectUri,
      state: 'the-state',
      code_challenge: createHash('sha256').update(this.verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }).toString();
    for (const [name, value] of Object.entries(extra)) {
      for (const one of [value].flat()) url.searchParams.append(name, one);
    }
    return url.href;
  }

  /** What came back at the redirect address. */
  answerIn(url) {
    assert.ok(url.startsWith(this.redirectUri), `the browser is at ${url}`);
    const answer = Object.fromEntries(new URL(url).searchParams);
    assert.equal(answer.state, 'the-state');
    assert.equal(answer.iss, this.issuer);
    return answer;
  }

  async redeem(code) {
    const response = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        redirect_uri: this.redirectUri,
        client_id: this.id,
        code_verifier: this.verifier,
      }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  }

  stop() {
    this.server?.closeAllConnections();
    this.server?.close();
  }

  async #listen() {
    const port = await freePort();
    this.redirectUri = `http://127.0.0.1:${port}/callback`;
    this.server = http.createServer((request, answer) => {
      answer.setHeader('content-type', 'text/html; charset=utf-8');
      answer.end('<!doctype html><html lang="en"><title>The app</title><p>Back at the app.');
    });
    await new Promise(resolve => this.server.listen(port, '127.0.0.1', resolve));
  }

  async #register({ method, url, token, name, id }) {
    const response = await fetch(url, {
      method,
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({
        ...(id && { client_id: id }),
        client_name: name,
        redirect_uris: [this.redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
      }),
    });
    assert.ok(response.ok, `${method} ${url}: ${response.status} ${await response.clone().text()}`);
    return { ...this.registration, ...(await response.json()) };
  }
}
