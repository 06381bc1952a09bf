// Starts the binary under test in a folder of its own, and talks to it on the command line.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort, Recorder, until } from './net.mjs';

const root = path.resolve(import.meta.dirname, '../../..');
const binary = process.env.POSTERN_BIN ?? path.join(root, 'target/debug/postern');

export class Postern {
  /**
   * Starts `postern quickstart` (or `serve`) and waits until it is ready. The issuer is a proxy that records every
   * exchange. `path` puts the issuer under a path, `env` adds configuration.
   */
  static async start({ command = 'quickstart', path: under = '', env = {} } = {}) {
    const postern = new Postern();
    const [front, back, demo] = [await freePort(), await freePort(), await freePort()];
    postern.issuer = `http://localhost:${front}${under}`;
    postern.folder = await mkdtemp(path.join(tmpdir(), 'postern-interop-'));
    postern.env = {
      PATH: process.env.PATH,
      HOME: postern.folder,
      POSTERN_ISSUER: postern.issuer,
      POSTERN_LISTEN: `127.0.0.1:${back}`,
      POSTERN_DATA_DIR: path.join(postern.folder, 'data'),
      // Metadata documents of the test clients are on this machine.
      POSTERN_REGISTRATION__ALLOW_PRIVATE_NETWORKS: 'true',
      ...(process.env.POSTERN_TEST_DATABASE && { POSTERN_DATABASE_URL: await freshDatabase() }),
      ...env,
    };
    postern.recorder = await Recorder.start(front, back);

    const args = command === 'quickstart' ? ['quickstart', '--json', '--demo-listen', `127.0.0.1:${demo}`] : ['serve'];
    postern.log = '';
    postern.out = '';
    postern.child = spawn(binary, args, { cwd: postern.folder, env: postern.env, stdio: ['ignore', 'pipe', 'pipe'] });
    postern.child.stdout.on('data', chunk => (postern.out += chunk));
    postern.child.stderr.on('data', chunk => (postern.log += chunk));
    postern.ended = new Promise(resolve => {
      postern.child.on('exit', (code, signal) => resolve(code ?? signal));
      postern.child.on('error', error => resolve(error.message));
    });
    postern.ended.then(status => (postern.status = status));

    try {
      await until(`${command} is ready`, async () => {
        if (postern.status !== undefined) throw new Fatal(`postern ${args.join(' ')} ended with ${postern.status}:\n${postern.log}`);
        return (await fetch(`${postern.issuer}/health/ready`)).ok;
      });
      if (command === 'quickstart') {
        postern.quickstart = await until('quickstart prints its JSON', () => JSON.parse(postern.out));
      }
    } catch (error) {
      await postern.stop();
      throw new Error(`${error.message}\n${postern.log.slice(-4000)}`, { cause: error });
    }
    postern.recorder.forget();
    return postern;
  }

  /** Runs a command beside the server, and gives what it prints. */
  async cli(args, { input } = {}) {
    const running = promisify(execFile)(binary, [...args, '--json'], { cwd: this.folder, env: this.env });
    // A command that reads nothing may have ended already.
    running.child.stdin.on('error', () => {});
    running.child.stdin.end(input ?? '');
    const { stdout } = await running.catch(error => {
      throw new Error(`postern ${args.join(' ')} ended with ${error.code}: ${error.stderr}`);
    });
    return JSON.parse(stdout);
  }

  /** Waits until the running server has heard of a server behind the gateway, for which it has a second. */
  async knows(slug) {
    const gate = `http://${this.env.POSTERN_LISTEN}/mcp/${slug}`;
    await until(`the gateway knows ${slug}`, async () => (await fetch(gate, { method: 'POST' })).status !== 404);
  }

  /** Ends the server the way an operator does, and checks that it goes in peace. */
  async stop() {
    if (this.status === undefined && this.child?.pid) {
      this.child.kill('SIGTERM');
      const forced = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
      await this.ended;
      clearTimeout(forced);
      assert.equal(this.status, 0, `postern ended with ${this.status}:\n${this.log}`);
    }
    await this.recorder?.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

class Fatal extends Error {}

/** A database of its own on the server that POSTERN_TEST_DATABASE names (see scripts/postgres). */
async function freshDatabase() {
  const url = new URL(process.env.POSTERN_TEST_DATABASE);
  const name = `interop_${randomBytes(6).toString('hex')}`;
  await promisify(execFile)('psql', ['--quiet', '--command', `create database ${name}`, url.href]);
  url.pathname = `/${name}`;
  return url.href;
}
