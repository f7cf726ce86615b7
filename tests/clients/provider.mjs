// An OpenID provider: npm `oidc-provider`, with people who type nothing.
//
//   node provider.mjs MODULES REDIRECT_URI [MORE_REDIRECT_URIS]      prints its issuer once it answers
//
// MODULES is the node_modules folder with `oidc-provider`. Whoever comes is signed in as the account in `login_hint`, as if
// they had typed it, and consents; without one they are asked for it by a page. `unverified-…` are addresses that the provider
// has not verified.

import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, ...redirects] = process.argv.slice(2);
const { default: Provider } = await import(
  pathToFileURL(join(modules, 'oidc-provider', 'lib', 'index.js'))
);

let provider;
const server = createServer((request, response) => provider.callback()(request, response));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'remit',
      token_endpoint_auth_method: 'none',
      redirect_uris: redirects,
      application_type: 'native',
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  features: { devInteractions: { enabled: false } },
  cookies: { keys: ['only for tests'] },
  pkce: { required: () => true },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: id.replace(/^unverified-/, ''),
      email_verified: !id.startsWith('unverified-'),
      groups: id.startsWith('admin') ? ['admins'] : ['everybody'],
    }),
  }),
});

const page = `<!doctype html><html lang="en"><title>Sign in</title><form method="post"><label>Account <input name="account"></label>
<button>Sign in</button></form></html>`;

async function typed(request) {
  let body = '';
  for await (const part of request) body += part;
  return new URLSearchParams(body).get('account');
}

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  const result = {};
  if (details.prompt.name === 'login') {
    const account = ctx.method === 'POST' ? await typed(ctx.req) : details.params.login_hint;
    if (!account) {
      ctx.type = 'html';
      ctx.body = page;
      return;
    }
    result.login = { accountId: account };
  } else {
    const grant = new provider.Grant({
      accountId: details.session.accountId,
      clientId: details.params.client_id,
    });
    grant.addOIDCScope(details.params.scope);
    result.consent = { grantId: await grant.save() };
  }
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
});

console.log(issuer);
