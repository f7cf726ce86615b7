// An approver who only has a keyboard: twenty requests, the help sheet, the off switch; and two people who decide the same
// request at once.
//
//   node approver.mjs READY_FILE

import { launch, signedIn } from './lib/browser.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

const MANY = 20;
const FIONA = 'fiona@acme.example';

await run(async (report, atEnd) => {
  const world = World.open();
  for (let n = 0; n < MANY; n += 1) await world.asksForRefund(50 + n);
  const browser = await launch();
  atEnd(() => browser.close());
  const page = await signedIn(browser, world, FIONA);
  await landmarks(report, world, page);
  await sheet(report, page);
  await twenty(report, world, page);
  await offSwitch(report, world, page);
  report.none('no errors while an approver works', page.context_.problems);
  await race(report, world, browser);
});

function focused(page) {
  return page.evaluate(() => {
    const el = document.activeElement;
    return { tag: el.tagName, id: el.id, text: el.textContent.trim().slice(0, 60), key: el.dataset?.key ?? '' };
  });
}

// Whether what has the focus shows it, and is not below the bar that sticks to the top.
function isSeen(page) {
  return page.evaluate(() => {
    const el = document.activeElement;
    const style = getComputedStyle(el);
    const box = el.getBoundingClientRect();
    const [top] = document.elementsFromPoint(box.left + Math.min(4, box.width / 2), box.top + box.height / 2);
    return {
      outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
      uncovered: box.width > 0 && Boolean(top) && (top === el || el.contains(top) || top.contains(el)),
    };
  });
}

async function landmarks(report, world, page) {
  await page.goto(world.base + '/');
  report.check('an approver begins at the queue', page.url().includes('/approvals'), page.url());
  const there = await page.evaluate(() => ({
    main: document.querySelectorAll('main').length,
    header: document.querySelectorAll('body > header').length,
    nav: [...document.querySelectorAll('nav')].every((n) => n.getAttribute('aria-label')),
    search: document.querySelectorAll('header [role=search]').length,
    footer: document.querySelectorAll('body > footer').length,
    live: document.querySelectorAll('[aria-live=polite]').length,
    h1: document.querySelectorAll('h1').length,
  }));
  report.equal('landmarks: one main, header, search, footer, h1 and live region; every nav has a name', there,
    { main: 1, header: 1, nav: true, search: 1, footer: 1, live: 1, h1: 1 });
  await page.keyboard.press('Tab');
  report.equal('the first stop of Tab skips to the content', (await focused(page)).text, 'Skip to the content');
  await page.keyboard.press('Enter');
  report.equal('and goes there', (await focused(page)).id, 'main');
  const stops = [];
  const unseen = [];
  for (let n = 0; n < 60; n += 1) {
    await page.keyboard.press('Tab');
    const at = await focused(page);
    if (at.tag === 'BODY') break;
    stops.push(at.id || at.text);
    const seen = await isSeen(page);
    if (!seen.outlined || !seen.uncovered) unseen.push(`${at.tag} ${at.id || at.text}: ${JSON.stringify(seen)}`);
  }
  report.none('whatever has the focus shows it and is not covered', unseen);
  const order = ['Waiting', 'Mine to decide', 'Decided'].map((t) => stops.indexOf(t));
  report.check('focus goes in the order of the page', order.every((at, n) => at >= 0 && (n === 0 || at > order[n - 1])), stops.join(' | '));
}

async function sheet(report, page) {
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('?');
  await page.locator('dialog#keyboard[open]').waitFor();
  const sheet = await page.locator('dialog#keyboard').innerText();
  for (const word of ['next and previous', 'approve, deny', 'search', 'Turn single keys off']) {
    report.check(`the help sheet tells: ${word}`, sheet.includes(word), sheet);
  }
  await page.keyboard.press('a');
  report.check('a key does nothing behind the open sheet', await page.locator('dialog#keyboard[open]').count() === 1);
  await page.keyboard.press('Escape');
  report.equal('Escape closes it', await page.locator('dialog#keyboard[open]').count(), 0);
  await page.keyboard.press('/');
  report.equal('/ goes to the search', (await focused(page)).id, 'search');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  report.equal('Ctrl K too', (await focused(page)).id, 'search');
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await page.waitForURL('**/runs');
  report.check('g r goes to the runs', true);
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await page.waitForURL('**/approvals');
  report.check('g a goes to the approvals', true);
}

// j to look at each, then approve or deny; the page goes on to the next one by itself.
async function twenty(report, world, page) {
  await page.goto(world.base + '/approvals?view=mine');
  report.equal('twenty wait', await page.locator('#queue > li').count(), MANY);
  const first = await page.locator('#pane [data-approval]').getAttribute('data-approval');
  await page.keyboard.press('j');
  await page.waitForFunction((was) => document.querySelector('#pane [data-approval]')?.dataset.approval !== was, first);
  report.check('j looks at the next one', true);
  await page.keyboard.press('k');
  await page.waitForFunction((was) => document.querySelector('#pane [data-approval]')?.dataset.approval === was, first);
  report.check('k goes back', true);
  const keys = [];
  for (let n = 0; n < MANY; n += 1) {
    const left = await page.locator('#queue > li').count();
    if (left !== MANY - n) return report.check('each is decided', false, `${left} left after ${n}; ${await page.locator('main').innerText()}`);
    const severe = await page.locator('#pane [data-severe]').count() > 0;
    const answered = page.waitForResponse((r) => r.request().method() === 'POST' && /\/(approve|deny)$/.test(r.url()));
    const landed = page.waitForEvent('domcontentloaded');
    if (n % 5 === 4) {
      // A no wants a reason first.
      await page.keyboard.press('d');
      await page.waitForFunction(() => document.activeElement?.id === 'decide-reason');
      await page.keyboard.type('paid already');
      await page.keyboard.press('Escape');
      await page.keyboard.press('d');
    } else if (severe) {
      if (n === 0) {
        await page.keyboard.press('a');
        await page.locator('#status').getByText('press Shift and A').waitFor();
        report.check('a severe effect is not approved with one key, and says so', true);
      }
      await page.keyboard.press('Shift+A');
    } else {
      await page.keyboard.press('a');
    }
    keys.push(severe ? 'Shift+A' : 'a');
    report.equal(`request ${n + 1} is decided`, (await answered).status(), 303);
    await landed;
  }
  report.equal('the queue is empty', await page.locator('#queue > li').count(), 0);
  report.check('and says so', (await page.locator('main').innerText()).includes('No waiting requests'));
  const settled = (await world.get('admin', '/approvals?limit=200')).items;
  const count = (state) => settled.filter((a) => a.state === state).length;
  report.equal('sixteen were approved and four denied', [count('approved'), count('denied')], [16, 4]);
}

async function offSwitch(report, world, page) {
  await page.goto(world.base + '/settings/look');
  await page.locator('input[name=keys]').focus();
  await page.keyboard.press('Space');
  // On to the button, by Tab.
  await page.keyboard.press('Tab');
  const landed = page.waitForEvent('domcontentloaded');
  await page.keyboard.press('Enter');
  await landed;
  await page.waitForFunction(() => !('keys' in document.documentElement.dataset));
  await page.keyboard.press('?');
  report.equal('with single keys off, ? opens nothing', await page.locator('dialog#keyboard[open]').count(), 0);
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  report.check('and g r goes nowhere', page.url().includes('/settings/look'), page.url());
  await page.keyboard.press('Control+k');
  report.equal('while Ctrl K, which is no single key, still works', (await focused(page)).id, 'search');
}

// The same request in two windows: one decides, the other is told what became of it and loses nothing else.
async function race(report, world, browser) {
  const asked = await world.asksForRefund(99);
  const address = `${world.base}/approvals/${asked.approval}`;
  const pages = await Promise.all([signedIn(browser, world, FIONA), signedIn(browser, world, FIONA)]);
  await Promise.all(pages.map((page) => page.goto(address)));
  const decide = async (page, name, reason) => {
    await page.locator('#decide-reason').fill(reason);
    const answered = page.waitForResponse((r) => r.request().method() === 'POST');
    const landed = page.waitForEvent('domcontentloaded');
    await page.getByRole('button', { name }).click();
    const status = (await answered).status();
    await landed;
    return status;
  };
  const both = await Promise.all([decide(pages[0], /^Approve once/, 'yes'), decide(pages[1], /^Deny/, 'no')]);
  const won = both.indexOf(303);
  report.equal('two windows decide at once: one wins, one is refused', [...both].sort(), [303, 409]);
  const lost = pages[1 - won];
  const told = won >= 0 ? await lost.locator('main').innerText() : '';
  report.check('the other is told kindly', /changed meanwhile|decided|already/i.test(told) && !/error/i.test(told), told);
  const settled = await world.get('admin', `/approvals/${asked.approval}`);
  report.equal('the verdict is the winner’s', settled.state, won === 0 ? 'approved' : 'denied');
  report.none('no errors while two decide', pages.flatMap((p) => p.context_.problems));
}
