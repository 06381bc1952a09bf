// A reverse proxy that adds headers and changes nothing else. The conformance suite cannot send an access token; with this
// in front of the gateway it need not.
import http from 'node:http';
import { pipeline } from 'node:stream';

export class AddingProxy {
  /** Stands before `url`; every request gets `headers`, in place of any that go by the same name. */
  static async start(url, headers) {
    const proxy = new AddingProxy();
    proxy.target = new URL(url);
    proxy.headers = headers;
    proxy.server = http.createServer((request, response) => proxy.#relay(request, response));
    // A stream may stay open without a byte for as long as it likes.
    proxy.server.requestTimeout = 0;
    await new Promise((resolve, reject) => proxy.server.listen(0, '127.0.0.1', resolve).on('error', reject));
    const front = new URL(url);
    front.host = `127.0.0.1:${proxy.server.address().port}`;
    proxy.url = front.href;
    return proxy;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }

  #relay(request, response) {
    const { hostname, port } = this.target;
    const headers = added(request.rawHeaders, this.headers);
    const upstream = http.request({ hostname, port, method: request.method, path: request.url, headers, agent: false });
    upstream.on('response', answer => {
      response.sendDate = false;
      response.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders);
      // Otherwise the head of a stream would wait for its first event.
      response.flushHeaders();
      pipeline(answer, response, () => {});
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.on('error', () => upstream.destroy());
    request.pipe(upstream);
  }
}

/** Names and values in turn, the way they came, and then the new ones. */
function added(raw, headers) {
  const replaced = new Set(Object.keys(headers).map(name => name.toLowerCase()));
  const all = [];
  for (let at = 0; at < raw.length; at += 2) {
    if (!replaced.has(raw[at].toLowerCase())) all.push(raw[at], raw[at + 1]);
  }
  return [...all, ...Object.entries(headers).flat()];
}
