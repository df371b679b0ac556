//! `sasnet doctor`

use super::{cache_folder, count_of};
use sasnet::lab::bench::check_smoothing;
use sasnet::low_level::exec::{Device, DeviceOptions, memory_limits};
use sasnet::low_level::gpu::{Adapter, Gpu, list_kernels};
use sasnet::low_level::kernel::Kernels;
use sasnet::low_level::weights::Weights;
use sasnet::{Error, Result, wgpu};
use std::path::Path;
use std::time::Instant;

/// Size of the picture that each device smooths: no multiple of a workgroup's, and small.
const PICTURE: (usize, usize) = (38, 54);
/// Variables by which people change which devices and how much of them is used.
const VARIABLES: [&str; 8] = [
    "SASNET_CACHE",
    "RAYON_NUM_THREADS",
    "RUST_LOG",
    "VK_ICD_FILENAMES",
    "VK_DRIVER_FILES",
    "VK_LOADER_LAYERS_DISABLE",
    "CUDA_VISIBLE_DEVICES",
    "LP_NATIVE_VECTOR_WIDTH",
];

/// Show version, devices, memory and caches, and test each device, to be pasted into a report of a fault.
pub fn run() -> Result<()> {
    let build = if cfg!(debug_assertions) { ", a debug build: slow" } else { "" };
    say!("sasnet {}, {} on {}{build}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, system());
    say!("models: {}", super::model_names().join(", "));
    for name in super::FILES {
        let file = super::model_files(name).into_iter().find(|file| file.exists());
        say!("  {name}: {}", file.map_or("its file is not there".into(), |file| file.display().to_string()));
    }
    memory();
    cache();
    for name in VARIABLES {
        if let Ok(value) = std::env::var(name) {
            say!("{name}={value}");
        }
    }
    let mut wrong = 0;
    let adapters = list_kernels();
    if adapters.is_empty() {
        say!("\nno adapters: no driver for Vulkan, Metal or DX12 was found");
    }
    for (number, (adapter, kernels)) in adapters.iter().enumerate() {
        say!("\n{number}: {adapter}");
        wrong += self::adapter(number, adapter, kernels);
    }
    say!("\ncpu: {}, {}", Device::Cpu.describe(), registers());
    wrong += test("", Ok(Device::Cpu));
    match wrong {
        0 => Ok(()),
        n => Err(Error::Wrong(format!("{} failed (see above)", count_of(n, "self-test")))),
    }
}

/// The operating system, and the processor.
fn system() -> String {
    let name = sysinfo::System::long_os_version().unwrap_or_else(|| std::env::consts::OS.into());
    let mut system = sysinfo::System::new();
    system.refresh_cpu_all();
    let brand = system.cpus().first().map(|cpu| cpu.brand().trim().to_string()).filter(|brand| !brand.is_empty());
    match brand {
        Some(brand) => format!("{name}, {brand}"),
        None => name,
    }
}

/// The widest registers that the CPU executor finds.
fn registers() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    "the baseline's registers"
}

fn memory() {
    let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let limits = memory_limits();
    let parts = limits.map(|(of, free)| format!("{of} {}", free.map_or("no limit".into(), megabytes)));
    let least = limits.into_iter().filter_map(|(_, free)| free).min().map_or("unknown".into(), megabytes);
    say!("memory that this process may take: {least} ({})", parts.join(", "));
}

fn cache() {
    let Some(folder) = cache_folder() else {
        say!("compiled kernels: not kept");
        return;
    };
    let files = |folder: &Path| -> std::io::Result<(usize, u64)> {
        let sizes = folder.read_dir()?.map(|entry| Ok(entry?.metadata()?.len()));
        let sizes = sizes.collect::<std::io::Result<Vec<u64>>>()?;
        Ok((sizes.len(), sizes.iter().sum()))
    };
    match files(&folder) {
        Ok((count, bytes)) => {
            say!("compiled kernels: {}, {}, {bytes} bytes", folder.display(), count_of(count, "file"))
        }
        Err(error) => say!("compiled kernels: {}: {error}", folder.display()),
    }
}

/// Shows an adapter and tests it with all kernels; returns how many tests failed.
fn adapter(number: usize, adapter: &Adapter, kernels: &[Kernels]) -> usize {
    let info = &adapter.0;
    let (smallest, largest) = (info.subgroup_min_size, info.subgroup_max_size);
    say!("  vendor {:#06x}, device {:#06x}, subgroups of {smallest} to {largest}", info.vendor, info.device);
    let mut failed = 0;
    for (i, kernels) in kernels.iter().enumerate() {
        let mut options = DeviceOptions::default();
        options.adapter = Some(number.to_string());
        options.kernel = Some(kernels.name().into());
        let device = Device::open_with(&options);
        if let (0, Ok(Device::Gpu(gpu))) = (i, &device) {
            limits(gpu);
        }
        failed += test(&format!("{}{}", kernels.name(), if i == 0 { " (auto)" } else { "" }), device);
    }
    failed
}

fn limits(gpu: &Gpu) {
    let limits = gpu.limits();
    say!(
        "  buffers of {} MB, bindings of {} MB, workgroups of {} with {} bytes",
        limits.max_buffer_size / 1_000_000,
        limits.max_storage_buffer_binding_size / 1_000_000,
        limits.max_compute_invocations_per_workgroup,
        limits.max_compute_workgroup_storage_size
    );
    let features = [
        ("f16", wgpu::Features::SHADER_F16),
        ("64-bit integers", wgpu::Features::SHADER_INT64),
        ("subgroups", wgpu::Features::SUBGROUP),
        ("cooperative matrices", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
        ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
        ("a cache of kernels", wgpu::Features::PIPELINE_CACHE),
    ];
    let has = |has: bool| -> String {
        let names = features.iter().filter(|(_, feature)| gpu.device().features().contains(*feature) == has);
        let names: Vec<&str> = names.map(|(name, _)| *name).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    };
    say!("  in use with: {}; without: {}", has(true), has(false));
}

/// Smooths a small picture and compares it with f64; returns 1 where that fails.
fn test(kernels: &str, device: Result<Device>) -> usize {
    let began = Instant::now();
    let check = device.and_then(|device| check_smoothing(&Weights::builtin(), &device, PICTURE, &mut ()));
    let name = if kernels.is_empty() { "self-test".into() } else { format!("self-test of {kernels}") };
    match check {
        Ok(check) => {
            let took = began.elapsed().as_secs_f64();
            say!("  {name}: right, errors up to {:.0e} of the largest value; {took:.1} s", check.error);
            0
        }
        Err(error) => {
            say!("  {name}: FAILED: {error}");
            1
        }
    }
}
