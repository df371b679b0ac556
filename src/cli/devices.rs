//! `sasnet devices`

use sasnet::Result;
use sasnet::exec::Device;
use sasnet::gpu::list_adapters;

/// List the adapters that --adapter can name; the first real GPU is the default.
pub fn run() -> Result<()> {
    for adapter in list_adapters() {
        println!("{adapter}");
    }
    println!("cpu ({})", Device::Cpu.describe());
    Ok(())
}
