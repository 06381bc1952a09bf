// The 2025-11-25 era: every client has a session, and with it a server of its own.
import { randomUUID } from 'node:crypto';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { build } from './build.mjs';

export class Sessions {
  constructor(world) {
    this.world = world;
    this.transports = new Map();
  }

  async fetch(request) {
    const id = request.headers.get('mcp-session-id');
    const known = this.transports.get(id);
    if (known) return known.handleRequest(request);
    if (id) return refusal(404, -32001, 'Session not found');
    const transport = await this.#open();
    const response = await transport.handleRequest(request);
    // Whoever did not say `initialize` has been told so, and has no session.
    if (!transport.sessionId) await transport.close();
    return response;
  }

  async #open() {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: id => void this.transports.set(id, transport),
      eventStore: new EventLog(),
      retryInterval: 100,
    });
    const { mcp, extraTool, extraPrompt } = build(this.world);
    const forget = this.#follow(mcp.server, extraTool, extraPrompt);
    await mcp.connect(transport);
    const closed = transport.onclose;
    transport.onclose = () => {
      this.transports.delete(transport.sessionId);
      forget();
      closed?.();
    };
    return transport;
  }

  /** Tells a session's client of changes; gives a function that ends this. */
  #follow(server, extraTool, extraPrompt) {
    const subscribed = new Set();
    server.setRequestHandler('resources/subscribe', ({ params }) => {
      subscribed.add(params.uri);
      return {};
    });
    server.setRequestHandler('resources/unsubscribe', ({ params }) => {
      subscribed.delete(params.uri);
      return {};
    });
    const heard = {
      tools: () => extraTool.update({ enabled: this.world.extraTool }),
      prompts: () => extraPrompt.update({ enabled: this.world.extraPrompt }),
      resource: uri => {
        if (subscribed.has(uri)) server.sendResourceUpdated({ uri }).catch(() => {});
      },
    };
    for (const [event, listener] of Object.entries(heard)) this.world.on(event, listener);
    return () => {
      for (const [event, listener] of Object.entries(heard)) this.world.off(event, listener);
    };
  }
}

/** Lets a client that has lost its stream take it up again where it stopped. */
class EventLog {
  events = [];

  async storeEvent(stream, message) {
    this.events.push({ stream, message });
    return String(this.events.length);
  }

  async getStreamIdForEventId(id) {
    return this.events[Number(id) - 1]?.stream;
  }

  async replayEventsAfter(lastId, { send }) {
    const { stream } = this.events[Number(lastId) - 1];
    for (let at = Number(lastId); at < this.events.length; at += 1) {
      const event = this.events[at];
      // The first event of a stream is empty; it only gives a client an ID to come back with.
      if (event.stream === stream && event.message.jsonrpc) await send(String(at + 1), event.message);
    }
    return stream;
  }
}

function refusal(status, code, message) {
  return Response.json({ jsonrpc: '2.0', id: null, error: { code, message } }, { status });
}
