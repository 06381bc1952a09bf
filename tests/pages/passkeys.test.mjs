// What an attacker tries with passkeys: answers that were stolen, repeated, or are another's, and copies.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Postern } from '../interop/lib/postern.mjs';
import { addPasskey, credentials, forget, signedIn, withDevice } from './lib/device.mjs';
import { Browser } from './lib/visitor.mjs';

const people = {
  ana: { email: 'ana@example.com', password: 'seven green umbrellas' },
  eve: { email: 'eve@example.com', password: 'eleven silver spoons' },
};
let browser, postern;
before(async () => (browser = await Browser.open()));
after(async () => browser?.close());
// A server for each, because failures from one address are counted together.
beforeEach(async () => {
  postern = await Postern.start();
  for (const { email, password } of Object.values(people)) {
    await postern.cli(['user', 'add', email, '--password-stdin'], { input: password });
  }
});
afterEach(async () => postern?.stop());

/** Stops the page's own answer, and gives what it would have sent. */
async function caught(visitor, press) {
  let form;
  await visitor.page.route(/\/login\/passkey\/finish$/, route => {
    form = Object.fromEntries(new URLSearchParams(route.request().postData()));
    return route.abort();
  });
  await press();
  await visitor.page.waitForEvent('requestfailed').catch(() => {});
  await visitor.page.unroute(/\/login\/passkey\/finish$/);
  assert.ok(form?.answer, 'the page has answered');
  visitor.complaints.length = 0;
  return form;
}

async function send(visitor, form) {
  const response = await visitor.context.request.post(`${postern.issuer}/login/passkey/finish`, { form, maxRedirects: 0 });
  return response.status();
}

test('an answer counts once, in its own browser, and for its own person', async () => {
  const ana = await withDevice(browser);
  await signedIn(ana, postern.issuer, people.ana);
  await addPasskey(ana, postern.issuer, 'Theirs');
  await ana.leave();
  const eve = await withDevice(browser);
  await signedIn(eve, postern.issuer, people.eve);
  await addPasskey(eve, postern.issuer, 'Hers');
  await forget(eve);

  // Her answer, from another browser: nothing; and then it is used up.
  await eve.open(`${postern.issuer}/login`);
  const stolen = await caught(eve, () => eve.page.getByRole('button', { name: 'Use a passkey' }).click());
  const thief = await browser.visitor({ scripts: true });
  await thief.open(`${postern.issuer}/login`);
  const csrf = await thief.page.locator('input[name=csrf]').first().inputValue();
  assert.equal(await send(thief, stolen), 403, 'a form of another browser');
  assert.equal(await send(thief, { ...stolen, csrf }), 401, 'a challenge of another browser');
  assert.equal(await send(eve, stolen), 401, 'which is used up by the try');

  // The same answer twice.
  await eve.open(`${postern.issuer}/login`);
  const once = await caught(eve, () => eve.page.getByRole('button', { name: 'Use a passkey' }).click());
  assert.equal(await send(eve, once), 303);
  await forget(eve);
  await eve.open(`${postern.issuer}/login`);
  const mine = await eve.page.locator('input[name=csrf]').first().inputValue();
  assert.equal(await send(eve, { ...once, csrf: mine }), 401, 'a replay');

  // An old answer under a new challenge.
  await eve.open(`${postern.issuer}/login`);
  const next = await caught(eve, () => eve.page.getByRole('button', { name: 'Use a passkey' }).click());
  assert.equal(await send(eve, { ...next, answer: once.answer }), 401, 'a challenge that was not signed');

  // Her passkey at Ana's second step.
  await forget(eve);
  await eve.open(`${postern.issuer}/login`);
  await signedIn(eve, postern.issuer, people.ana);
  assert.equal(await eve.heading(), 'Show that it is you');
  const hers = await credentials(eve);
  assert.equal(hers.length, 1);
  await eve.page.getByRole('button', { name: 'Use a passkey' }).click();
  await eve.page.locator('#failed').waitFor({ state: 'visible' });
  const ceremony = await eve.page.locator('input[name=ceremony]').inputValue();
  const field = await eve.page.locator('input[name=csrf]').first().inputValue();
  const form = { csrf: field, ceremony, second: 'yes', continue: '', answer: once.answer };
  assert.equal(await send(eve, form), 401, 'a passkey of another person');
  await eve.open(`${postern.issuer}/account`);
  assert.match(eve.page.url(), /\/login/);
  await thief.leave();
  await eve.leave();
});

test('a passkey whose counter falls back is refused and noted, and a removed one opens nothing', async () => {
  const owner = await withDevice(browser);
  await signedIn(owner, postern.issuer, people.eve);
  await addPasskey(owner, postern.issuer, 'Key');
  const [key] = await credentials(owner);
  await forget(owner);
  const enter = async () => {
    await owner.open(`${postern.issuer}/login`);
    await owner.page.getByRole('button', { name: 'Use a passkey' }).click();
    await owner.page.waitForURL(/\/account$|\/login\/passkey\/finish$/);
  };
  await enter();
  assert.equal(await owner.heading(), 'Your access');
  await forget(owner);
  // A copy that was made before.
  const { cdp, authenticatorId } = owner;
  await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId: key.credentialId });
  await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...key, signCount: 0 } });
  await enter();
  assert.equal(owner.answer.status(), 401);
  const noted = await postern.cli(['audit', 'list', '--user', people.eve.email]);
  assert.ok(noted.some(event => event.kind === 'passkey.counter'), JSON.stringify(noted.map(event => event.kind)));

  await cdp.send('WebAuthn.removeCredential', { authenticatorId, credentialId: key.credentialId });
  await cdp.send('WebAuthn.addCredential', { authenticatorId, credential: { ...key, signCount: 50 } });
  await enter();
  assert.equal(await owner.heading(), 'Your access');
  await owner.open(`${postern.issuer}/account/security`);
  await owner.press('Remove the passkey Key');
  assert.match(await owner.text('[role=status]'), /The passkey is removed/);
  await forget(owner);
  await enter();
  assert.equal(owner.answer.status(), 401);
  await owner.leave();
});
