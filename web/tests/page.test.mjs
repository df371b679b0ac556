// The page and the package in Chromium, as a person uses them; results are compared with those of the program on the CPU.
// Environment: SITE, the folder that is served; SASNET, the program.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { serve } from '../serve.mjs';
import { start, visit } from './chromium.mjs';
import { png } from './png.mjs';

const { SITE, SASNET } = process.env;
const folder = mkdtempSync(join(tmpdir(), 'sasnet-web-'));
let browser, server;

before(async () => {
  server = await serve(SITE);
  browser = await start();
});
after(async () => {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true });
});

// A picture of edges and texture.
function texture(x, y, c) {
  const edge = (x + 2 * y) % 37 < 18 ? 0.25 : 0.7;
  return edge + 0.06 * c + (((7 * x * x + 13 * y + 5 * x * y) % 31) / 31) * 0.12;
}

function file(name, bytes) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}
const picture = file('picture.png', png(64, 64, texture));

// The result of the program on the CPU, a PNG file.
function native(path, ...options) {
  const out = join(folder, 'native.png');
  execFileSync(SASNET, ['smooth', path, '-o', out, '--adapter', 'cpu', ...options], { stdio: 'pipe' });
  return readFileSync(out);
}

// The codes of a file, as the page's browser reads it.
function decode(page, bytes) {
  return page.evaluate(async base64 => {
    const blob = await (await fetch(`data:application/octet-stream;base64,${base64}`)).blob();
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none' });
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    return { width: bitmap.width, height: bitmap.height, codes: [...context.getImageData(0, 0, bitmap.width, bitmap.height).data] };
  }, bytes.toString('base64'));
}

// The largest difference, and how many differ.
function compare(got, want) {
  assert.equal(got.length, want.length);
  const off = got.map((v, i) => Math.abs(v - want[i]));
  return { most: Math.max(...off), count: off.filter(v => v > 0).length, of: off.length };
}

function agrees(t, got, want) {
  const { most, count, of } = compare(got, want);
  t.diagnostic(`${count} of ${of} values differ, by ${most} at most`);
  assert.ok(most <= 1, `a value differs by ${most}`);
}

const status = page => page.locator('#status').textContent();
const done = page => page.waitForFunction(() => / in [\d.]+ s/.test(document.getElementById('status').textContent));

async function add(page, path) {
  await page.setInputFiles('#file', path);
  await done(page);
}

// Runs again, with other controls.
async function again(page) {
  await page.evaluate(() => (document.getElementById('status').textContent = ''));
  await page.getByRole('button', { name: 'Smooth', exact: true }).click();
  await done(page);
}

async function save(page) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

async function result(page) {
  return (await decode(page, (await save(page)).bytes)).codes;
}

test('the page', async t => {
  const page = await visit(browser, server.address);

  await t.test('smooths a picture that is opened', async t => {
    await add(page, picture);
    t.diagnostic(await page.locator('#adapter').getAttribute('title'));
    assert.match(await page.locator('#notice').textContent(), /without a GPU/);
    assert.match(await status(page), /^64×64 in [\d.]+ s, [\d.]+ MB on the device$/);
    agrees(t, await result(page), (await decode(page, native(picture))).codes);
  });

  await t.test('strength is a share of the result', async t => {
    await page.locator('#strength').fill('50');
    assert.equal(await page.locator('#strength-value').textContent(), '50 %');
    agrees(t, await result(page), (await decode(page, native(picture, '--amount', '0.5'))).codes);
    await page.locator('#strength').fill('100');
  });

  for (const [what, set, options] of [
    ['best quality', () => page.getByLabel('Best quality').check(), ['--ensemble']],
    ['texture size', async () => {
      await page.getByLabel('Best quality').uncheck();
      await page.locator('#texture').fill('2');
    }, ['--texture-size', '2']],
    ['the other model', async () => {
      await page.locator('#texture').fill('1');
      await page.locator('#method').selectOption('soft');
    }, ['--model', 'soft']],
  ]) {
    await t.test(what, async t => {
      await set();
      await again(page);
      agrees(t, await result(page), (await decode(page, native(picture, ...options))).codes);
    });
  }

  for (const method of await page.locator('#classical option').evaluateAll(options => options.map(o => o.value))) {
    await t.test(`the method ${method}`, async t => {
      await page.locator('#method').selectOption(method);
      await again(page);
      agrees(t, await result(page), (await decode(page, native(picture, '--method', method))).codes);
    });
  }

  await t.test('a method’s parameter', async t => {
    await page.locator('#method').selectOption('gf');
    await page.getByLabel('eps', { exact: true }).fill('0.1');
    await page.getByLabel('guide', { exact: true }).selectOption({ index: 1 });
    await page.getByLabel('r', { exact: true }).fill('3');
    await again(page);
    const guide = await page.getByLabel('guide', { exact: true }).inputValue();
    const want = native(picture, '--method', 'gf', '--set', 'eps=0.1', '--set', 'r=3', '--set', `guide=${guide}`);
    agrees(t, await result(page), (await decode(page, want)).codes);
    await page.locator('#method').selectOption('small');
  });

  await t.test('the handle follows mouse, touch and keys', async () => {
    const handle = page.getByRole('slider', { name: /before ends/ });
    const value = async () => Number(await handle.getAttribute('aria-valuenow'));
    await handle.focus();
    await page.keyboard.press('ArrowRight');
    assert.equal(await value(), 52);
    await page.keyboard.press('Home');
    assert.equal(await value(), 0);
    await page.keyboard.press('End');
    assert.equal(await value(), 100);
    const box = await page.locator('#viewer').boundingBox();
    const at = part => [box.x + part * box.width, box.y + box.height / 2];
    await page.mouse.move(...at(0.999));
    await page.mouse.down();
    await page.mouse.move(...at(0.3), { steps: 4 });
    await page.mouse.up();
    assert.equal(await value(), 30);
    const client = await page.context().newCDPSession(page);
    const touch = (type, part) => client.send('Input.dispatchTouchEvent', {
      type, touchPoints: part === undefined ? [] : [{ x: at(part)[0], y: at(part)[1] }],
    });
    await touch('touchStart', 0.3);
    await touch('touchMove', 0.5);
    await touch('touchMove', 0.7);
    await touch('touchEnd');
    assert.equal(await value(), 70);
  });

  await t.test('zooms and pans', async () => {
    const transform = () => page.locator('#after').evaluate(canvas => canvas.style.transform);
    const fit = await transform();
    await page.getByRole('button', { name: 'Zoom in' }).click();
    const zoomed = await transform();
    assert.notEqual(zoomed, fit);
    const box = await page.locator('#viewer').boundingBox();
    await page.mouse.move(box.x + 40, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + 60, box.y + 70);
    await page.mouse.up();
    const corner = text => text.match(/-?[\d.]+/g).map(Number);
    const [[x0, y0], [x1, y1]] = [zoomed, await transform()].map(corner);
    assert.deepEqual([Math.round(x1 - x0), Math.round(y1 - y0)], [20, 30]);
    await page.mouse.wheel(0, -300);
    assert.ok(corner(await transform())[2] > corner(zoomed)[2]);
    await page.getByRole('button', { name: 'Fit' }).click();
    assert.equal(await transform(), fit);
  });

  await t.test('saves at the picture’s own size', async () => {
    for (const [format, extension] of [['image/png', 'png'], ['image/jpeg', 'jpeg'], ['image/webp', 'webp']]) {
      await page.locator('#format').selectOption(format);
      const { name, bytes } = await save(page);
      assert.equal(name, `picture-smooth.${extension}`);
      const { width, height } = await decode(page, bytes);
      assert.deepEqual([width, height], [64, 64]);
    }
    await page.locator('#format').selectOption('image/png');
  });

  await t.test('says what is lost', async () => {
    const deep = file('deep.png', png(64, 64, texture, { depth: 16, extra: [['iCCP', Buffer.from('x\0\0')]] }));
    await add(page, deep);
    const notes = await page.locator('#notes li').allTextContents();
    assert.match(notes.join(' '), /8 bits a channel.*colour profile/);
  });

  await t.test('keeps alpha', async () => {
    const alpha = file('alpha.png', png(64, 64, (x, y, c) => (c === 3 ? ((x + y) % 2 ? 1 : 0.5) : texture(x, y, c)), { channels: 4 }));
    await add(page, alpha);
    const codes = await result(page);
    assert.deepEqual([codes[3], codes[7]], [128, 255]);
  });

  await t.test('refuses bad files in words', async () => {
    for (const [name, bytes] of [['text.png', Buffer.from('no picture')], ['empty.jpg', Buffer.alloc(0)],
      ['cut.png', readFileSync(picture).subarray(0, 60)]]) {
      await page.setInputFiles('#file', file(name, bytes));
      await page.waitForFunction(name => document.getElementById('status').textContent.startsWith(name), name);
      assert.match(await status(page), /damaged, or of a format/);
    }
  });

  await t.test('has a queue, and stops', async () => {
    await page.getByLabel('Best quality').check();
    const names = ['one', 'two', 'three'].map((name, i) => file(`${name}.png`, png(64 + i, 64, texture)));
    await page.setInputFiles('#file', names);
    await page.waitForFunction(() => document.querySelectorAll('#queue [data-state="⟳"]').length === 1);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.waitForFunction(() => document.querySelectorAll('#queue [data-state="!"]').length >= 1);
    await page.getByRole('button', { name: /, three:/ }).waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll('#queue button')].slice(-2).every(b => b.dataset.state === '✓'));
    await page.getByRole('button', { name: /, one:/ }).click();
    assert.equal(await status(page), 'Stopped.');
    await page.getByLabel('Best quality').uncheck();
  });

  await t.test('takes what is pasted and dropped', async () => {
    for (const kind of ['paste', 'drop']) {
      const before = await page.locator('#queue button').count();
      await page.evaluate(([kind, base64]) => {
        const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], `${kind}.png`, { type: 'image/png' }));
        const event = kind === 'paste' ? new ClipboardEvent(kind, { clipboardData: data }) : new DragEvent(kind, { dataTransfer: data });
        dispatchEvent(event);
      }, [kind, readFileSync(picture).toString('base64')]);
      await page.waitForFunction(n => document.querySelectorAll('#queue button').length === n + 1, before);
      await done(page);
    }
  });

  await t.test('takes a photograph', async () => {
    await page.locator('#method').selectOption('gf');
    await page.getByRole('button', { name: 'Camera' }).click();
    await page.waitForFunction(() => document.getElementById('video').videoWidth > 0);
    await page.getByRole('button', { name: 'Take the picture' }).click();
    await page.getByRole('button', { name: /camera: done/ }).waitFor();
  });

  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('by the keyboard alone, and for who does not see it', async () => {
  const page = await visit(browser, server.address);
  await page.locator('#adapter').waitFor();
  // From the top to the first sample.
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.dataset.sample?.includes('mosaic'))) break;
  }
  await page.locator('#method').evaluate(select => (select.value = 'small'));
  await page.keyboard.press('Enter');
  await page.locator('#viewer').waitFor();
  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, [role=slider], canvas')]
    .filter(element => element.checkVisibility() && element.tagName !== 'CANVAS')
    .filter(element => !(element.ariaLabel || element.textContent.trim() || element.labels?.length || element.closest('label')))
    .map(element => element.outerHTML));
  assert.deepEqual(nameless, []);
  const tree = await page.locator('body').ariaSnapshot();
  for (const part of ['slider "Where before ends', 'combobox "Method"', 'slider "Strength"', 'switch "Best quality"', 'status']) {
    assert.ok(tree.includes(part), `${part} in:\n${tree}`);
  }
  await page.context().close();
});

const hasCpu = existsSync(join(SITE, 'sasnet/cpu'));
test('without WebGPU', { skip: !hasCpu && 'NOT TESTED: this build has no engine for it' }, async t => {
  const hidden = "Object.defineProperty(navigator, 'gpu', { value: undefined })";
  const page = await visit(browser, server.address, { before: hidden });
  await add(page, picture);
  assert.match(await page.locator('#notice').textContent(), /no WebGPU/);
  assert.equal(await page.locator('#adapter').textContent(), 'CPU');
  agrees(t, await result(page), (await decode(page, native(picture))).codes);
  await page.getByLabel('Best quality').check();
  await page.getByRole('button', { name: 'Smooth', exact: true }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Stopped.');
  await page.getByLabel('Best quality').uncheck();
  await again(page);
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('a device that is lost is opened again', async t => {
  const keep = `const request = GPUAdapter.prototype.requestDevice; self.devices = [];
    GPUAdapter.prototype.requestDevice = async function (wanted) {
      self.devices.push(await request.call(this, wanted));
      return self.devices.at(-1);
    }`;
  const page = await visit(browser, server.address, { before: keep });
  await page.getByLabel('Best quality').check();
  await page.setInputFiles('#file', picture);
  await page.waitForFunction(() => document.getElementById('bar').value > 0);
  const devices = await page.workers()[0].evaluate(() => {
    self.devices[0].destroy();
    return self.devices.length;
  });
  assert.equal(devices, 1);
  await done(page);
  assert.equal(await page.workers()[0].evaluate(() => self.devices.length), 2);
  agrees(t, await result(page), (await decode(page, native(picture, '--ensemble'))).codes);
  await page.context().close();
});

test('without a network, when it was there before', async () => {
  const page = await visit(browser, server.address, { worker: 'allow' });
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.context().setOffline(true);
  await page.reload();
  await add(page, picture);
  await page.context().close();
});

test('the package', async t => {
  const page = await visit(browser, `${server.address}sasnet/example.html`);
  // Calls `body` with an opened engine; its argument is `given`.
  const call = (body, given, options = {}) => page.evaluate(async ([body, given, options]) => {
    const { open } = await import('./index.js');
    const sasnet = await open(options);
    try {
      return await new Function('sasnet', 'given', `return (async () => { ${body} })()`)(sasnet, given);
    } finally {
      sasnet.close();
    }
  }, [body, given, options]);
  const codes = [...Array(64 * 64 * 3)].map((_, i) => Math.round(texture(Math.floor(i / 3) % 64, Math.floor(i / 192), i % 3) * 255));
  const want = (await decode(page, native(picture))).codes.filter((_, i) => i % 4 < 3);

  await t.test('takes codes and floats, RGB', async t => {
    const [bytes, floats] = await call(`
      const size = { width: 64, height: 64 };
      const heard = [];
      const bytes = await sasnet.smooth({ data: new Uint8Array(given), ...size }, { onProgress: part => heard.push(part) });
      if (!(heard[0] === 0 && heard.at(-1) === 1)) throw new Error(heard);
      const floats = await sasnet.smooth({ data: new Float32Array(given.map(v => v / 255)), ...size });
      return [[...bytes.data], [...floats.data].map(v => Math.round(v * 255))];`, codes);
    agrees(t, bytes, want);
    agrees(t, floats, want);
  });

  await t.test('within a memory, in slabs, with the same result', async t => {
    const both = `
      const [size, gf] = [{ width: 32, height: 1024 }, { method: 'gf' }];
      const data = Float32Array.from({ length: 32 * 1024 * 3 }, (_, i) => ((i * i) % 97) / 97);
      return [await sasnet.estimate(size, gf), [...(await sasnet.smooth({ data, ...size }, gf)).data]];`;
    const [whole, want] = await call(both);
    const maxMemory = Math.round(0.7 * whole.bytes);
    const [slabs, got] = await call(both, null, { maxMemory });
    t.diagnostic(JSON.stringify([whole, slabs]));
    assert.ok(whole.slabs === 1 && slabs.slabs > 1 && slabs.bytes <= maxMemory, JSON.stringify([whole, slabs]));
    assert.deepEqual(got, want);
  });

  await t.test('plans a picture of 12 megapixels within 512 MB', async t => {
    const plan = await call('return sasnet.estimate({ width: 4000, height: 3000 })', null, { maxMemory: 512e6 });
    t.diagnostic(JSON.stringify(plan));
    assert.ok(plan.bytes <= 512e6);
  });

  await t.test('refuses in words', async () => {
    const why = (body, options) => call(`try { ${body} } catch (error) { return error.message }`, null, options);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(5), width: 2, height: 2 })'), /5 values for 2x2/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { method: "gauss" })'), /no method gauss/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { strength: 2 })'), /amount is 2/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { stength: 1 })'), /stength/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { weights: new Uint8Array(9) })'), /weights/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { signal: AbortSignal.abort() })'), /abort/);
    assert.match(await why('await sasnet.smooth("picture")'), /ImageBitmap/);
  });

  await t.test('in ten lines', async () => {
    await page.setInputFiles('input', picture);
    await page.waitForFunction(() => document.querySelector('canvas').width === 64);
  });
  await page.context().close();
});
