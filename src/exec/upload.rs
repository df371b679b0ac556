//! The parameters' way onto a GPU: a host writes them, and kernels pack them before a run ([`Prepack`]).
//!
//! A run must see the parameters that were written last, but packing them for each would cost more than small runs do.
//! So it is noted how far they have come:
//!
//! | state | after a write | before a run |
//! |---|---|---|
//! | unwritten | written | stays |
//! | written | stays | is packed |
//! | packed | rewritten | stays |
//! | rewritten | stays | is packed |

use super::memory::{command, slice};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Command, Gpu, Recorded, Slice};
use crate::kernel::RunParams;
use crate::plan::Prepack;
use std::sync::{Mutex, MutexGuard};

/// How far the parameters have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Never written: there is nothing to pack.
    Unwritten,
    /// Written and never packed.
    Written,
    /// Packed as they were written last; where they are not kept, what was written may be overwritten.
    Packed,
    /// Written again since they were packed.
    Rewritten,
}

impl State {
    /// The state after parameters have been written.
    fn write(self) -> State {
        match self {
            State::Unwritten | State::Written => State::Written,
            State::Packed | State::Rewritten => State::Rewritten,
        }
    }

    /// The state before a run, and whether they have to be packed for it.
    fn pack(self) -> (State, bool) {
        match self {
            State::Unwritten | State::Packed => (self, false),
            State::Written | State::Rewritten => (State::Packed, true),
        }
    }

    /// True where one parameter may be written without the others: they are kept, or there is yet nothing packed that
    /// was made of others.
    fn takes_part(self, kept: bool) -> bool {
        kept || self != State::Packed
    }
}

/// Packs what was written, where a run needs it.
pub(super) struct ParameterUpload {
    /// The parameters stay where they are written.
    kept: bool,
    /// Runs change the parameters themselves, so that each packs whatever the state.
    every_run: bool,
    copies: Vec<[Slice; 2]>,
    kernels: Option<Recorded>,
    state: Mutex<State>,
}

impl ParameterUpload {
    /// Nothing written yet, in these buffers of the plan.
    pub(super) async fn new(gpu: &Gpu, prepack: &Prepack, buffers: &[Buffer]) -> Result<Self> {
        let commands: Vec<Command> = prepack.kernels.iter().map(|kernel| command(buffers, kernel, 0)).collect();
        // SAFETY: the plan gives every operand the length that its kernel's parameters say.
        let record = unsafe { gpu.record_unchecked_async(&commands) };
        Ok(ParameterUpload {
            kept: prepack.upload.is_none(),
            every_run: prepack.every_run,
            copies: prepack.copies.iter().map(|(from, to)| [*from, *to].map(|at| slice(buffers, at))).collect(),
            kernels: if commands.is_empty() { None } else { Some(record.await?) },
            state: Mutex::new(State::Unwritten),
        })
    }

    /// Bytes allocated on the device for the kernels.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.kernels.as_ref().map_or(0, Recorded::allocated_bytes)
    }

    /// Fails where the parameter called `name` cannot be written alone.
    pub(super) fn check_part(&self, name: &str) -> Result<()> {
        if self.state().takes_part(self.kept) {
            return Ok(());
        }
        Err(Error::Invalid(format!("{name} is written alone after a run, which kept no parameters")))
    }

    /// Notes that parameters are being written.
    pub(super) fn written(&self) {
        let mut state = self.state();
        *state = state.write();
    }

    /// Packs the parameters before a run, where they have changed.
    pub(super) async fn pack(&self, gpu: &Gpu) -> Result<()> {
        if !self.every_run {
            let mut state = self.state();
            let (next, changed) = state.pack();
            *state = next;
            if !changed {
                return Ok(());
            }
        }
        gpu.copy_async(&self.copies).await?;
        match &self.kernels {
            Some(kernels) => kernels.run_async(gpu, &RunParams::default()).await,
            None => Ok(()),
        }
    }

    /// Packs the parameters without waiting for a run, where these have been packed before.
    pub(super) async fn pack_again(&self, gpu: &Gpu) -> Result<()> {
        let state = *self.state();
        if state == State::Rewritten { self.pack(gpu).await } else { Ok(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state")
    }
}

#[cfg(test)]
mod tests {
    use super::State::{self, *};

    #[test]
    fn runs_pack_what_was_written_since() {
        let after = [Unwritten, Written, Packed, Rewritten].map(|state| (state.write(), state.pack()));
        assert_eq!(
            after,
            [
                (Written, (Unwritten, false)),
                (Written, (Packed, true)),
                (Rewritten, (Packed, false)),
                (Rewritten, (Packed, true)),
            ]
        );
    }

    #[test]
    fn a_run_packs_once_for_all_writes_before_it() {
        let mut state = Unwritten;
        let packed: Vec<bool> = "r w w r r w r r"
            .split(' ')
            .map(|event| {
                let (next, packed) = if event == "w" { (state.write(), false) } else { state.pack() };
                state = next;
                packed
            })
            .collect();
        assert_eq!(packed, [false, false, false, true, false, false, true, false]);
    }

    #[test]
    fn one_parameter_is_refused_only_where_the_others_are_gone() {
        let all = [Unwritten, Written, Packed, Rewritten];
        assert_eq!(all.map(|state: State| state.takes_part(true)), [true; 4]);
        assert_eq!(all.map(|state: State| state.takes_part(false)), [true, true, false, true]);
    }
}
