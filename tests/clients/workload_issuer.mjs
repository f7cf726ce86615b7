// An issuer of workload tokens: its metadata and keys over HTTP, and tokens with any claims, signed with npm `jose` under RS256.
//
//   node workload_issuer.mjs MODULES      prints its issuer once it answers
//
// MODULES is the node_modules folder with `jose`. Each line of standard input is a command in JSON and gets a line: {"claims": {…}, "typ": "…"}
// a token with these claims over its issuer and times; {"rotate": true} another key from here on; {"down": true} or {"down": false} whether it answers.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules] = process.argv.slice(2);
const { SignJWT, exportJWK, generateKeyPair } = await import(
  pathToFileURL(join(modules, 'jose', 'dist', 'webapi', 'index.js'))
);

let down = false;
let current;
let keys = [];
async function rotate() {
  const pair = await generateKeyPair('RS256');
  const kid = `key-${keys.length + 1}`;
  current = { kid, key: pair.privateKey };
  keys = [{ ...(await exportJWK(pair.publicKey)), kid, use: 'sig', alg: 'RS256' }];
}
await rotate();

let issuer;
const server = createServer((request, response) => {
  const documents = {
    '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/keys` },
    '/keys': { keys },
    '/bundle': { spiffe_sequence: keys.length, keys: keys.map((key) => ({ ...key, use: 'jwt-svid' })) },
  };
  const body = down ? undefined : documents[request.url];
  response.writeHead(body ? 200 : 503, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(body ?? {}));
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
issuer = `http://127.0.0.1:${server.address().port}`;
console.log(issuer);

for await (const text of createInterface({ input: process.stdin })) {
  const command = JSON.parse(text);
  if (command.rotate) await rotate();
  if (command.down !== undefined) down = command.down;
  if (command.claims) {
    const header = { alg: 'RS256', kid: current.kid, ...(command.typ && { typ: command.typ }) };
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, iat: now, nbf: now, exp: now + 600, ...command.claims };
    if (claims.iss === null) delete claims.iss;
    console.log(await new SignJWT(claims).setProtectedHeader(header).sign(current.key));
  } else {
    console.log('done');
  }
}
process.exit(0);
