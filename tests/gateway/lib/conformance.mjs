// Runs the official conformance suite for servers against a URL.
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AddingProxy } from './proxy.mjs';

const suite = path.resolve(import.meta.dirname, '../node_modules/@modelcontextprotocol/conformance/dist/index.js');

/**
 * Every scenario for servers of this revision, and what its checks said: `{ scenario: [{ id, status }…] }`. The suite
 * cannot send headers of its own; those in `headers` are added by a proxy. Its files and its log replace the folder `out`.
 */
export async function run(url, { specVersion, headers, out }) {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const proxy = headers && (await AddingProxy.start(url, headers));
  try {
    const front = proxy?.url ?? url;
    const log = await output(['server', '--url', front, '--suite', 'all', '--spec-version', specVersion, '-o', out]);
    await writeFile(path.join(out, 'log.txt'), log);
    return await results(log, out);
  } finally {
    await proxy?.stop();
  }
}

/** The scenarios that a server has to pass, by the word of the suite. */
export async function required(specVersion) {
  const list = await output(['list', '--requirements', specVersion]);
  const servers = list.match(/^Server scenarios.*:\n((?: {2}- \S+\n)+)/m)[1];
  return servers.match(/(?<=- )\S+/g);
}

async function output(args) {
  const child = spawn(process.execPath, [suite, ...args]);
  let log = '';
  child.stdout.on('data', chunk => (log += chunk));
  child.stderr.on('data', chunk => (log += chunk));
  // A failed check and a failed start have the same exit code; the files tell them apart.
  await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  return log;
}

async function results(log, out) {
  const begun = [...log.matchAll(/^=== Running scenario: (\S+) ===$/gm)].map(([, name]) => name);
  if (!begun.length) throw new Error(`the suite has run nothing:\n${log}`);
  const entries = await readdir(out, { recursive: true });
  const scenarios = {};
  for (const name of begun.sort()) {
    const file = entries.find(entry => new RegExp(`^server-${name}-\\d{4}-.*checks\\.json$`).test(entry));
    // A scenario that ran into an error of its own leaves no file.
    const checks = file ? JSON.parse(await readFile(path.join(out, file), 'utf8')) : [{ id: name, status: 'FAILURE' }];
    scenarios[name] = checks.map(({ id, status }) => ({ id, status })).sort(order);
  }
  return scenarios;
}

const order = (a, b) => (`${a.id} ${a.status}` < `${b.id} ${b.status}` ? -1 : 1);
