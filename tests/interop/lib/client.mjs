// Runs one MCP client as a process of its own. Commands go to it and events come back as lines of JSON:
//
//   → {"do":"connect"}                               ← {"authorize":URL}        a person has to look at URL now
//   → {"do":"call","tool":NAME,"arguments":{…}}      ← {"done":…}               what was asked for last is done
//                                                    ← {"failed":MESSAGE}       it could not be done
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { freePort } from './net.mjs';

const here = path.resolve(import.meta.dirname, '..');

const COMMANDS = {
  typescript: ['node', path.join(here, 'clients/typescript.mjs')],
  python: [path.join(here, '.venv/bin/python'), path.join(here, 'clients/python.py')],
  rust: [path.join(process.env.CARGO_TARGET_DIR ?? path.join(here, '../../target'), 'debug/postern-interop-client')],
};

export class Client {
  /** `options` go to the client as they are: `client_id` for one that need not register, `revision`, `scope`, `store`. */
  static async start(language, mcpUrl, options = {}) {
    const port = options.port ?? (await freePort());
    const settings = { mcp_url: mcpUrl, redirect_uri: `http://127.0.0.1:${port}/callback`, name: `${language} client`, ...options };
    return new Client(language, settings);
  }

  constructor(language, settings) {
    const [command, ...args] = COMMANDS[language];
    this.settings = settings;
    this.log = '';
    this.events = [];
    this.waiting = [];
    this.child = spawn(command, [...args, JSON.stringify(settings)], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stderr.on('data', chunk => (this.log += chunk));
    this.child.stdin.on('error', () => {});
    this.child.on('error', error => this.#event({ failed: error.message }));
    this.child.on('exit', code => this.#event({ failed: `the client ended with ${code}\n${this.log}` }));
    readline.createInterface({ input: this.child.stdout }).on('line', line => this.#event(JSON.parse(line)));
  }

  /** Sends a command, and gives the first event that answers it. */
  async ask(command) {
    this.child.stdin.write(`${JSON.stringify(command)}\n`);
    return this.next();
  }

  /**
   * Sends a command and lets `person` answer every authorization request it leads to. Gives `{ result, visits }`; a
   * command that fails is an error.
   */
  async run(command, person, answer) {
    const visits = [];
    let event = await this.ask(command);
    while (event.authorize) {
      visits.push({ url: new URL(event.authorize), ...(await person.answer(event.authorize, answer)) });
      event = await this.next();
    }
    if ('failed' in event) throw new Error(`${JSON.stringify(command)} failed: ${event.failed}\n${this.log}`);
    return { result: event.done, visits };
  }

  next(seconds = 60) {
    if (this.events.length) return Promise.resolve(this.events.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no event from the client in ${seconds} s\n${this.log}`)), seconds * 1000);
      this.waiting.push(event => {
        clearTimeout(timer);
        resolve(event);
      });
    });
  }

  stop() {
    this.child.removeAllListeners('exit');
    this.child.kill('SIGKILL');
  }

  #event(event) {
    const waiting = this.waiting.shift();
    if (waiting) waiting(event);
    else this.events.push(event);
  }
}
