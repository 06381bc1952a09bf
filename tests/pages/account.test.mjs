// *Your access*: who was let in, and taking it back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { Browser } from './lib/visitor.mjs';

let browser, postern, person, visitor, tokens;
const apps = [];
before(async () => {
  browser = await Browser.open();
  postern = await Postern.start();
  person = postern.quickstart;
  visitor = await browser.visitor();
  await visitor.open(`${postern.issuer}/login`);
  await visitor.signIn(person);
  for (const [name, scope] of [['Claude Code', 'notes:read notes:write'], ['Cursor', 'notes:read']]) {
    const app = await App.register(postern.issuer, { name });
    apps.push(app);
    await visitor.open(app.asks({ scope, resource: person.resource }));
    await visitor.press('Allow');
    tokens = { ...tokens, [name]: await app.redeem(app.answerIn(visitor.page.url()).code) };
  }
});
after(async () => {
  for (const app of apps) app.stop();
  await browser?.close();
  await postern?.stop();
});

const mcp = token => fetch(person.mcp_url, {
  method: 'POST',
  headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
  body: JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
  }),
});

test('it lists every app in one sentence, with what it may do, since when and until when', async () => {
  await visitor.open(`${postern.issuer}/account`);
  assert.equal(await visitor.heading(), 'Your access');
  const [first, second] = await visitor.page.locator('.pass').allInnerTexts();
  const both = `${first} ${second}`.replace(/\s+/g, ' ');
  const { host } = new URL(person.resource);
  for (const part of [
    `Claude Code can use Notes at ${host}`,
    `Cursor can use Notes at ${host}`,
    'Add notes in your name',
    'Read your notes',
    'Allowed ',
    'Ends ',
    'Unverified name',
  ]) {
    assert.ok(both.includes(part), `${part} is missing in: ${both}`);
  }
  await visitor.look('account');
});

test('the servers that one may use, and what each client is told', async () => {
  await visitor.open(`${postern.issuer}/account`);
  await visitor.press('Servers', { role: 'link' });
  assert.equal(await visitor.heading(), 'Servers');
  await visitor.page.getByText('Claude Code').first().click();
  assert.match(await visitor.text(), /claude mcp add --transport http notes /);
  await visitor.look('account-your-servers');
  await visitor.open(`${postern.issuer}/account`);
});

test('the keyboard goes through it in the order that the eye does', async () => {
  const stops = await visitor.tabStops();
  assert.deepEqual(stops.slice(0, 6), ['Skip to content', 'Postern', 'Your access', 'Servers', 'Sign-in and security', 'Sign out']);
  assert.equal(stops.filter(stop => /^Remove the access of .* to Notes$/.test(stop)).length, 2, stops.join(' | '));
});

test('some of it is taken back, and the rest stays', async () => {
  const { page } = visitor;
  await page.getByText('Take some of it back').click();
  const fold = page.locator('details[open]');
  await visitor.look('account-narrow');
  await fold.getByLabel('Add notes in your name').uncheck();
  await visitor.press('Keep only these for Claude Code');
  assert.equal(await visitor.text('[role=status]'), 'Changed. Claude Code can do only what you left it, from now on.');
  assert.doesNotMatch(await visitor.text('.stack'), /Add notes in your name/);
  await until('the old token is refused', async () => (await mcp(tokens['Claude Code'].access_token)).status === 401, 2);
  const app = apps[0];
  const response = await fetch(`${postern.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: tokens['Claude Code'].refresh_token,
      client_id: app.id,
    }),
  });
  tokens['Claude Code'] = await response.json();
  assert.equal(tokens['Claude Code'].scope, 'notes:read');
});

test('Remove stops the app at once, says what it did, and leaves the others alone', async () => {
  assert.equal((await mcp(tokens['Claude Code'].access_token)).status, 200);
  await visitor.press('Remove the access of Claude Code to Notes');
  assert.equal(await visitor.text('[role=status]'), 'Removed. Claude Code can no longer use Notes as you.');
  assert.doesNotMatch(await visitor.text('.stack'), /Claude Code/);
  assert.match(await visitor.text('.stack'), /Cursor can use Notes/);
  await visitor.look('account-removed');
  await until('the removed app is refused', async () => (await mcp(tokens['Claude Code'].access_token)).status === 401, 2);
  assert.equal((await mcp(tokens.Cursor.access_token)).status, 200);
});

test('the notice is said once', async () => {
  await visitor.open(`${postern.issuer}/account`);
  assert.equal(await visitor.page.locator('[role=status]').count(), 0);
});

test('nobody takes back what is another’s, and a forged form takes nothing', async () => {
  await visitor.page.locator('form[action$="/account/remove"] input[name=csrf]').evaluate(input => (input.value = 'wrong'));
  await visitor.page.locator('form[action$="/account/remove"] button').click();
  await visitor.page.waitForLoadState();
  assert.equal(visitor.answer.status(), 403);
  assert.equal(await visitor.heading(), 'This page had been open too long');
  await visitor.open(`${postern.issuer}/account`);
  assert.match(await visitor.text(), /Cursor can use Notes/);
});
