// What begins with a mailed link: a new password and an account of one's own, with the mail as the server prints it for
// development.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { Browser } from './lib/visitor.mjs';

let browser, postern, visitor;
before(async () => {
  browser = await Browser.open();
  postern = await Postern.start({ env: { POSTERN_MAIL__SINK: 'log', POSTERN_MAIL__FROM: 'auth@example.com' } });
  visitor = await browser.visitor();
});
after(async () => {
  await browser?.close();
  await postern?.stop();
});

/** The link to a page that was mailed last. */
const mailed = page =>
  until(`a mail with a link to /${page} is printed`, () => {
    const text = postern.out.replaceAll('=\r\n', '').replaceAll('=\n', '').replaceAll('=3D', '=');
    return text.match(new RegExp(`http\\S+/${page}\\?token=\\S+`, 'g')).at(-1);
  });

test('a forgotten password is set anew by mail', async () => {
  const { email } = postern.quickstart;
  await visitor.open(`${postern.issuer}/login`);
  await visitor.look('login-with-mail', { leadsAway: true });
  await visitor.press('Forgotten your password?', { role: 'link' });
  await visitor.look('reset');
  await visitor.fill({ 'E-mail': 'nobody' });
  await visitor.press('Mail me a link');
  await visitor.look('reset-no-address');
  await visitor.fill({ 'E-mail': email });
  await visitor.press('Mail me a link');
  assert.equal(await visitor.heading(), 'Look into your mail');
  await visitor.look('reset-sent');
  const link = await mailed('reset');
  await visitor.open(link);
  await visitor.look('reset-choose');
  await visitor.fill({ 'New password': 'short' });
  await visitor.press('Set the password');
  await visitor.look('reset-choose-short');
  const password = 'nine purple umbrellas';
  await visitor.fill({ 'New password': password });
  await visitor.press('Set the password');
  await visitor.look('reset-done');
  await visitor.press('Sign in', { role: 'link' });
  await visitor.signIn({ email, password });
  assert.equal(await visitor.heading(), 'Your access');
  await visitor.open(link);
  assert.equal(await visitor.heading(), 'This link does not work any more');
  await visitor.look('reset-dead');
});

test('an address is changed, and taken back from the old one', async () => {
  const { email } = postern.quickstart;
  await visitor.open(`${postern.issuer}/account/security`);
  await visitor.look('security-with-mail');
  await visitor.press('Use another address', { role: 'link' });
  await visitor.look('email');
  await visitor.fill({ 'New e-mail address': email });
  await visitor.press('Mail me a link');
  await visitor.look('email-same');
  await visitor.fill({ 'New e-mail address': 'ada@example.org' });
  await visitor.press('Mail me a link');
  assert.equal(await visitor.heading(), 'Look into your mail');
  await visitor.look('email-sent');
  await visitor.open(await mailed('email/confirm'));
  await visitor.look('email-confirm');
  await visitor.press('Use this address');
  await visitor.look('email-confirmed');
  await visitor.open(await mailed('email/undo'));
  await visitor.look('email-undo');
  await visitor.press('Take it back');
  await visitor.look('email-undone');
  assert.match(await visitor.text(), new RegExp(`signs in with ${email} again`));
});

test('somebody who is invited makes an account of their own', async () => {
  const root = { email: 'root@example.com', password: 'a long enough password' };
  await postern.cli(['user', 'add', root.email, '--role', 'admin', '--password-stdin'], { input: root.password });
  const admin = await browser.visitor();
  await admin.open(`${postern.issuer}/login?continue=%2Fadmin%2Fpeople`);
  await admin.signIn(root);
  const form = admin.page.locator('li.edit', { hasText: 'Invite somebody' });
  await form.getByLabel('E-mail').fill('guest@example.com');
  await form.getByLabel('Name').fill('Guest');
  await admin.press('Invite');
  assert.match(await admin.text('[role=status]'), /Invited\./);
  assert.match(await admin.text(), /guest@example\.com member root@example\.com/);
  await admin.look('console-invitations');
  await admin.leave();
  const guest = await browser.visitor();
  const link = await mailed('invitation');
  await guest.open(link);
  await guest.look('invitation');
  await guest.fill({ Password: 'short' });
  await guest.press('Make the account');
  await guest.look('invitation-short');
  await guest.fill({ Password: 'seven yellow teapots' });
  await guest.press('Make the account');
  assert.equal(await guest.heading(), 'Your access');
  assert.match(await guest.text('body'), /Guest|guest@example\.com/);
  await guest.open(link);
  await guest.look('invitation-dead');
  await guest.leave();
});
