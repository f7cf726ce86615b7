// Whatever people, agents and servers write is shown and does nothing: on every page, in pictures, in exports, in a terminal.
//
//   node hostile.mjs READY_FILE REMIT

import { spawnSync } from 'node:child_process';

import { launch, open, overflow } from './lib/browser.mjs';
import { crawl, routeOf, routes, sortOf } from './lib/crawl.mjs';
import { EVIL, EVIL_LINE, HIDDEN, LONG, MARK, MARKUP, evilServer } from './lib/evil.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

const [, , , remit] = process.argv;

const document_ = (kind, metadata, spec) => ({ apiVersion: 'remit.dev/v1', kind, metadata, spec });

await run(async (report, atEnd) => {
  const world = World.open();
  const upstream = await evilServer();
  atEnd(upstream.close);
  const made = await furnish(report, world, upstream.url);
  const browser = await launch();
  atEnd(() => browser.close());
  await pages(report, world, browser, made);
  await exports_(report, world, made);
  terminal(report, world, made);
});

// Tries a hostile text, and a milder one where the server refuses the first: what is refused cannot be shown.
async function accepted(texts, send) {
  let refused;
  for (const text of texts) {
    try { return { text, answer: await send(text) }; } catch (error) { refused = error; }
  }
  throw refused;
}

async function furnish(report, world, url) {
  const taken = {};
  const keep = async (what, texts, send) => {
    const { text, answer } = await accepted(texts, send);
    taken[what] = text === EVIL ? 'everything' : text === EVIL_LINE ? 'all but control characters' : 'markup';
    return answer;
  };
  const kinds = [EVIL, EVIL_LINE, EVIL_LINE.split(' invoice')[0]];
  await keep('name of a person', [...kinds, '<img src=x onerror=alert(1)>'], (text) =>
    world.apply(document_('Person', { name: 'eve@acme.example' }, { display_name: text.slice(0, 100), roles: ['approver'], teams: ['finance'] })));
  await world.apply(
    document_('System', { name: 'evil-system' }, { owner: 'admin@acme.example', environment: 'production', criticality: 'high' }),
    document_('Upstream', { name: 'evil' }, { system: 'evil-system', transport: { type: 'http', url } }),
  );
  await world.post('admin', '/upstreams/evil/sync');
  const tools = (await world.get('admin', '/tools?upstream=evil')).items;
  await world.apply(...tools.map((t) => document_('Tool', { name: t.tool }, {
    effect: t.tool.endsWith('look') ? 'read' : 'write', definition_hash: t.definition_hash, arguments_shown: undefined,
  })));
  await keep('text of a policy', kinds, (text) => world.apply(document_('PolicySet', { name: 'evil' }, {
    text: `@id("evil-asks")\n@text("${text.replace(/[\\"]/g, (c) => `\\${c}`).replace(/[\u0000-\u001f\u007f-\u009f]/g, '')}")\n@approvers("team:finance")\nforbid (principal, action == Action::"evil/show", resource) unless { context.approved };`,
  })));
  await keep('purpose of an agent', kinds, (text) => world.apply(
    document_('Agent', { name: 'evil-bot' }, {
      owner: 'ines@acme.example', sponsor: 'maria@acme.example', responsible_team: 'support', platform_team: 'platform', purpose: text,
      business_process: text.slice(0, 200), model: text.slice(0, 100), provider: text.slice(0, 100), runtime: text.slice(0, 100), environment: 'production',
      data_classes: [], systems: ['evil-system'], expected_actions: ['read', 'write'], tier: 4,
    }),
    { ...document_('Workflow', { name: 'work', agent: 'evil-bot' }, {
      purpose: text, data_classes: [], grants: tools.map((t) => ({ tool: t.tool, autonomy: text.slice(0, 200) })),
    }) },
  ));
  await world.activate('evil-bot');
  const work = await keep('purpose and ticket of a run', kinds, (text) =>
    world.work({ person: 'maria@acme.example', agent: 'evil-bot', workflow: 'work', purpose: text, ticket: '<img/src=x/onerror=alert(1)>' }));
  const looked = await world.call(work.token, 'evil/look', { text: EVIL });
  report.equal('a hostile result is passed on', looked.verdict, 'allowed');
  const asked = await world.call(work.token, 'evil/show', { text: EVIL + LONG, more: { [MARKUP]: [EVIL] } });
  report.equal('a call with hostile arguments asks', asked.verdict, 'asked');
  await keep('reason of a verdict', kinds, (text) => world.post('fiona@acme.example', `/approvals/${asked.approval}/deny`, { reason: text }));
  const waiting = await world.call(work.token, 'evil/show', { text: EVIL });
  const denied = await world.call(work.token, 'evil/none', { text: EVIL }).catch((error) => error);
  const contained = await keep('reason of a containment', kinds, (text) =>
    world.post('rita@acme.example', '/containments', { target: { type: 'agent', name: 'evil-bot' }, level: 'suspend', reason: text }));
  report.fact('what is accepted as', taken);
  return { work, asked, waiting, looked, denied, contained };
}

async function pages(report, world, browser, made) {
  const all = routes();
  const found = { run: [], hidden: [], wide: [], never: [] };
  let shown = 0;
  let looked = 0;
  const from = [
    '/', '/agents/evil-bot', `/runs/${made.work.run}`, `/approvals/${made.asked.approval}`, `/approvals?id=${made.waiting.approval}`,
    `/decisions/${made.asked.decision}`, `/decisions/${made.looked.decision}`, `/containments/${made.contained.id}`, '/tools/evil/show', '/upstreams/evil',
    '/policies/evil', '/settings/people/eve@acme.example', `/search?q=${encodeURIComponent(EVIL)}`, `/agents?q=${encodeURIComponent(EVIL)}`,
    '/access?q=evil', `/stop?agent=${encodeURIComponent(EVIL)}`, '/stop?agent=evil-bot', `/connect/client?agent=evil-bot&key=${encodeURIComponent(EVIL)}`,
  ];
  const sorts = new Set();
  for (const email of ['admin@acme.example', 'paul@acme.example']) {
    const cookie = await world.cookie(email);
    const { pages: walked } = await crawl(world.base, cookie, { each: 2, from });
    const context = await open(browser, { viewport: { width: 320, height: 640 } });
    await context.addCookies([cookie]);
    const page = await context.newPage();
    for (const { address, kind, text } of walked) {
      if (!kind.startsWith('text/html') || !text.includes('window.evil')) continue;
      // The same sort of page with the same person once is enough; those named above are looked at each.
      const sort = sortOf(address, all.page) + email;
      if (!from.includes(address) && sorts.has(sort)) continue;
      sorts.add(sort);
      looked += 1;
      await page.goto(world.base + address, { waitUntil: 'load' });
      const is = await page.evaluate((mark) => ({
        run: window.evil,
        made: [...document.querySelectorAll(`[${mark}], [onmouseover], [onerror], [onload]`)].map((e) => e.outerHTML.slice(0, 80)),
        links: [...document.querySelectorAll('a, form, use, image')].map((e) => e.getAttribute('href') ?? e.getAttribute('action') ?? '').filter((h) => /^\s*(javascript|data|vbscript):/i.test(h)),
        text: document.documentElement.textContent + [...document.querySelectorAll('[title],[aria-label],[value]')].map((e) => `${e.title}${e.getAttribute('aria-label') ?? ''}${e.getAttribute('value') ?? ''}`).join(''),
        }), MARK);
      if (is.run !== undefined || is.made.length > 0 || is.links.length > 0) found.run.push(`${address}: ${JSON.stringify([is.run, is.made, is.links])}`);
      // A field to type in holds what was typed, as it was.
      const hidden = HIDDEN.exec(is.text.replace(/[\n\t]/g, ' '));
      if (hidden) found.hidden.push(`${address}: U+${hidden[0].codePointAt(0).toString(16)} in …${is.text.slice(Math.max(0, hidden.index - 60), hidden.index + 20)}`);
      found.wide.push(...(await overflow(page)).map((line) => `${address}: ${line}`));
      if (is.text.includes('<script')) shown += 1;
    }
    found.never.push(...context.problems);
    await context.close();
  }
  report.fact('pages with hostile text', looked);
  report.check('hostile text is on many pages, as text', looked >= 20 && shown >= 20, `${looked} looked at, shown on ${shown}`);
  report.none('nothing of it runs, becomes an element or a link', found.run);
  report.none('nothing reorders or hides', found.hidden);
  report.none('nothing makes a page wider than a phone', found.wide);
  report.none('no page breaks the content security policy, throws or asks', found.never);
}

async function exports_(report, world, made) {
  const cookie = await world.cookie('admin@acme.example');
  const paul = await world.cookie('paul@acme.example');
  const fetched = async (path, who) => {
    const answer = await fetch(world.base + path, { headers: { cookie: `${who.name}=${who.value}` } });
    return { path, status: answer.status, kind: answer.headers.get('content-type') ?? '', how: answer.headers.get('content-disposition') ?? '', text: await answer.text() };
  };
  const files = [await fetched('/audit/export', cookie)];
  // Whatever else is offered as a file: found by walking.
  const { pages: walked } = await crawl(world.base, paul, { from: [`/containments/${made.contained.id}`, `/runs/${made.work.run}`, '/audit', '/'] });
  files.push(...walked.filter((p) => !p.kind.startsWith('text/html') && p.status === 200).map((p) => ({ path: p.address, ...p, how: p.headers.get('content-disposition') ?? '' })));
  report.fact('files', files.map((f) => `${f.path} ${f.kind}`));
  report.none('a file is kept, not shown', files.filter((f) => !f.how.startsWith('attachment')).map((f) => `${f.path}: ${f.how}`));
  report.none('and holds nothing that hides', files.filter((f) => HIDDEN.test(f.text.replace(/[\n\t]/g, ''))).map((f) => `${f.path}: ${HIDDEN.exec(f.text.replace(/[\n\t]/g, ''))}`));
  report.check('the export has the hostile text in it', files.some((f) => f.text.includes('window.evil')), files.map((f) => f.text.length));
}

// What the command line prints: to a terminal and through a pipe alike.
function terminal(report, world, made) {
  const commands = [
    ['agent', 'ls'], ['agent', 'show', 'evil-bot'], ['person', 'ls'], ['tool', 'ls'], ['tool', 'show', 'evil/show'], ['upstream', 'show', 'evil'],
    ['approval', 'ls'], ['approval', 'show', made.asked.approval], ['approval', 'show', made.waiting.approval], ['run', 'ls'], ['run', 'show', made.work.run],
    ['decision', 'why', made.asked.decision], ['decision', 'why', made.looked.decision], ['containment', 'ls'], ['access', 'show', 'evil-bot'],
    ['policy', 'ls'], ['delegation', 'tree'], ['finding', 'ls'], ['audit', 'search', '--limit', '50'], ['workflow', 'ls', 'evil-bot'],
  ];
  const [bad, failed] = [[], []];
  let shown = 0;
  for (const as of ['admin@acme.example', 'paul@acme.example']) {
    for (const args of commands) {
      const done = spawnSync(remit, args, {
        encoding: 'utf8', timeout: 60_000,
        env: { PATH: process.env.PATH, HOME: '/nonexistent', REMIT_ADDR: world.base, REMIT_TOKEN: world.token(as), TERM: 'xterm', NO_COLOR: '1' },
      });
      const text = done.stdout + done.stderr;
      if (![0, 3, 4].includes(done.status)) { failed.push(`${args.join(' ')} as ${as}: ${done.status} ${text.slice(0, 200)}`); continue; }
      const hidden = HIDDEN.exec(text.replace(/[\n\t]/g, ' '));
      if (hidden) bad.push(`${args.join(' ')} as ${as}: U+${hidden[0].codePointAt(0).toString(16)} in ${JSON.stringify(text.slice(Math.max(0, hidden.index - 80), hidden.index + 10))}`);
      if (text.includes('<script')) shown += 1;
    }
  }
  report.none('every command answers', failed);
  report.check('the command line tells of it', shown >= 8, shown);
  report.none('and never sends a character that reorders, hides or moves the cursor', bad);
}
