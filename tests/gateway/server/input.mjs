// What needs an answer from the person or the client first. Written once: to a client of 2025-11-25 the library sends the
// same questions as requests of its own.
import { randomBytes } from 'node:crypto';
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { text } from './samples.mjs';

/** Signs what a client has to bring back. */
export const state = createRequestStateCodec({ key: randomBytes(32) });

const form = (message, properties, required = Object.keys(properties)) =>
  inputRequired.elicit({ message, requestedSchema: { type: 'object', properties, required } });

const sample = (prompt, maxTokens) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: text(prompt) }], maxTokens });

const words = result => [result.content].flat().map(block => block.text ?? '').join(' ');

const NAME = { name: { type: 'string' } };

export function addInputTools(mcp) {
  /** A tool that asks `questions`, all at once, and answers with what `say` makes of the responses. */
  const asks = (name, description, questions, say, { inputSchema, remember } = {}) => {
    const call = async (args, ctx) => {
      const given = ctx.mcpReq.inputResponses;
      const inputRequests = questions(args, ctx);
      const views = Object.keys(inputRequests).map(key => inputResponse(given, key));
      if (views.some(view => view.kind === 'missing') || (remember && !ctx.mcpReq.requestState())) {
        return inputRequired({ inputRequests, ...(remember && { requestState: await state.mint({ name }) }) });
      }
      return { content: [text(say(...views))] };
    };
    // Without a schema the library leaves the arguments out.
    mcp.registerTool(name, { description, inputSchema }, inputSchema ? call : ctx => call({}, ctx));
  };
  const outcome = view => `action=${view.action}, content=${JSON.stringify(view.content ?? {})}`;

  asks(
    'test_sampling',
    'Asks the model of the client',
    ({ prompt }) => ({ answer: sample(prompt, 100) }),
    view => `LLM response: ${words(view.result)}`,
    { inputSchema: z.object({ prompt: z.string().describe('The prompt to send to the LLM') }) },
  );
  asks(
    'test_elicitation',
    'Asks the person',
    ({ message }) => ({
      user: form(message, {
        username: { type: 'string', description: "User's response" },
        email: { type: 'string', description: "User's email address" },
      }),
    }),
    view => `User response: ${outcome(view)}`,
    { inputSchema: z.object({ message: z.string().describe('The message to show the user') }) },
  );
  asks(
    'test_elicitation_sep1034_defaults',
    'Asks the person with suggestions',
    () => ({ user: form('Please review these fields', DEFAULTS, []) }),
    view => `Elicitation completed: ${outcome(view)}`,
  );
  asks(
    'test_elicitation_sep1330_enums',
    'Lets the person choose in five ways',
    () => ({ user: form('Please choose', CHOICES, []) }),
    view => `Elicitation completed: ${outcome(view)}`,
  );
  asks(
    'test_streaming_elicitation',
    'Asks the person while it streams',
    () => ({ confirm: form('Go on?', { ok: { type: 'boolean' } }) }),
    view => `Answer: ${outcome(view)}`,
  );
  asks(
    'test_missing_capability',
    'Cannot do without the model of the client',
    () => ({ answer: sample('Are you there?', 10) }),
    view => words(view.result),
  );

  mcp.registerTool('test_input_required_result_elicitation', { description: 'Greets the person by name' }, ctx => {
    const given = acceptedContent(ctx.mcpReq.inputResponses, 'user_name', z.object({ name: z.string() }));
    if (!given) return inputRequired({ inputRequests: { user_name: form('What is your name?', NAME) } });
    return { content: [text(`Hello, ${given.name}!`)] };
  });
  asks(
    'test_input_required_result_sampling',
    'Asks the model for a capital',
    () => ({ capital_question: sample('What is the capital of France?', 100) }),
    view => words(view.result),
  );
  asks(
    'test_input_required_result_list_roots',
    'Asks for the roots of the client',
    () => ({ client_roots: inputRequired.listRoots() }),
    view => `Roots: ${view.roots.map(root => root.uri).join(', ')}`,
  );
  const confirm = () => ({ confirm: form('Please confirm', { ok: { type: 'boolean' } }) });
  const confirmed = view => `state-ok: ${outcome(view)}`;
  asks('test_input_required_result_request_state', 'Checks the state that comes back', confirm, confirmed, {
    remember: true,
  });
  asks('test_input_required_result_tampered_state', 'Refuses a state that is not its own', confirm, confirmed, {
    remember: true,
  });
  asks(
    'test_input_required_result_multiple_inputs',
    'Asks for three things at once',
    () => ({
      user_name: form('What is your name?', NAME),
      greeting: sample('Generate a greeting', 50),
      client_roots: inputRequired.listRoots(),
    }),
    (name, greeting, roots) => `${words(greeting.result)} ${name.content?.name}, ${roots.roots.length} roots`,
    { remember: true },
  );
  asks(
    'test_input_required_result_capabilities',
    'Asks only for what the client can do',
    (_, ctx) => {
      const able = ctx.mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? mcp.server.getClientCapabilities() ?? {};
      return {
        ...(able.elicitation && { user_name: form('What is your name?', NAME) }),
        ...(able.sampling && { greeting: sample('Generate a greeting', 50) }),
      };
    },
    (...views) => `${views.length} answers`,
  );

  mcp.registerTool('test_input_required_result_multi_round', { description: 'Asks twice' }, async ctx => {
    const known = ctx.mcpReq.requestState();
    const name = known?.name ?? acceptedContent(ctx.mcpReq.inputResponses, 'step1')?.name;
    if (!name) {
      const step1 = form('Step 1: What is your name?', NAME);
      return inputRequired({ inputRequests: { step1 }, requestState: await state.mint({ step: 1 }) });
    }
    const color = acceptedContent(ctx.mcpReq.inputResponses, 'step2')?.color;
    if (!color) {
      const step2 = form('Step 2: What is your favorite color?', { color: { type: 'string' } });
      return inputRequired({ inputRequests: { step2 }, requestState: await state.mint({ step: 2, name }) });
    }
    return { content: [text(`${name} likes ${color}.`)] };
  });
}

export function addInputPrompt(mcp) {
  const description = 'Asks for its context first';
  mcp.registerPrompt('test_input_required_result_prompt', { description }, ctx => {
    const given = acceptedContent(ctx.mcpReq.inputResponses, 'user_context');
    if (!given) {
      const user_context = form('What context should the prompt use?', { context: { type: 'string' } });
      return inputRequired({ inputRequests: { user_context } });
    }
    return { messages: [{ role: 'user', content: text(`Context: ${given.context}`) }] };
  });
}

const DEFAULTS = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
};

const OPTIONS = ['option1', 'option2', 'option3'];
const titled = what => ['First', 'Second', 'Third'].map((nth, at) => ({ const: `value${at + 1}`, title: `${nth} ${what}` }));
const CHOICES = {
  untitledSingle: { type: 'string', enum: OPTIONS },
  titledSingle: { type: 'string', oneOf: titled('Option') },
  legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option One', 'Option Two', 'Option Three'] },
  untitledMulti: { type: 'array', items: { type: 'string', enum: OPTIONS } },
  titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
};
