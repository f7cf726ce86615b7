// The server as people and agents meet it: REST with a person's token, the token endpoint with an agent's key, MCP calls, and
// the cookie of a browser that signed in with a link.

import { createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const MCP_VERSION = '2026-07-28';

const base64url = (value) => Buffer.from(value).toString('base64url');

export class World {
  // `ready`: the ready file of `remit dev`, read. `at`: where browsers find it, when that is not where it serves.
  constructor(ready, at = ready.base_url) {
    this.ready = ready;
    this.base = ready.base_url;
    this.at = at;
  }

  // The world that the Rust test, or a person, started.
  static open(file = process.argv[2]) {
    return new World(JSON.parse(readFileSync(file, 'utf8')));
  }

  token(who) {
    if (who === 'admin@acme.example' || who === 'admin') return this.ready.admin_token;
    const found = this.ready.people[who];
    if (!found) throw new Error(`${who} is not in the ready file`);
    return found.token;
  }

  // REST, as a person or with a token. A refusal is an error that says why.
  async rest(who, method, path, body, headers = {}) {
    const token = who.startsWith('rmt_') || who.split('.').length === 3 && !who.includes('@') ? who : this.token(who);
    const answer = await fetch(`${this.base}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }

  get(who, path) {
    return this.rest(who, 'GET', path);
  }

  post(who, path, body = {}) {
    return this.rest(who, 'POST', path, body);
  }

  // Documents, as JSON values or YAML text.
  apply(...documents) {
    const text = documents.map((d) => (typeof d === 'string' ? d : JSON.stringify(d))).join('\n---\n');
    return this.post('admin', '/apply', { documents: text });
  }

  // A person's own single-use link.
  link(email) {
    return this.post('admin', `/people/${encodeURIComponent(email)}/enrolments`);
  }

  // The cookie of a browser in which that person signed in.
  async cookie(email) {
    const { code } = await this.link(email);
    const answer = await fetch(`${this.base}/sign-in/link`, {
      method: 'POST',
      redirect: 'manual',
      headers: { origin: this.base, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ code }),
    });
    const set = answer.headers.get('set-cookie');
    if (!set) throw new Error(`${email} could not sign in: ${answer.status} ${await answer.text()}`);
    const [pair] = set.split(';');
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    return { name, value, url: this.at, httpOnly: true, sameSite: 'Lax' };
  }

  // Gives an agent a key of its own and has its sponsor activate it, after which it can work.
  async activate(agent) {
    const { sponsor } = await this.addKey(agent);
    await this.post(sponsor, `/agents/${agent}/activate`);
  }

  async addKey(agent) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { kty, crv, x, y } = publicKey.export({ format: 'jwk' });
    await this.post('admin', `/agents/${agent}/keys`, { jwk: { kty, crv, x, y } });
    const { id, sponsor } = await this.get('admin', `/agents/${agent}`);
    const file = join(mkdtempSync(join(tmpdir(), 'remit-browser-')), 'key.pem');
    writeFileSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    this.ready.agents[agent] = { client_id: id, key_file: file, workflows: [] };
    return { sponsor };
  }

  #assertion(agent) {
    const { client_id: id, key_file: file } = this.ready.agents[agent];
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: id, sub: id, aud: this.base, jti: randomUUID(), iat: now, exp: now + 60 };
    const head = base64url(JSON.stringify({ alg: 'ES256', typ: 'client-authentication+jwt' }));
    const text = `${head}.${base64url(JSON.stringify(claims))}`;
    const key = createPrivateKey(readFileSync(file));
    return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  }

  async #agentToken(agent, form) {
    const answer = await fetch(`${this.base}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams({
        ...form,
        client_assertion_type: JWT_BEARER,
        client_assertion: this.#assertion(agent),
        resource: `${this.base}/mcp`,
      }),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(`${agent} got no token: ${JSON.stringify(body)}`);
    return body.access_token;
  }

  // An agent by itself.
  alone(agent, workflow) {
    return this.#agentToken(agent, { grant_type: 'client_credentials', scope: `workflow:${workflow}` });
  }

  // A person delegates, a run begins, and the agent exchanges the person's word for its token in it.
  async work({ person, agent, workflow, purpose, ticket = 'CASE-1', authority = {} }) {
    const delegation = await this.post(person, '/delegations', {
      agent, workflow, kind: 'interactive', for_secs: 900, ticket,
    });
    const run = await this.post(person, '/runs', {
      workflow: `${agent}/${workflow}`,
      mode: 'interactive',
      delegation: delegation.id,
      intent: { purpose, ticket, authority },
    });
    const word = await this.post(person, `/delegations/${delegation.id}/assertion`);
    const token = await this.#agentToken(agent, {
      grant_type: EXCHANGE,
      subject_token: word.subject_token,
      subject_token_type: JWT,
      scope: `workflow:${workflow} run:${run.id}`,
    });
    return { agent, person, run: run.id, delegation: delegation.id, token };
  }

  // One call of `upstream/tool`: how it was decided, what was said, and the ids in the answer.
  async call(token, tool, args = {}) {
    const [upstream, name] = tool.split('/');
    const answer = await fetch(`${this.base}/mcp/${upstream}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': MCP_VERSION,
        'mcp-method': 'tools/call',
        'mcp-name': name,
      },
      body: JSON.stringify({
        jsonrpc: '2.0', id: 1, method: 'tools/call',
        params: {
          name,
          arguments: args,
          _meta: {
            'io.modelcontextprotocol/protocolVersion': MCP_VERSION,
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        },
      }),
    });
    const text = await answer.text();
    const line = text.split('\n').reverse().map((l) => l.replace(/^data: /, '')).find((l) => l.startsWith('{'));
    const { result } = JSON.parse(line ?? '{}');
    if (!result) throw new Error(`${tool}: ${answer.status} ${text}`);
    const said = result.content?.[0]?.text ?? '';
    const approval = /^PENDING approval (apr_\w+)/.exec(said)?.[1];
    const verdict = approval ? 'asked' : result.isError ? 'denied' : 'allowed';
    return { verdict, said, approval, decision: result._meta?.['dev.remit/decision'], result };
  }

  // A refund that waits for finance, each in a run of its own so that limits and intents stay apart.
  async asksForRefund(amount, purpose = `refund ${amount} for order A-118`) {
    const work = await this.work({ person: 'maria@acme.example', agent: 'support-triage', workflow: 'refund', purpose });
    const args = { order: 'A-118', amount, card: 'card-visa-4242', reason: 'damaged' };
    return { ...work, ...(await this.call(work.token, 'orders/refund', args)) };
  }
}
