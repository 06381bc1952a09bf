// Ports, waiting, and a proxy that remembers what went over the wire.
import { randomInt } from 'node:crypto';
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const held = new Set();

// Below the range from which the system takes ports for outgoing connections (ip_local_port_range): one of them could
// take the port before the process that it was found for listens on it.
const FIRST_PORT = 10_000;
const LAST_PORT = 32_000;

/** A free loopback port that has not been handed out before in this process. */
export async function freePort() {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (held.has(port)) continue;
    held.add(port);
    const server = http.createServer();
    const free = await new Promise(resolve => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise(resolve => server.close(resolve));
    return port;
  }
}

/** Asks again until `probe` gives something, and gives that; fails with `what` after `seconds`. */
export async function until(what, probe, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`, { cause: last });
    await pause(25);
  }
}

/**
 * A reverse proxy from one loopback port to another, as an operator would put before the issuer. `seen` holds every
 * exchange, with form and JSON bodies decoded, so that a test can tell what a client really did.
 */
export class Recorder {
  static async start(port, target) {
    const recorder = new Recorder();
    recorder.seen = [];
    // Longer than any client keeps an idle connection: one that is closed here just as a client sends on it would fail.
    const options = { keepAliveTimeout: 120_000 };
    recorder.server = http.createServer(options, (request, response) => recorder.#relay(request, response, target));
    await new Promise((resolve, reject) => recorder.server.listen(port, '127.0.0.1', resolve).on('error', reject));
    return recorder;
  }

  /** Exchanges with a path that ends so, and for /token with that grant type. */
  of(suffix, grantType) {
    return this.seen.filter(
      exchange => exchange.path.endsWith(suffix) && (!grantType || exchange.request?.grant_type === grantType),
    );
  }

  forget() {
    this.seen.length = 0;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }

  #relay(request, response, target) {
    const { pathname, searchParams } = new URL(request.url, 'http://proxy');
    const exchange = { method: request.method, path: pathname, query: Object.fromEntries(searchParams) };
    const sent = [];
    const upstream = http.request(
      { host: '127.0.0.1', port: target, method: request.method, path: request.url, headers: request.headers },
      answer => {
        const received = [];
        answer.on('data', chunk => received.push(chunk));
        answer.on('end', () => {
          exchange.at = Date.now();
          exchange.request = decode(request.headers['content-type'], Buffer.concat(sent));
          exchange.status = answer.statusCode;
          exchange.headers = answer.headers;
          exchange.response = decode(answer.headers['content-type'], Buffer.concat(received));
          this.seen.push(exchange);
          response.writeHead(answer.statusCode, answer.headers);
          response.end(Buffer.concat(received));
        });
      },
    );
    upstream.on('error', () => response.destroy());
    request.on('data', chunk => sent.push(chunk));
    request.pipe(upstream);
  }
}

function decode(type = '', body) {
  if (type.startsWith('application/x-www-form-urlencoded')) return Object.fromEntries(new URLSearchParams(body.toString()));
  if (type.includes('json')) {
    try {
      return JSON.parse(body.toString());
    } catch {
      return undefined;
    }
  }
  return undefined;
}
