// Somebody who sees the console for the first time approves a call, and finds out why another one was denied: by clicking what
// the pages say, nothing else. The clicks are counted.
//
//   node stranger.mjs READY_FILE

import { launch, signedIn } from './lib/browser.mjs';
import { furnish } from './lib/furnish.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

await run(async (report, atEnd) => {
  const world = World.open();
  const made = await furnish(world);
  const browser = await launch();
  atEnd(() => browser.close());
  const page = await signedIn(browser, world, 'fiona@acme.example');
  await page.goto(world.base + '/');
  let clicks = 0;
  const click = async (what) => {
    clicks += 1;
    await what.first().click();
    await page.waitForLoadState('domcontentloaded');
  };
  // The queue is what an approver sees first, with the most urgent one open beside it.
  await page.getByText('orders/refund').first().waitFor();
  await click(page.locator('#queue').getByText(/amount 120/));
  await page.locator('#pane').getByText('What runs').waitFor();
  const pane = await page.locator('#pane').innerText();
  for (const word of ['orders/refund', '120', 'A-118', 'a refund of 50 EUR or more waits for finance', 'support-triage', 'refund order A-118, which arrived broken']) {
    report.check(`the request shows ${word}`, pane.includes(word), pane);
  }
  await click(page.getByRole('button', { name: /^Approve once/ }));
  report.check('and is approved', (await page.locator('main').innerText()).includes('Approved. Exactly this call'));
  report.check(`in ${clicks} clicks`, clicks <= 3, clicks);
  const settled = await world.get('admin', `/approvals/${made.waiting.approval}`);
  report.equal('exactly that one', settled.state, 'approved');

  clicks = 0;
  await click(page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Runs' }));
  await click(page.getByRole('row').filter({ hasText: 'refund order A-118, which arrived broken' }).getByRole('link'));
  const table = page.locator('#events');
  await click(table.getByRole('row').filter({ hasText: /deny|denied/i }).getByRole('link', { name: /^deny/ }));
  const why = await page.locator('main').innerText();
  for (const word of ['no agent refunds more than 500 EUR', '612.5', 'What would change it']) {
    report.check(`the denial shows ${word}`, why.includes(word), why);
  }
  report.check(`why it was denied is found in ${clicks} clicks`, clicks <= 4, clicks);
  report.none('no errors on the way', page.context_.problems);
});
