// An MCP server that lies in every text it sends, and the texts that everybody else in the hostile world uses.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.REMIT_TEST_NODE_MODULES, 'any.js'));

// Marks an element of a page that was made from somebody's text.
export const MARK = 'data-evil';

// Markup that would run, each by another way; characters that reorder, hide, or talk to a terminal.
export const MARKUP = `<script ${MARK}>window.evil=1</script><img ${MARK} src=x onerror="window.evil=2"><svg ${MARK} onload="window.evil=3"><a ${MARK} href="javascript:window.evil=4">x</a></title></textarea></script>" onmouseover="window.evil=5" x="{{7*7}}`;
export const RIGHT_TO_LEFT = 'invoice\u202egpj.exe\u2066\u200f';
export const ESCAPES = '\u001b[2J\u001b[31mred\u001b]0;title\u0007\u009b1m\r\b';
export const LONG = 'W'.repeat(10_000);
export const EVIL = `${MARKUP} ${RIGHT_TO_LEFT} ${ESCAPES}`;
// What a name or reason may hold where line ends and control characters are refused.
export const EVIL_LINE = `${MARKUP} ${RIGHT_TO_LEFT}`;

// Characters that must reach neither page nor terminal as they are.
export const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u206f]/u;

export async function evilServer() {
  const sdk = require('@modelcontextprotocol/server');
  const { toNodeHandler } = require('@modelcontextprotocol/node');
  const make = () => {
    const server = new sdk.Server({ name: EVIL, version: EVIL }, { capabilities: { tools: {} }, instructions: EVIL });
    const inputSchema = { type: 'object', description: EVIL, properties: { text: { type: 'string', description: EVIL }, more: { type: 'object' } } };
    server.setRequestHandler('tools/list', () => ({
      tools: ['show', 'look'].map((name) => ({ name, title: EVIL, description: EVIL, inputSchema })),
    }));
    server.setRequestHandler('tools/call', () => ({ content: [{ type: 'text', text: EVIL + LONG }], isError: false }));
    return server;
  };
  const handle = toNodeHandler(sdk.createMcpHandler(make));
  const server = createServer((request, response) => handle(request, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, close: async () => { server.closeAllConnections(); server.close(); } };
}
