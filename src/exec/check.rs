//! Checks that the kernels for cooperative matrices are right on this device.

use super::{CpuExecutor, GpuExecutor};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::graph::{Layout, Value};
use crate::kernel::{Kernels, RunParams};
use crate::ops::{Graph, conv3x3::Conv3x3};
use crate::tensor::{Shape, worst};
use std::sync::Arc;

/// Error that f16 explains, of the largest output: 2^-11 for each rounding of a map or of weights, on average over the
/// terms of a sum; three layers. A wrong product is off by a hundred times more.
const TOLERANCE: f32 = 3e-3;

/// `gpu`, with its kernels changed to tiles where those for matrices fail or are wrong.
pub(super) async fn with_right_matrices(gpu: Gpu) -> Gpu {
    if !matches!(gpu.kernels(), Kernels::Matrix(_)) {
        return gpu;
    }
    let gpu = Arc::new(gpu);
    // Nobody else has the device yet.
    let verdict = gpu.polled(error(&gpu)).await;
    let gpu = Arc::into_inner(gpu).expect("the check keeps nothing");
    let reason = match verdict {
        Ok(error) if error <= TOLERANCE => {
            log::info!("cooperative matrices are right to {error:.1e}");
            return gpu;
        }
        Ok(error) => format!("wrong by {error:.1e}, more than {TOLERANCE:.0e}"),
        Err(error) => error.to_string(),
    };
    let tiles = Kernels::half_of_device(gpu.info(), gpu.device().features()).expect("matrices take f16, too");
    log::warn!("the kernels for cooperative matrices fail here, using {}: {reason}", tiles.name());
    gpu.with_kernels(tiles)
}

/// Largest error of three convolutions, of the largest output, against the CPU: channels and pixels that fill no
/// matrix.
async fn error(gpu: &Arc<Gpu>) -> Result<f32> {
    let mut g = Graph::new(Layout::default());
    let x = g.input("x", Shape::new(1, 3, 11, 37));
    let mut data: Vec<(Value, Vec<f32>)> = vec![];
    let mut conv = |g: &mut Graph, maps: &[Value], outputs, slope| {
        let channels = maps.iter().map(|m| g.shape(*m).c).sum();
        let [w, b] = [Shape::new(outputs, channels, 3, 3), Shape::new(1, outputs, 1, 1)].map(|s| g.input("w", s));
        data.extend([w, b].map(|v| (v, numbers(g.shape(v).len(), (2.0 / (channels * 9) as f32).sqrt()))));
        g.apply1("check", Conv3x3 { slope }, &[maps, &[w, b]].concat())
    };
    let r = conv(&mut g, &[x], 40, Some(0.2))?;
    let r = conv(&mut g, &[r], 72, Some(0.2))?;
    let y = conv(&mut g, &[x, r], 9, None)?;
    data.push((x, numbers(g.shape(x).len(), 1.0)));
    g.output(y);
    let exec = GpuExecutor::new_async(g.clone(), gpu.clone()).await?;
    let mut cpu = CpuExecutor::<f32>::new(g)?;
    for (value, data) in &data {
        exec.write_async(*value, data).await?;
        cpu.write(*value, data)?;
    }
    exec.run_async(&RunParams::default()).await?;
    cpu.run(&RunParams::default());
    let (got, want) = (exec.read_async(y).await?, cpu.get(y));
    let largest = want.iter().fold(0f32, |a, b| a.max(b.abs()));
    Ok(worst(got.iter().zip(want).map(|(g, w)| (g - w).abs())) / largest)
}

/// Numbers between -`scale` and `scale`, the same everywhere.
fn numbers(len: usize, scale: f32) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + 13) % 2003) as f32 / 1001.0 - 1.0).map(|v| v * scale).collect()
}
