// A site over TLS with metadata documents of OAuth clients (draft-ietf-oauth-client-id-metadata-document).
//
//   node client_documents.mjs CERTIFICATE KEY JWK      prints its port once it answers; then a line for each path that is asked
//
// `/client.json` has the key, `/other.json` is the document of another address, `/moved.json` sends to the first one, `/huge.json` does not
// end, `/page.json` is a page.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const [cert, key, jwk] = process.argv.slice(2);
let origin;

const document = (path) => ({
  client_id: `${origin}${path}`,
  client_name: 'A client',
  redirect_uris: ['https://client.example/back'],
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: { keys: [JSON.parse(jwk)] },
});

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  console.log(request.url);
  const say = (value) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  switch (request.url) {
    case '/client.json':
      return say(document('/client.json'));
    case '/other.json':
      return say(document('/client.json'));
    case '/moved.json':
      return response.writeHead(302, { location: `${origin}/client.json` }).end();
    case '/huge.json':
      return say({ ...document('/huge.json'), padding: 'x'.repeat(4 << 20) });
    case '/page.json':
      return response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
    default:
      return response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
origin = `https://localhost:${server.address().port}`;
console.log(origin);
