// Every page, as every role: nothing is offered that is refused, every page of the source is reached by links, and each is
// looked at in light, dark and forced colours, at 1280 and at 320 px, by axe-core and by the content security policy.
//
//   node pages.mjs READY_FILE

import { axe, launch, open, overflow } from './lib/browser.mjs';
import { wrong } from './lib/copied.mjs';
import { crawl, routeOf, routes, sortOf } from './lib/crawl.mjs';
import { AGENTS, consent, furnish } from './lib/furnish.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

const ROLES = {
  admin: 'admin@acme.example',
  responder: 'rita@acme.example',
  approver: 'fiona@acme.example',
  reviewer: 'tom@acme.example',
  auditor: 'paul@acme.example',
  developer: 'ines@acme.example',
  'no role': 'maria@acme.example',
};

// What stands around every page, where roles differ: STOP, and entries of the navigation.
const SEES = {
  admin: { stop: true, '/containments': true, '/audit': true, '/agents/new': true, decides: false },
  responder: { stop: true, '/containments': true, '/audit': false, '/agents/new': false, decides: false },
  approver: { stop: false, '/containments': false, '/audit': false, '/agents/new': false, decides: true },
  reviewer: { stop: false, '/containments': false, '/audit': false, '/agents/new': false, decides: false },
  auditor: { stop: false, '/containments': true, '/audit': true, '/agents/new': false, decides: false },
  developer: { stop: false, '/containments': false, '/audit': false, '/agents/new': true, decides: false },
  'no role': { stop: false, '/containments': false, '/audit': false, '/agents/new': false, decides: false },
};

// Pages that no link leads to (an agent's client leads to `/consent`), and those of proposals, of which there are none here.
const BY_HAND = ['/enrol', '/sign-in', '/consent', '/search', '/policies/proposals/{id}', '/policies/shadow'];

// Actions that are offered to whoever has a passkey, or a provider (`sign_in.mjs` makes both), and on proposals, which the
// console's own tests walk: here each would wait for the solver. And on what is not here: a policy that lets one say yes for a run, such
// a yes, a claim, and an order that waits for a second person.
const ACTS_BY_HAND = ['/sign-in/link', '/consent/allow', '/consent/deny', '/settings/passkeys/{id}/name', '/settings/passkeys/{id}/remove', '/settings/sign-in/remove',
  ...['approve', 'reject', 'stage', 'enforce'].map((verb) => `/policies/proposals/{id}/${verb}`), '/policies/unstage',
  ...['approve-for-run', 'release', 'withdraw'].map((verb) => `/approvals/{id}/${verb}`), '/containments/{id}/confirm', '/containments/{id}/withdraw'];

// Lists with everything that they are filtered by.
const RANGES = ['/runs?state=ended&range=7d&until=2100-01-01', '/findings?state=open&since=2026-01-01', '/containments?state=active&range=24h',
  '/audit?kind=call.decided&range=30d'];

// What stands in every answer.
const HEADERS = {
  'content-security-policy': /default-src 'none'; script-src 'self'; style-src 'self';.*frame-ancestors 'none'/,
  'x-frame-options': /^DENY$/,
  'x-content-type-options': /^nosniff$/,
  'referrer-policy': /^same-origin$/,
  'cache-control': /no-store/,
};

await run(async (report, atEnd) => {
  const world = World.open();
  const made = await furnish(world);
  const all = routes();
  const reached = { page: new Set(BY_HAND), act: new Set(ACTS_BY_HAND) };
  const looks = new Map();
  for (const [role, email] of Object.entries(ROLES)) {
    const cookie = await world.cookie(email);
    const { pages, forms } = await crawl(world.base, cookie, { from: ['/', '/approvals', ...(role === 'admin' ? RANGES : []), '/search?q=refund', `/runs/${made.work.run}`, ...made.governed, ...AGENTS] });
    report.none(
      `as ${role}: nothing is offered that is refused (${pages.length} pages)`,
      pages.filter((p) => p.status >= 400).map((p) => `${p.address} on ${p.by}: ${p.status}`),
    );
    report.none(`as ${role}: every answer carries its headers`, pages.flatMap(bare));
    report.equal(`as ${role}: sees what the role has to see`, await sees(world, cookie, made), SEES[role]);
    const refused = [];
    for (const [action, by] of forms) {
      reached.act.add(routeOf(action, all.act));
      if (await isRefused(world, cookie, action)) refused.push(`${action} on ${by}`);
    }
    report.none(`as ${role}: no form is offered that is refused (${forms.size} forms)`, refused);
    const copied = await wrong(world, pages, process.env.REMIT_BIN);
    report.none(`as ${role}: what is copied works (${copied.commands} commands)`, copied.found);
    for (const page of pages) {
      reached.page.add(routeOf(new URL(page.address, world.base).pathname, all.page));
      const sort = sortOf(page.address, all.page);
      if (page.status === 200 && page.kind.startsWith('text/html') && !looks.has(sort)) looks.set(sort, { ...page, email, cookie });
    }
  }
  report.none('every page of the source is reached by links', all.page.filter((p) => p !== '/live' && !reached.page.has(p)));
  report.none('every action of the source is offered by a form', all.act.filter((a) => !reached.act.has(a)));
  looks.set('/sign-in', { address: '/sign-in' });
  looks.set('/enrol', { address: '/enrol' });
  looks.set('/consent', await consent(world));
  const browser = await launch();
  atEnd(() => browser.close());
  await lookAt(report, world, browser, looks);
});

// Links to a place on the same page that is not there.
function lost(page) {
  return page.evaluate(() => [...document.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute('href'))
    .filter((href) => href.length > 1 && !document.getElementById(decodeURIComponent(href.slice(1)))));
}

async function sees(world, cookie, made) {
  const read = async (path) => (await fetch(world.base + path, { headers: { cookie: `${cookie.name}=${cookie.value}` } })).text();
  const agents = await read('/agents');
  const has = (path) => agents.includes(`href="${path}"`);
  const request = await read(`/approvals/${made.waiting.approval}`);
  return {
    stop: agents.includes('id="stop"'),
    '/containments': has('/containments'),
    '/audit': has('/audit'),
    '/agents/new': has('/agents/new'),
    decides: request.includes('id="decide"'),
  };
}

function bare(page) {
  if (page.status === 303) return [];
  return Object.entries(HEADERS)
    .filter(([name, wanted]) => !wanted.test(page.headers.get(name) ?? ''))
    .map(([name]) => `${page.address}: ${name} is ${page.headers.get(name)}`);
}

// A form without its session's token changes nothing; but the gate says before whether this person may at all.
async function isRefused(world, cookie, action) {
  const answer = await fetch(world.base + action, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: `${cookie.name}=${cookie.value}`, origin: world.base, 'content-type': 'application/x-www-form-urlencoded' },
    body: 'csrf=none',
  });
  return (await answer.text()).includes('This is for: ');
}

// Each sort of page once, with the person who met it first; three windows side by side.
async function lookAt(report, world, browser, looks) {
  const found = { 'links within it': [], 'light': [], 'dark': [], 'forced colours': [], '320 px': [], '320 px wide': [], '200 % zoom wide': [] };
  const queue = [...looks.values()];
  const problems = [];
  const workers = [0, 1].map(async () => {
    const context = await open(browser);
    const page = await context.newPage();
    for (let look = queue.shift(); look; look = queue.shift()) {
      await context.clearCookies();
      if (look.cookie) await context.addCookies([look.cookie]);
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none', reducedMotion: 'reduce' });
      await page.goto(world.base + look.address, { waitUntil: 'domcontentloaded' });
      const tell = (list, lines) => list.push(...lines.map((line) => `${look.address}: ${line}`));
      tell(found.light, await axe(page));
      tell(found['links within it'], await lost(page));
      await page.emulateMedia({ colorScheme: 'dark' });
      const contrast = { runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } };
      tell(found.dark, await axe(page, contrast));
      await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active' });
      tell(found['forced colours'], await axe(page, contrast));
      await page.emulateMedia({ forcedColors: 'none' });
      // 200 % zoom of a window of 1280 px is a window of 640.
      await page.setViewportSize({ width: 640, height: 400 });
      tell(found['200 % zoom wide'], await overflow(page));
      await page.setViewportSize({ width: 320, height: 640 });
      tell(found['320 px wide'], await overflow(page));
      tell(found['320 px'], await axe(page, { runOnly: { type: 'rule', values: ['target-size', 'scrollable-region-focusable', 'color-contrast'] } }));
    }
    problems.push(...context.problems);
    await context.close();
  });
  await Promise.all(workers);
  report.fact('sorts of page', looks.size);
  for (const [how, lines] of Object.entries(found)) report.none(`every page, ${how}: nothing serious`, lines);
  report.none('no page breaks the content security policy or throws', problems);
}
