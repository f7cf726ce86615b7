// A line to the server that can be cut: HTTP between browser and server, which passes on what it is told to.

import { createServer, request } from 'node:http';

export async function proxy(base) {
  const to = new URL(base);
  // Streams of the page that are open, and what each asked to go on from.
  const state = { cut: false, streams: new Set(), asked: [] };
  const server = createServer((incoming, answer) => {
    const isStream = incoming.url.endsWith('/live');
    if (isStream) state.asked.push({ last: incoming.headers['last-event-id'], cut: state.cut });
    if (isStream && state.cut) return incoming.socket.destroy();
    const own = `http://${incoming.headers.host}`;
    const headers = { ...incoming.headers, host: to.host };
    for (const name of ['origin', 'referer']) if (headers[name]) headers[name] = headers[name].replace(own, base);
    const outgoing = request({ host: to.hostname, port: to.port, path: incoming.url, method: incoming.method, headers }, (answered) => {
      answer.writeHead(answered.statusCode, answered.headers);
      answered.pipe(answer);
    });
    outgoing.on('error', () => answer.destroy());
    if (isStream) {
      state.streams.add(answer);
      answer.on('close', () => { state.streams.delete(answer); outgoing.destroy(); });
    }
    incoming.pipe(outgoing);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    asked: state.asked,
    // Ends every stream, and refuses new ones.
    cut() {
      state.cut = true;
      for (const stream of state.streams) stream.destroy();
    },
    mend() { state.cut = false; },
    close: async () => { server.closeAllConnections(); server.close(); },
  };
}
