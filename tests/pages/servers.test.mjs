// What an operator has arranged, as people see it: servers with words and risks of their own, apps added by hand, apps
// that a domain vouches for.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { MetadataDocuments } from '../interop/lib/documents.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { Browser } from './lib/visitor.mjs';

const away = { leadsAway: true };
const NOTES = 'https://mcp.example.com/notes';
const CALENDAR = 'https://calendar.example.com/mcp';
const ADA = { email: 'ada@example.com', password: 'three unrelated words' };
let browser, postern, documents, visitor;
const apps = [];

before(async () => {
  browser = await Browser.open();
  documents = await MetadataDocuments.start();
  postern = await Postern.start({ command: 'serve' });
  await postern.cli(['user', 'add', ADA.email, '--name', 'Ada', '--password-stdin'], { input: ADA.password });
  await postern.cli(['resource', 'add', NOTES, '--name', 'Notes', '--no-look',
    '--scope', 'notes:read=Read your notes',
    '--scope', 'notes:write=Add and change notes',
    '--scope', 'notes:share=Share notes with your team',
    '--scope', 'notes:delete=Delete notes for good']);
  await postern.cli(['resource', 'add', CALENDAR, '--name', 'Calendar', '--no-look', '--scope', 'events:read=See your appointments']);
  visitor = await browser.visitor();
  await visitor.open(`${postern.issuer}/login`);
  await visitor.signIn(ADA);
});
after(async () => {
  for (const app of apps) app.stop();
  await visitor?.leave();
  await browser?.close();
  await documents?.stop();
  await postern?.stop();
});

async function registered(name) {
  const app = await App.register(postern.issuer, { name });
  apps.push(app);
  return app;
}

test('four permissions, each with its risk, fit a phone without scrolling', async () => {
  const app = await registered('Claude Code');
  await visitor.open(app.asks({ resource: NOTES, scope: 'notes:read notes:write notes:share notes:delete' }));
  const rows = await visitor.page.locator('.permit').allInnerTexts();
  assert.deepEqual(rows.map(row => row.replace(/\s+/g, ' ').trim()), [
    'Read your notes Reads',
    'Add and change notes Changes',
    'Share notes with your team Changes',
    'Delete notes for good Deletes',
  ]);
  assert.match(await visitor.text(), /It will be able to.*mcp\.example\.com\/notes/);
  await visitor.page.setViewportSize({ width: 360, height: 740 });
  const { y, height } = await visitor.page.locator('.pair').boundingBox();
  assert.ok(y + height <= 740, `the buttons end at ${y + height} px`);
  await visitor.look('consent-four', away);
});

describe('several servers at once', () => {
  test('are told apart, and each is answered for itself', async () => {
    const app = await registered('Claude Code');
    await visitor.open(app.asks({ resource: [NOTES, CALENDAR], scope: 'notes:read notes:write events:read' }));
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes and Calendar');
    const groups = (await visitor.page.locator('fieldset').allInnerTexts()).map(text => text.replace(/\s+/g, ' ').trim());
    assert.match(groups[0], /^On Notes .*mcp\.example\.com\/notes .*Read your notes/);
    assert.match(groups[1], /^On Calendar .*calendar\.example\.com\/mcp .*See your appointments/);
    await visitor.look('consent-servers', away);
    await visitor.page.getByLabel('Add and change notes').uncheck();
    await visitor.press('Allow');
    assert.ok(app.answerIn(visitor.page.url()).code);
    await visitor.open(`${postern.issuer}/account`);
    const text = await visitor.text();
    assert.match(text, /can use Notes at mcp\.example\.com/);
    assert.match(text, /can use Calendar at calendar\.example\.com/);
    assert.match(text, /See your appointments/);
    assert.doesNotMatch(text, /Add and change notes/);
    await visitor.look('account-servers');
  });
});

describe('who the app is', () => {
  test('added by an administrator', async () => {
    const app = await App.at(postern.issuer);
    apps.push(app);
    const added = await postern.cli(['client', 'add', '--name', 'Team assistant', '--auth', 'none', '--redirect-uri', app.redirectUri]);
    app.id = added.client_id;
    await visitor.open(app.asks({ resource: NOTES, scope: 'notes:read' }));
    assert.equal(await visitor.heading(), 'Team assistant wants to use Notes');
    assert.match(await visitor.text('.note'), /^Added by your administrator$/);
    await visitor.look('consent-administrator', away);
    await visitor.press('Allow');
    await visitor.open(`${postern.issuer}/account`);
    assert.match(await visitor.text(), /Added by your administrator/);
  });

  test('confirmed by a domain', async () => {
    const { client_id: id } = await documents.add({ name: 'Claude Code' });
    const app = await App.at(postern.issuer, { id });
    apps.push(app);
    await visitor.open(app.asks({ resource: NOTES, scope: 'notes:read' }));
    assert.match(await visitor.text('.note'), /^Identity confirmed by 127\.0\.0\.1/);
    await visitor.look('consent-verified', away);
    await visitor.press('Allow');
    await visitor.open(`${postern.issuer}/account`);
    assert.match(await visitor.text(), /Identity confirmed by 127\.0\.0\.1/);
  });

  test('switched off', async () => {
    const app = await registered('Old tool');
    await postern.cli(['client', 'disable', app.id]);
    await visitor.open(app.asks({ resource: NOTES, scope: 'notes:read' }));
    assert.equal(await visitor.heading(), 'Old tool has been switched off here');
    await visitor.look('error-disabled');
  });
});

test('under a path, everything is under that path', async () => {
  const under = await Postern.start({ path: '/team' });
  const app = await App.register(under.issuer, { name: 'Claude Code' });
  const other = await browser.visitor();
  try {
    await other.open(app.asks({ scope: 'notes:read' }));
    await other.look('path-login', away);
    await other.signIn(under.quickstart);
    await other.look('path-consent', away);
    await other.press('Allow');
    assert.ok(app.answerIn(other.page.url()).code);
    await other.open(`${under.issuer}/account`);
    await other.look('path-account');
    await other.press('Remove the access of Claude Code to Notes');
    assert.match(await other.text('[role=status]'), /^Removed\./);
    await other.press('Sign out');
    assert.equal(new URL(other.page.url()).pathname, '/team/logout');
  } finally {
    app.stop();
    await other.leave();
    await under.stop();
  }
});
