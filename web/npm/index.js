// SASNet in a browser: starts a worker, and speaks to it. All types and units: index.d.ts.

/** @import * as Api from './index.d.ts' */

/**
 * Opens a device and loads weights.
 * @type {typeof Api.open}
 */
export async function open(options = {}) {
  const sasnet = new Sasnet(options);
  await sasnet.opened;
  return sasnet;
}

function spawn() {
  const url = new URL('./worker.js', import.meta.url);
  // Bundlers look for this form.
  if (url.origin === globalThis.location.origin) {
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  }
  // A worker of another origin is not allowed, one that imports from there is.
  const text = new Blob([`import ${JSON.stringify(url.href)};`], { type: 'text/javascript' });
  return new Worker(URL.createObjectURL(text), { type: 'module' });
}

function aborted() {
  return new DOMException('stopped', 'AbortError');
}

/** @implements {Api.Sasnet} */
class Sasnet {
  /** @type {Api.Sasnet['adapter']} */
  adapter;
  /** @type {Api.Method[]} */
  methods;

  #options;
  #worker;
  #calls = new Map();
  #last = 0;

  /** @param {Api.OpenOptions} options */
  constructor({ weights = 'small', adapter, maxMemory = memory() } = {}) {
    this.#options = { weights: absolute(weights), adapter, maxMemory };
    this.opened = this.#start();
  }

  /**
   * @param {Api.Picture} picture
   * @param {Api.RunOptions} options
   * @returns {Promise<any>} of the picture's kind
   */
  async smooth(picture, { signal, onProgress, weights, ...options } = {}) {
    signal?.throwIfAborted();
    await this.opened;
    const { data, width, height } = values(picture);
    const message = { call: 'smooth', data, width, height, options, weights: weights && absolute(weights) };
    const answer = await this.#ask(message, { signal, onProgress });
    const result = 'data' in picture ? new data.constructor(answer.data.buffer) : new Uint8ClampedArray(answer.data.buffer);
    const { time, memory } = answer;
    const image = isCodes(picture) ? { data: result, width, height } : new ImageData(result, width, height);
    return Object.assign(image, { time, memory });
  }

  /** @type {Api.Sasnet['estimate']} */
  async estimate({ width, height }, options = {}) {
    await this.opened;
    return this.#ask({ call: 'estimate', width, height, options });
  }

  close() {
    this.#worker.terminate();
    this.#calls.forEach(({ reject }) => reject(aborted()));
    this.#calls.clear();
  }

  async #start() {
    this.#worker = spawn();
    this.#worker.onmessage = ({ data }) => this.#answer(data);
    this.#worker.onerror = event => {
      // WebAssembly that ends, mostly for want of memory, ends outside of any promise.
      this.#fail(new Error(this.adapter ? `the engine ended (${event.message}); a smaller picture may help` : 'the worker did not start'));
      if (this.adapter) this.#restart();
    };
    const { adapter, methods } = await this.#ask({ call: 'open', options: this.#options });
    Object.assign(this, { adapter, methods });
  }

  /**
   * @param {object} message
   * @param {Api.RunOptions} options
   */
  #ask(message, { signal, onProgress } = {}) {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      const stop = () => this.#cancel(id);
      signal?.addEventListener('abort', stop, { once: true });
      const done = () => signal?.removeEventListener('abort', stop);
      const call = { message: { id, ...message }, onProgress };
      call.resolve = value => (done(), resolve(value));
      call.reject = error => (done(), reject(error));
      this.#calls.set(id, call);
      this.#worker.postMessage(call.message);
    });
  }

  #answer({ id, progress, result, error }) {
    const call = this.#calls.get(id);
    if (!call) return;
    if (progress !== undefined) return call.onProgress?.(progress);
    this.#calls.delete(id);
    if (error === undefined) return call.resolve(result);
    call.reject(error === 'stopped' ? aborted() : new Error(error));
  }

  #cancel(id) {
    const call = this.#calls.get(id);
    if (!call) return;
    // The CPU hears nothing while it computes.
    if (this.adapter?.kind !== 'cpu') return this.#worker.postMessage({ cancel: id });
    this.#calls.delete(id);
    call.reject(aborted());
    this.#restart();
  }

  // A new worker, which gets what the old one has not answered.
  #restart() {
    const rest = [...this.#calls.values()];
    this.#worker.terminate();
    this.opened = this.#start();
    this.opened.then(() => rest.forEach(({ message }) => this.#worker.postMessage(message)), error => this.#fail(error));
  }

  #fail(error) {
    this.#calls.forEach(({ reject }) => reject(error));
    this.#calls.clear();
  }
}

// Of weights that are no bytes: `small` and `soft` are shipped, all else is an address.
function absolute(weights) {
  if (typeof weights !== 'string' && !(weights instanceof URL)) return weights;
  if (weights === 'small' || weights === 'soft') return new URL(`./weights/${weights}.safetensors`, import.meta.url).href;
  return new URL(weights, globalThis.location.href).href;
}

// A browser does not say what a GPU has free. Phones have less.
function memory() {
  return (/** @type {{ deviceMemory?: number }} */ (navigator).deviceMemory ?? 8) <= 4 ? 512e6 : 1e9;
}

function isCodes(picture) {
  return picture.data !== undefined && !(picture instanceof ImageData);
}

function values(picture) {
  const { width, height } = picture;
  if (picture.data) {
    const { data } = picture;
    const known = [Uint8Array, Uint8ClampedArray, Float32Array].some(type => data instanceof type);
    if (!known) throw new TypeError('the picture’s data are a Uint8Array, a Uint8ClampedArray or a Float32Array');
    return { data, width, height };
  }
  if (!(picture instanceof ImageBitmap)) throw new TypeError('give an ImageData, an ImageBitmap, or { data, width, height }');
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error(`this browser has no canvas of ${width}x${height}`);
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height);
}
