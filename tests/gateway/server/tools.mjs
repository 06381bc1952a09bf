import { setTimeout as pause } from 'node:timers/promises';
import { fromJsonSchema } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { image, text, WAV } from './samples.mjs';

const resource = (uri, mimeType, content) => ({ type: 'resource', resource: { uri, mimeType, text: content } });

/** Gives the tool that comes and goes. */
export function addTools(mcp, world) {
  const tool = (name, description, call) => mcp.registerTool(name, { description }, call);
  const constant = (name, description, ...content) => tool(name, description, () => ({ content }));

  constant('test_simple_text', 'Answers with text', text('This is a simple text response for testing.'));
  constant('test_image_content', 'Answers with a picture', image);
  constant('test_audio_content', 'Answers with sound', { type: 'audio', data: WAV, mimeType: 'audio/wav' });
  constant(
    'test_embedded_resource',
    'Answers with a resource',
    resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
  );
  constant(
    'test_multiple_content_types',
    'Answers with text, a picture and a resource',
    text('Multiple content types test:'),
    image,
    resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  );
  tool('test_error_handling', 'Always fails', () => {
    throw new Error('This tool intentionally returns an error for testing');
  });

  tool('test_tool_with_logging', 'Logs three messages while it works', async ctx => {
    await ctx.mcpReq.log('info', 'Tool execution started');
    await pause(50);
    await ctx.mcpReq.log('info', 'Tool processing data');
    await pause(50);
    await ctx.mcpReq.log('info', 'Tool execution completed');
    return { content: [text('Logged three messages.')] };
  });
  tool('test_logging_tool', 'Logs one message', async ctx => {
    await ctx.mcpReq.log('info', 'A message for those who asked for it');
    return { content: [text('Logged one message.')] };
  });
  tool('test_tool_with_progress', 'Tells how far it is', async ctx => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progress) await pause(50);
      if (progressToken === undefined) continue;
      await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
    }
    return { content: [text('Done in three steps.')] };
  });
  tool('test_reconnection', 'Closes the stream before it answers, so that a client has to come back', async ctx => {
    ctx.http?.closeSSE?.();
    await pause(100);
    return { content: [text('The client came back.')] };
  });

  mcp.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(SCHEMA) },
    args => ({ content: [text(JSON.stringify(args))] }),
  );
  mcp.registerTool(
    'test_custom_header',
    { description: 'Wants an argument in a header as well', inputSchema: fromJsonSchema(WITH_HEADER) },
    ({ region }) => ({ content: [text(`Region: ${region}`)] }),
  );
  mcp.registerTool(
    'test_structured_content',
    {
      description: 'Adds two numbers',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      outputSchema: z.object({ sum: z.number() }),
    },
    ({ a, b }) => ({ content: [text(String(a + b))], structuredContent: { sum: a + b } }),
  );

  const changes = (name, description, change) =>
    tool(name, description, () => {
      change();
      return { content: [text('Changed.')] };
    });
  changes('test_trigger_tool_change', 'Adds or removes a tool', () => world.changeTools());
  changes('test_trigger_prompt_change', 'Adds or removes a prompt', () => world.changePrompts());
  changes('test_trigger_resource_change', 'Changes the watched resource', () => world.changeResource());
  const extra = constant('test_extra_tool', 'Comes and goes', text('Still here.'));
  if (!world.extraTool) extra.disable();
  return extra;
}

const SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: { $anchor: 'addressDef', type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

const WITH_HEADER = {
  type: 'object',
  properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
  required: ['region'],
};
