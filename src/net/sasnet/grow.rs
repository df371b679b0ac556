//! Enlarges a trained SASNet to more blocks and features without changing what it computes.
//!
//! - Block i of L goes to place i L' / L; the blocks between are the identity (their last convolutions are 0).
//! - A new feature is 0 at first, and nothing old reads it: conv2's new rows are 0, and 0 in its old rows stands where
//!   they would read conv1's new features. conv1's new features and conv3's new columns are random, so that all have
//!   gradients.
//! - The channel gates' entries for new features are random, as these are 0 before and behind the gate; where the
//!   hidden layer grows, too, the old gates do not read its new units.
//! - The mean over the features, which the spatial gate reads, is over more of them: its weights are scaled by F' / F.
//!
//! One thing may change: the maximum over the features, which the spatial gate reads, is that of the new zeros where
//! all old ones are negative. In the shipped model that is nowhere worth 0.01 dB.

use super::super::Architecture;
use super::Sasnet;
use crate::graph::Entry;

/// Makes of random parameters `grown` of `new` such that compute what `old` does with `params`. `new` has at least as
/// many features, and blocks at each scale.
pub(super) fn grow(old: &Sasnet, params: &[f32], new: &Sasnet, mut grown: Vec<f32>) -> Vec<f32> {
    let (from, to) = (old.layout(), new.layout());
    let growth = new.features() as f32 / old.features() as f32;
    for entry in to.entries() {
        let values = &mut grown[entry.range()];
        match source(&entry.name, old, new) {
            None if new.ends_a_block(&entry.name) => values.fill(0.0),
            None => {}
            Some(name) => {
                let old_entry = from.get(&name).expect("the same layers in each block");
                embed(entry, values, old_entry, &params[old_entry.range()], growth);
            }
        }
    }
    grown
}

/// The old parameter that a new one continues; None in a block that is new.
fn source(name: &str, old: &Sasnet, new: &Sasnet) -> Option<String> {
    let Some((l, rest)) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) else {
        return Some(name.to_string()); // outside the blocks
    };
    let (mut place, mut first) = (l.parse::<usize>().expect("a block's number"), 0);
    for (&count, &more) in old.blocks().iter().zip(new.blocks()) {
        if place < more {
            let i = (0..count).find(|i| i * more / count == place)?;
            return Some(format!("blocks.{}.{rest}", first + i));
        }
        (place, first) = (place - more, first + count);
    }
    unreachable!("{name} is in one of the levels")
}

/// Puts the old values into the corner of the new ones, which are random, and 0 where something old would read
/// something new.
fn embed(entry: &Entry, values: &mut [f32], old: &Entry, old_values: &[f32], growth: f32) {
    let [rows, columns] = split(&entry.dims);
    let [old_rows, old_columns] = split(&old.dims);
    let plane: usize = entry.dims.iter().skip(2).product();
    let (conv2, fc2) = (entry.name.contains(".conv2."), entry.name.contains(".channel.fc2."));
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let cell = &mut values[(row * columns + column) * plane..][..plane];
        let (is_old, reads_new) = (row < old_rows, column >= old_columns);
        if is_old && !reads_new {
            cell.copy_from_slice(&old_values[(row * old_columns + column) * plane..][..plane]);
        } else if conv2 || fc2 && is_old {
            cell.fill(0.0);
        }
        // Of the maximum and the mean the second.
        if entry.name.ends_with(".spatial.weight") && column == 1 {
            cell.iter_mut().for_each(|v| *v *= growth);
        }
    }
}

/// Outputs and inputs of a weight; a bias has one input.
fn split(dims: &[usize]) -> [usize; 2] {
    [dims[0], dims.get(1).copied().unwrap_or(1)]
}
