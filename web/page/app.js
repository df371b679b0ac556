// The page: a queue of pictures, the controls, and what is shown of both.

import { open } from './sasnet/index.js';
import { blend, read, write } from './picture.js';
import { Viewer } from './viewer.js';

/** @type {(id: string) => any} */
const $ = id => document.getElementById(id);
const viewer = new Viewer($('viewer'));
// For tests and for the curious: ?adapter=gpu, software or cpu, ?memory=BYTES.
const query = new URLSearchParams(location.search);

// A picture: { name, notes, pixels, result?, took?, wrong?, state: 'waiting' | 'running' | 'done' | 'failed', button }; `took`
// is what the status says of it, `wrong` that this is an error.
const pictures = [];
let shown;
let stop;
let running = Promise.resolve();

const engine = open({
  adapter: /** @type {any} */ (query.get('adapter') ?? undefined),
  maxMemory: query.has('memory') ? Number(query.get('memory')) : undefined,
});

engine.then(ready, error => {
  say(`The engine did not start: ${error.message}.`, true);
  $('run').disabled = true;
});

function ready({ adapter, methods }) {
  const { kind, description } = adapter;
  const chip = $('adapter');
  const names = { gpu: description || 'GPU', software: 'Without a GPU', cpu: 'CPU' };
  chip.textContent = names[kind];
  chip.title = description;
  chip.classList.toggle('slow', kind !== 'gpu');
  chip.hidden = false;
  const notices = {
    software: 'This browser runs WebGPU without a GPU: everything works, slower.',
    cpu: 'This browser has no WebGPU with a GPU, so pictures are smoothed by the CPU: everything works, but large ones ' +
      'take minutes. Chrome and Edge from 113 on, Safari from 26 and Firefox from 141 have WebGPU.',
  };
  $('notice').hidden = kind === 'gpu';
  $('notice').textContent = notices[kind] ?? '';
  for (const { name, title } of methods) $('classical').append(new Option(title[0].toUpperCase() + title.slice(1), name));
  // It keeps the engine that this browser takes.
  navigator.serviceWorker?.register(`sw.js?engine=${kind === 'cpu' ? 'cpu' : 'gpu'}`).catch(() => {});
}

function say(text, wrong = false) {
  $('status').textContent = text;
  $('status').classList.toggle('wrong', wrong);
}

// Pictures in.

async function add(files) {
  for (const file of files) {
    let picture;
    try {
      picture = await read(file);
    } catch (error) {
      say(error.message, true);
      continue;
    }
    Object.assign(picture, { state: 'waiting', button: thumbnail(picture) });
    pictures.push(picture);
    $('queue').hidden = pictures.length < 2;
    show(picture);
    run(picture);
  }
}

function thumbnail(picture) {
  const { width, height } = picture.pixels;
  const button = document.createElement('button');
  const canvas = document.createElement('canvas');
  // The square in its middle.
  const side = Math.min(width, height);
  Object.assign(canvas, { width: 128, height: 128 });
  createImageBitmap(picture.pixels, (width - side) >> 1, (height - side) >> 1, side, side, { resizeWidth: 128, resizeHeight: 128 })
    .then(small => canvas.getContext('2d').drawImage(small, 0, 0));
  button.append(canvas);
  button.onclick = () => show(picture);
  $('queue').append(button);
  return button;
}

$('file').onchange = event => {
  add([...event.target.files]);
  event.target.value = '';
};
addEventListener('paste', event => {
  const files = [...event.clipboardData.files];
  if (files.length) add(files);
});
addEventListener('dragover', event => {
  event.preventDefault();
  $('veil').hidden = false;
});
addEventListener('dragleave', event => {
  if (!event.relatedTarget) $('veil').hidden = true;
});
addEventListener('drop', event => {
  event.preventDefault();
  $('veil').hidden = true;
  add([...event.dataTransfer.files]);
});
for (const button of $('samples').children) {
  button.onclick = async () => {
    const answer = await fetch(button.dataset.sample);
    add([new File([await answer.blob()], button.dataset.sample.split('/').pop())]);
  };
}

// The camera.

$('camera').hidden = !navigator.mediaDevices?.getUserMedia;
$('camera').onclick = async () => {
  $('camera').disabled = true; // asked twice, a camera would be left on
  $('camera-take').disabled = true;
  try {
    $('video').srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1920 } } });
  } catch {
    return say('There is no camera, or this page may not use it.', true);
  } finally {
    $('camera').disabled = false;
  }
  $('camera-dialog').showModal();
};
$('video').onloadeddata = () => ($('camera-take').disabled = false); // a frame is there
$('camera-close').onclick = () => $('camera-dialog').close();
$('camera-dialog').onclose = () => $('video').srcObject.getTracks().forEach(track => track.stop());
$('camera-take').onclick = async () => {
  const { videoWidth, videoHeight } = $('video');
  const canvas = new OffscreenCanvas(videoWidth, videoHeight);
  canvas.getContext('2d').drawImage($('video'), 0, 0);
  const blob = await canvas.convertToBlob();
  $('camera-dialog').close();
  add([new File([blob], 'camera.png')]);
};

// The controls.

function options() {
  const method = $('method').value;
  if (method === 'small' || method === 'soft') {
    const [ensemble, finish] = ['ensemble', 'finish'].map(name => $(name).checked);
    return { weights: method, ensemble, finish, textureSize: Number($('texture').value) };
  }
  const inputs = [...$('parameters').querySelectorAll('[name]')];
  return { method, values: Object.fromEntries(inputs.map(input => [input.name, input.type === 'number' ? Number(input.value) : input.value])) };
}

$('method').onchange = async () => {
  const { methods } = await engine;
  const method = methods.find(({ name }) => name === $('method').value);
  $('network').hidden = Boolean(method);
  $('paper').hidden = !method;
  $('paper').textContent = method?.paper ?? '';
  $('parameters').replaceChildren(...(method?.parameters ?? []).map(parameterField));
};

function parameterField({ name, help, domain, default: value }) {
  const field = document.createElement('div');
  field.className = 'field';
  const input = document.createElement(domain.choices ? 'select' : 'input');
  Object.assign(input, { id: `parameter-${name}`, name });
  if (domain.choices) input.append(...domain.choices.map(choice => new Option(choice, choice)));
  else Object.assign(input, { type: 'number', min: domain.min, max: domain.max, step: domain.step ?? 'any', required: true });
  input.value = value;
  const label = Object.assign(document.createElement('label'), { htmlFor: input.id, textContent: name });
  const hint = Object.assign(document.createElement('p'), { className: 'hint', textContent: help });
  field.append(label, input, hint);
  return field;
}

$('strength').oninput = () => {
  $('strength-value').textContent = `${$('strength').value} %`;
  viewer.strength = strength();
};
$('texture').oninput = () => ($('texture-value').textContent = `${Number($('texture').value)}×`);
$('form').onsubmit = event => {
  event.preventDefault();
  if (shown) run(shown);
};
$('cancel').onclick = () => stop?.abort();

// Smoothing.

function run(picture) {
  picture.state = 'waiting';
  const wanted = options();
  running = running.then(() => smooth(picture, wanted));
  update();
}

async function smooth(picture, wanted) {
  stop = new AbortController();
  picture.state = 'running';
  update();
  const { width, height } = picture.pixels;
  const onProgress = part => {
    $('bar').value = part;
    $('part').textContent = `${Math.round(part * 100)} %`;
  };
  onProgress(0);
  // What is said is read aloud, so that the part is not.
  Object.assign(picture, { took: `Smoothing ${picture.name}, ${width}×${height}`, wrong: false });
  if (picture === shown) say(picture.took);
  const start = performance.now();
  try {
    const sasnet = await engine;
    picture.result = await sasnet.smooth(picture.pixels, { ...wanted, signal: stop.signal, onProgress });
    picture.state = 'done';
    const { memory } = picture.result;
    const device = memory > 0 ? `, ${(memory / 1e6).toFixed(1)} MB on the device` : '';
    picture.took = `${width}×${height} in ${((performance.now() - start) / 1000).toFixed(1)} s${device}`;
  } catch (error) {
    picture.state = picture.result ? 'done' : 'failed';
    picture.took = error.name === 'AbortError' ? 'Stopped.' : `It did not work: ${error.message}.`;
    picture.wrong = error.name !== 'AbortError';
  }
  stop = undefined;
  if (picture === shown) show(picture);
  update();
}

// What is shown.

function strength() {
  return Number($('strength').value) / 100;
}

function show(picture) {
  shown = picture;
  $('welcome').hidden = true;
  $('viewer').hidden = false;
  viewer.show(picture.pixels, picture.result ?? picture.pixels);
  $('notes').replaceChildren(...picture.notes.map(note => Object.assign(document.createElement('li'), { textContent: note })));
  say(picture.took ?? '', picture.wrong);
  update();
}

const MARKS = { waiting: '…', running: '⟳', done: '✓', failed: '!' };

function update() {
  const busy = pictures.some(({ state }) => state === 'running');
  $('progress').hidden = !busy;
  $('run').disabled = !shown || shown.state === 'running' || shown.state === 'waiting';
  $('download').disabled = !shown?.result;
  pictures.forEach((picture, i) => {
    picture.button.setAttribute('aria-current', picture === shown);
    picture.button.setAttribute('aria-label', `Picture ${i + 1}, ${picture.name}: ${picture.state}`);
    picture.button.dataset.state = MARKS[picture.state];
  });
}

$('download').onclick = async () => {
  const type = $('format').value;
  try {
    const blob = await write(blend(shown.pixels, shown.result, strength()), type);
    const href = URL.createObjectURL(blob);
    Object.assign(document.createElement('a'), { href, download: `${shown.name}-smooth.${type.replace('image/', '')}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
  } catch (error) {
    say(error.message, true);
  }
};
