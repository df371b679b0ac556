// A large picture in Chromium: how long it takes, and what memory.
// Environment: SITE, a folder with `sasnet`.
// node large.mjs ADAPTER METHOD [WIDTHxHEIGHT [MAX_MEMORY [PART]]]: stops when this part is done, 1 = all.
import { readFileSync, readdirSync } from 'node:fs';
import { serve } from '../serve.mjs';
import { start, visit } from './chromium.mjs';

const [adapter, method, size = '4000x3000', maxMemory = '512e6', until = '1'] = process.argv.slice(2);
const [width, height] = size.split('x').map(Number);

// The most that buffers of WebGPU take.
const count = `self.bytes = { now: 0, most: 0 };
  const { createBuffer } = self.GPUDevice?.prototype ?? {};
  if (createBuffer) GPUDevice.prototype.createBuffer = function (wanted) {
    bytes.now += wanted.size;
    bytes.most = Math.max(bytes.most, bytes.now);
    const buffer = createBuffer.call(this, wanted);
    const destroy = buffer.destroy;
    buffer.destroy = function () { bytes.now -= wanted.size; destroy.call(this); };
    return buffer;
  };`;

// The most that a process of this browser has had resident: its kind, and bytes.
function resident(name) {
  const processes = readdirSync('/proc').filter(id => Number(id)).flatMap(id => {
    try {
      const command = readFileSync(`/proc/${id}/cmdline`, 'latin1');
      const most = Number(readFileSync(`/proc/${id}/status`, 'latin1').match(/VmHWM:\s*(\d+)/)?.[1] ?? 0) * 1024;
      return command.includes(`--type=${name}`) ? [most] : [];
    } catch {
      return []; // it has ended
    }
  });
  return Math.max(0, ...processes);
}

const server = await serve(process.env.SITE);
const browser = await start();
const page = await visit(browser, `${server.address}sasnet/package.json`, { before: count });
const result = await page.evaluate(async ([adapter, method, width, height, maxMemory, until]) => {
  const { open } = await import('./index.js');
  const sasnet = await open({ adapter, maxMemory });
  const options = method === 'sasnet' ? {} : { method };
  const plan = await sasnet.estimate({ width, height }, options);
  const pixels = new ImageData(width, height);
  for (let i = 0; i < pixels.data.length; i++) pixels.data[i] = i % 4 === 3 ? 255 : (i * 31 + (i >> 9) * 17) % 256;
  const stop = new AbortController();
  const begin = performance.now();
  let part = 0;
  const onProgress = done => {
    part = done;
    if (done >= until && until < 1) stop.abort();
  };
  const end = await sasnet.smooth(pixels, { ...options, signal: stop.signal, onProgress }).then(({ memory }) => ({ memory }), error => ({ error: error.message }));
  return { plan, part, seconds: (performance.now() - begin) / 1000, ...end };
}, [adapter, method, width, height, Number(maxMemory), Number(until)]);
// Where the CPU was stopped, its worker is gone.
const most = adapter === 'cpu' ? 0 : await page.workers()[0].evaluate('bytes.most');
const MB = bytes => `${Math.round(bytes / 1e6)} MB`;
console.log(`${method} on ${adapter}, ${size} within ${MB(maxMemory)}: planned ${MB(result.plan.bytes)} in ${result.plan.slabs} slabs;`,
  `${Math.round(100 * result.part)} % in ${result.seconds.toFixed(1)} s${result.error ? ` (${result.error})` : ''};`,
  `buffers ${MB(most)}, resident at most: page ${MB(resident('renderer'))}, GPU process ${MB(resident('gpu-process'))}`);
await page.unrouteAll({ behavior: 'ignoreErrors' });
await browser.close();
server.close();
