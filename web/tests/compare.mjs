// From navigation to the first result, beside onnxruntime-web: the same network in the same Chromium, each time in a new page
// whose caches are empty, engine after engine, all of it again and again. Prints Markdown.
// Environment: SITE, a folder with compare.html, `sasnet`, `ort` (onnxruntime-web's `dist`) and model.onnx; ENGINES, a part of
// the names of those that are timed.
// node compare.mjs [REPEATS [WIDTHxHEIGHT...]]
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { serve } from '../serve.mjs';
import { start, visit } from './chromium.mjs';

const { SITE } = process.env;
const [repeats = 5, ...given] = process.argv.slice(2);
const sizes = given.length ? given : ['64x64', '256x192', '512x384'];
// The result that others are compared with.
const reference = 'onnxruntime-web, CPU';
const engines = ['sasnet, WebGPU', 'onnxruntime-web, WebGPU', 'sasnet, CPU', 'onnxruntime-web, CPU', 'onnxruntime-web, CPU, 2 threads']
  .filter(name => name.includes(process.env.ENGINES ?? ''));

// Threads of WebAssembly are for pages that ask for these headers.
const isolated = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const servers = await Promise.all([serve(SITE), serve(SITE, 0, isolated)]);
const browser = await start();
const loaded = {};

async function measure(engine, size) {
  const { address } = servers[Number(engine.includes('threads'))];
  const page = await visit(browser, `${address}compare.html?${new URLSearchParams({ engine, size })}`, {
    asked: url => (loaded[engine] ??= new Set()).add(new URL(url).pathname.slice(1)),
  });
  const measured = await page.evaluate('measured');
  await page.context().close();
  return measured;
}

const median = values => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const seconds = values => (median(values) / 1000).toFixed(2);
const range = values => `${seconds(values)} (${[Math.min(...values), Math.max(...values)].map(v => (v / 1000).toFixed(2)).join(' to ')})`;

console.log(`Chromium ${browser.version()}, ${repeats} repeats: median (least to most), seconds\n`);
console.log('| size | engine | ready | first result | the next | largest difference |\n|---|---|---|---|---|---|');
// Milliseconds a pixel that an engine took before: one that would take minutes is left out.
const slow = {};
const pixels = size => size.split('x').reduce((w, h) => w * h);
for (const size of sizes) {
  const swift = engines.filter(engine => !(slow[engine] * pixels(size) > 120e3));
  const runs = Object.fromEntries(swift.map(engine => [engine, []]));
  for (let i = 0; i < repeats; i++) {
    for (const engine of i % 2 ? swift.toReversed() : swift) {
      runs[engine].push(await measure(engine, size));
    }
  }
  const want = runs[reference][0].values;
  for (const engine of swift) {
    slow[engine] = median(runs[engine].map(({ next }) => next)) / pixels(size);
    const off = runs[engine].map(({ values }) => values.reduce((most, v, i) => Math.max(most, Math.abs(v - want[i])), 0));
    const [opened, first, next] = ['opened', 'first', 'next'].map(part => runs[engine].map(run => run[part]));
    console.log(`| ${size} | ${engine} | ${seconds(opened)} | ${range(first)} | ${seconds(next)} | ${Math.max(...off).toExponential(1)} |`);
  }
}
await browser.close();
servers.forEach(server => server.close());

console.log('\n| what a page loads | raw | gzip | brotli |\n|---|---|---|---|');
for (const engine of engines.filter(name => !name.includes('threads'))) {
  const files = [...loaded[engine]].filter(file => file.includes('/') || file.endsWith('.onnx'));
  const sum = { raw: 0, gzip: 0, brotli: 0 };
  for (const file of files) {
    const bytes = await readFile(join(SITE, file));
    sum.raw += bytes.length;
    sum.gzip += (await promisify(gzip)(bytes)).length;
    sum.brotli += (await promisify(brotliCompress)(bytes)).length;
  }
  console.log(`| ${engine}: ${files.map(file => file.split('/').pop()).join(', ')} | ${Object.values(sum).join(' | ')} |`);
}
