// The pages that say what went wrong and what to do next.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { freePort } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { Browser } from './lib/visitor.mjs';

let browser, postern, app, visitor;
before(async () => {
  browser = await Browser.open();
  postern = await Postern.start();
  app = await App.register(postern.issuer, { name: 'Claude Code' });
  visitor = await browser.visitor();
});
after(async () => {
  await visitor?.leave();
  app?.stop();
  await browser?.close();
  await postern?.stop();
});

/** Opens an address that must not work, and checks the frame that all of these pages have. */
async function wrong(url, { status = 400, heading, name }) {
  await visitor.open(url);
  assert.equal(visitor.answer.status(), status);
  assert.equal(await visitor.heading(), heading);
  assert.match(await visitor.text('.fine'), /^Request \S{8,}$/, 'the id under which the log has it');
  await visitor.look(name);
}

test('an app that is not known: the way out in each common app', async () => {
  const url = new URL(app.asks());
  url.searchParams.set('client_id', '019aa000-0000-7000-8000-000000000000');
  await wrong(url, { heading: 'This server does not know the app', name: 'error-unknown-app' });
  const steps = {
    'Claude Code': /claude mcp logout NAME .*claude mcp login NAME/,
    Cursor: /Logout .*Connect/,
    'VS Code': /Remove Dynamic Authentication Providers/,
    Codex: /codex mcp logout NAME .*codex mcp login NAME/,
    'Claude on the web or desktop': /Connectors/,
    'Another app': /mcp-remote .*~\/\.mcp-auth/,
  };
  for (const [client, words] of Object.entries(steps)) {
    const fold = visitor.page.locator('details', { has: visitor.page.getByText(client, { exact: true }) });
    assert.equal(await fold.locator('ol').isVisible(), false);
    // By keyboard, as details are: the summary takes the focus and Enter opens it.
    await fold.locator('summary').focus();
    await visitor.page.keyboard.press('Enter');
    assert.match((await fold.innerText()).replace(/\s+/g, ' '), words);
    await visitor.look(`error-unknown-app-${client}`);
  }
});

test('an address that the app did not register', async () => {
  const elsewhere = 'https://evil.example/callback';
  await wrong(app.asks({}).replace(encodeURIComponent(app.redirectUri), encodeURIComponent(elsewhere)), {
    heading: 'The app asked to send you to an unknown address',
    name: 'error-return-address',
  });
  assert.match(await visitor.text(), /we do not send you anywhere/);
  assert.equal(await visitor.text('.note'), elsewhere);
  assert.equal(await visitor.page.locator('main a').count(), 0, 'and there is no link to it either');
});

test('an address as long as they come stays inside the page', async () => {
  const elsewhere = `https://evil.example/${'a'.repeat(1500)}`;
  await wrong(app.asks({}).replace(encodeURIComponent(app.redirectUri), encodeURIComponent(elsewhere)), {
    heading: 'The app asked to send you to an unknown address',
    name: 'error-return-address-long',
  });
});

test('a request that cannot be read', async () => {
  await wrong(`${app.asks()}&client_id=again`, { heading: 'The app’s request could not be read', name: 'error-request' });
});

test('a request that was left too long', async () => {
  await wrong(`${postern.issuer}/authorize?continue=gone`, { heading: 'This request has ended', name: 'error-ended' });
});

test('an app whose document is not there, or is not its own', async () => {
  const port = await freePort();
  const server = http.createServer((request, answer) => {
    if (request.url !== '/client.json') return answer.writeHead(404).end();
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ client_id: 'https://somebody.example/else', redirect_uris: ['http://127.0.0.1/callback'] }));
  });
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
  for (const document of ['client', 'missing']) {
    const other = await App.at(postern.issuer, { id: `http://127.0.0.1:${port}/${document}.json`, redirectUri: 'http://127.0.0.1/callback' });
    await wrong(other.asks(), { heading: 'We cannot confirm who this app is', name: `error-document-${document}` });
    assert.match(await visitor.text(), new RegExp(`127\\.0\\.0\\.1.*For the developer: `));
  }
  server.close();
});

test('a page that is not there', async () => {
  await wrong(`${postern.issuer}/nowhere`, { status: 404, heading: 'There is no such page', name: 'error-404' });
});
