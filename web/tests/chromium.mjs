// Starts Chromium with a WebGPU of its own in software, and opens the page.
import { chromium } from 'playwright-core';
import { execFileSync } from 'node:child_process';

const SWITCHES = [
  '--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

export function start() {
  const executablePath = process.env.CHROMIUM ?? execFileSync('sh', ['-c', 'command -v chromium']).toString().trim();
  // Playwright's own switch keeps WebGPU off SwiftShader.
  const ignoreDefaultArgs = ['--enable-unsafe-swiftshader'];
  return chromium.launch({ executablePath, args: SWITCHES, ignoreDefaultArgs });
}

/** A page of its own. `before` runs in its worker, ahead of the package's code; `asked` hears the addresses it asks for. */
export async function visit(browser, address, { before, asked, worker = 'block', ...options } = {}) {
  const context = await browser.newContext({ serviceWorkers: worker, acceptDownloads: true, ...options });
  if (asked) context.on('request', request => asked(request.url()));
  const page = await context.newPage();
  page.setDefaultTimeout(300_000);
  page.errors = [];
  page.on('pageerror', error => page.errors.push(String(error)));
  page.on('console', message => message.type() === 'error' && page.errors.push(message.text()));
  if (before) {
    await page.route('**/worker.js', async route => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: `${before};\n${await answer.text()}` });
    });
  }
  await page.goto(address);
  return page;
}
