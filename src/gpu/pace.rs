//! How much work a submission takes: watchdogs end what takes a device seconds, two on Windows, and who stops a run waits
//! for one submission.
//!
//! What a device may be as slow as is known by its type, how slow it is by the first submissions that somebody waits for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Seconds that a submission should take at most.
const SECONDS: f64 = 0.3;
/// Work of the first submission, of a device of which nothing is known: 0.1 s of one fiftieth of a TFLOP/s.
const FIRST: u64 = 1 << 30;

/// Multiply-accumulates of a submission at most. The full network on 512x384 is one of them, a larger picture several, but
/// with what may be an integrated GPU of a tenth of a TFLOP/s as many as 7 (0.7 s each at that). Cores that stand in
/// for a GPU take 0.2 s. What they cost: recording all in one pass takes 0.3 ms, and in three, too.
fn limit(device: wgpu::DeviceType) -> u64 {
    match device {
        wgpu::DeviceType::Cpu => 1 << 33,
        wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => 1 << 35,
        wgpu::DeviceType::DiscreteGpu => 1 << 38,
    }
}

/// A device's work for one submission. It is as long as the device is open, and known after a fraction of a second, so that
/// nothing is kept from one program to the next.
pub(super) struct Pace {
    limit: u64,
    /// Multiply-accumulates a second; 0: not known.
    speed: AtomicU64,
}

impl Pace {
    pub(super) fn new(device: wgpu::DeviceType) -> Pace {
        Pace { limit: limit(device), speed: AtomicU64::new(0) }
    }

    /// Work of a submission that nobody waits for.
    pub(super) fn most(&self) -> u64 {
        match self.speed.load(Relaxed) {
            0 => self.limit,
            speed => ((speed as f64 * SECONDS) as u64).clamp(1, self.limit),
        }
    }

    /// Work of one that somebody waits for, and tells how long it took.
    pub(super) fn next(&self) -> u64 {
        if self.speed.load(Relaxed) == 0 { FIRST.min(self.limit) } else { self.most() }
    }

    /// A submission of so much work took so long. One that was slower than those before counts at once; one that was faster
    /// at most twice, because what is thought of as work is not always what takes the time.
    pub(super) fn took(&self, work: u64, time: Duration) {
        if work == 0 {
            return;
        }
        let speed = (work as f64 / time.as_secs_f64().max(1e-6)) as u64;
        let before = self.speed.load(Relaxed);
        let most = if before == 0 { u64::MAX } else { before.saturating_mul(2) };
        self.speed.store(speed.clamp(1, most), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Network;
    use crate::net::count::full_network;
    use crate::tensor::Shape;
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};

    #[test]
    fn what_may_be_slow_gets_little_at_once() {
        let network = full_network(&Network::default(), Shape::new(1, 3, 384, 512)).unwrap();
        let most = limit(DiscreteGpu);
        assert!(network.macs() < most, "{} of {most}", network.macs());
        let careful = limit(IntegratedGpu);
        assert!(careful <= most / 8 && limit(Other) == careful && limit(VirtualGpu) == careful);
    }

    #[test]
    fn a_submission_is_as_short_as_the_device_is_slow() {
        let pace = Pace::new(IntegratedGpu);
        assert_eq!((pace.next(), pace.most()), (FIRST, limit(IntegratedGpu)));
        pace.took(FIRST, Duration::from_millis(100));
        assert_eq!(pace.next(), 3 * FIRST);
        assert_eq!(pace.most(), 3 * FIRST);
        // Slower counts at once, faster step by step.
        pace.took(3 * FIRST, Duration::from_secs(3));
        assert_eq!(pace.next(), (0.3 * FIRST as f64) as u64);
        pace.took(FIRST, Duration::from_micros(1));
        assert_eq!(pace.next(), (0.6 * FIRST as f64) as u64);

        let fast = Pace::new(Cpu);
        fast.took(FIRST, Duration::ZERO);
        assert_eq!(fast.next(), limit(Cpu));
        fast.took(0, Duration::from_secs(1));
        assert_eq!(fast.next(), limit(Cpu), "no work says nothing of a speed");
        fast.took(1, Duration::from_secs(9));
        assert_eq!(fast.next(), 1, "no submission is empty");
    }
}
