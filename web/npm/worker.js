// The worker: loads the engine, and does one thing after the other.

let engine, library, options, current;
let queue = Promise.resolve();
const cancelled = new Set();

self.onmessage = ({ data: message }) => {
  if (message.cancel) return cancelled.add(message.cancel);
  queue = queue.then(() => answer(message));
};

async function answer(message) {
  const { id, call } = message;
  try {
    const result = await calls[call](message);
    self.postMessage({ id, result }, { transfer: result.data ? [result.data.buffer] : [] });
  } catch (error) {
    // What ends WebAssembly leaves it in no state to go on: a new worker is started.
    if (error instanceof WebAssembly.RuntimeError) setTimeout(() => { throw error; });
    else self.postMessage({ id, error: String(error?.message ?? error) });
  }
  cancelled.delete(id);
}

const calls = {
  async open({ options: given }) {
    options = given;
    // Two engines, so that nobody loads the CPU's who needs it not.
    let adapter = options.adapter === 'cpu' ? null : await navigator.gpu?.requestAdapter();
    if (!adapter && options.adapter && options.adapter !== 'cpu') throw new Error('this browser has no WebGPU');
    // Without a GPU WebAssembly is many times as fast as WebGPU, which has to compile first.
    if (!options.adapter && adapter?.info.isFallbackAdapter) adapter = null;
    library = adapter ? await import('./gpu/sasnet_web.js') : await import('./cpu/sasnet_web.js');
    const [bytes] = await Promise.all([load(options.weights), library.default()]);
    engine = await library.Engine.open(adapter ? options.adapter : 'cpu', options.maxMemory);
    engine.useWeights(bytes);
    current = [options.weights];
    const { vendor, architecture, description } = adapter?.info ?? {};
    const words = [vendor, architecture, description].filter(Boolean).join(' ');
    const described = words || engine.describe();
    return { adapter: { kind: engine.kind(), description: described }, methods: JSON.parse(library.methods()) };
  },

  async smooth({ id, data, width, height, options, weights }) {
    const { method, values, ...rest } = options;
    await use(method, values, weights);
    const observe = part => {
      self.postMessage({ id, progress: part });
      return !cancelled.has(id);
    };
    if (!observe(0)) throw new Error('stopped');
    const start = performance.now();
    const text = JSON.stringify(rest);
    const smooth = data instanceof Float32Array ? engine.smoothFloat : engine.smooth;
    const result = await smooth.call(engine, data, width, height, text, observe);
    return { data: result, time: performance.now() - start, memory: engine.allocated() };
  },

  async estimate({ width, height, options }) {
    const { method, values, ...rest } = options;
    await use(method, values);
    return JSON.parse(engine.estimate(width, height, JSON.stringify(rest)));
  },
};

// Puts a method, or a network's weights, in place, unless they are.
async function use(method, values, weights = options.weights) {
  const network = !method || method === 'sasnet';
  const wanted = network ? [weights] : [method, JSON.stringify(values ?? {})];
  if (current && wanted.length === current.length && wanted.every((part, i) => part === current[i])) return;
  if (network) engine.useWeights(await load(weights));
  else engine.useMethod(...wanted);
  current = wanted;
}

const loaded = new Map();

// The bytes of weights; those of an address are loaded once.
async function load(weights) {
  if (typeof weights !== 'string') return new Uint8Array(weights);
  if (!loaded.has(weights)) {
    const answer = await fetch(weights);
    if (!answer.ok) throw new Error(`${weights}: ${answer.status} ${answer.statusText}`);
    loaded.set(weights, new Uint8Array(await answer.arrayBuffer()));
  }
  return loaded.get(weights);
}
