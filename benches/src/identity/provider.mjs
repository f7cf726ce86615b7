// npm `oidc-provider` as an issuer of tokens for machines: private_key_jwt, client credentials, JWT access tokens with ES256.
//
//   node provider.mjs MODULES < CLIENTS      prints its issuer once it answers
//
// MODULES is the node_modules folder with `oidc-provider` and `jose`; CLIENTS a JSON array of { client_id, jwks }.

import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules] = process.argv.slice(2);
const load = (...path) => import(pathToFileURL(join(modules, ...path)));
const { default: Provider } = await load('oidc-provider', 'lib', 'index.js');
const { generateKeyPair, exportJWK } = await load('jose', 'dist', 'webapi', 'index.js');

let text = '';
for await (const part of process.stdin) text += part;
const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const own = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'own' };

let provider;
const server = createServer((request, response) => provider.callback()(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

provider = new Provider(issuer, {
  jwks: { keys: [own] },
  clients: JSON.parse(text).map((client) => ({
    ...client,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    id_token_signed_response_alg: 'ES256',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  })),
  clientAuthMethods: ['private_key_jwt'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: '',
        audience: 'https://bench.example/mcp',
        accessTokenTTL: 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
const callback = provider.callback();
provider.callback = () => callback;
console.log(issuer);
