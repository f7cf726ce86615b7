// Which pages there are: what the console's source lists, and what can be reached from its first page by its own links.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const SOURCE = join(import.meta.dirname, '../../../crates/remit-console/src');

// Routes of the source: `{ page: [...], act: [...] }`, with `{name}` for what varies.
export function routes() {
  const found = { page: new Set(), act: new Set() };
  for (const file of readdirSync(SOURCE, { recursive: true })) {
    if (!file.endsWith('.rs') || file.startsWith('tests')) continue;
    const text = readFileSync(join(SOURCE, file), 'utf8');
    for (const [, kind, path] of text.matchAll(/(?<![.\w])(page|act)\(\s*"(\/[^"]*)"/g)) found[kind].add(path);
  }
  return { page: [...found.page].sort(), act: [...found.act].sort() };
}

// The route that an address belongs to: the most exact of those that fit.
export function routeOf(path, all) {
  const parts = path.split('/');
  const fits = all.filter((route) => {
    const wanted = route.split('/');
    return wanted.length === parts.length && wanted.every((w, i) => w === parts[i] || /^\{.*\}$/.test(w));
  });
  return fits.sort((a, b) => (a.match(/\{/g) ?? []).length - (b.match(/\{/g) ?? []).length)[0];
}

const decode = (text) => text
  .replace(/&#(\d+);/g, (_, n) => String.fromCodePoint(Number(n)))
  .replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

// Words in a query that choose a view, rather than name a record.
const VIEWS = ['view', 'level', 'state', 'tab', 'kind', 'unused', 'again'];

// What a page is one example of: its route, and which view of it.
export function sortOf(address, all) {
  const url = new URL(address, 'http://x');
  const views = [...url.searchParams].filter(([name]) => VIEWS.includes(name)).map(([n, v]) => `${n}=${v}`);
  const others = [...url.searchParams.keys()].filter((name) => !VIEWS.includes(name) && name !== 'after');
  return [routeOf(url.pathname, all) ?? url.pathname, ...views, ...new Set(others)].sort().join(' ');
}

// Walks everything that `cookie`'s person is offered, `each` examples of every sort of page. Gives addresses with status, text
// and headers, the forms that were seen, and what was offered but refused.
export async function crawl(base, cookie, { each = 1, from = ['/'] } = {}) {
  const { page: all } = routes();
  const headers = cookie ? { cookie: `${cookie.name}=${cookie.value}` } : {};
  const seen = new Map();
  const queued = new Set(from);
  const queue = from.map((address) => ({ address, by: '' }));
  const [pages, forms] = [[], new Map()];
  while (queue.length > 0) {
    const { address, by } = queue.shift();
    const answer = await fetch(base + address, { headers, redirect: 'manual' });
    const kind = answer.headers.get('content-type') ?? '';
    if (kind.includes('event-stream')) { await answer.body.cancel(); continue; }
    const text = await answer.text();
    pages.push({ address, by, status: answer.status, kind, text, headers: answer.headers, location: answer.headers.get('location') });
    if (!kind.startsWith('text/html')) continue;
    const body = text.slice(text.indexOf('<body'));
    for (const [, href] of body.matchAll(/\shref="([^"]*)"/g)) {
      const url = new URL(decode(href), base + address);
      if (url.origin !== new URL(base).origin || url.pathname.startsWith('/assets/')) continue;
      const to = url.pathname + url.search;
      if (queued.has(to) || !routeOf(url.pathname, all)) continue;
      const sort = sortOf(to, all);
      const count = seen.get(sort) ?? 0;
      if (count >= each) continue;
      seen.set(sort, count + 1);
      queued.add(to);
      queue.push({ address: to, by: address });
    }
    // What changes something: forms that post, and buttons that send one elsewhere.
    for (const [tag] of body.matchAll(/<form\s[^>]*method="post"[^>]*>|<button\s[^>]*formaction="[^>]*>/g)) {
      const [, action] = /\s(?:form)?action="([^"]*)"/.exec(tag);
      const to = new URL(decode(action), base + address).pathname;
      if (!forms.has(to)) forms.set(to, address);
    }
  }
  return { pages, forms };
}
