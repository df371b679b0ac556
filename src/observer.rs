//! Progress of long work, and stopping it.

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// How far long work has come. Times and bars are the observer's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// So much of a picture is smoothed. Heard while kernels are compiled, too, between slabs, and within each.
    Smoothing {
        /// From 0 to 1 over all of its passes, never less than before.
        part: f64,
    },
    /// A picture is about to be looked at, before anything is computed.
    Checking {
        /// Its name.
        picture: &'a str,
    },
    /// A picture is about to be smoothed by all networks, and scored.
    Scoring {
        /// Name of its set.
        set: &'a str,
        /// Its name.
        picture: &'a str,
    },
    /// A measurement has come to this.
    Measuring {
        /// In words.
        what: &'a str,
    },
    /// A training step is done.
    Step {
        /// Its number, from 1.
        step: u64,
        /// Steps in all.
        of: u64,
        /// Mean loss of the last 100.
        loss: f64,
        /// Learning rate.
        rate: f32,
        /// How exactly activations were rebuilt, the last time that it was looked at.
        rebuilt: Option<f32>,
        /// Mean PSNR of the last validation, in dB.
        validation: Option<f64>,
    },
    /// The activations that a training step's gradient needs are rebuilt less exactly than they should be.
    Inexact {
        /// Number of the step.
        step: u64,
        /// Largest error, of values of the order of 1.
        error: f32,
    },
}

/// Watches long work. `ControlFlow::Break` stops it, soon and with nothing half-written; what that leaves, says the
/// function that was stopped.
pub trait Observer {
    /// Hears how far the work has come.
    fn observe(&mut self, progress: &Progress) -> ControlFlow<()>;
}

impl<F: FnMut(&Progress) -> ControlFlow<()>> Observer for F {
    fn observe(&mut self, progress: &Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// Does not watch.
impl Observer for () {
    fn observe(&mut self, _: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Hears how much of a run is done, from 0 to 1; its error ends the run.
pub(crate) type Each<'a> = dyn FnMut(f64) -> Result<()> + 'a;

/// Tells an observer.
///
/// # Errors
/// [`Error::Cancelled`] where it asks to stop.
pub(crate) fn tell(observer: &mut dyn Observer, progress: Progress) -> Result<()> {
    match observer.observe(&progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
