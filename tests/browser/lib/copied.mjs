// "Copy as": whatever a page gives to copy is a request that the API knows, and a command that the CLI understands.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const decode = (text) => text
  .replace(/&#x?(\d+);/g, (_, n) => String.fromCodePoint(Number(n)))
  .replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

// What is there to copy on a page, as [way, text].
function offered(text) {
  return [...text.matchAll(/<figcaption>(CLI|curl) [^]*?<code>([^]*?)<\/code>/g)].map(([, way, code]) => [way, decode(code).trim()]);
}

// What is wrong with what `pages` offer; `binary` is the CLI.
export async function wrong(world, pages, binary) {
  const api = await (await fetch(`${world.base}/api/v1/openapi.json`)).json();
  const known = Object.entries(api.paths).flatMap(([path, verbs]) => Object.entries(verbs).map(([verb, route]) => ({
    verb: verb.toUpperCase(),
    fits: new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`),
    query: new Set((route.parameters ?? []).filter((p) => p.in === 'query').map((p) => p.name)),
  })));
  const found = [];
  const commands = new Map();
  for (const page of pages) {
    for (const [way, text] of offered(page.text)) {
      if (way === 'CLI') commands.set(text.replace(/\b[a-z]{3}_[0-9A-Z]{26}\b/g, 'ID'), page.address);
      else if (!request(known, text)) found.push(`${page.address}: ${text}`);
    }
  }
  await Promise.all([...commands].map(async ([command, address]) => {
    // The words before the first quoted one are enough to tell a command and its options.
    const words = command.split('\n')[0].split(' ').slice(1);
    await promisify(execFile)(binary, [...words, '--help'], { env: {} })
      .catch((error) => found.push(`${address}: ${command}: ${String(error.stderr).split('\n')[0]}`));
  }));
  return { found, commands: commands.size };
}

function request(known, text) {
  const verb = /-X (\w+)/.exec(text)?.[1] ?? 'GET';
  const url = new URL(/'(https?:[^']*)'/.exec(text)[1]);
  return known.some((route) => route.verb === verb && route.fits.test(url.pathname)
    && [...url.searchParams.keys()].every((name) => route.query.has(name)));
}
