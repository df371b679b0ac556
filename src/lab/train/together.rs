//! A step of several processes: each has the gradient of its part of the batch, and gets the mean of all.
//!
//! The step's plan is cut where gradients are complete. What is complete is added up over the processes by
//! [`Exchange`], while the way back goes on; when all sums are there, clip, Adam and average follow, on each process
//! for itself. A reversible network uses each block twice, on the way down and up, so that the gradients of its last
//! blocks are complete halfway back, and those of the first at the end.

use super::group::Exchange;
use crate::autodiff::SUM;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::graph::{Storage, Value};
use crate::kernel::RunParams;
use crate::ops::Graph;
use crate::plan::Plan;
use std::collections::BTreeMap;
use std::ops::Range;

/// Parts in which the gradient is exchanged, of about the same size: as soon as so much is complete.
const PARTS: usize = 8;

/// Gradients that are exchanged together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bucket {
    /// Steps of the plan after which they are complete.
    after: usize,
    /// Of each parameter its elements in the flat array, and the gradients of its uses, to be added up.
    parameters: Vec<(Range<usize>, Vec<Value>)>,
}

/// A step's plan, cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// In the order in which they are complete.
    buckets: Vec<Bucket>,
    /// Steps that only add up the uses' gradients, which is done here with the buckets.
    left_out: Range<usize>,
}

impl Cut {
    /// Cuts the plan of a graph, in which `clip` is the first value that needs the whole gradient.
    pub(super) fn new(graph: &Graph, plan: &Plan, clip: Value) -> Cut {
        let mut uses: BTreeMap<usize, (usize, Vec<Value>)> = BTreeMap::new();
        for (step, node) in plan.nodes.iter().enumerate() {
            for &value in &node.outputs {
                // What lies in the arrays of gradients, and nothing else, is written as a part of a whole.
                if let Storage::View { offset, .. } = graph.info(value).storage {
                    let (complete, values) = uses.entry(offset).or_default();
                    *complete = step + 1;
                    values.push(value);
                }
            }
        }
        let mut complete: Vec<(usize, (usize, Vec<Value>))> = uses.into_iter().collect();
        complete.sort_by_key(|(_, (after, _))| *after);
        let enough = graph.layout().len().div_ceil(PARTS);
        let (mut buckets, mut filled): (Vec<Bucket>, usize) = (vec![], enough);
        for (offset, (after, values)) in complete {
            let len = graph.shape(values[0]).len();
            if filled >= enough {
                buckets.push(Bucket { after, parameters: vec![] });
                filled = 0;
            }
            filled += len;
            let bucket = buckets.last_mut().expect("just put there");
            bucket.after = after;
            bucket.parameters.push((offset..offset + len, values));
        }
        let clip = plan.nodes.iter().position(|node| node.outputs.contains(&clip)).expect("the clip is planned");
        let sums = plan.nodes[..clip].iter().rev().take_while(|node| node.name == SUM).count();
        Cut { buckets, left_out: clip - sums..clip }
    }

    /// Of each bucket the elements, and the share of the plan's multiply-accumulates that is done when it is complete.
    pub(super) fn parts(&self, plan: &Plan) -> Vec<(usize, f64)> {
        let done = |bucket: &Bucket| plan.steps[..bucket.after].iter().map(|step| step.macs).sum::<u64>();
        let elements = |bucket: &Bucket| bucket.parameters.iter().map(|(places, _)| places.len()).sum();
        self.buckets.iter().map(|bucket| (elements(bucket), done(bucket) as f64 / plan.macs() as f64)).collect()
    }
}

/// The other processes, and how a step is cut for them.
pub(super) struct Together {
    exchange: Exchange,
    cut: Cut,
}

impl Together {
    /// Cuts the plan of a step, in which `clip` is the first value that needs the whole gradient.
    pub(super) fn new(exchange: Exchange, exec: &Executor, clip: Value) -> Together {
        Together { exchange, cut: Cut::new(exec.graph(), exec.plan(), clip) }
    }

    /// The others.
    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Leaves the others, at the end of all work.
    ///
    /// # Errors
    /// Those of the transport.
    pub(super) fn leave(self) -> Result<()> {
        self.exchange.leave()
    }

    /// Runs a step with the mean gradient of all processes, and returns the mean of their losses.
    ///
    /// # Errors
    /// Those of the device and of the transport.
    pub(super) fn run(&self, exec: &mut Executor, [loss, grads]: [Value; 2], run: &RunParams) -> Result<f32> {
        let mut at = 0;
        for bucket in &self.cut.buckets {
            exec.run_steps(at..bucket.after, run)?;
            at = bucket.after;
            let uses: Vec<Value> = bucket.parameters.iter().flat_map(|(_, uses)| uses.iter().copied()).collect();
            let mut read = exec.read_all(&uses)?.into_iter();
            let mut own = vec![];
            for (_, uses) in &bucket.parameters {
                let start = own.len();
                own.extend(read.next().expect("one for each use"));
                for other in read.by_ref().take(uses.len() - 1) {
                    own[start..].iter_mut().zip(other).for_each(|(sum, v)| *sum += v);
                }
            }
            self.exchange.start_sum(own);
        }
        exec.run_steps(at..self.cut.left_out.start, run)?;
        self.exchange.start_sum(exec.read(loss)?);
        let size = self.exchange.size() as f32;
        let mut mean = vec![0.0; exec.shape(grads).len()];
        for bucket in &self.cut.buckets {
            let sums = self.exchange.next()?;
            let places = bucket.parameters.iter().flat_map(|(places, _)| places.clone());
            places.zip(sums).for_each(|(place, sum)| mean[place] = sum / size);
        }
        let loss = self.exchange.next()?[0] / size;
        exec.write(grads, &mean)?;
        exec.run_steps(self.cut.left_out.end..exec.plan().steps.len(), run)?;
        Ok(loss)
    }

    /// Checks that `own`, a digest of what all processes need to have, is the same on all, and waits for all of them.
    ///
    /// # Errors
    /// [`Error::Group`] with the first rank on which it differs.
    pub(super) fn check_same(&self, own: u64) -> Result<()> {
        // Numbers that f32 has exactly.
        let words: Vec<f32> = (0..4).map(|i| f32::from((own >> (16 * i)) as u16)).collect();
        let all = self.exchange.gather(words)?;
        let mut ranks = all.chunks_exact(4).enumerate();
        let Some((rank, _)) = ranks.find(|(_, words)| *words != &all[..4]) else { return Ok(()) };
        Err(Error::Group(format!(
            "rank {rank} does not have the weights, settings or data of rank 0: start all with the same arguments, on the \
             same files and devices"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::train::step::{Settings, graph};
    use crate::net::{Network, Sasnet, Unet};
    use crate::plan::Target;

    #[test]
    fn buckets_hold_each_parameter_once_and_are_complete_well_before_the_end() {
        let small = Network::from(Sasnet::new(&[8], 8).unwrap());
        for (network, store_activations, uses) in
            [(small.clone(), false, 2), (small, true, 2), (Network::from(Unet::new(4, true).unwrap()), false, 1)]
        {
            let settings = Settings { batch: 2, crop: 32, store_activations, ..Settings::paper() }.of(&network);
            let (graph, values) = graph(&network, &settings, 0..2).unwrap();
            let plan = Plan::new(&graph, Target::Cpu { threads: 1 }).unwrap();
            let cut = Cut::new(&graph, &plan, values.clip);
            let parts = cut.parts(&plan);
            let Cut { buckets, left_out } = cut;
            assert_eq!(left_out.len(), uses - 1, "sums of arrays of gradients");
            let mut held: Vec<Range<usize>> = vec![];
            for (ranges, values) in buckets.iter().flat_map(|bucket| &bucket.parameters) {
                held.push(ranges.clone());
                assert!((1..=uses).contains(&values.len()), "{values:?}");
            }
            held.sort_by_key(|range| range.start);
            let all: Vec<Range<usize>> = network.layout().entries().iter().map(|entry| entry.range()).collect();
            assert_eq!(held, all);
            assert!(buckets.is_sorted_by_key(|bucket| bucket.after) && buckets.len() >= PARTS / 2, "{}", buckets.len());
            assert!(buckets.iter().all(|bucket| bucket.after <= left_out.start));
            let elements: usize = parts.iter().map(|(elements, _)| elements).sum();
            assert_eq!(elements, network.layout().parameters());
            // When the first of them can be sent.
            let done = parts[0].1;
            println!("{}, {} buckets, the first after {done:.2}", network.name(), buckets.len());
            assert!(done < 0.9, "{done}");
        }
    }
}
