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
let browser, server, webgpu;

before(async () => {
  server = await serve(SITE);
  // By default what has no GPU takes the CPU.
  webgpu = `${server.address}?adapter=software`;
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
  return { most: off.reduce((a, b) => Math.max(a, b)), count: off.filter(v => v > 0).length, of: off.length };
}

function agrees(t, got, want) {
  const { most, count, of } = compare(got, want);
  t.diagnostic(`${count} of ${of} values differ, by ${most} at most`);
  assert.ok(most <= 1, `a value differs by ${most}`);
}

// Touches a page: a kind of event, and where the fingers are.
async function fingers(page) {
  const client = await page.context().newCDPSession(page);
  return (type, ...at) => client.send('Input.dispatchTouchEvent', { type, touchPoints: at.map(([x, y], id) => ({ x, y, id })) });
}

// Where the picture's corner lies in the view, and pixels of the view for one of the picture.
async function view(page) {
  const [x, y, scale] = (await page.locator('#after').evaluate(canvas => canvas.style.transform)).match(/-?[\d.]+/g).map(Number);
  return { x, y, scale };
}

function near(got, want) {
  assert.ok(Math.abs(got - want) < 0.01 * Math.abs(want) + 0.5, `${got} is not ${want}`);
}

const status = page => page.locator('#status').textContent();
const done = page => page.waitForFunction(() => / in [\d.]+ s/.test(document.getElementById('status').textContent));

const forget = page => page.evaluate(() => (document.getElementById('status').textContent = ''));

async function add(page, path) {
  await forget(page);
  await page.setInputFiles('#file', path);
  await done(page);
}

// Runs again, with other controls.
async function again(page) {
  await forget(page);
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
  const page = await visit(browser, webgpu);

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
    ['a finish', async () => {
      await page.locator('#texture').fill('1');
      await page.getByLabel('Even out flat areas').check();
    }, ['--finish']],
    ['the other model', async () => {
      await page.getByLabel('Even out flat areas').uncheck();
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
    const touch = await fingers(page);
    await touch('touchStart', at(0.3));
    await touch('touchMove', at(0.5));
    await touch('touchMove', at(0.7));
    await touch('touchEnd');
    assert.equal(await value(), 70);
  });

  await t.test('zooms and pans', async () => {
    const fit = await view(page);
    await page.getByRole('button', { name: 'Zoom in' }).click();
    const zoomed = await view(page);
    near(zoomed.scale, 1.5 * fit.scale);
    const box = await page.locator('#viewer').boundingBox();
    await page.mouse.move(box.x + 40, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + 60, box.y + 70);
    await page.mouse.up();
    const panned = await view(page);
    near(panned.x - zoomed.x, 20);
    near(panned.y - zoomed.y, 30);
    await page.mouse.wheel(0, -300);
    assert.ok((await view(page)).scale > zoomed.scale);
    await page.getByRole('button', { name: 'Fit' }).click();
    await page.getByRole('button', { name: 'Zoom out' }).click();
    near((await view(page)).scale, fit.scale / 1.5);
    // By keys.
    await page.getByRole('slider', { name: /before ends/ }).focus();
    await page.keyboard.press('0');
    assert.deepEqual(await view(page), fit);
    await page.keyboard.press('+');
    await page.keyboard.press('Shift+ArrowRight');
    near((await view(page)).scale, zoomed.scale);
    near((await view(page)).x, zoomed.x - 40);
    await page.keyboard.press('0');
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
    const notes = async () => (await page.locator('#notes li').allTextContents()).join(' ');
    assert.match(await notes(), /8 bits a channel.*colour profile/);
    await page.locator('#format').selectOption('image/jpeg');
    const { bytes } = await save(page);
    await page.locator('#format').selectOption('image/png');
    const exif = Buffer.concat([bytes.subarray(0, 2), Buffer.from('\xff\xe1\0\x08Exif\0\0', 'latin1'), bytes.subarray(2)]);
    await add(page, file('exif.jpg', exif));
    assert.match(await notes(), /^Date, place and camera/);
    const gif = 'R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=';
    await add(page, file('one.gif', Buffer.from(gif, 'base64')));
    assert.match(await notes(), /^An animation/);
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
    const names = ['first', 'second', 'third'].map((name, i) => file(`${name}.png`, png(64 + i, 64, texture)));
    await page.setInputFiles('#file', names);
    await page.waitForFunction(() => document.querySelectorAll('#queue [data-state="⟳"]').length === 1);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.waitForFunction(() => document.querySelectorAll('#queue [data-state="!"]').length >= 1);
    await page.getByRole('button', { name: /, third:/ }).waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll('#queue button')].slice(-2).every(b => b.dataset.state === '✓'));
    await page.getByRole('button', { name: /, first:/ }).click();
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

  await t.test('refuses a parameter that the method does not take', async () => {
    await page.locator('#method').selectOption('gf');
    const before = await status(page);
    await page.getByLabel('r', { exact: true }).fill('-1');
    await page.getByRole('button', { name: 'Smooth', exact: true }).click();
    assert.equal(await page.locator('#parameters :invalid').count(), 1);
    assert.equal(await status(page), before);
    await page.locator('#method').selectOption('small');
  });

  await t.test('takes a photograph', async () => {
    await page.locator('#method').selectOption('gf');
    const camera = page.getByRole('dialog', { name: 'Camera' });
    await page.getByRole('button', { name: 'Camera' }).click();
    await page.getByRole('button', { name: 'Close' }).click();
    await camera.waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Camera' }).click();
    await page.getByRole('button', { name: 'Take the picture' }).click(); // which waits until there is one
    await page.getByRole('button', { name: /camera: done/ }).waitFor();
  });

  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('on a phone', async t => {
  const page = await visit(browser, webgpu, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  const touch = await fingers(page);
  await page.locator('#adapter').waitFor();
  await page.locator('#method').selectOption('gf');
  await page.getByRole('button', { name: 'A coaster of plastic beads' }).tap();
  await done(page);

  await t.test('controls follow a finger', async () => {
    await page.locator('#method').selectOption('small');
    await page.getByText('Best quality').tap();
    await page.waitForFunction(() => document.getElementById('ensemble').checked);
    const strength = page.locator('#strength');
    await strength.scrollIntoViewIfNeeded();
    const { x, y, width, height } = await strength.boundingBox();
    await touch('touchStart', [x + width / 2, y + height / 2]);
    await touch('touchEnd');
    await page.waitForFunction(() => document.getElementById('strength').value < 100);
    near(Number(await strength.inputValue()), 50);
    near(100 * await page.locator('#after').evaluate(canvas => canvas.style.opacity), await strength.inputValue());
  });

  await t.test('two fingers zoom about their middle', async () => {
    await page.evaluate(() => scrollTo(0, 0));
    const box = await page.locator('#viewer').boundingBox();
    const [x, y] = [box.x + 120, box.y + 150];
    const from = await view(page);
    await touch('touchStart', [x - 30, y], [x + 30, y]);
    for (const apart of [40, 50, 60]) await touch('touchMove', [x - apart, y + 10], [x + apart, y + 10]);
    await touch('touchEnd');
    const to = await view(page);
    near(to.scale, 2 * from.scale);
    // What was in the middle has gone 10 down with it.
    near((120 - to.x) / to.scale, (120 - from.x) / from.scale);
    near((160 - to.y) / to.scale, (150 - from.y) / from.scale);
    // One finger pans.
    await touch('touchStart', [x - 60, y]);
    await touch('touchMove', [x - 60, y + 20]);
    await touch('touchMove', [x - 50, y + 40]);
    await touch('touchEnd');
    const panned = await view(page);
    near(panned.x - to.x, 10);
    near(panned.y - to.y, 40);
  });

  await t.test('nothing is wider than the screen, and all that is touched is large enough', async () => {
    const [wide, small] = await page.evaluate(() => {
      const all = [...document.querySelectorAll('button, select, .button, .switch, input:not(.button input)')];
      const small = all.filter(element => element.checkVisibility() && element.getBoundingClientRect().height < 24);
      return [document.documentElement.scrollWidth, small.map(element => element.outerHTML)];
    });
    assert.equal(wide, 390);
    assert.deepEqual(small, []);
  });
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test('never freezes', async t => {
  const page = await visit(browser, webgpu);
  await page.evaluate(() => {
    window.tasks = [];
    new PerformanceObserver(list => tasks.push(...list.getEntries().map(task => task.duration))).observe({ type: 'longtask' });
    // One that is heard.
    setTimeout(() => { for (const end = performance.now() + 300; performance.now() < end;); });
  });
  await page.waitForFunction(() => tasks.some(task => task >= 300));
  await page.evaluate(() => (tasks = [0]));
  await page.locator('#method').selectOption('gf');
  await add(page, file('large.png', png(1280, 960, texture)));
  for (const strength of [80, 60, 40]) await page.locator('#strength').fill(String(strength));
  const longest = Math.max(...await page.evaluate('tasks'));
  t.diagnostic(`the longest task beside the worker took ${longest} ms`);
  assert.ok(longest < 250);
  await page.context().close();
});

test('dark and light', async t => {
  const page = await visit(browser, webgpu, { reducedMotion: 'reduce' });
  await page.locator('#adapter').waitFor();
  const backs = [];
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // The contrast of each text with what is behind it, as WCAG 2 defines it.
    const texts = await page.evaluate(() => {
      const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
      const rgba = color => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        return context.getImageData(0, 0, 1, 1).data;
      };
      const linear = v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      const luminance = color => rgba(color).slice(0, 3).reduce((sum, v, i) => sum + [0.2126, 0.7152, 0.0722][i] * linear(v / 255), 0);
      const behind = element => {
        const { backgroundColor } = getComputedStyle(element);
        return rgba(backgroundColor)[3] === 255 || !element.parentElement ? backgroundColor : behind(element.parentElement);
      };
      return [...document.querySelectorAll('body *')]
        .filter(element => element.checkVisibility() && !element.matches(':disabled, option, optgroup'))
        .filter(element => [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim()))
        .map(element => {
          const [dark, light] = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((a, b) => a - b);
          return [element.textContent.trim(), (light + 0.05) / (dark + 0.05)];
        });
    });
    assert.ok(texts.length > 10);
    t.diagnostic(`${colorScheme}: the least contrast is ${Math.min(...texts.map(([, contrast]) => contrast)).toFixed(1)}`);
    assert.deepEqual(texts.filter(([, contrast]) => contrast < 4.5), []);
    backs.push(await page.locator('body').evaluate(body => getComputedStyle(body).backgroundColor));
  }
  assert.notEqual(...backs);
  await page.context().close();
});

test('by the keyboard alone, and for who does not see it', async () => {
  const page = await visit(browser, webgpu);
  await page.locator('#adapter').waitFor();
  // Goes from control to control until `found` is true of one.
  const tab = async found => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(`(element => ${found})(document.activeElement)`)) return;
    }
    assert.fail(`no control is ${found}`);
  };
  await tab("element.dataset.sample?.includes('beads')");
  await page.keyboard.press('Enter');
  await page.locator('#viewer').waitFor();
  await page.locator('#cancel').waitFor();
  await tab("element.id === 'cancel'");
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Stopped.');
  await tab("element.id === 'handle'");
  await page.keyboard.press('PageUp');
  assert.equal(await page.locator('#handle').getAttribute('aria-valuenow'), '60');
  await tab("element.id === 'method'");
  await page.keyboard.type('Guided');
  await tab("element.id === 'strength'");
  for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowLeft');
  assert.equal(await page.locator('#strength-value').textContent(), '95 %');
  await tab("element.id === 'parameter-r'");
  await tab("element.id === 'run'");
  await page.keyboard.press('Enter');
  await done(page);
  await tab("element.id === 'format'");
  await page.keyboard.type('W');
  await tab("element.id === 'download'");
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  assert.equal(download.suggestedFilename(), 'beads-smooth.webp');
  await page.locator('#method').selectOption('small');

  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, [role=slider]')]
    .filter(element => element.checkVisibility())
    .filter(element => !(element.ariaLabel || element.textContent.trim() || element.labels?.length || element.closest('label')))
    .map(element => element.outerHTML));
  assert.deepEqual(nameless, []);
  const tree = await page.locator('body').ariaSnapshot();
  for (const part of ['slider "Where before ends', 'combobox "Method"', 'slider "Strength"', 'switch "Best quality"', 'status']) {
    assert.ok(tree.includes(part), `${part} in:\n${tree}`);
  }
  await page.context().close();
});

const noCpu = !existsSync(join(SITE, 'sasnet/cpu/sasnet_web_bg.wasm')) && 'NOT TESTED: this build has no engine for it';
const hidden = "Object.defineProperty(navigator, 'gpu', { value: undefined })";
test('without WebGPU', { skip: noCpu }, async t => {
  const page = await visit(browser, server.address, { before: hidden });
  await add(page, picture);
  assert.match(await page.locator('#notice').textContent(), /no WebGPU with a GPU/);
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
  // WebGPU without a GPU is slower than that.
  const other = await visit(browser, server.address);
  await other.locator('#adapter').waitFor();
  assert.equal(await other.locator('#adapter').textContent(), 'CPU');
  await other.context().close();
});

test('a device that is lost is opened again', async t => {
  const keep = `const request = GPUAdapter.prototype.requestDevice; self.devices = [];
    GPUAdapter.prototype.requestDevice = async function (wanted) {
      self.devices.push(await request.call(this, wanted));
      return self.devices.at(-1);
    }`;
  const page = await visit(browser, webgpu, { before: keep });
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

for (const adapter of ['software', 'cpu']) {
  test(`without a network, when it was there before, adapter ${adapter}`, { skip: adapter === 'cpu' && noCpu }, async () => {
    const page = await visit(browser, `${server.address}?adapter=${adapter}`, { worker: 'allow' });
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.context().setOffline(true);
    await page.reload();
    await page.locator('#adapter').waitFor();
    assert.ok(await page.evaluate(async () => (await fetch('sasnet/weights/soft.safetensors')).ok));
    await page.locator('#method').selectOption('gf');
    await add(page, picture);
    await page.context().close();
  });
}

test('is an app that can be installed', async () => {
  const page = await visit(browser, webgpu);
  const client = await page.context().newCDPSession(page);
  const { errors, data } = await client.send('Page.getAppManifest');
  assert.deepEqual(errors, []);
  const { start_url, icons, display } = JSON.parse(data);
  assert.equal(display, 'standalone');
  for (const path of [start_url, ...icons.map(({ src }) => src)]) assert.ok(existsSync(join(SITE, path)), path);
  await page.context().close();
});

test('where the device’s memory is not enough, half is tried', async t => {
  // A device that has 3 MB, where the picture takes 4 at once.
  const small = `let left = 3e6, full = false;
    const { createBuffer, popErrorScope } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (wanted) {
      const buffer = createBuffer.call(this, wanted);
      full ||= wanted.size > left;
      if (full) return buffer;
      left -= wanted.size;
      const destroy = buffer.destroy;
      buffer.destroy = function () { left += wanted.size; destroy.call(this); };
      return buffer;
    };
    GPUDevice.prototype.popErrorScope = async function () {
      const error = await popErrorScope.call(this);
      if (!full) return error;
      full = false;
      return new GPUOutOfMemoryError('no memory');
    };`;
  const page = await visit(browser, webgpu, { before: small });
  await page.locator('#adapter').waitFor();
  await page.locator('#method').selectOption('gf');
  const tall = file('tall.png', png(32, 1024, texture));
  await add(page, tall);
  assert.match(await status(page), /, [12]\.\d MB on the device$/);
  agrees(t, await result(page), (await decode(page, native(tall, '--method', 'gf'))).codes);
  await page.context().close();
});

test('the package has its files, and no others', async () => {
  const packed = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: join(SITE, 'sasnet'), stdio: 'pipe' }));
  const engines = noCpu ? ['gpu'] : ['cpu', 'gpu'];
  const want = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'example.html', 'index.d.ts', 'index.js', 'package.json', 'worker.js',
    ...['small', 'soft'].map(name => `weights/${name}.safetensors`),
    ...engines.flatMap(engine => [`${engine}/sasnet_web.js`, `${engine}/sasnet_web_bg.wasm`])];
  assert.deepEqual(packed[0].files.map(({ path }) => path).sort(), want.sort());
});

test('the package', async t => {
  const page = await visit(browser, `${server.address}sasnet/example.html`);
  // Calls `body` with an opened engine; its argument is `given`.
  const call = (body, given, options = {}) => page.evaluate(async ([body, given, options]) => {
    const { open } = await import('./index.js');
    const sasnet = await open({ adapter: 'software', ...options });
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
    const run = finish => call(`
      const [size, options] = [{ width: 64, height: 64 }, { finish: ${finish} }];
      const planned = await sasnet.estimate(size, options);
      return [planned, (await sasnet.smooth({ data: new Uint8Array(given), ...size }, options)).memory];`, codes);
    const [[alone], [both], [own]] = [await run(false), await run(true), await run('"gf,r=2"')];
    t.diagnostic(JSON.stringify([alone, both, own]));
    assert.ok(both.bytes > alone.bytes && own.bytes > alone.bytes && both.bytes !== own.bytes);
  });

  await t.test('with other weights, from an address or from memory', async () => {
    const [shipped, address, bytes] = await call(`
      const picture = { data: new Uint8Array(given), width: 64, height: 64 };
      const run = async weights => [...(await sasnet.smooth(picture, { weights })).data];
      const address = new URL('weights/soft.safetensors', location.href);
      return [await run('soft'), await run(address), await run(await (await fetch(address)).arrayBuffer())];`, codes);
    const soft = (await decode(page, native(picture, '--model', 'soft'))).codes.filter((_, i) => i % 4 < 3);
    assert.ok(compare(shipped, soft).most <= 1);
    assert.deepEqual(address, shipped);
    assert.deepEqual(bytes, shipped);
  });

  await t.test('stops when it is told to', async () => {
    const [name, parts] = await call(`
      const [stop, parts] = [new AbortController(), []];
      const onProgress = part => { parts.push(part); if (part > 0) stop.abort(); };
      const picture = { data: new Uint8Array(given), width: 64, height: 64 };
      const run = sasnet.smooth(picture, { ensemble: true, signal: stop.signal, onProgress });
      return run.then(() => ['none', parts], error => [error.name, parts]);`, codes);
    assert.equal(name, 'AbortError');
    assert.ok(parts.every(part => part < 0.9), `stopped after ${parts}`);
  });

  await t.test('refuses in words', async () => {
    const why = (body, options) => call(`try { ${body} } catch (error) { return error.message }`, null, options);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(5), width: 2, height: 2 })'), /5 values for 2x2/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { method: "gauss" })'), /no method gauss/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { strength: 2 })'), /amount is 2/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { stength: 1 })'), /stength/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { finish: "gauss" })'), /no method gauss/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { weights: new Uint8Array(9) })'), /weights/);
    assert.match(await why('await sasnet.smooth({ data: new Uint8Array(12), width: 2, height: 2 }, { signal: AbortSignal.abort() })'), /abort/);
    assert.match(await why('await sasnet.smooth("picture")'), /ImageBitmap/);
    const wrong = await page.evaluate(async () => (await import('./index.js')).open({ adapter: 'gpu' }).catch(error => error.message));
    assert.match(wrong, /no GPU for pages/);
  });

  await t.test('in ten lines', { skip: noCpu }, async () => {
    await page.setInputFiles('input', picture);
    await page.waitForFunction(() => document.querySelector('canvas').width === 64);
  });
  await page.context().close();
});
