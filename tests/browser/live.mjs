// What changes while one looks: news that arrive without moving anything, a line that breaks and comes back, a browser session
// that ends in the middle of a form.
//
//   node live.mjs READY_FILE

import { launch, signedIn } from './lib/browser.mjs';
import { proxy } from './lib/proxy.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

await run(async (report, atEnd) => {
  const direct = World.open();
  const line = await proxy(direct.base);
  atEnd(line.close);
  const world = new World(direct.ready, line.base);
  const browser = await launch();
  atEnd(() => browser.close());
  await news(report, world, browser, line);
  await late(report, world, browser, line);
  await expired(report, world, browser);
});

function visible(page, selector) {
  return page.locator(selector).waitFor({ state: 'visible' }).then(() => true, () => false);
}

async function news(report, world, browser, line) {
  await world.asksForRefund(70);
  const page = await signedIn(browser, world, 'fiona@acme.example');
  await page.goto(`${world.at}/approvals?view=mine`);
  await page.locator('#decide-reason').fill('half a sent');
  const before = await page.locator('#decide-reason').boundingBox();
  const shown = await page.locator('#pane').innerText();
  const since = Date.now();
  await world.asksForRefund(71);
  report.check('a new request announces itself', await visible(page, '.news'));
  report.fact('milliseconds from before the ask to the announcement', Date.now() - since);
  await page.locator('#status').getByText('New requests arrived').waitFor();
  report.check('politely: in the live region', true);
  await page.waitForFunction(() => document.getElementById('count-approvals').textContent.trim() === '2');
  report.check('the count beside Approvals follows', true);
  const after = await page.locator('#decide-reason').boundingBox();
  report.equal('what is typed stays', await page.locator('#decide-reason').inputValue(), 'half a sent');
  report.check('the row is not put in before one asks for it', await page.locator('#queue > li').count() === 1);
  report.check('what one reads does not move', Math.abs(after.y - before.y) < 1 && Math.abs(after.x - before.x) < 1,
    `${JSON.stringify(before)} then ${JSON.stringify(after)}`);
  report.check('and does not change', without(await page.locator('#pane').innerText()) === without(shown));

  line.cut();
  report.check('a lost stream shows a badge', await visible(page, '#stale'));
  await world.asksForRefund(72);
  const tried = line.asked.filter((a) => a.cut).length;
  await until(() => line.asked.filter((a) => a.cut).length >= tried + 2);
  report.check('the page keeps trying', true);
  const gaps = line.asked.length;
  line.mend();
  await page.waitForFunction(() => document.getElementById('count-approvals').textContent.trim() === '3');
  report.check('when the line is back, what happened meanwhile arrives', true);
  await page.locator('#stale').waitFor({ state: 'hidden' });
  report.check('and the badge goes', true);
  const back = line.asked.slice(gaps).find((a) => !a.cut) ?? line.asked.at(-1);
  report.check('it said where it had been: Last-Event-ID', /^[0-9a-f]{16}$/.test(back.last ?? ''), JSON.stringify(line.asked));
  await page.locator('.news a').click();
  await page.waitForLoadState('domcontentloaded');
  report.equal('a press shows the new requests', await page.locator('#queue > li').count(), 3);
  const problems = page.context_.problems.filter((p) => !/ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION|htmx:sse:error: /i.test(p));
  report.none('no errors but those of the line', problems);
  await page.context_.close();
}

// The page's script comes after the first news, and the line is there only after the page.
async function late(report, world, browser, line) {
  const page = await signedIn(browser, world, 'fiona@acme.example');
  let script;
  await page.route(/\/assets\/console-\w+\.js$/, (route) => { script = route; });
  await page.goto(`${world.at}/approvals?view=mine`, { waitUntil: 'commit' });
  await page.locator('#live-state[data-waiting="3"]').waitFor({ state: 'attached' });
  await world.asksForRefund(73);
  await page.locator('#live-state[data-waiting="4"]').waitFor({ state: 'attached' });
  await script.continue();
  report.check('news that came before the script are told', await visible(page, '.news'));
  await page.unroute(/\/assets\/console-\w+\.js$/);

  line.cut();
  await page.goto(`${world.at}/approvals?view=mine`);
  report.check('a page whose line was never there says so', await visible(page, '#stale'));
  await world.asksForRefund(74);
  line.mend();
  report.check('it tries again by itself', await visible(page, '.news'));
  await page.locator('#stale').waitFor({ state: 'hidden' });
  await page.context_.close();
}

// Time left runs on by itself.
function without(text) {
  return text.replace(/\d\d:\d\d|\d+ s\b/g, '');
}

async function until(holds) {
  const end = Date.now() + 20_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error('it did not happen within 20 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

// Somebody ends the session elsewhere while a long form is being filled in.
async function expired(report, world, browser) {
  const page = await signedIn(browser, world, 'ines@acme.example');
  await page.goto(`${world.at}/agents/new`);
  const typed = {
    name: 'late-bot', purpose: 'Was typed while a session ended: "quotes" & <angles>.', business_process: 'Support',
    owner: 'ines@acme.example', sponsor: 'maria@acme.example', model: 'm-1', provider: 'p', runtime: 'container', systems: 'shop',
    responsible_team: 'support', platform_team: 'platform',
  };
  for (const [name, value] of Object.entries(typed)) {
    const field = page.locator(`main [name="${name}"]`).first();
    if (await field.count() === 0) continue;
    if (await field.evaluate((el) => el.tagName) === 'SELECT') await field.selectOption(value); else await field.fill(value);
  }
  for (const session of (await world.get('admin', '/sessions?all=true')).items) {
    if (session.person === 'ines@acme.example') await world.rest('admin', 'DELETE', `/sessions/${session.id}`);
  }
  const answered = page.waitForResponse((r) => r.request().method() === 'POST');
  await page.getByRole('button', { name: /^Register/ }).click();
  report.equal('a form after the session’s end does nothing', (await answered).status(), 401);
  await page.waitForLoadState('domcontentloaded');
  const kept = await page.locator('main').innerText();
  report.check('what was typed is still there', kept.includes(typed.purpose) && kept.includes('late-bot'), kept);
  report.check('and it says what happened and what to do', /session has ended/.test(kept) && /Sign in/.test(kept), kept);
  const [tab] = await Promise.all([page.context_.waitForEvent('page'), page.locator('main').getByRole('link', { name: /^Sign in/ }).click()]);
  await tab.waitForLoadState('domcontentloaded');
  const { link } = await world.link('ines@acme.example');
  await tab.getByLabel('Link or code').fill(link);
  await tab.locator('main').getByRole('button', { name: 'Sign in' }).click();
  await tab.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
  await page.bringToFront();
  await page.getByRole('button', { name: 'Send it' }).click();
  await page.waitForLoadState('domcontentloaded');
  // Its token is of the session that ended: it is shown once more, now for the new one.
  if (await page.getByRole('button', { name: 'Send it' }).count() > 0) {
    await page.getByRole('button', { name: 'Send it' }).click();
    await page.waitForLoadState('domcontentloaded');
  }
  const done = await page.locator('main').innerText();
  report.check('after signing in, the same form is sent and nothing was lost', /late-bot/.test(done) && /draft/i.test(done), done);
  const made = await world.get('admin', '/agents/late-bot');
  report.equal('exactly as it was typed', made.spec?.purpose ?? made.purpose, typed.purpose);
  report.none('no errors meanwhile', page.context_.problems);
}
