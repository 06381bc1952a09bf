// One server with everything on it. The names and texts are those that the conformance suite asks for.
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { addPrompts } from './prompts.mjs';
import { addInputPrompt, addInputTools, state } from './input.mjs';
import { PNG } from './samples.mjs';
import { addTools } from './tools.mjs';
import { WATCHED } from './world.mjs';

const hint = { ttlMs: 1000, cacheScope: 'private' };

export function build(world) {
  const mcp = new McpServer(
    { name: 'postern-gateway-upstream', version: '1.0.0' },
    {
      instructions: 'Everything here is for tests.',
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
        logging: {},
      },
      // Neither is what the library falls back to, so a gateway that loses or invents one is seen.
      cacheHints: {
        'tools/list': hint,
        'prompts/list': hint,
        'resources/list': hint,
        'resources/templates/list': hint,
        'resources/read': { ttlMs: 2000, cacheScope: 'public' },
      },
      requestState: { verify: state.verify },
    },
  );
  const extraTool = addTools(mcp, world);
  addInputTools(mcp);
  addResources(mcp, world);
  const extraPrompt = addPrompts(mcp, world);
  addInputPrompt(mcp);
  return { mcp, extraTool, extraPrompt };
}

function addResources(mcp, world) {
  const fixed = (name, uri, description, mimeType, content) => {
    const read = () => ({ contents: [{ uri, mimeType, ...content() }] });
    mcp.registerResource(name, uri, { description, mimeType }, read);
  };
  fixed('static-text', 'test://static-text', 'A text that never changes', 'text/plain', () => ({
    text: 'This is the content of the static text resource.',
  }));
  fixed('static-binary', 'test://static-binary', 'A picture of one pixel', 'image/png', () => ({ blob: PNG }));
  fixed('watched-resource', WATCHED, 'A text that a tool can change', 'text/plain', () => ({
    text: `Changed ${world.watched} times`,
  }));
  mcp.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { description: 'One resource for every ID', mimeType: 'application/json' },
    (uri, { id }) => {
      const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
      return { contents: [{ uri: uri.href, mimeType: 'application/json', text }] };
    },
  );
}
