// The official TypeScript client: what a server asks it in the middle of a call, and what it hears of a resource.
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";

const require = createRequire(process.env.MODULES + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const types = await load("@modelcontextprotocol/sdk/types.js");

const RESOURCE = "demo://resource/dynamic/text/1";
const capabilities = { sampling: {}, elicitation: {}, roots: {} };
const client = new Client({ name: "test", version: "1" }, { capabilities });
client.onerror = (error) => console.error(error);
const asked = [];
client.setRequestHandler(types.CreateMessageRequestSchema, () => {
  asked.push("sampling");
  return { role: "assistant", model: "fake", stopReason: "endTurn", content: { type: "text", text: "sampled by the client" } };
});
client.setRequestHandler(types.ElicitRequestSchema, () => {
  asked.push("elicitation");
  return { action: "accept", content: { name: "Ada", check: true } };
});
client.setRequestHandler(types.ListRootsRequestSchema, () => {
  asked.push("roots");
  return { roots: [{ uri: "file:///srv/client/project", name: "work" }] };
});
const told = new Promise((resolve) => {
  client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, ({ params }) => params.uri === RESOURCE && resolve());
});

const headers = { Authorization: "Bearer " + process.env.TOKEN };
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.GATEWAY), { requestInit: { headers } }));
const text = (r) => r.content.filter((c) => c.type === "text").map((c) => c.text).join(" ");
const call = async (name, args) => text(await client.callTool({ name, arguments: args }));
const sampled = await call("trigger-sampling-request", { prompt: "say something", maxTokens: 20 });
const elicited = await call("trigger-elicitation-request", {});
const rooted = await call("get-roots-list", {});
await client.subscribeResource({ uri: RESOURCE });
await call("toggle-subscriber-updates", {});
await told;
await client.unsubscribeResource({ uri: RESOURCE });
console.log(JSON.stringify({ asked, sampled, elicited, rooted }));
await client.close();
process.exit(0);
