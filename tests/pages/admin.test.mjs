// The console: every page of it, as an administrator sees it and as a member does not.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { Browser } from './lib/visitor.mjs';

const root = { email: 'root@example.com', password: 'a long enough password' };
let browser, postern, person, visitor;
const apps = [];
before(async () => {
  browser = await Browser.open();
  postern = await Postern.start();
  person = postern.quickstart;
  await postern.cli(['user', 'add', root.email, '--name', 'Root', '--role', 'admin', '--password-stdin'], { input: root.password });
  const member = await browser.visitor();
  await member.open(`${postern.issuer}/login`);
  await member.signIn(person);
  for (const [name, scope] of [['Claude Code', 'notes:read notes:write'], ['Cursor', 'notes:read']]) {
    const app = await App.register(postern.issuer, { name });
    apps.push(app);
    await member.open(app.asks({ scope, resource: person.resource }));
    await member.press('Allow');
    await app.redeem(app.answerIn(member.page.url()).code);
  }
  await member.leave();
  visitor = await browser.visitor();
  await visitor.open(`${postern.issuer}/login?continue=%2Fadmin`);
  await visitor.signIn(root);
});
after(async () => {
  for (const app of apps) app.stop();
  await browser?.close();
  await postern?.stop();
});

test('the overview says first whether anything is wrong', async () => {
  assert.equal(await visitor.heading(), 'Overview');
  assert.match(await visitor.text(), /Nothing points to theft in the last 24 hours\./);
  await visitor.look('console-overview');
});

describe('every list leads to every thing', () => {
  for (const [link, heading, name] of [
    ['Alerts', 'Alerts', 'console-alerts'],
    ['Waiting calls', 'Waiting calls', 'console-calls'],
    ['Access', 'Access', 'console-access'],
    ['Cut access', 'Cut access', 'console-cut'],
    ['People', 'People', 'console-people'],
    ['Apps', 'Apps', 'console-apps'],
    ['Servers', 'Servers', 'console-servers'],
    ['Sign-ins', 'Sign-ins', 'console-sessions'],
    ['Identity providers', 'Identity providers', 'console-providers'],
    ['Webhooks', 'Webhooks and streams', 'console-outgoing'],
    ['Keys', 'Signing keys', 'console-keys'],
    ['Audit log', 'Audit log', 'console-audit'],
  ]) {
    test(link, async () => {
      await visitor.page.getByRole('navigation', { name: 'Console' }).getByRole('link', { name: link, exact: true }).click();
      assert.equal(await visitor.heading(), heading);
      await visitor.look(name);
    });
  }

  for (const [list, link, words, name] of [
    ['people', 'demo@example.com', /What this person can reach/, 'console-person'],
    ['apps', 'Claude Code', /Where this app’s identity comes from/, 'console-app'],
    ['servers', 'Notes', /What it allows/, 'console-server'],
    ['access', 'details', /What was allowed, since when/, 'console-grant'],
  ]) {
    test(`one of the ${list}`, async () => {
      await visitor.open(`${postern.issuer}/admin/${list}`);
      await visitor.page.locator('#main').getByRole('link', { name: link }).first().click();
      assert.match(await visitor.text(), words);
      await visitor.look(name);
    });
  }
});

test('access is narrowed along several axes, and each of them leads to its cut', async () => {
  await visitor.open(`${postern.issuer}/admin/access`);
  const form = visitor.page.getByRole('search', { name: 'This list' });
  await form.getByLabel('Person: e-mail begins with').fill('DEMO@');
  await form.getByText('More filters').click();
  await form.getByLabel('App: name or id has').fill('claude');
  await form.getByLabel('Last used from network').fill('127.0.0.0/8');
  await form.getByLabel('State').selectOption('active');
  await form.getByRole('button', { name: 'Find' }).click();
  const rows = visitor.page.locator('table.rows tbody tr');
  assert.equal(await rows.count(), 1);
  assert.match(await rows.first().innerText(), /Claude Code/);
  assert.equal(await form.getByLabel('Last used from network').inputValue(), '127.0.0.0/8', 'what it is narrowed to still stands there');
  await visitor.look('console-access-narrowed');
  await visitor.page.getByRole('link', { name: 'Cut this app' }).click();
  assert.match(await visitor.text(), /People it hits/);
  await visitor.open(`${postern.issuer}/admin/access?network=nonsense`);
  assert.match(await visitor.text(), /Nothing is shown: what you look for is not understood\./);
  await visitor.page.getByRole('link', { name: 'Show all' }).click();
  assert.ok((await rows.count()) > 1);
});

test('who can do one thing, and through what', async () => {
  await visitor.open(`${postern.issuer}/admin/servers`);
  await visitor.page.locator('#main').getByRole('link', { name: 'Notes' }).first().click();
  await visitor.page.locator('#main').getByRole('link', { name: 'notes:read' }).first().click();
  assert.match(await visitor.text(), /Who may let an app do it/);
  await visitor.look('console-who');
});

/** A browser lets a page of another origin read the gateway's challenge, and a page of a site that is not named nothing. */
async function pagesMayAsk(uri) {
  await postern.cli(['resource', 'set', uri, '--allow-origin', 'https://app.example']);
  // A browser asks its person before a site may reach this machine at all; here they have said yes.
  const context = await visitor.page.context().browser().newContext({ permissions: ['local-network-access'] });
  const page = await context.newPage();
  // What stands at the two origins is made up; the browser's rules about them are not.
  await page.route(/^https:\/\/(app|evil)\.example\//, route => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
  const ask = () =>
    page.evaluate(async at => {
      const headers = { authorization: 'Bearer none', 'content-type': 'application/json', 'mcp-protocol-version': '2025-11-25' };
      try {
        const answer = await fetch(at, { method: 'POST', headers, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
        return `${answer.status} ${answer.headers.get('www-authenticate')}`;
      } catch (error) {
        return `stopped: ${error.message}`;
      }
    }, uri);
  await page.goto('https://app.example/');
  await until('the origin is known', async () => /^401 Bearer .*resource_metadata=/.test(await ask()));
  await page.goto('https://evil.example/');
  assert.match(await ask(), /^stopped: /);
  await context.close();
}

test('the tools of a server behind the gateway wait for an administrator', async () => {
  const upstream = http.createServer((request, response) => {
    const tools = [
      { name: 'search', description: 'Searches the archive', annotations: { readOnlyHint: true } },
      { name: 'shell', description: 'Runs a command on the server' },
    ].map(tool => ({ ...tool, inputSchema: { type: 'object' } }));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } }));
  });
  await new Promise(resolve => upstream.listen(0, '127.0.0.1', resolve));
  const uri = `${postern.issuer}/mcp/archive`;
  const send = (token, method, params) => fetch(`http://${postern.env.POSTERN_LISTEN}/mcp/archive`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  let made;
  try {
    const back = `http://127.0.0.1:${upstream.address().port}/mcp`;
    await postern.cli(['resource', 'add', uri, '--name', 'Archive', '--slug', 'archive', '--upstream', back]);
    await postern.cli(['upstream', 'set', uri, '--bearer-stdin'], { input: 'a-key-of-the-archive' });
    made = await postern.cli(['grant', 'create', '--user', person.email, '--resource', uri, '--name', 'laptop']);
    // What a command does takes effect in the running server within a second.
    const answer = await until('the server is known', async () => {
      const answer = await send(made.token, 'tools/list');
      return answer.status === 200 && answer;
    });
    assert.deepEqual((await answer.json()).result.tools.map(({ name }) => name), ['search']);
  } finally {
    upstream.close();
  }
  await pagesMayAsk(uri);
  await visitor.open(`${postern.issuer}/admin/servers`);
  await visitor.page.locator('#main').getByRole('link', { name: 'Archive' }).first().click();
  assert.match(await visitor.text(), /Pages of other sites may call: https:\/\/app\.example/);
  assert.match(await visitor.text(), /shell not said waits for you Runs a command on the server/);
  await visitor.look('console-tools');
  const form = visitor.page.locator('li.edit', { hasText: 'Let tools be called' });
  await form.getByLabel('shell').check();
  await form.getByLabel('What they can do').selectOption('destructive');
  await visitor.press('Let them be called');
  assert.match(await visitor.text(), /shell destructive may be called/);
  const rule = visitor.page.locator('li.edit', { hasText: 'Add a rule about calls' });
  await rule.getByLabel('About').selectOption('the tool search');
  await rule.getByLabel('When, such as').fill('limit > 100');
  await rule.getByLabel('Why, as whoever').fill('Large extracts are looked at.');
  await visitor.press('Add the rule');
  assert.match(await visitor.text(), /the tool search everybody limit > 100 waits for you Large extracts are looked at\./);
  await visitor.look('console-rules');
  const cedar = visitor.page.locator('li.edit', { hasText: 'permitted by one of them' });
  await cedar.getByLabel('All of them').fill('permit(principal, action, resource)');
  await visitor.press('Set the policies');
  assert.match(await visitor.text(), /Nothing was changed: line 1, column 36/);
  await visitor.page.goBack();
  const policies = 'permit(principal, action, resource);\n@id("small") forbid(principal, action, resource) when { context.arguments.limit > 9 };';
  await cedar.getByLabel('All of them').fill(policies);
  await visitor.press('Set the policies');
  assert.match(await visitor.text(), /small forbids @id\("small"\)/);
  assert.equal(await cedar.getByLabel('All of them').inputValue(), policies);
  await visitor.look('console-cedar');
  await visitor.page.locator('li', { hasText: 'Remove the policies in Cedar' }).getByRole('button', { name: 'Remove' }).click();
  assert.match(await visitor.text(), /Policies in Cedar There is none/);
  assert.match(await visitor.text(), /a key from the vault, as bearer in the header authorization/);
  const key = visitor.page.locator('li.edit', { hasText: 'Change what the server is shown' });
  await key.getByLabel('How it is shown').selectOption('header');
  await key.getByLabel('The key or password').fill('another-key-of-the-archive');
  await visitor.press('Keep it');
  assert.match(await visitor.text(), /Nothing was changed: say the user name, or the header’s name/);
  await visitor.page.goBack();
  await key.getByLabel('How it is shown').selectOption('header');
  await key.getByLabel('The user name, or').fill('X-Archive-Key');
  await key.getByLabel('The key or password').fill('another-key-of-the-archive');
  await visitor.press('Keep it');
  assert.match(await visitor.text(), /a key from the vault, as header in the header x-archive-key/);
  assert.doesNotMatch(await visitor.page.content(), /another-key-of-the-archive/, 'it is never shown again');
  await visitor.look('console-key');
  await visitor.press('Forget it');
  assert.match(await visitor.text(), /What the server is shown nothing yet/);
  const why = visitor.page.locator('li.edit', { hasText: 'Would a call go through?' });
  await why.getByLabel('Whose call').fill(person.email);
  await why.getByLabel('Tool').fill('search');
  await why.getByLabel('Arguments').fill('{"limit": 500}');
  await visitor.press('Ask');
  assert.match(await visitor.text(), /It would not go through\..*Large extracts are looked at\./);
  await visitor.look('console-why');
  const held = await send(made.token, 'tools/call', { name: 'search', arguments: { limit: 500, query: 'everything of 2026' } });
  assert.match((await held.json()).error.message, /waits for an administrator/);
  await visitor.open(`${postern.issuer}/admin/calls`);
  await visitor.look('console-calls-waiting');
  await visitor.page.locator('#main').getByRole('link', { name: 'search' }).first().click();
  assert.match(await visitor.text(), /limit 500 query everything of 2026/);
  await visitor.look('console-call');
  await visitor.press('Allow once');
  assert.match(await visitor.text('[role=status]'), /Allowed: the app can make this call once/);
  // The pages that follow count approvals.
  await postern.cli(['grant', 'revoke', '--resource', uri]);
});

test('the rule of a detector is tried before it is set', async () => {
  await visitor.open(`${postern.issuer}/admin/alerts`);
  await visitor.page.getByRole('link', { name: 'Many failed sign-ins to one account' }).click();
  await visitor.look('console-rule');
  await visitor.press('Try it');
  assert.match(await visitor.text(), /would have raised 0 alerts/);
  await visitor.look('console-rule-tried');
  await visitor.press('Set the rule');
  assert.match(await visitor.text('[role=status]'), /Saved\./);
});

test('what cannot be done is said in words', async () => {
  await visitor.open(`${postern.issuer}/admin/alerts/failed-sign-ins?on=yes&threshold=0&window=5m&action=alert`);
  assert.equal(await visitor.heading(), 'Not done');
  await visitor.look('console-not-done');
});

test('a cut says first what it hits', async () => {
  await visitor.open(`${postern.issuer}/admin/cut`);
  await visitor.page.getByLabel('E-mail, app id').fill(person.email);
  await visitor.press('Find');
  assert.match(await visitor.text('.known'), /Approvals 2/);
  await visitor.look('console-cut-preview');
});

test('an approval is ended where it is seen, and the list no longer has it', async () => {
  await visitor.open(`${postern.issuer}/admin/access`);
  assert.equal(await visitor.page.locator('tbody tr').count(), 2);
  await visitor.page.getByRole('link', { name: 'details' }).first().click();
  await visitor.press('End access');
  assert.match(await visitor.text('[role=status]'), /Ended\. Every token under it is dead\./);
  await visitor.open(`${postern.issuer}/admin/access`);
  assert.equal(await visitor.page.locator('tbody tr').count(), 1);
});

test('a member is told that this is not for them', async () => {
  const member = await browser.visitor();
  await member.open(`${postern.issuer}/login?continue=%2Fadmin`);
  await member.signIn(person);
  assert.equal(await member.heading(), 'You may not open this page');
  await member.leave();
});
