// Setting up, signing in, signing out: the pages a person meets before anything is asked.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { Browser } from './lib/visitor.mjs';

let browser;
before(async () => (browser = await Browser.open()));
after(() => browser?.close());

describe('a server that nobody has set up', () => {
  const ADMIN = { email: 'ada@example.com', password: 'three unrelated words' };
  let postern, visitor, link;
  before(async () => {
    postern = await Postern.start({ command: 'serve' });
    visitor = await browser.visitor();
    link = await until('the set-up link is printed', () => postern.out.match(/https?:\/\/\S+\/setup\?\S+/)?.[0]);
  });
  after(async () => {
    await visitor?.leave();
    await postern?.stop();
  });

  test('home says where the set-up link is', async () => {
    await visitor.open(postern.issuer);
    assert.match(await visitor.text(), /Nobody has an account here yet\. .*look at its output/);
    await visitor.look('home-fresh');
  });

  test('a wrong link shows no form', async () => {
    await visitor.open(`${postern.issuer}/setup?token=wrong`);
    assert.equal(visitor.answer.status(), 403);
    assert.equal(await visitor.heading(), 'This set-up link no longer works');
    await visitor.look('setup-used');
  });

  test('the link opens the form', async () => {
    await visitor.open(link);
    assert.equal(await visitor.heading(), 'Create the first administrator');
    assert.equal(await visitor.focused(), 'email');
    await visitor.look('setup');
  });

  test('each mistake stands beside its field and loses nothing but the password', async () => {
    for (const [name, email, password, words] of [
      ['email', 'not an address', ADMIN.password, /This is not an e-mail address/],
      ['short', ADMIN.email, 'short', /too short: use at least \d+ characters/],
      ['guessable', ADMIN.email, 'password123', /too easy to guess/],
      ['long', ADMIN.email, 'word '.repeat(500), /longer than the \d+ characters/],
    ]) {
      await visitor.fill({ 'E-mail': email, 'Name': 'Ada', Password: password });
      await visitor.press('Create administrator');
      assert.equal(visitor.answer.status(), 400, name);
      assert.match(await visitor.text('[role=alert]'), words);
      assert.equal(await visitor.page.getByLabel('E-mail').inputValue(), email);
      assert.equal(await visitor.page.getByLabel('Name').inputValue(), 'Ada');
      assert.equal(await visitor.page.getByLabel('Password').inputValue(), '');
      assert.equal(await visitor.focused(), name === 'email' ? 'email' : 'password');
      assert.match(await visitor.page.title(), /^Error: /);
      await visitor.look(`setup-${name}`);
    }
  });

  test('it makes the administrator, who is signed in at once and has given access to nothing', async () => {
    await visitor.fill({ 'E-mail': ADMIN.email, Name: 'Ada', Password: ADMIN.password });
    await visitor.press('Create administrator');
    assert.equal(new URL(visitor.page.url()).pathname, '/account');
    assert.match(await visitor.text(), /No app has access in your name/);
    assert.match(await visitor.text('header'), /Ada ada@example\.com/);
    await visitor.look('account-empty');
  });

  test('the link works once', async () => {
    await visitor.open(link);
    assert.equal(visitor.answer.status(), 403);
    assert.equal(await visitor.heading(), 'This set-up link no longer works');
    await visitor.press('Sign in', { role: 'link' });
    assert.equal(new URL(visitor.page.url()).pathname, '/account', 'they are signed in already');
  });

  test('home greets whoever is signed in', async () => {
    await visitor.open(postern.issuer);
    assert.match(await visitor.text(), /Signed in as ada@example\.com/);
    await visitor.look('home-signed-in');
  });

  test('a link asks before it signs out, and a button does it', async () => {
    await visitor.open(`${postern.issuer}/logout`);
    assert.equal(await visitor.heading(), 'Sign out?');
    await visitor.look('logout', { leadsAway: true });
    await visitor.press('Stay signed in', { role: 'link' });
    assert.equal(await visitor.heading(), 'Your access');
    await visitor.press('Sign out');
    assert.equal(await visitor.heading(), 'You are signed out');
    await visitor.look('logged-out');
    await visitor.open(`${postern.issuer}/account`);
    assert.equal(new URL(visitor.page.url()).pathname, '/login');
  });
});

describe('signing in', () => {
  let postern, person, app;
  before(async () => {
    postern = await Postern.start();
    person = postern.quickstart;
    app = await App.register(postern.issuer, { name: 'Claude Code' });
  });
  after(async () => {
    app?.stop();
    await postern?.stop();
  });

  /** Somebody without any cookie, at the sign-in page. */
  async function atLogin(path = '/login') {
    const visitor = await browser.visitor();
    await visitor.open(new URL(path, postern.issuer));
    return visitor;
  }

  test('home sends people to their access', async () => {
    const visitor = await atLogin('/');
    await visitor.look('home');
    await visitor.press('Your access', { role: 'link' });
    assert.equal(await visitor.heading(), 'Sign in');
    await visitor.leave();
  });

  test('by itself it is about one’s access, and the keyboard comes by everything in order', async () => {
    const visitor = await atLogin();
    assert.match(await visitor.text(), /see and change which apps have access in your name/);
    assert.equal(await visitor.focused(), 'email');
    await visitor.look('login', { leadsAway: true });
    assert.deepEqual(await visitor.tabStops(), ['Postern', 'E-mail', 'Password', 'Sign in', 'Use a passkey']);
    const { page } = visitor;
    assert.equal(await page.getByLabel('E-mail').getAttribute('autocomplete'), 'username');
    assert.equal(await page.getByLabel('Password').getAttribute('autocomplete'), 'current-password');
    await page.getByLabel('E-mail').fill(person.email);
    await page.keyboard.press('Tab');
    await page.keyboard.type(person.password);
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    assert.equal(new URL(page.url()).pathname, '/account');
    const cookies = await visitor.context.cookies();
    assert.equal(cookies.length, 2);
    assert.ok(cookies.every(cookie => cookie.httpOnly && cookie.sameSite === 'Lax'), JSON.stringify(cookies));
    await visitor.leave();
  });

  test('it says which app sent the person, and to use what', async () => {
    const visitor = await atLogin(app.asks({ scope: 'notes:read', resource: person.resource }));
    const { host } = new URL(person.resource);
    assert.match(await visitor.text(), new RegExp(`Claude Code wants to use Notes at ${host}`));
    assert.match(await visitor.text(), /nothing is allowed yet/);
    await visitor.look('login-asker', { leadsAway: true });
    await visitor.leave();
  });

  test('a hint from the app is filled in, and the password comes next', async () => {
    const visitor = await atLogin(app.asks({ scope: 'notes:read', login_hint: 'ada@example.com' }));
    assert.equal(await visitor.page.getByLabel('E-mail').inputValue(), 'ada@example.com');
    assert.equal(await visitor.focused(), 'password');
    await visitor.look('login-hint', { leadsAway: true });
    await visitor.leave();
  });

  test('what is missing is said beside its field', async () => {
    const visitor = await atLogin();
    await visitor.press('Sign in');
    assert.equal(await visitor.text('[role=alert]'), 'Type your e-mail address.');
    await visitor.look('login-no-email', { leadsAway: true });
    await visitor.fill({ 'E-mail': person.email });
    await visitor.press('Sign in');
    assert.equal(visitor.answer.status(), 401);
    assert.equal(await visitor.text('[role=alert]'), 'Type your password.');
    await visitor.look('login-no-password', { leadsAway: true });
    await visitor.leave();
  });

  test('an unknown person and a wrong password look the same', async () => {
    const said = [];
    for (const email of [person.email, 'nobody@example.com']) {
      const visitor = await atLogin(app.asks({ scope: 'notes:read' }));
      await visitor.signIn({ email, password: 'not the password' });
      assert.equal(visitor.answer.status(), 401);
      assert.match(await visitor.page.title(), /^Error: /);
      assert.equal(await visitor.page.getByLabel('E-mail').inputValue(), email);
      assert.equal(await visitor.page.getByLabel('Password').inputValue(), '');
      assert.equal(await visitor.focused(), 'password');
      said.push((await visitor.text()).replace(email, ''));
      if (said.length === 1) await visitor.look('login-mismatch', { leadsAway: true });
      await visitor.leave();
    }
    assert.match(said[0], /E-mail and password do not match/);
    assert.equal(said[0], said[1]);
  });

  test('a form that this browser was not given does nothing, and the next try works', async () => {
    const visitor = await atLogin(app.asks({ scope: 'notes:read' }));
    await visitor.context.clearCookies();
    await visitor.signIn(person);
    assert.equal(visitor.answer.status(), 403);
    assert.match(await visitor.text('[role=alert]'), /You were not signed in; please try once more/);
    await visitor.look('login-forged', { leadsAway: true });
    await visitor.fill({ Password: person.password });
    await visitor.press('Sign in');
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes');
    await visitor.leave();
  });

  test('an app may ask for a fresh sign-in', async () => {
    const visitor = await atLogin();
    await visitor.signIn(person);
    await visitor.open(app.asks({ scope: 'notes:read', prompt: 'login' }));
    assert.match(await visitor.text(), /The app asks that you sign in anew/);
    assert.equal(await visitor.page.getByLabel('E-mail').inputValue(), person.email);
    await visitor.look('login-fresh', { leadsAway: true });
    await visitor.fill({ Password: person.password });
    await visitor.press('Sign in');
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes');
    await visitor.leave();
  });

  // Last: it counts against this computer's address.
  test('too many tries have to wait, and are told how long', async () => {
    const visitor = await atLogin();
    for (let tries = 0; tries < 30 && visitor.answer.status() !== 429; tries += 1) {
      await visitor.signIn({ email: person.email, password: 'not the password' });
    }
    assert.equal(visitor.answer.status(), 429);
    assert.match(await visitor.text('[role=alert]'), /Too many tries\. You can try again in \d+ seconds?\./);
    await visitor.look('login-throttled', { leadsAway: true });
    await visitor.leave();
  });
});
