// A forgotten password, from the sign-in page to the new one, with the mail as the server prints it for development.
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
  const link = await until('the mail is printed', () => {
    const text = postern.out.replaceAll('=\r\n', '').replaceAll('=\n', '');
    return /http\S+\/reset\?token=\S+/.exec(text)[0].replace('token=3D', 'token=');
  });
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
