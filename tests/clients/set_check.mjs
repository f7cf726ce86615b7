// Security event tokens, checked by npm `jose` as a receiver of shared signals does.
//
//   node set_check.mjs MODULES CONFIGURATION_URL AUDIENCE < TOKENS        prints the claims of each line, or fails
//
// MODULES is the node_modules folder with `jose`. Keys and issuer come from the transmitter's own metadata.

import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, configuration, audience] = process.argv.slice(2);
const { createRemoteJWKSet, jwtVerify } = await import(
  pathToFileURL(join(modules, 'jose', 'dist', 'webapi', 'index.js'))
);

const metadata = await (await fetch(configuration)).json();
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
for await (const token of createInterface({ input: process.stdin })) {
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer: metadata.issuer,
    audience,
    typ: 'secevent+jwt',
    algorithms: ['ES256'],
    requiredClaims: ['iat', 'jti', 'sub_id', 'events'],
  });
  if ('sub' in payload || 'exp' in payload) throw new Error('sub or exp in a security event');
  console.log(JSON.stringify({ header: protectedHeader, claims: payload }));
}
