// oauth4webapi against our authorization server, strictly: what it finds wrong is thrown. Prints an address for the person to
// open, reads where their browser was sent back to, and prints what it saw as JSON.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const { MODULES, ISSUER, CLIENT, KEY, SUBJECT, REDIRECT } = process.env;
const oauth = await import(`${MODULES}/oauth4webapi/build/index.js`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));
const http = { [oauth.allowInsecureRequests]: true };

const der = Buffer.from(readFileSync(KEY, "utf8").replace(/-----[^-]+-----|\s/g, ""), "base64");
const key = await crypto.subtle.importKey("pkcs8", der, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
const issuer = new URL(ISSUER);
const found = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...http });
const as = await oauth.processDiscoveryResponse(issuer, found);
const client = { client_id: CLIENT };
const auth = oauth.PrivateKeyJwt(key);
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
const details = [
  { type: "remit_tool", tool: "orders/refund", bounds: { amount: [{ decimal: { max: "30" } }] } },
  { type: "remit_tool", tool: "orders/order_status" },
];
const asked = { scope: "workflow:refund", authorization_details: JSON.stringify(details) };

// A first proof has no nonce: the answer brings it, and the library keeps it.
const proving = async (ask) => {
  try {
    return await ask();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return await ask();
  }
};
const told = ({ access_token, token_type, scope, authorization_details }) => {
  const claims = JSON.parse(Buffer.from(access_token.split(".")[1], "base64url"));
  return { token_type, scope, authorization_details, claims };
};

// Who acts for nobody holds no entitlement, which a refund needs.
const mild = { ...asked, authorization_details: JSON.stringify([{ type: "remit_tool", tool: "orders/order_status" }]) };
const own = await proving(async () => {
  const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, mild, { DPoP, ...http });
  return oauth.processClientCredentialsResponse(as, client, answer);
});

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const parameters = {
  ...asked,
  response_type: "code",
  redirect_uri: REDIRECT,
  state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
};
const pushed = await proving(async () => {
  const answer = await oauth.pushedAuthorizationRequest(as, client, auth, parameters, { DPoP, ...http });
  return oauth.processPushedAuthorizationResponse(as, client, answer);
});
const open = new URL(as.authorization_endpoint);
open.searchParams.set("client_id", CLIENT);
open.searchParams.set("request_uri", pushed.request_uri);
say({ open: open.href });
const back = new URL((await lines.next()).value);
const code = oauth.validateAuthResponse(as, client, back, state);
const person = await proving(async () => {
  const answer = await oauth.authorizationCodeGrantRequest(as, client, auth, code, REDIRECT, verifier, { DPoP, ...http });
  return oauth.processAuthorizationCodeResponse(as, client, answer);
});

const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
const exchange = (parameters) =>
  proving(async () => {
    const answer = await oauth.genericTokenEndpointRequest(as, client, auth, grant, parameters, { DPoP, ...http });
    return oauth.processGenericTokenEndpointResponse(as, client, answer);
  });
const exchanged = await exchange({ subject_token: SUBJECT, subject_token_type: "urn:ietf:params:oauth:token-type:jwt" });
const wider = await exchange({
  subject_token: person.access_token,
  subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
  authorization_details: JSON.stringify([{ type: "remit_tool", tool: "orders/refund", bounds: { amount: [{ decimal: { max: "31" } }] } }]),
}).catch((error) => ({ error: error.error, text: error.error_description }));

// As a resource server it checks our token, its proof and its type (RFC 9068), with our keys.
const call = new URL(`${ISSUER}/mcp`);
const headers = new Headers({
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/list",
});
const meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} };
const list = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: meta } });
const tools = await proving(() => oauth.protectedResourceRequest(person.access_token, "POST", call, headers, list, { DPoP, ...http }));
let request;
await oauth.protectedResourceRequest(person.access_token, "POST", call, new Headers(headers), list, {
  DPoP,
  ...http,
  [oauth.customFetch]: async (url, options) => {
    request = new Request(url, options);
    return new Response("{}");
  },
});
const checked = await oauth.validateJwtAccessToken(as, request, `${ISSUER}/mcp`, http);

const introspect = async () => {
  const answer = await oauth.introspectionRequest(as, client, auth, own.access_token, http);
  return oauth.processIntrospectionResponse(as, client, answer);
};
const before = await introspect();
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, own.access_token, http));
const after = await introspect();
say({
  own: told(own),
  person: told(person),
  exchanged: told(exchanged),
  wider,
  tools: await tools.text(),
  checked,
  before,
  after,
});
process.exit(0);
