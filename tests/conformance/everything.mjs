// An MCP server with one of everything that the conformance suite calls, on the official TypeScript SDK.
//
//   node everything.mjs MODULES           over stdio: of 2025-11-25 to who begins with `initialize`
//   node everything.mjs MODULES http      over HTTP on a free loopback port, which it prints: of 2026-07-28
//
// MODULES is the node_modules folder with the SDK. What each tool, prompt and resource does is what the suite's
// descriptions of its scenarios ask for.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { prompts } from './prompts.mjs';
import { resources, templates, read } from './resources.mjs';
import { tools } from './tools.mjs';

const [modules, over] = process.argv.slice(2);
const require = createRequire(join(modules, 'any.js'));
const sdk = require('@modelcontextprotocol/server');

const codec = sdk.createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)) });

/** What the tools and prompts may use: the SDK's builders, and what the client said. */
function helpers(server, ctx) {
  const declared = ctx.mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'];
  return {
    ask: sdk.inputRequired,
    accepted: (key) => sdk.acceptedContent(ctx.mcpReq.inputResponses, key),
    answer: (key) => ctx.mcpReq.inputResponses?.[key],
    state: () => ctx.mcpReq.requestState(),
    seal: (value) => codec.mint(value, ctx),
    capabilities: declared ?? server.getClientCapabilities() ?? {},
    missing: (requiredCapabilities) => new sdk.MissingRequiredClientCapabilityError({ requiredCapabilities }),
    log: (text) => ctx.mcpReq.log('info', text),
    progress: async (progress, total) => {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      if (progressToken === undefined) return;
      await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } });
    },
  };
}

function everything() {
  const server = new sdk.Server(
    { name: 'everything', version: '1.0.0' },
    {
      capabilities: { tools: {}, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} },
      requestState: { verify: codec.verify },
    },
  );
  const unknown = (what) => new sdk.ProtocolError(sdk.ProtocolErrorCode.InvalidParams, `${what} not found`);
  server.setRequestHandler('tools/list', () => ({
    tools: Object.entries(tools).map(([name, { description, inputSchema }]) => ({
      name,
      description,
      inputSchema: inputSchema ?? { type: 'object', properties: {}, additionalProperties: false },
    })),
  }));
  server.setRequestHandler('tools/call', async ({ params }, ctx) => {
    const tool = tools[params.name];
    if (!tool) throw unknown('Tool');
    return tool.call(params.arguments ?? {}, helpers(server, ctx));
  });
  server.setRequestHandler('prompts/list', () => ({
    prompts: Object.entries(prompts).map(([name, { description, arguments: args }]) => ({
      name,
      description,
      ...(args && { arguments: args.map((arg) => ({ name: arg, description: arg, required: true })) }),
    })),
  }));
  server.setRequestHandler('prompts/get', async ({ params }, ctx) => {
    const prompt = prompts[params.name];
    if (!prompt) throw unknown('Prompt');
    return prompt.get(params.arguments ?? {}, helpers(server, ctx));
  });
  server.setRequestHandler('resources/list', () => ({ resources }));
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: templates }));
  server.setRequestHandler('resources/read', ({ params }) => {
    const contents = read(params.uri);
    if (!contents) throw new sdk.ResourceNotFoundError(params.uri);
    return { contents: [contents] };
  });
  server.setRequestHandler('resources/subscribe', () => ({}));
  server.setRequestHandler('resources/unsubscribe', () => ({}));
  server.setRequestHandler('completion/complete', ({ params }) => {
    const values = ['paris', 'park', 'party'].filter((word) => word.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  return server;
}

if (over === 'http') {
  const { toNodeHandler } = require('@modelcontextprotocol/node');
  const handle = toNodeHandler(sdk.createMcpHandler(everything));
  const server = createServer((request, response) => handle(request, response));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  // Ends with the test that started it.
  process.stdin.on('end', () => process.exit()).resume();
} else {
  require('@modelcontextprotocol/server/stdio').serveStdio(everything);
}
