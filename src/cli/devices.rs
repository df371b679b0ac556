//! `sasnet devices`

use sasnet::Result;
use sasnet::low_level::exec::Device;
use sasnet::low_level::gpu::list_kernels;
use sasnet::low_level::kernel::Kernels;

/// List the adapters that --adapter can name, with the kernels that --kernel can name; the first real GPU is the
/// default.
pub fn run() -> Result<()> {
    for (number, (adapter, kernels)) in list_kernels().into_iter().enumerate() {
        say!("{number}: {adapter}");
        for (i, kernels) in kernels.into_iter().enumerate() {
            say!("  {:16} {}{}", kernels.name(), about(kernels), if i == 0 { " (auto)" } else { "" });
        }
    }
    say!("cpu ({})", Device::Cpu.describe());
    Ok(())
}

fn about(kernels: Kernels) -> String {
    let about = kernels.family().about;
    match kernels {
        Kernels::Matrix(unit) => format!("{about} of {0}x{0}", unit.side),
        _ => about.into(),
    }
}
