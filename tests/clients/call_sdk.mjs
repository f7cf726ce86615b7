// The official TypeScript client over Streamable HTTP: list, an allowed call, a denied call.
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";

const require = createRequire(process.env.MODULES + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const client = new Client({ name: "test", version: "1" });
const headers = { Authorization: "Bearer " + process.env.TOKEN };
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.GATEWAY), { requestInit: { headers } }));
const { tools } = await client.listTools();
const shown = (r) => ({ is_error: Boolean(r.isError), text: r.content.filter((c) => c.type === "text").map((c) => c.text).join(" ") });
const allowed = await client.callTool({ name: "order_status", arguments: { order: "A-118" } });
const denied = await client.callTool({ name: "change_address", arguments: { order: "A-118", street: "x", city: "y", country: "z" } });
console.log(JSON.stringify({ tools: tools.map((t) => t.name), allowed: shown(allowed), denied: shown(denied) }));
await client.close();
