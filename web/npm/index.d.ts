/** Bytes of a safetensors file, its address, or the name of a shipped model. */
export type Weights = 'small' | 'soft' | string | URL | ArrayBuffer | Uint8Array;

/** Values from pixel to pixel, RGB or RGBA: codes of 8 bits, or floats from 0 to 1, as stored (sRGB mostly). */
export interface Pixels<T extends Uint8Array | Uint8ClampedArray | Float32Array = Uint8Array | Uint8ClampedArray | Float32Array> {
  data: T;
  width: number;
  height: number;
}

/** What can be smoothed. */
export type Picture = ImageData | ImageBitmap | Pixels;

export interface OpenOptions {
  /** Default: `small`. */
  weights?: Weights;
  /**
   * `gpu`: a GPU by WebGPU; `cpu`: WebAssembly, without WebGPU; `software`: what the browser has of WebGPU without a GPU,
   * slower than `cpu`. Default: `gpu`, and `cpu` where there is none.
   */
  adapter?: 'gpu' | 'software' | 'cpu';
  /** Bytes of the device's memory. A picture that needs more goes in slabs, with the same result. Default: 1e9, or 5e8
   * where the device has 4 GB or less. */
  maxMemory?: number;
}

export interface SmoothOptions {
  /** The mean of eight flips and rotations: better, eight times as slow. */
  ensemble?: boolean;
  /** How much of the result, 0 to 1; the rest is the picture. */
  strength?: number;
  /** How much larger textures may be than those that the network knows, 1 to 8. */
  textureSize?: number;
  /** A weak filter on the result: flat areas get even. `true`, or a classical method as `gf,r=2,eps=0.0003`. */
  finish?: boolean | string;
  /** Scale of the noise of the network's latent part; default: that of training. */
  noise?: number;
  /** Seed of that noise, a whole number. */
  seed?: number;
  /** `sasnet`, or a classical method of {@link Sasnet.methods}. */
  method?: string;
  /** The method's parameters. */
  values?: Record<string, number | string>;
  /** Other weights than those that it was opened with. */
  weights?: Weights;
}

export interface RunOptions extends SmoothOptions {
  /** Stops it, between two submissions to the GPU; the promise is rejected with an `AbortError`. */
  signal?: AbortSignal;
  /** Hears the part that is done, 0 to 1. */
  onProgress?: (part: number) => void;
}

/** What a run took: milliseconds, and bytes on the device. */
export interface Took {
  time: number;
  memory: number;
}

export interface Method {
  name: string;
  title: string;
  paper: string;
  parameters: {
    name: string;
    help: string;
    domain: { min: number; max: number; step?: number } | { choices: string[] };
    default: number | string;
  }[];
}

export interface Sasnet {
  readonly adapter: { kind: 'gpu' | 'software' | 'cpu'; description: string };
  readonly methods: Method[];
  /** An ImageBitmap's result is an ImageData; alpha is kept. A lost device is opened again, once. */
  smooth(picture: ImageData | ImageBitmap, options?: RunOptions): Promise<ImageData & Took>;
  smooth<T extends Uint8Array | Uint8ClampedArray | Float32Array>(picture: Pixels<T>, options?: RunOptions): Promise<Pixels<T> & Took>;
  /** Bytes of device memory, multiply-accumulates, slabs of rows. */
  estimate(size: { width: number; height: number }, options?: SmoothOptions): Promise<{ bytes: number; macs: number; slabs: number }>;
  /** Ends the worker. */
  close(): void;
}

/** Starts a worker, opens a device and loads weights. */
export function open(options?: OpenOptions): Promise<Sasnet>;
