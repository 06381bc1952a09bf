import { completable } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { image, text } from './samples.mjs';

const WORDS = ['paris', 'park', 'party', 'test'];

const says = content => ({ role: 'user', content });

/** Gives the prompt that comes and goes. */
export function addPrompts(mcp, world) {
  mcp.registerPrompt('test_simple_prompt', { description: 'Takes nothing' }, () => ({
    messages: [says(text('This is a simple prompt for testing.'))],
  }));
  const words = completable(z.string().describe('First test argument'), start => WORDS.filter(word => word.startsWith(start)));
  mcp.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'Repeats its arguments',
      argsSchema: z.object({ arg1: words, arg2: z.string().describe('Second test argument') }),
    },
    ({ arg1, arg2 }) => ({ messages: [says(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] }),
  );
  mcp.registerPrompt(
    'test_prompt_with_embedded_resource',
    {
      description: 'Embeds a resource',
      argsSchema: z.object({ resourceUri: z.string().describe('URI of the resource to embed') }),
    },
    ({ resourceUri: uri }) => ({
      messages: [
        says({ type: 'resource', resource: { uri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } }),
        says(text('Please process the embedded resource above.')),
      ],
    }),
  );
  mcp.registerPrompt('test_prompt_with_image', { description: 'Shows a picture' }, () => ({
    messages: [says(image), says(text('Please analyze the image above.'))],
  }));
  const extra = mcp.registerPrompt('test_extra_prompt', { description: 'Comes and goes' }, () => ({
    messages: [says(text('Still here.'))],
  }));
  if (!world.extraPrompt) extra.disable();
  return extra;
}
