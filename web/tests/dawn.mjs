// node dawn.mjs FILE compile | run: gives what tests/operators/dawn.rs wrote to Dawn, the WebGPU of Chromium.
//   compile   every text and every pipeline, within WebGPU's default limits, by Tint and on no device at all
//   run       the cases of hidden maps in f16 on the machine's adapter, compared with f64
import { readFileSync } from 'node:fs';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);
const [file, mode] = process.argv.slice(2);
const { shaders, pipelines, cases, not_for_browsers } = JSON.parse(readFileSync(file));
const gpu = create(mode === 'compile' ? ['backend=null'] : ['backend=vulkan']);
const adapter = await gpu.requestAdapter();
if (!adapter) fail(['Dawn finds no adapter']);
// Default limits: none is asked for.
const device = await adapter.requestDevice({ requiredFeatures: ['shader-f16'] });
device.onuncapturederror = ({ error }) => fail([error.message]);

function fail(wrong) {
  wrong.forEach(line => console.error(line));
  console.error(`${wrong.length} wrong`);
  process.exit(1);
}

// What is wrong with what `f` makes; none: null.
async function checked(f) {
  device.pushErrorScope('validation');
  const made = await f();
  const error = await device.popErrorScope();
  return [made, error && error.message];
}

async function compileAll() {
  const [wrong, modules] = [[], {}];
  for (const [name, { text }] of Object.entries(shaders)) {
    const [module] = await checked(() => device.createShaderModule({ code: text }));
    const { messages } = await module.getCompilationInfo();
    const lines = text.split('\n');
    const errors = messages.filter(m => m.type === 'error');
    wrong.push(...errors.map(m => `${name}: ${m.message} in: ${lines[m.lineNum - 1]?.trim()}`));
    if (!errors.length) modules[name] = module;
  }
  // Every entry point, also one that no plan would use.
  const of = stage => Object.entries(shaders).flatMap(([shader, { entries }]) =>
    entries.filter(([found]) => found === stage).map(([, entry]) => ({ shader, entry })));
  const all = [...pipelines, ...of('Compute')].filter(({ shader }) => modules[shader]);
  for (const { shader, entry, constants } of all) {
    const compute = { module: modules[shader], entryPoint: entry, constants };
    const [, error] = await checked(() => device.createComputePipeline({ layout: 'auto', compute }));
    if (error) wrong.push(`${shader}.${entry} ${JSON.stringify(constants ?? {})}: ${error}`);
  }
  for (const { shader, entry } of of('Fragment').filter(({ shader }) => modules[shader])) {
    const module = modules[shader];
    const fragment = { module, entryPoint: entry, targets: [{ format: 'rgba8unorm' }] };
    const [, error] = await checked(() => device.createRenderPipeline({ layout: 'auto', vertex: { module }, fragment }));
    if (error) wrong.push(`${shader}.${entry}: ${error}`);
    all.push(shader);
  }
  if (wrong.length) fail(wrong);
  // A number that f32 does not have, though naga takes it for the nearest one.
  const [, refused] = await checked(() => device.createShaderModule({ code: 'const lowest: f32 = -3.40282347e38;' }));
  if (!refused) fail(['Tint takes a number that is none of f32']);
  console.log(`Tint takes ${Object.keys(shaders).length} shaders and ${all.length} pipelines at WebGPU's default limits`);
  console.log(`not for browsers: ${not_for_browsers.join('; ')}`);
}

function buffer(data, usage) {
  const made = device.createBuffer({ size: Math.max(data.byteLength, 4), usage: usage | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(made, 0, data);
  return made;
}

const MOST_GROUPS = 65535;
function groups({ groups, threads, size }) {
  if (groups) return groups;
  const [x, y, z] = threads.map((n, i) => Math.ceil(n / size[i]));
  return x > MOST_GROUPS ? [MOST_GROUPS, Math.ceil(x / MOST_GROUPS), 1] : [x, y, z];
}

const compiled = new Map();
function compile({ shader, entry, constants }) {
  const key = JSON.stringify([shaders[shader].text, entry, constants]);
  if (!compiled.has(key)) {
    const module = device.createShaderModule({ code: shaders[shader].text });
    const compute = { module, entryPoint: entry, constants };
    compiled.set(key, device.createComputePipeline({ layout: 'auto', compute }));
  }
  return compiled.get(key);
}

async function read(from) {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = device.createBuffer({ size: from.size, usage });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from.buffer, from.offset, staging, 0, from.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return values;
}

// The error of each result of a case, as the operators' tests compute it: relative to the largest value.
async function runCase({ buffers, inputs, run, dispatches, compared }) {
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
  // What a kernel reads before it is written shows.
  const memory = buffers.map(size => buffer(new Float32Array(size / 4).fill(NaN), storage));
  const at = ({ buffer, offset, size }) => ({ buffer: memory[buffer], offset, size });
  for (const { at: { buffer, offset }, data } of inputs) device.queue.writeBuffer(memory[buffer], offset, new Uint32Array(data));
  const runParams = buffer(new Uint8Array(run), GPUBufferUsage.UNIFORM);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const { pipeline, bindings, grid, run, params } of dispatches) {
    const kernel = compile(pipeline);
    const entries = bindings.map(([binding, region]) => ({ binding, resource: at(region) }));
    if (run !== null) entries.push({ binding: run, resource: { buffer: runParams } });
    if (params) entries.push({ binding: params[0], resource: { buffer: buffer(new Uint8Array(params[1]), GPUBufferUsage.UNIFORM) } });
    pass.setPipeline(kernel);
    pass.setBindGroup(0, device.createBindGroup({ layout: kernel.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...groups(grid));
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
  const errors = [];
  for (const { at: region, want } of compared) {
    const got = await read(at(region));
    const largest = want.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
    // NaN stays: it is larger than nothing.
    const off = want.reduce((a, v, i) => (Number.isNaN(a) || Math.abs(got[i] - v) <= a ? a : Math.abs(got[i] - v)), 0);
    errors.push(off === 0 ? 0 : off / largest);
  }
  memory.forEach(m => m.destroy());
  return errors;
}

async function runAll() {
  const wrong = [];
  let [tensors, worst] = [0, 0];
  for (const c of cases) {
    const errors = await runCase(c);
    errors.forEach((error, i) => {
      const { name, tolerance } = c.compared[i];
      tensors++;
      worst = Math.max(worst, error);
      if (!(error <= tolerance)) wrong.push(`${c.name}: ${name}: ${error} > ${tolerance}`);
    });
  }
  if (wrong.length || tensors === 0) fail(wrong);
  // A wrong kernel is found.
  const { text } = shaders['conv3x3 (f16)'];
  shaders['conv3x3 (f16)'].text = text.replace('v >= vec4f()', 'v < vec4f()');
  const errors = await runCase(cases[0]);
  if (errors.every((error, i) => error <= cases[0].compared[i].tolerance)) fail([`${cases[0].name}: a wrong kernel passes`]);
  const { description, vendor } = adapter.info;
  console.log(`Dawn on ${description || vendor}: ${tensors} tensors of f16 kernels agree with f64; the worst is off by ${worst.toExponential(1)}`);
}

await (mode === 'compile' ? compileAll() : runAll());
process.exit(0); // Dawn's threads would keep it alive
