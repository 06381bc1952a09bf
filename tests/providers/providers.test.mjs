// Signing in through a company's identity provider: one that others have written and the OpenID Foundation has certified.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from '../pages/lib/app.mjs';
import { Browser } from '../pages/lib/visitor.mjs';
import { Company } from './lib/company.mjs';

const PASSWORD = 'seven green umbrellas';
const away = { leadsAway: true };
let browser, company, postern, app;

before(async () => {
  browser = await Browser.open();
  company = await Company.start();
  postern = await Postern.start();
  app = await App.register(postern.issuer, { name: 'Claude Code' });
  await join('corp', [
    ...['--link', 'verified-email', '--allowed-domain', 'example.com'],
    ...['--group', 'engineering=developers', '--role', 'it-audit=auditor'],
  ]);
  // The same company, whose word about an address counts for nothing.
  await join('strict', []);
});
after(async () => {
  app?.stop();
  await browser?.close();
  await postern?.stop();
  await company?.stop();
});

/** Postern becomes a client of a company, and the company a provider of Postern, as an operator does it. */
async function join(id, rules, at = company) {
  const secret = at.register(`postern-${id}`, `${postern.issuer}/login/idp/${id}/callback`);
  const added = await postern.cli(
    [
      ...['idp', 'add', id, '--name', `The ${id} company`, '--issuer', at.issuer, '--private-network'],
      ...['--client-id', `postern-${id}`, '--client-secret-stdin', ...rules],
      ...['email', 'profile', 'groups', 'offline_access'].flatMap(scope => ['--scope', scope]),
    ],
    { input: secret },
  );
  assert.equal(added.redirect_uri, `${postern.issuer}/login/idp/${id}/callback`);
}

const button = id => `Continue with The ${id} company`;

/** Before the company's own sign-in. */
async function atTheCompany(id = 'corp') {
  const visitor = await browser.visitor();
  await visitor.open(`${postern.issuer}/login`);
  await visitor.press(button(id));
  return visitor;
}

/** What somebody does there, from its sign-in page until it sends them back. */
async function signInThere(visitor, person, at = company) {
  assert.ok(visitor.page.url().startsWith(`${at.issuer}/interaction/`), visitor.page.url());
  assert.equal(await visitor.heading(), 'The company: who are you?');
  await visitor.fill({ 'Company address': person.email, 'Company password': person.password });
  await visitor.press('Go on');
  assert.equal(await visitor.heading(), 'The company: tell them who you are?');
  await visitor.press('Tell them');
}

/** Somebody with a browser of their own who has gone through it. */
async function comesThrough(person, id, at) {
  const visitor = await atTheCompany(id);
  await signInThere(visitor, person, at);
  return visitor;
}

async function isIn(visitor, email) {
  assert.equal(visitor.page.url(), `${postern.issuer}/account`, await visitor.text());
  assert.ok((await visitor.text('header')).includes(email), await visitor.text('header'));
}

/** Nobody is signed in, and the sign-in page says why. */
async function isRefused(visitor, status, words, name) {
  assert.equal(visitor.answer.status(), status, await visitor.text());
  assert.equal(await visitor.heading(), 'Sign in');
  assert.match(await visitor.text('[role=alert]'), /^You were not signed in\. /);
  assert.match(await visitor.text('[role=alert]'), words);
  if (name) await visitor.look(name, away);
  await visitor.open(`${postern.issuer}/account`);
  assert.equal(new URL(visitor.page.url()).pathname, '/login', 'they are signed in all the same');
}

async function here(email) {
  return (await postern.cli(['user', 'list'])).find(user => user.email === email);
}

const addsLocally = email => postern.cli(['user', 'add', email, '--password-stdin'], { input: PASSWORD });

/** Somebody of the company who has an account here. */
async function colleague(sub, claims) {
  await addsLocally(claims.email);
  return company.hire(sub, claims);
}

/** Header (0) or claims (1) of a JWT. */
const part = (token, index) => JSON.parse(Buffer.from(token.split('.')[index], 'base64url'));

const refresh = token =>
  fetch(`${postern.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, client_id: app.id }),
  });

describe('the provider as the administrator sees it', () => {
  test('a test of it finds everything in order', async () => {
    const { found, warnings } = await postern.cli(['idp', 'test', 'corp']);
    assert.deepEqual(warnings, []);
    assert.equal(found.authorization_endpoint, `${company.issuer}/auth`);
  });

  test('a test with a wrong secret says so', async () => {
    await postern.cli(
      [
        ...['idp', 'add', 'mistyped', '--name', 'Mistyped', '--issuer', company.issuer, '--private-network'],
        ...['--client-id', 'postern-corp', '--client-secret-stdin'],
      ],
      { input: 'not the secret' },
    );
    const { warnings } = await postern.cli(['idp', 'test', 'mistyped']);
    assert.deepEqual(warnings, ['it does not take our client id and secret: invalid_client']);
    await postern.cli(['idp', 'remove', 'mistyped']);
  });
});

describe('somebody of the company', () => {
  let ana;
  before(async () => (ana = await colleague('ana-1', { email: 'ana@example.com', groups: ['everybody'] })));

  test('finds the button on the sign-in page, signs in over there, and is in', async () => {
    const visitor = await browser.visitor();
    await visitor.open(`${postern.issuer}/login`);
    assert.ok(await visitor.page.getByRole('button', { name: button('corp') }).isVisible());
    await visitor.look('login-providers', away);
    await visitor.press(button('corp'));
    await signInThere(visitor, ana);
    await isIn(visitor, 'ana@example.com');
    await visitor.look('account-through-provider');
    await visitor.leave();
  });

  test('gets an account here by coming, where the administrator says so', async () => {
    await join('open', ['--create', 'people', '--allowed-domain', 'example.com']);
    const jo = company.hire('jo-1', { email: 'jo@example.com', name: 'Jo There' });
    const visitor = await comesThrough(jo, 'open');
    await isIn(visitor, 'jo@example.com');
    await visitor.leave();
    const { name, role, groups } = await here('jo@example.com');
    assert.deepEqual({ name, role, groups }, { name: 'Jo There', role: 'member', groups: [] });
    const kim = company.hire('kim-1', { email: 'kim@elsewhere.example' });
    await isRefused(await comesThrough(kim, 'open'), 403, /no account here that belongs to that sign-in/);
  });

  test('gets none by coming where nothing is said', async () => {
    const lou = company.hire('lou-1', { email: 'lou@example.com' });
    await isRefused(await comesThrough(lou), 403, /no account here that belongs to that sign-in/);
    assert.equal(await here('lou@example.com'), undefined);
  });

  test('is asked for with PKCE, a nonce and a state, each used for one sign-in', async () => {
    const visitor = await comesThrough(ana);
    await isIn(visitor, 'ana@example.com');
    await visitor.leave();
    const { result, code_verifier: verifier, idToken } = company.tokens.at(-1);
    assert.equal(result, 'ok');
    assert.equal(createHash('sha256').update(verifier).digest('base64url'), company.lastAsked.code_challenge);
    assert.equal(part(idToken, 1).nonce, company.lastAsked.nonce);
    assert.ok(company.asked.length >= 2);
    for (const { response_type, scope, code_challenge_method, code_challenge, nonce, state } of company.asked) {
      assert.equal(response_type, 'code');
      assert.equal(code_challenge_method, 'S256');
      assert.equal(scope, 'openid email profile groups offline_access');
      for (const value of [code_challenge, nonce, state]) assert.ok(value.length >= 43, value);
    }
    for (const name of ['code_challenge', 'nonce', 'state']) {
      assert.equal(new Set(company.asked.map(asked => asked[name])).size, company.asked.length, name);
    }
  });

  test('comes from an app, and goes back to it with access', async () => {
    const { resource } = postern.quickstart;
    const visitor = await browser.visitor();
    await visitor.open(app.asks({ scope: 'notes:read', resource }));
    assert.match(await visitor.text(), /Claude Code wants to use Notes/);
    await visitor.press(button('corp'));
    await signInThere(visitor, ana);
    assert.equal(await visitor.heading(), 'Claude Code wants to use Notes');
    assert.match(await visitor.text(), /as ana@example\.com/);
    await visitor.look('consent-through-provider', away);
    await visitor.press('Allow');
    const { access_token: token, scope } = await app.redeem(app.answerIn(visitor.page.url()).code);
    assert.equal(scope, 'notes:read');
    const claims = part(token, 1);
    assert.equal(claims.sub, (await here('ana@example.com')).id);
    assert.deepEqual(claims.amr, ['fed']);
    await visitor.leave();
  });

  test('has here the groups and the role that theirs stand for, as of their last sign-in', async () => {
    const uri = 'https://dev.example.com/mcp';
    await postern.cli(['resource', 'add', uri, '--name', 'Development', '--scope', 'notes:read=Read notes']);
    await postern.cli(['role', 'give', uri, 'reader', '--group', 'developers']);
    const may = async () =>
      (await postern.cli(['user', 'access', 'ana@example.com'])).access.find(({ resource }) => resource === uri).may;
    const console = async visitor => {
      await visitor.open(`${postern.issuer}/admin`);
      return visitor.answer.status();
    };
    const signsIn = async groups => {
      ana.groups = groups;
      const visitor = await comesThrough(ana);
      await isIn(visitor, 'ana@example.com');
      const state = { ...(await here('ana@example.com')), console: await console(visitor), may: await may() };
      await visitor.leave();
      return { groups: state.groups, role: state.role, console: state.console, may: state.may };
    };
    await postern.cli(['user', 'set-groups', 'ana@example.com', '--group', 'choir']);
    const outside = { groups: ['choir'], role: 'member', console: 403, may: 'nothing' };
    assert.deepEqual(await signsIn(['everybody']), outside);
    assert.deepEqual(await signsIn(['everybody', 'engineering', 'it-audit']), {
      groups: ['choir', 'developers'],
      role: 'auditor',
      console: 200,
      may: 'notes:read',
    });
    assert.deepEqual(await signsIn(['it-audit']), { ...outside, role: 'auditor', console: 200 });
    assert.deepEqual(await signsIn([]), outside);
  });
});

describe('somebody who has an account here already', () => {
  test('is linked by the address that the company has verified, and stays whom they are', async () => {
    const before = await addsLocally('bo@example.com');
    const bo = company.hire('bo-1', { email: 'bo@example.com' });
    const visitor = await comesThrough(bo);
    await isIn(visitor, 'bo@example.com');
    await visitor.open(`${postern.issuer}/account/security`);
    assert.match(await visitor.text('#providers'), /The corp company Linked; .*The strict company Not linked/);
    await visitor.look('security-linked');
    await visitor.leave();
    assert.equal((await here('bo@example.com')).id, before.id);
    const linked = (await postern.cli(['idp', 'people', 'corp'])).find(({ email }) => email === 'bo@example.com');
    assert.deepEqual([linked.sub, linked.checked_at_refresh], ['bo-1', true]);

    // Linked is who they are over there, whatever their address becomes; and nobody who gets the old one is them.
    bo.email = 'bo.married@example.com';
    await isIn(await comesThrough(bo), 'bo@example.com');
    const namesake = company.hire('bo-2', { email: 'bo@example.com' });
    await isRefused(await comesThrough(namesake), 403, /no account here that belongs to that sign-in/);
    company.fire(namesake);
  });

  test('is not linked by an address that the company has not verified', async () => {
    const cy = await colleague('cy-1', { email: 'cy@example.com', email_verified: false });
    await isRefused(await comesThrough(cy), 403, /no account here that belongs to that sign-in/, 'login-unverified');
    cy.email_verified = true;
    await isIn(await comesThrough(cy), 'cy@example.com');
  });

  test('is not linked from outside the domains that count', async () => {
    const di = await colleague('di-1', { email: 'di@elsewhere.example' });
    await isRefused(await comesThrough(di), 403, /no account here that belongs to that sign-in/);
  });

  test('is not linked by an address when they are an administrator', async () => {
    const eve = await colleague('eve-1', { email: 'eve@example.com' });
    await postern.cli(['user', 'set-role', 'eve@example.com', 'admin']);
    await isRefused(await comesThrough(eve), 403, /no account here that belongs to that sign-in/);
  });

  test('links themselves where nothing is linked by an address', async () => {
    const flo = await colleague('flo-1', { email: 'flo@example.com' });
    const words = /If you have one, sign in another way and link it under “Sign-in and security”/;
    await isRefused(await comesThrough(flo, 'strict'), 403, words, 'login-not-linked');
    assert.deepEqual(await postern.cli(['idp', 'people', 'strict']), []);

    const visitor = await browser.visitor();
    await visitor.open(`${postern.issuer}/login`);
    await visitor.signIn({ email: 'flo@example.com', password: PASSWORD });
    await visitor.open(`${postern.issuer}/account/security`);
    await visitor.press('Link The strict company', { role: 'link' });
    assert.equal(await visitor.heading(), 'Sign in here with The strict company?');
    await visitor.look('link', away);
    await visitor.press('Go to The strict company');
    assert.ok(company.lastAsked.prompt.split(' ').includes('login'), 'they prove it anew');
    await signInThere(visitor, flo);
    assert.equal(visitor.page.url(), `${postern.issuer}/account/security`);
    assert.match(await visitor.text('#providers'), /The strict company Linked/);
    await visitor.leave();
    await isIn(await comesThrough(flo, 'strict'), 'flo@example.com');
  });
});

describe('somebody whom the company switches off', () => {
  /** As if the company had last been asked ten minutes ago: it is asked at most once in five. */
  function tenMinutesPass(sub) {
    const database = new DatabaseSync(path.join(postern.env.POSTERN_DATA_DIR, 'postern.db'));
    database.exec('PRAGMA busy_timeout = 5000');
    const sql = 'UPDATE identity SET checked_at = checked_at - 600000000 WHERE sub = ?';
    assert.equal(Number(database.prepare(sql).run(sub).changes), 1);
    database.close();
  }

  const refreshes = () => company.tokens.filter(({ grant_type }) => grant_type === 'refresh_token');

  test('is out at the next refresh of their app, and comes back when the company has them back', async () => {
    const gus = await colleague('gus-1', { email: 'gus@example.com' });
    const visitor = await browser.visitor();
    await visitor.open(app.asks({ scope: 'notes:read', resource: postern.quickstart.resource }));
    await visitor.press(button('corp'));
    await signInThere(visitor, gus);
    await visitor.press('Allow');
    let { refresh_token: token } = await app.redeem(app.answerIn(visitor.page.url()).code);

    // The company takes each of its refresh tokens once: the second time it is asked with the one it gave the first time.
    for (const times of [1, 2]) {
      tenMinutesPass('gus-1');
      const answer = await refresh(token);
      assert.equal(answer.status, 200, await answer.clone().text());
      token = (await answer.json()).refresh_token;
      assert.deepEqual(refreshes().map(({ result }) => result), Array(times).fill('ok'));
    }

    company.fire(gus);
    tenMinutesPass('gus-1');
    const answer = await refresh(token);
    assert.equal(answer.status, 400);
    assert.equal((await answer.json()).error, 'invalid_grant');
    assert.deepEqual([refreshes().length, refreshes().at(-1).error], [3, 'invalid_grant'], 'the company has said so');
    await visitor.open(`${postern.issuer}/account`);
    assert.equal(new URL(visitor.page.url()).pathname, '/login', 'their browser is signed out');
    assert.equal((await postern.cli(['audit', 'list', '--kind', 'identity.ended'])).length, 1);
    const again = await refresh(token);
    assert.equal((await again.json()).error, 'invalid_grant');
    assert.equal(refreshes().length, 3, 'nobody asks once more');

    company.rehire(gus);
    await isIn(await comesThrough(gus), 'gus@example.com');
    await visitor.leave();
  });
});

describe('a provider that says who somebody is at its userinfo endpoint alone', () => {
  let thin;
  before(async () => {
    thin = await Company.start({ claimsInIdToken: false });
    await join('thin', ['--link', 'verified-email'], thin);
  });
  after(() => thin?.stop());

  test('is asked there, and links by the address that it has verified', async () => {
    await addsLocally('mo@example.com');
    const mo = thin.hire('mo-1', { email: 'mo@example.com' });
    await isIn(await comesThrough(mo, 'thin', thin), 'mo@example.com');
    assert.equal(part(thin.tokens.at(-1).idToken, 1).email, undefined);
    const pat = thin.hire('pat-1', { email: 'pat@example.com', email_verified: false });
    await addsLocally('pat@example.com');
    await isRefused(await comesThrough(pat, 'thin', thin), 403, /no account here that belongs to that sign-in/);
  });
});

describe('what happens on the way', () => {
  test('whoever turns round at the company is told calmly, and can still go on to the app', async () => {
    const hal = await colleague('hal-1', { email: 'hal@example.com' });
    const visitor = await browser.visitor();
    await visitor.open(app.asks({ scope: 'notes:read', resource: postern.quickstart.resource }));
    await visitor.press(button('corp'));
    await visitor.press('Cancel');
    assert.equal(visitor.answer.status(), 401);
    assert.equal(new URL(visitor.page.url()).origin, postern.issuer);
    const words = 'You were not signed in. The other side did not go through with it. You can try again, or sign in another way.';
    assert.equal(await visitor.text('[role=alert]'), words);
    assert.match(await visitor.text(), /Claude Code wants to use Notes/);
    await visitor.look('login-declined', away);

    await visitor.press(button('corp'));
    await signInThere(visitor, hal);
    await visitor.press('Allow');
    assert.equal((await app.redeem(app.answerIn(visitor.page.url()).code)).scope, 'notes:read');
    await visitor.leave();

    // At the second page too, when the company knows them already.
    const later = await atTheCompany();
    await later.fill({ 'Company address': hal.email, 'Company password': hal.password });
    await later.press('Go on');
    await later.press('Cancel');
    await isRefused(later, 401, /did not go through with it/);
    await later.leave();
  });

  test('the company takes a new key, and people sign in as before', async () => {
    const ida = await colleague('ida-1', { email: 'ida@example.com' });
    const kid = () => part(company.tokens.at(-1).idToken, 0).kid;
    await isIn(await comesThrough(ida), 'ida@example.com');
    const old = kid();
    const asked = company.keysAsked.length;
    company.rotate();
    // Keys are asked for at most once in ten seconds; by now that was long ago.
    await until('keys may be asked for', () => Date.now() - company.keysAsked.at(-1) > 10_000);
    await isIn(await comesThrough(ida), 'ida@example.com');
    assert.notEqual(kid(), old);
    assert.equal(kid(), company.kid);
    await isIn(await comesThrough(ida), 'ida@example.com');
    assert.equal(company.keysAsked.length, asked + 1, 'for the new key, and then no more');
  });
});
