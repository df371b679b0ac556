//! What the tests share.
#![allow(dead_code)] // no test uses all of it

use sasnet::gpu::{AdapterChoice, Gpu};
use sasnet::kernel::Kernels;
use std::sync::{Arc, OnceLock};

/// The adapter that `SASNET_ADAPTER` names, else any, a real one first; with the kernels made for its type.
pub fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| Arc::new(open())).clone()
}

/// The same adapter with these kernels.
pub fn gpu_with(kernels: Kernels) -> Arc<Gpu> {
    static GPUS: [OnceLock<Arc<Gpu>>; 2] = [OnceLock::new(), OnceLock::new()];
    GPUS[kernels as usize].get_or_init(|| Arc::new(open().with_kernels(kernels))).clone()
}

fn open() -> Gpu {
    let name = std::env::var("SASNET_ADAPTER").unwrap_or_default();
    let gpu = Gpu::new(&AdapterChoice::Named(name));
    gpu.unwrap_or_else(|e| panic!("{e}. Run the tests with tools/test.sh, which fetches a software driver"))
}
