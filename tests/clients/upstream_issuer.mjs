// An upstream with an authorization server of its own: npm `oidc-provider`, and an MCP server that takes only its tokens.
//
//   node upstream_issuer.mjs MODULES ISSUER_OF_REMIT      prints its address once it answers
//
// Clients: `remit` proves itself by a key of Remit's issuer, `remit-password` with `s3cr3t of remit`. Tokens by client credentials, by refresh
// tokens that are rotated, and by exchanging (RFC 8693) or bringing (RFC 7523) what Remit's issuer signed. `/mcp` has one tool, `whoami`: what the
// token says, and the token itself. `/state` says which tokens were made, which of them are good, and what was shown at `/mcp`. `/evil/*` are token
// endpoints that lie.

import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, remit] = process.argv.slice(2);
const load = (...path) => import(pathToFileURL(join(modules, ...path)));
const { default: Provider, errors } = await load('oidc-provider', 'lib', 'index.js');
const { createRemoteJWKSet, jwtVerify } = await load('jose', 'dist', 'webapi', 'index.js');

const BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
let provider;
let down = false;
const made = [];
const shown = new Set();
const actors = new Map();
const server = createServer((request, response) => route(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const common = {
  redirect_uris: [`${issuer}/callback`],
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials', EXCHANGE, BEARER],
};

provider = new Provider(issuer, {
  clients: [
    {
      ...common,
      client_id: 'remit',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: await (await fetch(`${remit}/oauth2/jwks`)).json(),
    },
    {
      ...common,
      client_id: 'remit-password',
      client_secret: 's3cr3t of remit',
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'orders.read', 'orders.write'],
  features: {
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    devInteractions: { enabled: false },
  },
  ttl: { ClientCredentials: 600, AccessToken: 600, Grant: 600 },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

const keys = createRemoteJWKSet(new URL(`${remit}/oauth2/jwks`));

async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  if (params.subject_token && params.subject_token_type !== 'urn:ietf:params:oauth:token-type:jwt') {
    throw new errors.InvalidRequest('subject_token_type');
  }
  let payload;
  try {
    ({ payload } = await jwtVerify(params.subject_token ?? params.assertion, keys, { issuer: remit, audience: issuer, algorithms: ['ES256'] }));
  } catch (error) {
    throw new errors.InvalidGrant(error.message);
  }
  if (payload.client_id !== client.clientId) throw new errors.InvalidGrant('client_id');
  const grant = new provider.Grant({ accountId: payload.sub, clientId: client.clientId });
  const token = new provider.AccessToken({
    accountId: payload.sub,
    client,
    grantId: await grant.save(),
    gty: 'token_exchange',
    scope: params.scope,
  });
  const value = await token.save();
  actors.set(value, payload.act);
  ctx.body = {
    access_token: value,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: token.expiration,
    scope: params.scope,
  };
}

for (const grant of [EXCHANGE, BEARER]) {
  provider.registerGrantType(
    grant,
    (...args) => exchange(args.find((arg) => arg?.oidc)),
    ['subject_token', 'subject_token_type', 'requested_token_type', 'assertion', 'scope', 'resource'],
  );
}

// A refresh token, as if somebody had consented once.
async function refreshToken() {
  const client = await provider.Client.find('remit');
  const grant = new provider.Grant({ accountId: 'service', clientId: client.clientId });
  grant.addOIDCScope('openid offline_access orders.read orders.write');
  const token = new provider.RefreshToken({
    accountId: 'service',
    client,
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: 'openid offline_access orders.read orders.write',
    authTime: Math.floor(Date.now() / 1000),
  });
  return token.save();
}

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === '/token' && ctx.body?.access_token) made.push(ctx.body.access_token);
});

const found = async (token) =>
  (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));

async function body(request) {
  let text = '';
  for await (const part of request) text += part;
  return text;
}

function answer(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

const tool = {
  name: 'whoami',
  description: 'who is asking',
  inputSchema: { type: 'object', properties: {} },
};

async function mcp(request, response) {
  const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  shown.add(bearer);
  const token = await found(bearer);
  if (!token) return answer(response, 401, { error: 'invalid_token' });
  const message = JSON.parse(await body(request));
  const result = (value) => answer(response, 200, { jsonrpc: '2.0', id: message.id, result: value });
  switch (message.method) {
    case 'initialize':
      return result({
        protocolVersion: '2025-11-25',
        capabilities: { tools: {} },
        serverInfo: { name: 'orders', version: '1' },
      });
    case 'tools/list':
      return result({ tools: [tool] });
    case 'tools/call': {
      const { clientId, accountId, scope } = token;
      const said = { clientId, accountId, act: actors.get(bearer), scope };
      return result({
        content: [
          { type: 'text', text: JSON.stringify(said) },
          { type: 'text', text: `with ${bearer}` },
        ],
      });
    }
    default:
      if (message.id === undefined) return response.writeHead(202).end();
      return answer(response, 200, {
        jsonrpc: '2.0',
        id: message.id,
        error: { code: -32601, message: 'no such method' },
      });
  }
}

function evil(response, how) {
  const token = { access_token: 'a-token-of-evil', token_type: 'Bearer', expires_in: 600 };
  switch (how) {
    case 'redirect':
      return response.writeHead(307, { location: `${issuer}/token` }).end();
    case 'huge':
      return answer(response, 200, { ...token, padding: 'x'.repeat(4 << 20) });
    case 'rubbish':
      return response.writeHead(200, { 'content-type': 'text/html' }).end('<html>a-token-of-evil</html>');
    case 'wider':
      made.push(token.access_token);
      return answer(response, 200, { ...token, scope: 'orders.read orders.write' });
    case 'split':
      return answer(response, 200, { ...token, access_token: 'a-token-of-evil\r\nx-admin: 1' });
    case 'told':
      return answer(response, 400, { error: 'a-token-of-evil', error_description: 'a-token-of-evil' });
    default:
      return answer(response, 503, {});
  }
}

async function route(request, response) {
  const { pathname } = new URL(request.url, issuer);
  if (pathname === '/mcp') return mcp(request, response);
  if (pathname === '/state') {
    const tokens = [];
    for (const token of made) tokens.push({ token, good: Boolean(await found(token)) });
    return answer(response, 200, { tokens, shown: [...shown] });
  }
  if (pathname === '/forget') {
    for (const token of made) await (await found(token))?.destroy();
    return answer(response, 200, {});
  }
  if (pathname === '/refresh-token') return answer(response, 200, { token: await refreshToken() });
  if (pathname.startsWith('/evil/')) return evil(response, pathname.slice('/evil/'.length));
  if (pathname === '/down') {
    down = true;
    return answer(response, 200, {});
  }
  if (pathname === '/up') {
    down = false;
    return answer(response, 200, {});
  }
  if (down && pathname.startsWith('/token')) return answer(response, 503, {});
  return provider.callback()(request, response);
}

console.log(issuer);
