// The page on which a person lets an app in, or does not.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { Browser } from './lib/visitor.mjs';

const away = { leadsAway: true };
let browser, postern, person, apps;

before(async () => {
  browser = await Browser.open();
  postern = await Postern.start();
  person = postern.quickstart;
  apps = [];
});
after(async () => {
  for (const app of apps ?? []) app.stop();
  await browser?.close();
  await postern?.stop();
});

async function newApp(name, options) {
  const app = await App.register(postern.issuer, { name, ...options });
  apps.push(app);
  return app;
}

async function signedIn(options) {
  const visitor = await browser.visitor(options);
  await visitor.open(`${postern.issuer}/login`);
  await visitor.signIn(person);
  return visitor;
}

const boxes = visitor => visitor.page.locator('input[name=scope]');
const until = () => {
  const end = new Date(Date.now() + 365 * 86_400_000);
  return `${end.getUTCDate()} ${end.toLocaleString('en', { month: 'long', timeZone: 'UTC' })} ${end.getUTCFullYear()}`;
};

describe('an app that the person meets for the first time', () => {
  let app, visitor;
  before(async () => {
    app = await newApp('Claude Code');
    visitor = await signedIn();
  });
  after(() => visitor?.leave());
  beforeEach(() => visitor.open(app.asks({ scope: 'notes:read notes:write', resource: person.resource })));

  test('the page answers who, what, as whom, where to, and for how long', async () => {
    const text = await visitor.text();
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes');
    for (const part of [
      'as demo@example.com Not you?',
      'Unverified: anyone can use this name',
      new URL(person.resource).host,
      'Read your notes and see who you are signed in as',
      'Reads',
      'Add notes in your name',
      'Changes',
      `an app on this computer (${new URL(app.redirectUri).host}). Allow only if you have just started it yourself.`,
      `until ${until()}, or 30 days without use`,
      'Take it back at any time under Your access',
    ]) {
      assert.ok(text.includes(part), `${part} is missing in: ${text}`);
    }
    assert.equal(await visitor.page.locator('.tag').count(), 0, 'nothing is called new the first time');
    await visitor.look('consent', away);
  });

  test('it fits a phone without scrolling', async () => {
    await visitor.page.setViewportSize({ width: 360, height: 740 });
    const { y, height } = await visitor.page.locator('.pair').boundingBox();
    assert.ok(y + height <= 740, `the buttons end at ${y + height} px`);
  });

  test('nothing is pressed for the person, and Allow is no easier than Deny', async () => {
    assert.equal(await visitor.focused(), 'BODY');
    assert.deepEqual(await visitor.tabStops(), [
      'Postern',
      'Not you?',
      'Read your notes and see who you are signed in as Reads',
      'Add notes in your name Changes',
      'Your access',
      'Deny',
      'Allow',
    ]);
    const look = ({ offsetWidth, offsetHeight }) => ({ offsetWidth, offsetHeight });
    const [deny, allow] = await visitor.page.locator('.pair button').all();
    assert.deepEqual(await deny.evaluate(look), await allow.evaluate(look));
    const colours = element => [getComputedStyle(element).backgroundColor, getComputedStyle(element).color];
    assert.deepEqual(await deny.evaluate(colours), await allow.evaluate(colours));
  });

  test('Enter in a check box decides nothing', async () => {
    const before = visitor.answers.length;
    await boxes(visitor).first().focus();
    await visitor.page.keyboard.press('Enter');
    // A second, real decision proves that the first did not use up the request.
    await visitor.press('Deny');
    assert.equal(app.answerIn(visitor.page.url()).error, 'access_denied');
    assert.equal(visitor.answers.length, before + 2, 'one redirect and one page at the app');
  });

  test('Deny goes back to the app, with nothing', async () => {
    await visitor.press('Deny');
    const answer = app.answerIn(visitor.page.url());
    assert.equal(answer.error, 'access_denied');
    assert.equal(answer.code, undefined);
    await visitor.open(`${postern.issuer}/account`);
    assert.match(await visitor.text(), /No app has access in your name/);
  });

  test('Allow with no permission ticked is Deny', async () => {
    for (const box of await boxes(visitor).all()) await box.uncheck();
    await visitor.press('Allow');
    assert.equal(app.answerIn(visitor.page.url()).error, 'access_denied');
  });

  test('Not you? comes back to the same question as somebody else', async () => {
    await visitor.press('Not you?');
    assert.equal(await visitor.heading(), 'Sign in');
    assert.match(await visitor.text(), /Claude Code wants to use Notes/);
    await visitor.signIn(person);
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes');
  });

  test('a form with another’s request, or without our field, decides nothing', async () => {
    for (const [field, status, heading] of [
      ['request', 400, 'This request has ended'],
      ['csrf', 403, 'This page had been open too long'],
    ]) {
      await visitor.open(app.asks({ scope: 'notes:read' }));
      await visitor.page.locator(`form[action$="/consent"] input[name=${field}]`).evaluate(input => (input.value = 'wrong'));
      await visitor.press('Allow');
      assert.equal(visitor.answer.status(), status);
      assert.equal(await visitor.heading(), heading);
      await visitor.look(`consent-wrong-${field}`);
    }
  });
});

describe('an app that comes again', () => {
  let app, visitor;
  before(async () => {
    app = await newApp('Claude Code');
    visitor = await signedIn();
  });
  after(() => visitor?.leave());

  test('the first time only what is ticked is given', async () => {
    await visitor.open(app.asks({ scope: 'notes:read notes:write', resource: person.resource }));
    await visitor.page.getByLabel('Add notes in your name').uncheck();
    await visitor.press('Allow');
    const tokens = await app.redeem(app.answerIn(visitor.page.url()).code);
    assert.equal(tokens.scope, 'notes:read');
    assert.match(await visitor.text('body'), /Back at the app/);
  });

  test('for no more than it has, one click, and never none', async () => {
    await visitor.open(app.asks({ scope: 'notes:read', resource: person.resource }));
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes again');
    assert.match(await visitor.text(), /You allowed this on \d+ \w+ \d{4}, and it asks for nothing more\./);
    assert.equal(await visitor.focused(), 'BODY');
    assert.deepEqual(await visitor.tabStops(), ['Postern', 'Not you?', 'What it can do (1)', 'Your access', 'Not now', 'Continue']);
    await visitor.look('consent-again', away);
    await visitor.page.getByText('What it can do (1)').click();
    await visitor.look('consent-again-open', away);
    await visitor.press('Continue');
    const tokens = await app.redeem(app.answerIn(visitor.page.url()).code);
    assert.equal(tokens.scope, 'notes:read');
  });

  test('Not now keeps what was given', async () => {
    await visitor.open(app.asks({ scope: 'notes:read', resource: person.resource }));
    await visitor.press('Not now');
    assert.equal(app.answerIn(visitor.page.url()).error, 'access_denied');
    await visitor.open(`${postern.issuer}/account`);
    assert.match(await visitor.text(), /Claude Code can use Notes/);
  });

  test('for more, only the new is marked', async () => {
    await visitor.open(app.asks({ scope: 'notes:read notes:write', resource: person.resource }));
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes');
    assert.equal(await visitor.text('.permit.new'), 'New Add notes in your name Changes');
    assert.match(await visitor.text('.permit:not(.new)'), /^Read your notes .* Allowed before/);
    await visitor.look('consent-more', away);
    await visitor.press('Allow');
    const tokens = await app.redeem(app.answerIn(visitor.page.url()).code);
    assert.deepEqual(tokens.scope.split(' ').sort(), ['notes:read', 'notes:write']);
  });

  test('from elsewhere than before, everything again, and why', async () => {
    app.stop();
    const moved = await App.at(postern.issuer);
    apps.push(moved);
    await app.moveTo(`${moved.redirectUri}/moved`, 'Claude Code');
    await visitor.open(app.asks({ scope: 'notes:read', resource: person.resource }));
    assert.match(await visitor.text(), /This app has changed since you last allowed it/);
    await visitor.look('consent-changed', away);
    await visitor.press('Allow');
    assert.ok(app.answerIn(visitor.page.url()).code);
  });
});

describe('where the answer goes', () => {
  test('a web address is named, and the browser goes there', async () => {
    const app = await newApp('Notes on the web', { redirectUri: 'https://app.example.com/callback' });
    const visitor = await signedIn();
    await visitor.open(app.asks({ scope: 'notes:read' }));
    assert.match(await visitor.text('.facts'), /Then takes you back to app\.example\.com/);
    await visitor.look('consent-web', away);
    const sent = visitor.page.waitForRequest(request => request.url().startsWith('https://app.example.com/'));
    await visitor.page.getByRole('button', { name: 'Allow' }).click();
    assert.ok(app.answerIn((await sent).url()).code);
    await visitor.leave();
  });

  test('an app that opens its own links gets its link, and the person a page that says so', async () => {
    const app = await newApp('Cursor', { redirectUri: 'cursor://anysphere.cursor-mcp/oauth/callback' });
    for (const [button, words, name] of [
      ['Deny', /You have denied it/, 'done-denied'],
      ['Allow', /You have allowed it/, 'done-allowed'],
    ]) {
      const visitor = await signedIn();
      await visitor.open(app.asks({ scope: 'notes:read' }));
      assert.match(await visitor.text('.facts'), /the app that opens cursor: links on this device/);
      if (button === 'Allow') await visitor.look('consent-cursor', away);
      // The page opens the app's link by itself, which nothing here answers; what counts is that the page stays.
      await visitor.page.getByRole('button', { name: button }).click();
      await visitor.page.getByRole('heading', { name: 'You can go back to' }).waitFor();
      assert.equal(await visitor.heading(), 'You can go back to Cursor');
      assert.match(await visitor.text(), words);
      const link = await visitor.page.getByRole('link', { name: 'Open Cursor' }).getAttribute('href');
      const answer = app.answerIn(link);
      assert.ok(button === 'Deny' ? answer.error === 'access_denied' : answer.code, link);
      await visitor.look(name, away);
      await visitor.leave();
    }
  });

  test('a program that is no browser is redirected there', async () => {
    const app = await newApp('Cursor', { redirectUri: 'cursor://anysphere.cursor-mcp/oauth/callback' });
    const visitor = await signedIn();
    await visitor.open(app.asks({ scope: 'notes:read' }));
    const form = await visitor.page.locator('form[action$="/consent"]').evaluate(element => ({
      csrf: element.elements.csrf.value,
      request: element.elements.request.value,
    }));
    const cookie = (await visitor.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
    const answer = await fetch(`${postern.issuer}/consent`, {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie },
      body: new URLSearchParams({ ...form, decision: 'allow', scope: 'notes:read' }),
    });
    assert.equal(answer.status, 303);
    assert.ok(app.answerIn(answer.headers.get('location')).code);
    await visitor.leave();
  });
});

describe('the browser', () => {
  test('works the same with scripts allowed, from a link on another site', async () => {
    const app = await newApp('Claude Code');
    const visitor = await browser.visitor({ scripts: true, width: 1280, height: 800 });
    // The app's own address is another site than the issuer's, so this is a cross-site navigation.
    await visitor.open(app.redirectUri);
    await visitor.page.evaluate(url => location.assign(url), app.asks({ scope: 'notes:read' }));
    await visitor.page.waitForURL(/\/login/);
    await visitor.signIn(person);
    await visitor.look('consent-with-scripts', away);
    await visitor.press('Allow');
    assert.ok(app.answerIn(visitor.page.url()).code);
    assert.deepEqual(visitor.complaints, []);

    // The cookies are still there when the app sends the person again.
    await visitor.page.evaluate(url => location.assign(url), app.asks({ scope: 'notes:read' }));
    await visitor.page.waitForURL(/\/authorize/);
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes again');
    await visitor.leave();
  });

  test('shows a hostile name as a name', async () => {
    const name = '<script>document.title="x"</script> & "Notes" ';
    const app = await newApp(name.repeat(2));
    const visitor = await signedIn({ scripts: true });
    await visitor.open(app.asks({ scope: 'notes:read' }));
    assert.match(await visitor.heading(), /^<script>document\.title="x"<\/script> & "Notes"/);
    await visitor.look('consent-hostile', away);
    await visitor.leave();
  });
});
