// With scripts off: every sort of action works by links and forms; only passkeys and live updates do not, and the pages say what
// to do instead.
//
//   node no_script.mjs READY_FILE

import { launch, open, signedIn } from './lib/browser.mjs';
import { draft } from './lib/furnish.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

const WITHOUT = { javaScriptEnabled: false };

await run(async (report, atEnd) => {
  const world = World.open();
  const browser = await launch();
  atEnd(() => browser.close());
  const as = (email) => signedIn(browser, world, email, WITHOUT);
  await signInAndOut(report, world, browser);
  await decide(report, world, await as('fiona@acme.example'));
  await register(report, world, await as('ines@acme.example'));
  await activate(report, world, await as('maria@acme.example'));
  await delegate(report, world, await as('maria@acme.example'));
  await stop(report, world, await as('rita@acme.example'));
  await administer(report, world, await as('admin@acme.example'));
  await verify(report, world, await as('paul@acme.example'));
});

async function says(report, page, what, words) {
  const is = await page.locator('main').innerText();
  return report.check(what, words.test(is), `${page.url()}: ${is}`);
}

// Presses a button of a form and waits for the page that answers.
async function press(page, name, within = 'main') {
  await page.locator(within).getByRole('button', { name }).first().click();
  await page.waitForLoadState('domcontentloaded');
}

async function signInAndOut(report, world, browser) {
  const context = await open(browser, WITHOUT);
  const page = await context.newPage();
  await page.goto(`${world.base}/agents?state=active`);
  report.check('who is not signed in is asked to, and where they wanted to go is kept', page.url().includes('/sign-in?next='), page.url());
  const { link } = await world.link('maria@acme.example');
  await page.getByLabel('Link or code').fill(link);
  await press(page, 'Sign in');
  report.check('a pasted link signs in, and leads where one wanted to go', page.url().endsWith('/agents?state=active'), page.url());
  await page.locator('details.who > summary').click();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.waitForURL('**/sign-in**');
  await page.goto(world.base + '/agents');
  report.check('signing out ends it', page.url().includes('/sign-in'), page.url());
  await page.goto(world.base + '/enrol#rmt_enr_x');
  await says(report, page, 'a link opened without scripts says where the code is', /what follows the # in the address/);
  await context.close();
}

async function decide(report, world, page) {
  const [yes, no] = [await world.asksForRefund(61), await world.asksForRefund(62)];
  await page.goto(`${world.base}/approvals?view=mine`);
  report.equal('the queue is there', await page.locator('#queue > li').count(), 2);
  await page.locator('#queue a').nth(1).click();
  await page.waitForLoadState('domcontentloaded');
  report.equal('a row opens its request', await page.locator('#pane [data-approval]').count(), 1);
  await page.goto(`${world.base}/approvals/${yes.approval}`);
  await page.locator('#decide-reason').fill('looked at');
  await press(page, /^Approve once/);
  await says(report, page, 'approving works', /Approved\. Exactly this call/);
  await page.goto(`${world.base}/approvals/${no.approval}`);
  await page.locator('#decide-reason').fill('not this one');
  await press(page, /^Deny/);
  await says(report, page, 'denying works', /Denied\. The agent is told/);
  const again = await world.call(yes.token, 'orders/refund', { order: 'A-118', amount: 61, card: 'card-visa-4242', reason: 'damaged' });
  report.equal('and the approved call passes', again.verdict, 'allowed');
}

async function register(report, world, page) {
  await page.goto(`${world.base}/agents/new`);
  const fields = {
    name: 'by-form', purpose: 'Answers letters.', business_process: 'Customer support', owner: 'ines@acme.example',
    sponsor: 'maria@acme.example', responsible_team: 'support', platform_team: 'platform', model: 'm-1', provider: 'p', runtime: 'container', systems: 'shop',
  };
  for (const [name, value] of Object.entries(fields)) {
    const field = page.locator(`main [name="${name}"]`).first();
    if (await field.count() === 0) continue;
    if (await field.evaluate((el) => el.tagName) === 'SELECT') await field.selectOption(value); else await field.fill(value);
  }
  await press(page, /^Register/);
  await says(report, page, 'an agent is registered by form', /by-form[\s\S]*draft/i);
  await page.goto(`${world.base}/agents?q=by-form`);
  await says(report, page, 'and found by the filter', /by-form/);
}

async function activate(report, world, page) {
  await draft(world, 'by-document');
  await page.goto(`${world.base}/agents/by-document`);
  await says(report, page, 'a draft says what is missing', /missing|activate/i);
  await page.goto(`${world.base}/agents/support-triage/suspend`);
  await page.locator('main [name=reason]').fill('on holiday');
  await press(page, /^Suspend/);
  await says(report, page, 'a sponsor suspends', /Suspended/);
  await page.locator('main form[action$="/resume"] [name=reason]:not([type=hidden])').fill('back again');
  await press(page, /^Resume/);
  await says(report, page, 'and resumes', /It may go on/);
}

async function delegate(report, world, page) {
  await page.goto(`${world.base}/mine`);
  await page.locator('main [name=agent]').fill('support-triage');
  await page.locator('main [name=workflow]').fill('answer');
  await press(page, 'Let it act for me');
  await says(report, page, 'a person lets an agent act', /It may act for you now/);
  await press(page, 'Withdraw');
  await says(report, page, 'and withdraws with one press', /Withdrawn/);
}

async function stop(report, world, page) {
  await page.goto(world.base + '/');
  await page.locator('#stop').click();
  await page.waitForLoadState('domcontentloaded');
  await page.goto(`${world.base}/stop?agent=ops-runner&level=quarantine`);
  await says(report, page, 'the impact is shown before', /What stopping|would stop|reaches/i);
  await page.locator('main form[method=post] [name=reason]').first().fill('drill');
  await press(page, /^Quarantine now/);
  await says(report, page, 'a responder contains, and reads the certificate', /Certificate/);
  await page.locator('main form[action$="/lift"] [name=reason]:not([type=hidden])').fill('over');
  await press(page, /^Lift/);
  await says(report, page, 'and lifts', /Lifted/);
}

async function administer(report, world, page) {
  await page.goto(`${world.base}/settings/people/tom@acme.example`);
  await press(page, /link/i);
  await says(report, page, 'an administrator makes a link for somebody', /enrol#rmt_enr_|rmt_enr_/);
  await page.goto(`${world.base}/upstreams/orders`);
  await press(page, /again|sync|Read/i);
  await says(report, page, 'and reads the tools of an upstream again', /Read: \d+ new/);
  await page.goto(`${world.base}/access/explain?agent=support-triage`);
  await page.locator('main [name=workflow]').fill('refund');
  await page.locator('main [name=tool]').fill('orders/refund');
  const args = page.locator('main [name=args]');
  await args.fill('{"order":"A-118","amount":612.5,"card":"card-visa-4242","reason":"x"}');
  await press(page, /Explain|Ask|Decide/);
  await says(report, page, 'a call is explained before it is made', /deny/i);
  await page.goto(`${world.base}/settings/look`);
  await page.locator('[name=theme]').selectOption('dark');
  await press(page, 'Save');
  report.equal('colours are chosen', await page.locator('html').getAttribute('data-theme'), 'dark');
  await page.goto(`${world.base}/settings/sessions`);
  await says(report, page, 'passkeys say that they need a script, or why there are none', /needs a browser with scripts|passkeys need/i);
  await page.goto(`${world.base}/runs`);
  await page.locator('main [name=state]').selectOption('active');
  await press(page, 'Filter');
  report.check('a filter stands in the address', page.url().includes('state=active'), page.url());
}

async function verify(report, world, page) {
  await page.goto(`${world.base}/audit/verify`);
  await press(page, /Verify/);
  await says(report, page, 'an auditor verifies the ledger', /Intact: \d+ entries/);
  const asked = await world.asksForRefund(612);
  await page.goto(`${world.base}/decisions/${asked.decision}`);
  await press(page, /Decide it again/);
  await says(report, page, 'and decides a decision again from its record', /the same/);
}
