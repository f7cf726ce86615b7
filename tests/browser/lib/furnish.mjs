// A server with something of everything on its pages: calls that ran, were asked for and were denied, somebody contained, an
// agent that is still a draft, one that is suspended, and one whose sponsor left, which is a finding.

import { createHash } from 'node:crypto';

import { govern } from './govern.mjs';

const REFUND = { order: 'A-118', card: 'card-visa-4242', reason: 'damaged' };

export async function furnish(world) {
  const work = await world.work({
    person: 'maria@acme.example', agent: 'support-triage', workflow: 'refund', ticket: 'CASE-88',
    purpose: 'refund order A-118, which arrived broken',
    authority: { targets: { order: ['A-118', 'A-121'] } },
  });
  await world.call(work.token, 'orders/order_status', { order: 'A-118' });
  await world.call(work.token, 'orders/refund', { ...REFUND, order: 'A-121', amount: 6.65 });
  const denied = await world.call(work.token, 'orders/refund', { ...REFUND, amount: 612.5 });
  const decided = await world.call(work.token, 'orders/refund', { ...REFUND, amount: 480 });
  await world.post('fiona@acme.example', `/approvals/${decided.approval}/approve`, { reason: 'the photo shows it' });
  await world.call(work.token, 'orders/refund', { ...REFUND, amount: 480 });
  const waiting = await world.call(work.token, 'orders/refund', { ...REFUND, amount: 120 });
  const { labels } = await world.get('maria@acme.example', `/runs/${work.run}/labels`);
  await world.post('maria@acme.example', `/runs/${work.run}/declassify`, { labels: [labels[0].label], reason: 'it is the order of the one who asks' });
  const refused = await world.asksForRefund(75);
  await world.post('fiona@acme.example', `/approvals/${refused.approval}/deny`, { reason: 'paid twice already' });
  const sql = await world.work({
    person: 'devon@acme.example', agent: 'ops-runner', workflow: 'operate', ticket: 'OPS-17', purpose: 'bring the stuck sandbox back',
  });
  await world.call(sql.token, 'ops-dev/restart', { service: 'sandbox', reason: 'queue stuck' });
  const other = await world.call(sql.token, 'ops-dev/run_sql', { database: 'sandbox-db', statement: 'delete from jobs' });
  const alert = await world.work({
    person: 'omar@acme.example', agent: 'soc-analyst', workflow: 'triage', ticket: 'INC-4', purpose: 'look into alert AL-7',
  });
  await world.call(alert.token, 'siem/get_alert', { alert: 'AL-7' });
  const contained = await world.post('rita@acme.example', '/containments', {
    target: { type: 'agent', name: 'soc-analyst' }, level: 'quarantine', reason: 'it followed an instruction in a log line',
  });
  await world.post('tom@acme.example', '/agents/audit-sampler/suspend', { reason: 'its review is due' });
  await draft(world);
  await world.addKey('returns-helper');
  await orphan(world);
  const governed = await govern(world, waiting);
  return { work, denied, decided, waiting, refused, other, contained, governed };
}

// Agents that are worth a look by themselves: each is in another state.
export const AGENTS = ['/agents/returns-helper', '/agents/audit-sampler', '/agents/left-behind', '/agents/soc-analyst'];

// An agent that its developer has registered, with nothing missing but its activation.
export async function draft(world, name = 'returns-helper', sponsor = 'maria@acme.example', redirects = []) {
  const spec = {
    owner: 'ines@acme.example', sponsor, responsible_team: 'support', platform_team: 'platform',
    purpose: 'Tells customers how to send things back.', business_process: 'Customer support', model: 'demo-model-1',
    provider: 'acme', runtime: 'remit-demo', environment: 'development', data_classes: [], systems: ['shop'],
    expected_actions: ['read'], tier: 1,
  };
  const grants = [{ tool: 'orders/order_status' }];
  await world.apply(
    { apiVersion: 'remit.dev/v1', kind: 'Agent', metadata: { name }, spec },
    { apiVersion: 'remit.dev/v1', kind: 'Workflow', metadata: { name: 'answer', agent: name }, spec: { purpose: 'Tell what can be sent back.', data_classes: [], grants, redirect_uris: redirects } },
  );
}

// Where an agent's client sends the person it would act for: a page that only such a client leads to.
export async function consent(world, who = 'ines@acme.example') {
  const redirect = 'http://127.0.0.1:9/callback';
  await draft(world, 'returns-asker', 'maria@acme.example', [redirect]);
  await world.activate('returns-asker');
  const cookie = await world.cookie(who);
  const asked = new URLSearchParams({
    response_type: 'code', client_id: world.ready.agents['returns-asker'].client_id, redirect_uri: redirect, scope: 'workflow:answer', state: 'a state',
    code_challenge: createHash('sha256').update('a verifier of the client, which keeps it to itself').digest('base64url'), code_challenge_method: 'S256',
  });
  const answer = await fetch(`${world.base}/oauth2/authorize?${asked}`, { redirect: 'manual', headers: { cookie: `${cookie.name}=${cookie.value}` } });
  const address = answer.headers.get('location');
  if (!address?.includes('/consent?')) throw new Error(`nobody was asked: ${answer.status} ${await answer.text()}`);
  return { address: address.replace(world.base, ''), cookie };
}

async function orphan(world) {
  const who = 'gone@acme.example';
  await world.apply({ apiVersion: 'remit.dev/v1', kind: 'Person', metadata: { name: who }, spec: { display_name: 'Gil Onega', teams: ['support'] } });
  await draft(world, 'left-behind', who);
  await world.post('admin', `/people/${who}/leave`);
}
