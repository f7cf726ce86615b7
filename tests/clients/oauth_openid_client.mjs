// openid-client against our authorization server: the same way as oauth4webapi, as an application would go it.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const { MODULES, ISSUER, CLIENT, KEY, SUBJECT, REDIRECT } = process.env;
const client = await import(`${MODULES}/openid-client/build/index.js`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));

const der = Buffer.from(readFileSync(KEY, "utf8").replace(/-----[^-]+-----|\s/g, ""), "base64");
const key = await crypto.subtle.importKey("pkcs8", der, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
const config = await client.discovery(new URL(ISSUER), CLIENT, undefined, client.PrivateKeyJwt(key), {
  execute: [client.allowInsecureRequests],
});
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
const details = [{ type: "remit_tool", tool: "orders/refund", bounds: { amount: [{ decimal: { max: "30" } }] } }];
const asked = { scope: "workflow:refund", authorization_details: JSON.stringify(details) };
const told = ({ access_token, token_type, scope, authorization_details }) => {
  const claims = JSON.parse(Buffer.from(access_token.split(".")[1], "base64url"));
  return { token_type, scope, authorization_details, claims };
};

// Who acts for nobody holds no entitlement, which a refund needs.
const mild = { ...asked, authorization_details: JSON.stringify([{ type: "remit_tool", tool: "orders/order_status" }]) };
const own = await client.clientCredentialsGrant(config, mild, { DPoP });
const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const open = await client.buildAuthorizationUrlWithPAR(
  config,
  {
    ...asked,
    redirect_uri: REDIRECT,
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  },
  { DPoP },
);
say({ open: open.href });
const back = new URL((await lines.next()).value);
const checks = { pkceCodeVerifier: verifier, expectedState: state };
const person = await client.authorizationCodeGrant(config, back, checks, undefined, { DPoP });
const exchanged = await client.genericGrantRequest(
  config,
  "urn:ietf:params:oauth:grant-type:token-exchange",
  { subject_token: SUBJECT, subject_token_type: "urn:ietf:params:oauth:token-type:jwt" },
  { DPoP },
);
const runs = await client.fetchProtectedResource(config, own.access_token, new URL(`${ISSUER}/api/v1/whoami`), "GET", undefined, undefined, { DPoP });
const before = await client.tokenIntrospection(config, own.access_token);
await client.tokenRevocation(config, own.access_token);
const after = await client.tokenIntrospection(config, own.access_token);
say({ own: told(own), person: told(person), exchanged: told(exchanged), whoami: await runs.json(), before, after });
process.exit(0);
