use std::time::Instant;
fn main() {
    let mut best = [f64::MAX; 8];
    for (i, (m, k, n)) in [
        (64, 576, 160),
        (64, 576, 320),
        (64, 576, 640),
        (32, 288, 320),
        (27, 64, 2048),
        (81, 64, 2048),
        (64, 27, 2048),
        (64, 576, 48 * 32),
    ]
    .iter()
    .copied()
    .enumerate()
    {
        let plane = n * 4;
        let a = vec![0.5f32; m * k];
        let b = vec![0.25f32; k * n];
        let mut c = vec![0f32; m * plane];
        for _ in 0..60 {
            let t = Instant::now();
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    c.as_mut_ptr(),
                    1,
                    plane as isize,
                    false,
                    a.as_ptr(),
                    1,
                    k as isize,
                    b.as_ptr(),
                    1,
                    n as isize,
                    0f32,
                    1f32,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
            best[i] = best[i].min(t.elapsed().as_secs_f64());
        }
        println!("{m} {k} {n}: {:.0} GF/s", 2e-9 * (m * k * n) as f64 / best[i]);
    }
    // weight gradient shape: m=64, n=576, k=pixels 160, b transposed
    for (m, n, k) in [(64, 576, 160), (32, 288, 320), (64, 576, 512)] {
        let a = vec![0.5f32; m * k * 4];
        let b = vec![0.25f32; k * n];
        let mut c = vec![0f32; m * n];
        let mut best = f64::MAX;
        for _ in 0..60 {
            let t = Instant::now();
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    c.as_mut_ptr(),
                    1,
                    n as isize,
                    true,
                    a.as_ptr(),
                    1,
                    4 * k as isize,
                    b.as_ptr(),
                    k as isize,
                    1,
                    1f32,
                    1f32,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
            best = best.min(t.elapsed().as_secs_f64());
        }
        println!("wgrad {m} {n} {k}: {:.0} GF/s", 2e-9 * (m * k * n) as f64 / best);
    }
    for len in [160usize, 320, 640] {
        let src = vec![1f32; 64 * 49152];
        let mut dst = vec![0f32; 576 * len];
        let mut best = f64::MAX;
        for r in 0..60 {
            let t = Instant::now();
            for i in 0..64 {
                for tap in 0..9 {
                    let s = i * 49152 + r * 256 + 300 + tap;
                    dst[(i * 9 + tap) * len..][..len].copy_from_slice(&src[s..s + len]);
                }
            }
            best = best.min(t.elapsed().as_secs_f64());
            std::hint::black_box(&dst);
        }
        println!(
            "im2col {len}: {:.1} us, gemm flops equiv {:.0} GF/s",
            best * 1e6,
            2e-9 * (64 * 576 * len) as f64 / best
        );
    }
}
