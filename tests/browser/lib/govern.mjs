// What is governed: policies, exceptions, rules on calls, a question on what waits, and a run that has ended.

const DEVELOPER = 'ines@acme.example';
// Another first administrator: who created somebody does not approve for them.
const OTHER_ADMIN = 'vera@acme.example';

export async function govern(world, waiting) {
  await policies(world);
  const exception = { policy: 'refunds/refund-cap', agent: 'support-triage', secs: 86400, reason: 'a large order' };
  const holds = await world.post(DEVELOPER, '/exceptions', exception);
  await world.post(OTHER_ADMIN, `/exceptions/${holds.id}/approve`);
  await world.post(DEVELOPER, '/exceptions', { ...exception, agent: 'audit-collector' });
  await rules(world);
  const person = { display_name: 'Felix Marsh', teams: ['finance'] };
  await world.apply({ apiVersion: 'remit.dev/v1', kind: 'Person', metadata: { name: 'felix@acme.example' }, spec: person });
  await world.post('fiona@acme.example', `/approvals/${waiting.approval}/question`, { text: 'Which photo?' });
  const over = await world.work({
    person: 'maria@acme.example', agent: 'support-triage', workflow: 'answer', ticket: 'CASE-90', purpose: 'look up order A-118',
  });
  await world.post('maria@acme.example', `/runs/${over.run}/end`, { outcome: 'done' });
  return [`/runs/${over.run}`];
}

// Two bundles after the first one. Proposals are walked where no solver has to be waited for: the console's own tests.
async function policies(world) {
  const never = (n) => `forbid (principal, action, resource) when { ${n} == 0 };\n`;
  for (const text of [never(1), never(1) + never(2)]) {
    await world.rest('admin', 'PUT', '/policies/browser', { text, enabled: true });
  }
}

async function rules(world) {
  const put = (path, body) => world.rest('admin', 'PUT', path, body);
  await put('/settings/tool%3Aorders%2Frefund', { value: 'flag', reason: 'looked at each week' });
  await put('/limits/refunds-a-day', {
    measure: { sum: { arg: 'amount' } }, max: 2000, over: 'day', per: 'sponsor', tool: 'orders/refund', reason: 'enough for a day',
  });
  await put('/freezes/holidays', {
    spans: [{ once: { from: '2026-12-24T00:00:00Z', until: '2027-01-02T00:00:00Z' } }], environments: ['development'], reason: 'everybody is away',
  });
}
