//! The group of all processes that MPI started. Its own handling of errors holds: a process that is lost ends all.

use super::Group;
use crate::error::{Error, Result};
use mpi::Threading;
use mpi::environment::Universe;
use mpi::traits::*;
use std::mem::ManuallyDrop;

/// MPI, on the thread that started it.
pub(super) struct Mpi {
    /// Finalised only by [`Group::leave`]: finalising waits for the others, for ever where they wait for a process that
    /// has failed. One that ends without is what MPI's starter takes for lost.
    universe: ManuallyDrop<Universe>,
}

impl Mpi {
    /// Starts MPI; only once in a process.
    ///
    /// # Errors
    /// [`Error::Group`] where it runs already, or allows no other threads beside its own.
    pub(super) fn start() -> Result<Mpi> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| Error::Group("MPI runs in this process already".into()))?;
        let universe = ManuallyDrop::new(universe);
        if threading < Threading::Funneled {
            return Err(Error::Group("this MPI allows no threads; take one with MPI_THREAD_FUNNELED".into()));
        }
        Ok(Mpi { universe })
    }
}

impl Group for Mpi {
    fn rank(&self) -> usize {
        self.universe.world().rank() as usize
    }

    fn size(&self) -> usize {
        self.universe.world().size() as usize
    }

    fn all_to_all(&mut self, send: &[f32], received: &mut [f32]) -> Result<()> {
        assert_eq!(send.len(), received.len(), "what is sent and received");
        assert!(send.len().is_multiple_of(self.size()), "{} values in {} parts", send.len(), self.size());
        self.universe.world().all_to_all_into(send, received);
        Ok(())
    }

    fn all_gather(&mut self, own: &[f32], all: &mut [f32]) -> Result<()> {
        assert_eq!(own.len() * self.size(), all.len(), "room for all");
        self.universe.world().all_gather_into(own, all);
        Ok(())
    }

    fn leave(mut self: Box<Self>) {
        // SAFETY: self ends here, and nothing takes the universe again.
        unsafe { ManuallyDrop::drop(&mut self.universe) }
    }
}
