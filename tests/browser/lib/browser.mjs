// Chromium, and what every page of it is watched for: errors of scripts, of the content security policy, and dialogs.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const modules = process.env.REMIT_TEST_NODE_MODULES;
const require = createRequire(join(modules, 'none.js'));
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

// What Chromium says of an answer that is no 200: answers are looked at apart.
const ANSWERED = /^Failed to load resource: the server responded with a status of [1-4]\d\d/;

export async function launch() {
  return chromium.launch({
    executablePath: process.env.REMIT_TEST_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
  });
}

// A window of somebody: their cookie, and a list of `problems` that has to stay empty.
export async function open(browser, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
    ...options,
  });
  context.setDefaultTimeout(20_000);
  context.problems = [];
  context.on('page', (page) => watch(page, context.problems));
  // A violation is an event of the document; as an error of the console it is seen below.
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI} ${event.sample}`);
    });
  });
  return context;
}

function watch(page, problems) {
  const tell = (text) => problems.push(`${page.url()}: ${text}`);
  page.on('console', (message) => {
    if (message.type() === 'error' && !ANSWERED.test(message.text())) tell(message.text());
  });
  page.on('pageerror', (error) => tell(`script error: ${error.message}`));
  page.on('dialog', (dialog) => {
    tell(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on('response', (response) => {
    if (response.status() >= 500) tell(`${response.status()} from ${response.url()}`);
  });
}

// A window in which `email` is signed in, with one page.
export async function signedIn(browser, world, email, options = {}) {
  const context = await open(browser, options);
  await context.addCookies([await world.cookie(email)]);
  const page = await context.newPage();
  page.context_ = context;
  return page;
}

// Findings of axe-core that are serious or critical, a line each.
export async function axe(page, options = {}) {
  await page.evaluate(`if (!window.axe) { ${axeSource} }`);
  const found = await page.evaluate(
    (given) => window.axe.run(document, { resultTypes: ['violations'], ...given }),
    options,
  );
  return found.violations
    .filter((v) => ['serious', 'critical'].includes(v.impact))
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${(n.failureSummary ?? '').replace(/\s+/g, ' ')}`));
}

// Elements that make the page wider than the window, outside of what scrolls by itself.
export async function overflow(page) {
  return page.evaluate(() => {
    const wide = document.scrollingElement.scrollWidth - document.documentElement.clientWidth;
    if (wide <= 0) return [];
    const edge = document.documentElement.clientWidth;
    const scrolls = (el) => {
      for (let up = el.parentElement; up && up !== document.body; up = up.parentElement) {
        if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX)) return true;
      }
      return false;
    };
    return [...document.querySelectorAll('body *')]
      .filter((el) => el.getBoundingClientRect().right > edge + 1 && !scrolls(el))
      .slice(0, 5)
      .map((el) => `${wide}px too wide: <${el.tagName.toLowerCase()} class="${el.getAttribute('class') ?? ''}" id="${el.id}">`)
      .concat(`${wide}px too wide`);
  });
}
