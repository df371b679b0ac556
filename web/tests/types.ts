// What a page in TypeScript may write; the compiler checks it, and nothing runs it.
import { open, type Method } from '../../target/web/site/sasnet/index.js';

const sasnet = await open({ weights: 'soft', maxMemory: 5e8 });
const image: ImageData = await sasnet.smooth(await createImageBitmap(new Blob()), { ensemble: true, finish: 'gf,r=2', signal: AbortSignal.timeout(1e4) });
const floats: Float32Array = (await sasnet.smooth({ data: new Float32Array(12), width: 2, height: 2 })).data;
const { time }: { time: number } = await sasnet.smooth(image, { method: 'gf', values: { r: 3 }, onProgress: part => part.toFixed() });
const { slabs }: { slabs: number } = await sasnet.estimate({ width: 4000, height: 3000 });
const methods: Method[] = sasnet.methods;
// @ts-expect-error: it is `strength`
await sasnet.smooth(image, { amount: 1 });
// @ts-expect-error: the result is of the picture's kind
const codes: Uint8Array = (await sasnet.smooth({ data: floats, width: 2, height: 2 })).data;
sasnet.close();
