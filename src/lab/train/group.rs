//! Processes that train together. Each takes its part of every batch, and all add up their gradients: in the order of
//! their ranks, so that the sum depends on nothing but the gradients.

use crate::error::{Error, Result};
use crate::lab::shard::process;
use std::sync::mpsc::{Receiver, Sender, channel};

#[cfg(feature = "mpi")]
mod mpi;
mod threads;

pub use threads::{Thread, threads};

/// The transport between processes: moves data, and computes nothing. What all ranks do together, all call in the same
/// order, with slices of the same lengths.
pub trait Group {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// Processes in all.
    fn size(&self) -> usize;

    /// Sends the jth of [`Group::size`] equal parts of `send` to rank j; `received` gets the parts from all ranks, in
    /// their order.
    ///
    /// # Errors
    /// [`Error::Group`] where a process is lost; a transport may as well end this process then.
    fn all_to_all(&mut self, send: &[f32], received: &mut [f32]) -> Result<()>;

    /// Sends `own` to all ranks; `all` gets what each has sent, in their order.
    ///
    /// # Errors
    /// As [`Group::all_to_all`].
    fn all_gather(&mut self, own: &[f32], all: &mut [f32]) -> Result<()>;

    /// Says that this process comes to its end well. A group that is dropped without is lost to the others.
    fn leave(self: Box<Self>);
}

/// Replaces the values by their sums over all ranks, each added up from rank 0 on, by one rank for all. A rank sends
/// and receives 2 (N - 1) / N of the values, as in a ring.
///
/// # Errors
/// Those of the transport.
pub fn sum(group: &mut dyn Group, values: &mut [f32]) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let part = values.len().div_ceil(group.size());
    let mut all = values.to_vec();
    all.resize(part * group.size(), 0.0);
    let mut received = vec![0.0; all.len()];
    group.all_to_all(&all, &mut received)?;
    let (sum, others) = received.split_at_mut(part);
    for other in others.chunks_exact(part) {
        sum.iter_mut().zip(other).for_each(|(sum, v)| *sum += v);
    }
    group.all_gather(sum, &mut all)?;
    values.copy_from_slice(&all[..values.len()]);
    Ok(())
}

/// A group at work on a thread of its own, while this one computes on.
pub struct Exchange {
    rank: usize,
    size: usize,
    jobs: Sender<Job>,
    results: Receiver<Result<Vec<f32>>>,
}

enum Job {
    Sum(Vec<f32>),
    Gather(Vec<f32>),
    Leave,
}

impl Exchange {
    /// Joins the group that `connect` makes, on the thread that stays with it.
    ///
    /// # Errors
    /// Those of `connect`.
    pub fn join(connect: impl FnOnce() -> Result<Box<dyn Group>> + Send + 'static) -> Result<Exchange> {
        let ((jobs, todo), (done, results), (tell, told)) = (channel(), channel(), channel());
        std::thread::spawn(move || match connect() {
            Err(error) => drop(tell.send(Err(error))),
            // Sending fails where nobody waits any more: this process comes to its end.
            Ok(group) => drop(tell.send(Ok((group.rank(), group.size()))).map(|()| work(group, &todo, &done))),
        });
        let (rank, size) = told.recv().map_err(|_| ended())??;
        Ok(Exchange { rank, size, jobs, results })
    }

    /// Joins the processes that MPI's starter (`mpirun`, `srun`) started together with this one; None where it is
    /// alone. `variable` looks up a variable of the environment.
    ///
    /// # Errors
    /// [`Error::Group`] where this program was built without the feature `mpi`, and where MPI does not start.
    pub fn join_started(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Exchange>> {
        match process(variable)? {
            None | Some((_, 0 | 1)) => Ok(None),
            #[cfg(feature = "mpi")]
            Some(_) => Exchange::join(|| Ok(Box::new(mpi::Mpi::start()?))).map(Some),
            #[cfg(not(feature = "mpi"))]
            Some((_, size)) => Err(Error::Group(format!(
                "this is one of {size} that MPI started, but the program was built without MPI: build it with the feature \
                 mpi, or start it alone"
            ))),
        }
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Processes in all.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Begins to add up values over all ranks; [`Exchange::next`] has the sums.
    pub fn start_sum(&self, values: Vec<f32>) {
        // Where the thread has ended, the next result says so.
        let _ = self.jobs.send(Job::Sum(values));
    }

    /// Waits for the result of the oldest sum that was begun.
    ///
    /// # Errors
    /// Those of the transport.
    pub fn next(&self) -> Result<Vec<f32>> {
        self.results.recv().map_err(|_| ended())?
    }

    /// Waits for the values of all ranks, in their order.
    ///
    /// # Errors
    /// Those of the transport.
    pub fn gather(&self, own: Vec<f32>) -> Result<Vec<f32>> {
        let _ = self.jobs.send(Job::Gather(own));
        self.next()
    }

    /// Leaves the group, at the end of all work.
    ///
    /// # Errors
    /// Those of the transport.
    pub fn leave(self) -> Result<()> {
        let _ = self.jobs.send(Job::Leave);
        self.next().map(drop)
    }
}

fn ended() -> Error {
    Error::Group("the thread that speaks to the others has ended".into())
}

/// Does one job after the other, until nobody asks any more.
fn work(mut group: Box<dyn Group>, todo: &Receiver<Job>, done: &Sender<Result<Vec<f32>>>) {
    for job in todo {
        let result = match job {
            Job::Sum(mut values) => sum(&mut *group, &mut values).map(|()| values),
            Job::Gather(own) => {
                let mut all = vec![0.0; own.len() * group.size()];
                group.all_gather(&own, &mut all).map(|()| all)
            }
            Job::Leave => {
                group.leave();
                return drop(done.send(Ok(vec![])));
            }
        };
        if done.send(result).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a function on each rank of a group.
    fn on_all<T: Send>(size: usize, work: impl Fn(Box<dyn Group + Send>) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let ranks: Vec<_> = threads(size).into_iter().map(|group| scope.spawn(|| work(Box::new(group)))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn sums_are_in_the_order_of_ranks() {
        // In another order the small ones would be lost: 1 - 1e8 + 1e8 is 0 in f32.
        let values = [1e8f32, -1e8, 1.0, 0.5];
        for (size, len) in [(1, 3), (2, 5), (3, 7), (4, 1), (4, 8)] {
            let sums = on_all(size, |mut group| {
                let mut own: Vec<f32> = (0..len).map(|i| values[group.rank()] + i as f32 * 16.0).collect();
                sum(&mut *group, &mut own).unwrap();
                own
            });
            let expected =
                |i: usize| (0..size).map(|rank| values[rank] + i as f32 * 16.0).reduce(|a, b| a + b).unwrap();
            let expected: Vec<f32> = (0..len).map(expected).collect();
            assert!(sums.iter().all(|sum| *sum == expected), "{size} ranks: {sums:?}, not {expected:?}");
        }
    }

    /// A transport that waits in its first exchange until it is let go.
    struct Slow(Receiver<()>);

    impl Group for Slow {
        fn rank(&self) -> usize {
            0
        }
        fn size(&self) -> usize {
            1
        }
        fn all_to_all(&mut self, send: &[f32], received: &mut [f32]) -> Result<()> {
            self.0.recv().map_err(|_| Error::Group("let down".into()))?;
            received.copy_from_slice(send);
            Ok(())
        }
        fn all_gather(&mut self, own: &[f32], all: &mut [f32]) -> Result<()> {
            all.copy_from_slice(own);
            Ok(())
        }
        fn leave(self: Box<Self>) {}
    }

    #[test]
    fn who_begins_a_sum_computes_on_meanwhile() {
        let (go, wait) = channel();
        let exchange = Exchange::join(|| Ok(Box::new(Slow(wait)))).unwrap();
        // Comes back from both while the first has not been sent: else this would wait for ever.
        exchange.start_sum(vec![1.0, 2.0]);
        exchange.start_sum(vec![3.0]);
        assert!(exchange.results.try_recv().is_err());
        (0..2).for_each(|_| go.send(()).unwrap());
        assert_eq!([exchange.next().unwrap(), exchange.next().unwrap()], [vec![1.0, 2.0], vec![3.0]]);
        assert_eq!(exchange.gather(vec![4.0]).unwrap(), [4.0]);
        drop(go);
        exchange.start_sum(vec![5.0]);
        assert!(exchange.next().unwrap_err().to_string().contains("let down"));
        exchange.leave().unwrap();
    }

    #[test]
    fn a_lost_rank_is_an_error_of_all() {
        let said = on_all(3, |mut group| match group.rank() {
            1 => String::new(),
            _ => sum(&mut *group, &mut [1.0]).unwrap_err().to_string(),
        });
        assert!(said[0].contains("rank 1 is lost") && said[2].contains("is lost"), "{said:?}");
    }
}
