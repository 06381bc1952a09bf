// Hosts the client ID metadata documents of the test clients.
import http from 'node:http';
import { freePort } from './net.mjs';

export class MetadataDocuments {
  static async start() {
    const documents = new MetadataDocuments();
    documents.known = new Map();
    documents.counts = new Map();
    documents.server = http.createServer((request, response) => {
      const document = documents.known.get(request.url);
      if (!document) return response.writeHead(404).end();
      documents.counts.set(request.url, (documents.counts.get(request.url) ?? 0) + 1);
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=300' });
      response.end(JSON.stringify(document));
    });
    const port = await freePort();
    await new Promise(resolve => documents.server.listen(port, '127.0.0.1', resolve));
    documents.origin = `http://127.0.0.1:${port}`;
    return documents;
  }

  /** Puts up a document for a native client, and gives what such a client has to be told. */
  async add({ name }) {
    const path = `/clients/${this.known.size + 1}.json`;
    const client_id = `${this.origin}${path}`;
    this.known.set(path, {
      client_id,
      client_name: name,
      // As the documents of real clients have it: a loopback address without a port.
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    });
    return { client_id };
  }

  fetched(clientId) {
    return this.counts.get(new URL(clientId).pathname) ?? 0;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }
}
