// An MCP server behind the gateway that people use in their own name: in front of it stands an authorization server that
// others have written and the OpenID Foundation has certified, and the official client comes from the other side.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectThrough, Guarded } from '../gateway/lib/guarded.mjs';
import { until } from '../interop/lib/net.mjs';
import { Postern } from '../interop/lib/postern.mjs';
import { App } from '../pages/lib/app.mjs';
import { Browser } from '../pages/lib/visitor.mjs';
import { Company } from './lib/company.mjs';

const PASSWORD = 'seven green umbrellas';
const away = { leadsAway: true };
let browser, company, mail, postern, app, uri, ana, visitor, token;

before(async () => {
  browser = await Browser.open();
  mail = await Guarded.start({ scopes: ['mail:read', 'mail:send'] });
  company = await Company.start({ guards: { resource: mail.url, scopes: mail.scopes, ttl: 600 } });
  mail.trusts(company);
  ana = company.hire('ana-there', { email: 'ana@work.example' });
  postern = await Postern.start({ command: 'serve' });
  uri = `${postern.issuer}/mcp/mail`;
  await postern.cli(['resource', 'add', uri, '--name', 'Mail', '--slug', 'mail', '--upstream', mail.url]);
  await postern.cli(['user', 'add', 'ana@example.com', '--password-stdin'], { input: PASSWORD });
  await postern.knows('mail');
  app = await App.register(postern.issuer, { name: 'Claude Code' });
});
after(async () => {
  app?.stop();
  await browser?.close();
  await postern?.stop();
  await company?.stop();
  await mail?.stop();
});

const client = () => connectThrough(`http://${postern.env.POSTERN_LISTEN}/mcp/mail`, token);

async function whoami() {
  const through = await client();
  const answer = await through.callTool({ name: 'whoami', arguments: {} });
  await through.close();
  return answer.content[0].text;
}

async function allowsThere() {
  assert.equal(await visitor.heading(), 'The company: who are you?');
  await visitor.fill({ 'Company address': ana.email, 'Company password': ana.password });
  await visitor.press('Go on');
  assert.equal(await visitor.heading(), 'The company: tell them who you are?');
  await visitor.press('Tell them');
}

test('the gateway finds the company, and becomes its client', async () => {
  const said = await postern.cli(['upstream', 'per-person', uri]);
  const { client_id: id, ...rest } = said;
  assert.ok(id);
  assert.deepEqual(rest, {
    uri,
    by: 'oauth',
    issuer: company.issuer,
    registration: 'dynamic',
    redirect_uri: `${postern.issuer}/gateway/callback`,
    resource: mail.url,
    scopes: ['mail:read', 'mail:send', 'offline_access'],
    revokes: true,
  });
});

test('a person allows it on the way of their first app, and is known by name', async () => {
  visitor = await browser.visitor();
  await until('the running server knows', async () => {
    await visitor.open(app.asks({ scope: 'tools:read', resource: uri }));
    if ((await visitor.heading()) === 'Sign in') await visitor.signIn({ email: 'ana@example.com', password: PASSWORD });
    return (await visitor.heading()) === 'Let Mail act as you at 127.0.0.1?';
  });
  await visitor.look('connect', away);
  await visitor.press(/^Go to/);
  await allowsThere();
  assert.equal(await visitor.heading(), 'Claude Code wants to use Mail');
  await visitor.press('Allow');
  token = (await app.redeem(app.answerIn(visitor.page.url()).code)).access_token;
  assert.equal(await whoami(), 'ana-there');
});

test('a token that the company forgets is renewed in the middle of a call', async () => {
  for (const key of company.rows.keys()) if (key.startsWith('AccessToken:')) company.rows.delete(key);
  const before = company.tokens.length;
  assert.equal(await whoami(), 'ana-there');
  assert.deepEqual(company.tokens.slice(before).map(({ grant_type: type, result }) => [type, result]), [['refresh_token', 'ok']]);
});

test('what is taken back is taken back there, too, and is asked for anew', async () => {
  await visitor.open(`${postern.issuer}/account/connections`);
  await visitor.look('connections');
  assert.ok(company.count('RefreshToken', 'ana-there') > 0);
  await visitor.press(/^Take back/);
  assert.match(await visitor.text(), /Taken back\. Mail is no longer used as you\./);
  await until('the company has revoked it', () => company.count('RefreshToken', 'ana-there') === 0);
  const calls = mail.calls.length;
  await assert.rejects(whoami(), error => {
    // The link that leads to the page, in the words of the error and as the client hands it on.
    assert.match(`${error.message} ${JSON.stringify(error.data ?? error)}`, /\/account\/connect\/mail\?for=/);
    return true;
  });
  assert.equal(mail.calls.length, calls);
  await visitor.open(`${postern.issuer}/account/connect/mail`);
  await visitor.press(/^Go to/);
  // The company still knows who is in this browser; it may ask again whether they may know.
  if ((await visitor.heading()).startsWith('The company: tell')) await visitor.press('Tell them');
  assert.equal(await visitor.heading(), 'Mail is connected');
  await visitor.look('connect-done');
  assert.equal(await whoami(), 'ana-there');
});

test('whoever goes away over there is told that nothing was changed', async () => {
  await postern.cli(['upstream', 'disconnect', uri, '--user', 'ana@example.com']);
  await visitor.open(`${postern.issuer}/account/connect/mail`);
  await visitor.press(/^Go to/);
  await visitor.press('Cancel');
  assert.match(await visitor.text('[role=alert]'), /It was not allowed there/);
  assert.deepEqual(await postern.cli(['upstream', 'connections', uri]), []);
  await visitor.leave();
});
