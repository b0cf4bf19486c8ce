/** A server of files on loopback, at a port that the system chooses: page, test pages, MQTT.js. */
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));
/** What stands under which path; the first that fits counts. */
const ROOTS = [
  ['/test/', join(here, 'pages')],
  ['/npm/', join(here, 'node_modules')],
  ['/', join(here, '../../www/dist')],
];
const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css',
  '.svg': 'image/svg+xml', '.wasm': 'application/wasm',
};

async function answer(request, response) {
  const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
  const [prefix, root] = ROOTS.find(([start]) => path.startsWith(start));
  const file = join(root, path === '/' ? 'index.html' : path.slice(prefix.length));
  try {
    const body = await readFile(file);
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

/** Resolves with the address and a function that ends the server. */
export async function serve() {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}
