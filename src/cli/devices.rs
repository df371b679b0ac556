//! `sasnet devices`

use super::say;
use sasnet::Result;
use sasnet::exec::Device;
use sasnet::gpu::list_adapters;

/// List the adapters that --adapter can name; the first real GPU is the default.
pub fn run() -> Result<()> {
    for adapter in list_adapters() {
        say!("{adapter}");
    }
    say!("cpu ({})", Device::Cpu.describe());
    Ok(())
}
