//! Ctrl-C, and the system's wish that the process end.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of what was stopped: that of shells for Ctrl-C.
pub const STOPPED: u8 = 130;

/// Knows whether the work is to be stopped. A second signal ends the process at once, as the first one does where
/// nothing is at work that hears of it.
#[derive(Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    working: Arc<AtomicBool>,
}

impl Stop {
    /// Listens for signals; says this at the first one. Once a process.
    pub fn listen(says: Option<&'static str>) -> Stop {
        let stop = Stop::default();
        let Stop { asked, working } = stop.clone();
        let handler = move || {
            if asked.swap(true, Ordering::SeqCst) || !working.load(Ordering::SeqCst) {
                std::process::exit(STOPPED.into());
            }
            if let Some(says) = says {
                note!("{says} (once more: at once)");
            }
        };
        // Without a handler the signal ends the process, which leaves no half file either.
        if let Err(error) = ctrlc::set_handler(handler) {
            log::warn!("signals end the program at once: {error}");
        }
        stop
    }

    /// From now on something hears of a signal soon; or nothing does, as where input is waited for.
    pub fn working(&self, working: bool) {
        self.working.store(working, Ordering::SeqCst);
    }

    /// Tells whether to stop.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// The same, as an observer's answer.
    pub fn answer(&self) -> ControlFlow<()> {
        if self.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
