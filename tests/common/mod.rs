//! What the tests share.
#![allow(dead_code)] // no test uses all of it

use sasnet::gpu::{AdapterChoice, Gpu};
use std::sync::{Arc, OnceLock};

/// The adapter that `SASNET_ADAPTER` names, else any, a real one first.
pub fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    let open = || {
        let name = std::env::var("SASNET_ADAPTER").unwrap_or_default();
        let gpu = Gpu::new(&AdapterChoice::Named(name));
        Arc::new(
            gpu.unwrap_or_else(|e| panic!("{e}. Run the tests with tools/test.sh, which fetches a software driver")),
        )
    };
    GPU.get_or_init(open).clone()
}
