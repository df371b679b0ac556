//! A group of threads of one process: the transport of tests.

use super::Group;
use crate::error::{Error, Result};
use std::sync::mpsc::{Receiver, Sender, channel};

/// One thread of a group.
pub struct Thread {
    rank: usize,
    /// To each rank.
    to: Vec<Sender<Vec<f32>>>,
    /// From each rank.
    from: Vec<Receiver<Vec<f32>>>,
}

/// A group of so many, one for each thread.
pub fn threads(size: usize) -> Vec<Thread> {
    let mut group: Vec<Thread> = (0..size).map(|rank| Thread { rank, to: vec![], from: vec![] }).collect();
    for sender in 0..size {
        for receiver in 0..size {
            let (to, from) = channel();
            group[sender].to.push(to);
            group[receiver].from.push(from);
        }
    }
    group
}

impl Thread {
    fn exchange<'a>(&self, send: impl Iterator<Item = &'a [f32]>, received: &mut [f32]) -> Result<()> {
        let lost = |rank: usize| Error::Group(format!("rank {rank} is lost"));
        for (rank, (to, part)) in self.to.iter().zip(send).enumerate() {
            to.send(part.to_vec()).map_err(|_| lost(rank))?;
        }
        let parts = received.chunks_exact_mut(received.len() / self.size());
        for (rank, (from, part)) in self.from.iter().zip(parts).enumerate() {
            part.copy_from_slice(&from.recv().map_err(|_| lost(rank))?);
        }
        Ok(())
    }
}

impl Group for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn all_to_all(&mut self, send: &[f32], received: &mut [f32]) -> Result<()> {
        self.exchange(send.chunks_exact(send.len() / self.size()), received)
    }

    fn all_gather(&mut self, own: &[f32], all: &mut [f32]) -> Result<()> {
        self.exchange((0..self.size()).map(|_| own), all)
    }

    fn leave(self: Box<Self>) {}
}
