// The pictures of the documentation, taken from a real server. What differs each time (ids, hashes, times) stays in: they are
// looked at by people, and made anew when pages change.
//
//   node screenshots.mjs READY_FILE FOLDER        the pictures of README and docs
//   node screenshots.mjs READY_FILE FOLDER all    every sort of page, 1280 and 320 px, light and dark

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { launch, signedIn } from './lib/browser.mjs';
import { crawl, routes, sortOf } from './lib/crawl.mjs';
import { furnish } from './lib/furnish.mjs';
import { run } from './lib/report.mjs';
import { World } from './lib/world.mjs';

const [, , , folder, which] = process.argv;

await run(async (report, atEnd) => {
  mkdirSync(folder, { recursive: true });
  const world = World.open();
  const made = await furnish(world);
  const browser = await launch();
  atEnd(() => browser.close());
  if (which === 'all') return everything(report, world, browser);
  const taken = [
    ['approvals', 'fiona@acme.example', `/approvals?view=waiting&id=${made.waiting.approval}`],
    ['run', 'paul@acme.example', `/runs/${made.work.run}`],
    ['certificate', 'rita@acme.example', `/containments/${made.contained.id}`],
    ['decision', 'paul@acme.example', `/decisions/${made.denied.decision}`],
    ['home', 'admin@acme.example', '/'],
  ];
  for (const [name, email, address] of taken) {
    const page = await signedIn(browser, world, email, { viewport: { width: 1280, height: 860 }, deviceScaleFactor: 1 });
    await page.goto(world.base + address);
    await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled', caret: 'hide' });
    report.none(`${name}: no errors`, page.context_.problems);
    await page.context_.close();
  }
});

async function everything(report, world, browser) {
  const all = routes();
  const done = new Set();
  const people = ['admin@acme.example', 'paul@acme.example', 'fiona@acme.example', 'rita@acme.example'];
  for (const email of people) {
    const cookie = await world.cookie(email);
    const { pages } = await crawl(world.base, cookie, { from: ['/', '/approvals'] });
    for (const colorScheme of ['light', 'dark']) {
      const page = await signedIn(browser, world, email, { colorScheme });
      for (const { address, status, kind } of pages) {
        const sort = `${sortOf(address, all.page)} ${colorScheme}`;
        if (status !== 200 || !kind.startsWith('text/html') || done.has(sort)) continue;
        done.add(sort);
        await page.goto(world.base + address);
        const name = sort.replace(/[^\w={}]+/g, '-').replace(/^-|-$/g, '') || 'home';
        for (const [width, height] of [[1280, 800], [320, 640]]) {
          await page.setViewportSize({ width, height });
          await page.screenshot({ path: join(folder, `${name}-${width}.png`), fullPage: true, animations: 'disabled' });
        }
      }
      await page.context_.close();
    }
  }
  report.fact('pictures', done.size * 2);
}
