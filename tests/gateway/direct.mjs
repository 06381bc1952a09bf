// Runs the conformance suite against the server itself, with no gateway between them: what fails here is not the
// gateway's fault. Ends with 1 when a scenario fails that the suite requires.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import readline from 'node:readline';
import { required, run } from './lib/conformance.mjs';

const here = import.meta.dirname;
const server = spawn(process.execPath, [path.join(here, 'server.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
let failed = false;
try {
  const [line] = await once(readline.createInterface({ input: server.stdout }), 'line');
  const { url } = JSON.parse(line);
  for (const specVersion of ['2026-07-28', '2025-11-25']) {
    console.log(`\n${specVersion}`);
    const demanded = new Set(await required(specVersion));
    const scenarios = await run(url, { specVersion, out: path.join(here, 'results', specVersion) });
    for (const [name, checks] of Object.entries(scenarios)) {
      const bad = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
      const fails = bad.some(({ status }) => status === 'FAILURE');
      const note = demanded.delete(name) ? '' : ' (not required)';
      console.log(`  ${fails ? 'FAIL' : 'pass'} ${name}${note}`);
      for (const { id, status } of bad) console.log(`         ${status} ${id}`);
      failed ||= fails && !note;
    }
    for (const name of demanded) console.log(`  FAIL ${name} was not run`);
    failed ||= demanded.size > 0;
  }
} finally {
  server.kill();
}
process.exitCode = failed ? 1 : 0;
