// *Sign-in and security*: authenticator app, recovery codes and passkeys.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from './lib/app.mjs';
import { addPasskey, credentials, forget, signedIn, withDevice } from './lib/device.mjs';
import { Browser } from './lib/visitor.mjs';

const people = {
  ana: { email: 'ana@example.com', password: 'seven green umbrellas' },
  bob: { email: 'bob@example.com', password: 'twelve copper kettles' },
};
let browser, postern, app;
before(async () => {
  browser = await Browser.open();
  postern = await Postern.start();
  for (const { email, password } of Object.values(people)) {
    await postern.cli(['user', 'add', email, '--password-stdin'], { input: password });
  }
  app = await App.register(postern.issuer, { name: 'Claude Code' });
});
after(async () => {
  app?.stop();
  await browser?.close();
  await postern?.stop();
});

/** What an authenticator app shows for a key. */
function codeOf(key, at = Date.now()) {
  let bits = '';
  for (const letter of key.replaceAll('-', '')) {
    bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0');
  }
  const secret = Buffer.from(bits.match(/.{8}/g).map(byte => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const mac = createHmac('sha1', secret).update(step).digest();
  const value = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
  return String(value % 1_000_000).padStart(6, '0');
}

test('the page says what there is, and works with scripts off', async () => {
  const visitor = await browser.visitor();
  await signedIn(visitor, postern.issuer, people.bob);
  await visitor.press('Sign-in and security', { role: 'link' });
  assert.equal(await visitor.heading(), 'Sign-in and security');
  assert.match(await visitor.text('#second'), /Not set up/);
  assert.match(await visitor.text('#events'), /Signed in/);
  await visitor.look('security');
  await visitor.fill({ 'Password you have now': 'wrong', 'New password': 'short' });
  await visitor.press('Change password');
  assert.match(await visitor.text('[role=alert]'), /not your password/);
  await visitor.look('security-wrong');
  await visitor.leave();
});

test('an authenticator app is set up from the picture, and asked for at the next sign-in', async () => {
  const visitor = await browser.visitor();
  await signedIn(visitor, postern.issuer, people.bob);
  await visitor.open(`${postern.issuer}/account/security`);
  await visitor.press('Set up an authenticator app', { role: 'link' });
  assert.equal(await visitor.heading(), 'Set up an authenticator app');
  assert.equal(await visitor.page.locator('.qr svg').count(), 1);
  await visitor.look('enrol');
  const key = await visitor.text('.key');
  await visitor.fill({ 'Code from the app': '000000' });
  await visitor.press('Set up');
  assert.match(await visitor.text('[role=alert]'), /does not fit/);
  await visitor.look('enrol-wrong');
  await visitor.fill({ 'Code from the app': codeOf(key, Date.now() - 30_000) });
  await visitor.press('Set up');
  assert.equal(await visitor.heading(), 'Keep these recovery codes');
  const codes = await visitor.page.locator('.codes code').allInnerTexts();
  assert.equal(codes.length, 10);
  await visitor.look('recovery');
  await visitor.press('I have kept them', { role: 'link' });
  await visitor.look('security-set-up');

  await forget(visitor);
  await signedIn(visitor, postern.issuer, people.bob);
  assert.equal(await visitor.heading(), 'Show that it is you');
  assert.equal(await visitor.focused(), 'code');
  assert.equal(await visitor.page.locator('#code').getAttribute('autocomplete'), 'one-time-code');
  await visitor.look('second', { leadsAway: true });
  await visitor.fill({ 'Code from your authenticator app': '000000' });
  await visitor.press('Continue');
  await visitor.look('second-wrong', { leadsAway: true });
  await visitor.fill({ 'Code from your authenticator app': codeOf(key) });
  await visitor.press('Continue');
  assert.equal(await visitor.heading(), 'Your access');

  await forget(visitor);
  await signedIn(visitor, postern.issuer, people.bob);
  await visitor.page.getByText('Use a recovery code').click();
  await visitor.fill({ 'Recovery code': codes[0] });
  await visitor.press('Continue with this code');
  assert.equal(await visitor.heading(), 'Your access');
  await visitor.leave();
});

test('a passkey is added, signs in by itself, and is what an app means by two factors', async () => {
  // The pages with the script, as those see them who have scripts off.
  const plain = await browser.visitor();
  await plain.open(`${postern.issuer}/login`);
  await plain.press('Use a passkey');
  assert.match(await plain.text(), /Passkeys need JavaScript/);
  await plain.look('passkey-use', { leadsAway: true });
  await signedIn(plain, postern.issuer, people.ana);
  await plain.open(`${postern.issuer}/account/security`);
  await plain.press('Add a passkey');
  assert.equal(await plain.heading(), 'Add a passkey');
  await plain.look('passkey-make');

  const visitor = await withDevice(browser);
  await signedIn(visitor, postern.issuer, people.ana);
  await addPasskey(visitor, postern.issuer, 'Laptop <b>');
  assert.equal(await visitor.heading(), 'Keep these recovery codes');
  const [made] = await credentials(visitor);
  assert.equal(made.isResidentCredential, true);
  assert.equal(made.rpId, 'localhost');
  await visitor.press('I have kept them', { role: 'link' });
  assert.match(await visitor.text('#second'), /Passkey: Laptop <b>.*Never used/);

  await forget(visitor);
  await visitor.open(app.asks({ resource: postern.quickstart.resource, acr_values: 'urn:postern:acr:2' }));
  await visitor.page.getByRole('button', { name: 'Use a passkey' }).click();
  await visitor.page.getByRole('button', { name: 'Allow' }).waitFor();
  await visitor.press('Allow');
  const { code } = app.answerIn(visitor.page.url());
  const { access_token: token } = await app.redeem(code);
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.equal(claims.acr, 'urn:postern:acr:2');
  assert.deepEqual(claims.amr, ['hwk', 'mfa']);
  await visitor.open(`${postern.issuer}/account/security`);
  assert.match(await visitor.text('#second'), /Last used just now/);

  // With the password, the passkey is the second step.
  await forget(visitor);
  await signedIn(visitor, postern.issuer, people.ana);
  assert.equal(await visitor.heading(), 'Show that it is you');
  await visitor.page.getByRole('button', { name: 'Use a passkey' }).click();
  await visitor.page.waitForURL(/\/account$/);
  assert.equal(await visitor.heading(), 'Your access');
  await visitor.open(`${postern.issuer}/account/security`);
  await visitor.look('security-passkey');
  await visitor.leave();
  await plain.leave();
});
