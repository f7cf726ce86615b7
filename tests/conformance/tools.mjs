// Tools: each has a description, the schema of its arguments (none: no arguments) and what it does.

import { setTimeout as wait } from 'node:timers/promises';

import { image, text, WAV } from './media.mjs';

const say = (...content) => ({ content: content.map((c) => (typeof c === 'string' ? text(c) : c)) });
const form = (properties, required = Object.keys(properties)) => ({ type: 'object', properties, required });
const resource = (uri, mimeType, words) => ({ type: 'resource', resource: { uri, mimeType, text: words } });

const STRING = { type: 'string' };
const NAME = { message: 'What is your name?', requestedSchema: form({ name: STRING }) };
const CONFIRM = { message: 'Please confirm', requestedSchema: form({ ok: { type: 'boolean' } }) };
const sample = (words, maxTokens) => ({
  messages: [{ role: 'user', content: text(words) }],
  maxTokens,
});

const content = {
  test_simple_text: {
    description: 'a text',
    call: () => say('This is a simple text response for testing.'),
  },
  test_image_content: { description: 'a picture', call: () => say(image()) },
  test_audio_content: {
    description: 'a sound',
    call: () => say({ type: 'audio', data: WAV, mimeType: 'audio/wav' }),
  },
  test_embedded_resource: {
    description: 'a resource',
    call: () => say(resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')),
  },
  test_multiple_content_types: {
    description: 'a text, a picture and a resource',
    call: () => {
      const json = JSON.stringify({ test: 'data', value: 123 });
      const mixed = resource('test://mixed-content-resource', 'application/json', json);
      return say('Multiple content types test:', image(), mixed);
    },
  },
  test_error_handling: {
    description: 'always fails',
    call: () => ({ ...say('This tool intentionally returns an error for testing'), isError: true }),
  },
  test_mirrored_argument: {
    description: 'has an argument that is mirrored into a header',
    inputSchema: {
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
      required: ['region'],
      additionalProperties: false,
    },
    call: ({ region }) => say(region),
  },
  json_schema_2020_12_tool: {
    description: 'has a schema that uses much of JSON Schema 2020-12',
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: STRING, city: STRING } } },
      properties: {
        name: STRING,
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: STRING,
        email: STRING,
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    },
    call: (args) => say(JSON.stringify(args)),
  },
};

const meanwhile = {
  test_tool_with_logging: {
    description: 'says what it does',
    call: async (_, { log }) => {
      await log('Tool execution started');
      await wait(50);
      await log('Tool processing data');
      await wait(50);
      await log('Tool execution completed');
      return say('logged three lines');
    },
  },
  test_logging_tool: {
    description: 'says what it does, to who wants to know',
    call: async (_, { log }) => {
      await log('working');
      return say('worked');
    },
  },
  test_tool_with_progress: {
    description: 'says how far it is',
    call: async (_, { progress }) => {
      for (const done of [0, 50, 100]) {
        await progress(done, 100);
        await wait(50);
      }
      return say('all of it');
    },
  },
};

/** Asks for something once, and then says what it was told. */
const asks = (description, key, request, told, inputSchema) => ({
  description,
  inputSchema,
  call: (args, { ask, answer }) => {
    const given = answer(key);
    return given ? say(told(given)) : ask({ inputRequests: { [key]: request(ask, args) } });
  },
});

const outcome = ({ action, content: given }) => `action=${action}, content=${JSON.stringify(given)}`;
const completed = (given) => `Elicitation completed: ${outcome(given)}`;
const choice = (...names) => names.map((name, n) => ({ const: `value${n + 1}`, title: name }));
const OPTIONS = ['option1', 'option2', 'option3'];

const asking = {
  test_sampling: asks(
    'asks the model',
    'sampled',
    (ask, { prompt }) => ask.createMessage(sample(prompt, 100)),
    ({ content: said }) => `LLM response: ${said.text}`,
    { ...form({ prompt: STRING }), additionalProperties: false },
  ),
  test_elicitation: asks(
    'asks the person',
    'told',
    (ask, { message }) => ask.elicit({ message, requestedSchema: form({ username: STRING, email: STRING }) }),
    (given) => `User response: ${outcome(given)}`,
    { ...form({ message: STRING }), additionalProperties: false },
  ),
  test_elicitation_sep1034_defaults: asks(
    'asks with defaults',
    'told',
    (ask) =>
      ask.elicit({
        message: 'Please look through this',
        requestedSchema: form(
          {
            name: { type: 'string', default: 'John Doe' },
            age: { type: 'integer', default: 30 },
            score: { type: 'number', default: 95.5 },
            status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
            verified: { type: 'boolean', default: true },
          },
          [],
        ),
      }),
    completed,
  ),
  test_elicitation_sep1330_enums: asks(
    'asks to choose',
    'told',
    (ask) =>
      ask.elicit({
        message: 'Please choose',
        requestedSchema: form(
          {
            untitledSingle: { type: 'string', enum: OPTIONS },
            titledSingle: { type: 'string', oneOf: choice('First Option', 'Second Option', 'Third Option') },
            legacyEnum: {
              type: 'string',
              enum: ['opt1', 'opt2', 'opt3'],
              enumNames: ['Option One', 'Option Two', 'Option Three'],
            },
            untitledMulti: { type: 'array', items: { type: 'string', enum: OPTIONS } },
            titledMulti: { type: 'array', items: { anyOf: choice('First Choice', 'Second Choice', 'Third Choice') } },
          },
          [],
        ),
      }),
    completed,
  ),
  test_streaming_elicitation: asks(
    'asks the person while it works',
    'told',
    (ask) => ask.elicit(CONFIRM),
    completed,
  ),
  test_missing_capability: {
    description: 'needs a client that samples',
    call: (_, { capabilities, missing }) => {
      if (!capabilities.sampling) throw missing({ sampling: {} });
      return say('the client samples');
    },
  },
};

const rounds = {
  test_input_required_result_elicitation: {
    description: 'asks for a name',
    call: (_, { ask, accepted }) => {
      const name = accepted('user_name')?.name;
      return name ? say(`Hello, ${name}!`) : ask({ inputRequests: { user_name: ask.elicit(NAME) } });
    },
  },
  test_input_required_result_sampling: asks(
    'asks the model for a capital',
    'capital_question',
    (ask) => ask.createMessage(sample('What is the capital of France?', 100)),
    ({ content: said }) => said.text,
  ),
  test_input_required_result_list_roots: asks(
    'asks for the roots',
    'client_roots',
    (ask) => ask.listRoots(),
    ({ roots }) => roots.map(({ uri }) => uri).join(),
  ),
  test_input_required_result_request_state: {
    description: 'asks, and remembers that it did',
    call: async (_, { ask, state, seal, accepted }) =>
      state()?.asked && accepted('confirm')
        ? say('state-ok')
        : ask({ inputRequests: { confirm: ask.elicit(CONFIRM) }, requestState: await seal({ asked: true }) }),
  },
  test_input_required_result_tampered_state: {
    description: 'asks, and notices when what it remembers was changed',
    call: async (_, { ask, state, seal }) =>
      state()?.asked
        ? say('state-ok')
        : ask({ inputRequests: { confirm: ask.elicit(CONFIRM) }, requestState: await seal({ asked: true }) }),
  },
  test_input_required_result_multiple_inputs: {
    description: 'asks for three things at once',
    call: async (_, { ask, state, seal, answer }) => {
      const keys = ['user_name', 'greeting', 'client_roots'];
      if (state() && keys.every(answer)) return say('all three');
      const inputRequests = {
        user_name: ask.elicit(NAME),
        greeting: ask.createMessage(sample('Generate a greeting', 50)),
        client_roots: ask.listRoots(),
      };
      return ask({ inputRequests, requestState: await seal({ asked: keys }) });
    },
  },
  test_input_required_result_multi_round: {
    description: 'asks twice',
    call: async (_, { ask, state, seal, accepted }) => {
      const { name } = accepted('step1') ?? {};
      if (state()?.round === 2 && accepted('step2')) return say(`${state().name} likes ${accepted('step2').color}`);
      if (state()?.round === 1 && name) {
        const color = { message: 'Step 2: What is your favorite color?', requestedSchema: form({ color: STRING }) };
        return ask({ inputRequests: { step2: ask.elicit(color) }, requestState: await seal({ round: 2, name }) });
      }
      const first = { ...NAME, message: 'Step 1: What is your name?' };
      return ask({ inputRequests: { step1: ask.elicit(first) }, requestState: await seal({ round: 1 }) });
    },
  },
  test_input_required_result_capabilities: {
    description: 'asks what the client can answer',
    call: (_, { ask, answer, capabilities }) => {
      if (answer('name') ?? answer('greeting')) return say('answered');
      const inputRequests = {
        ...(capabilities.elicitation && { name: ask.elicit(NAME) }),
        ...(capabilities.sampling && { greeting: ask.createMessage(sample('Generate a greeting', 50)) }),
      };
      return Object.keys(inputRequests).length ? ask({ inputRequests }) : say('the client can answer nothing');
    },
  },
};

export const tools = { ...content, ...meanwhile, ...asking, ...rounds };
