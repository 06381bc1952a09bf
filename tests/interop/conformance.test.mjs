// The official conformance scenarios for authorization servers, with a real browser where they wait for a person.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Browser } from './browser.mjs';
import { freePort } from './lib/net.mjs';
import { Postern } from './lib/postern.mjs';

const suite = path.join(import.meta.dirname, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');

let browser;
before(async () => (browser = await Browser.open()));
after(() => browser?.close());

/**
 * Runs the suite against this issuer; the second scenario needs what the first one found. `onUrl` gets the authorization
 * URL that it prints. Gives its log, its exit code, and the checks of every scenario by name.
 */
async function conformance(postern, args, onUrl) {
  const out = path.join(postern.folder, 'conformance');
  const child = spawn('node', [suite, 'authorization', '--url', postern.issuer, '-o', out, ...args]);
  let log = '';
  let visit;
  const read = chunk => {
    log += chunk;
    const url = log.match(/^(http\S+\/authorize\?\S+)\n/m)?.[1];
    if (url && !visit) {
      visit = onUrl(url);
      // Without an answer the suite would wait for five minutes.
      visit.catch(error => {
        log += error.message;
        child.kill();
      });
    }
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const code = await new Promise(resolve => child.on('exit', resolve));
  const scenarios = {};
  for (const entry of await readdir(out, { recursive: true }).catch(() => [])) {
    if (path.basename(entry) !== 'checks.json') continue;
    const name = entry.match(/authorization-server-(.+?)-\d{4}-/)[1];
    scenarios[name] = JSON.parse(await readFile(path.join(out, entry), 'utf8'));
  }
  return { code, log, scenarios };
}

for (const under of ['', '/id']) {
  describe(`issuer ${under ? `under ${under}` : 'at the root'}`, () => {
    let postern;
    let outcome;
    before(async () => {
      postern = await Postern.start({ path: under });
      const { mcp_url: resource, email, password } = postern.quickstart;
      const port = await freePort();
      const { client_id: clientId } = await postern.cli([
        ...['client', 'add', '--name', 'Conformance', '--auth', 'none'],
        ...['--redirect-uri', `http://127.0.0.1:${port}/callback`, '--grant-type', 'authorization_code'],
      ]);
      const person = await browser.person({ email, password });
      outcome = await conformance(
        postern,
        ['--spec-version', '2026-07-28', '--client-id', clientId, '--resource', resource, '--port', String(port)],
        url => person.answer(url),
      );
    });
    after(() => postern?.stop());

    for (const name of ['authorization-server-metadata-endpoint', 'authorization-code-grant']) {
      test(name, () => {
        const checks = outcome.scenarios[name];
        assert(checks?.length > 0, `nothing was checked:\n${outcome.log}`);
        // A warning or a skipped check is not a success.
        assert.deepEqual(checks.filter(check => check.status !== 'SUCCESS'), [], outcome.log);
      });
    }

    test('the suite has nothing else to say', () => assert.equal(outcome.code, 0, outcome.log));
  });
}
