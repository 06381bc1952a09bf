// The authorization code flow by hand, for tokens that no well-behaved client would ask for.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { freePort } from './net.mjs';

export class HandMadeClient {
  /** Registers a public client with the issuer. */
  static async register(postern) {
    const client = new HandMadeClient();
    client.issuer = postern.issuer;
    client.redirectUri = `http://127.0.0.1:${await freePort()}/callback`;
    const response = await fetch(`${postern.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Hand-made',
        redirect_uris: [client.redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
      }),
    });
    assert.equal(response.status, 201, await response.clone().text());
    client.id = (await response.json()).client_id;
    client.server = http.createServer((request, answer) => answer.end('<!doctype html><p>You can close this page.'));
    await new Promise(resolve => client.server.listen(Number(new URL(client.redirectUri).port), '127.0.0.1', resolve));
    return client;
  }

  /** The token response for this resource and scope, once `person` has approved. */
  async token(person, { resource, scope }) {
    const verifier = randomBytes(32).toString('base64url');
    const url = new URL(`${this.issuer}/authorize`);
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: this.id,
      redirect_uri: this.redirectUri,
      resource,
      scope,
      state: 'state',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }).toString();
    const { final } = await person.answer(url.href);
    const response = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: new URL(final).searchParams.get('code'),
        redirect_uri: this.redirectUri,
        client_id: this.id,
        code_verifier: verifier,
        resource,
      }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
