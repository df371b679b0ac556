// node serve.mjs FOLDER [PORT]: serves a folder to this machine alone, as any static host does.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm', '.json': 'application/json', '.webmanifest': 'application/manifest+json',
  '.png': 'image/png', '.jpg': 'image/jpeg',
};

/** Serves `folder`, with these headers; returns the address, and a function that ends it. */
export async function serve(folder, port = 0, headers = {}) {
  const server = createServer(async ({ url }, answer) => {
    const path = decodeURIComponent(new URL(url, 'http://localhost').pathname);
    const file = join(folder, normalize(path.endsWith('/') ? `${path}index.html` : path));
    try {
      const bytes = await readFile(file);
      answer.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', ...headers }).end(bytes);
    } catch {
      answer.writeHead(404).end();
    }
  });
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
  return { address: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

if (import.meta.filename === process.argv[1]) {
  const { address } = await serve(process.argv[2], Number(process.argv[3] ?? 8000));
  console.log(`${address} (Ctrl-C ends it)`);
}
