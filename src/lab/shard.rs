//! Parts of a list of pictures, for jobs that share the work: shard i/N takes every Nth picture from the ith on.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A part of a list; as text `2/4`. [`Shard::default`] is all of it, `1/1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// From 0.
    index: usize,
    of: usize,
}

impl Default for Shard {
    fn default() -> Shard {
        Shard { index: 0, of: 1 }
    }
}

/// Rank and size that MPI's starters tell a process: Open MPI's, those of MPICH and its kin, Slurm's `srun`. (Slurm's
/// `SLURM_NTASKS` is also there where a batch script calls a program once.)
const RANKS: [[&str; 2]; 3] = [
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"],
    ["PMI_RANK", "PMI_SIZE"],
    ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS"],
];

/// The variable's number, where it is set.
fn number(variable: impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<usize>> {
    let parse = |text: String| {
        text.parse().map_err(|_| Error::Invalid(format!("the variable {name} is {text:?}, not a number")))
    };
    variable(name).map(parse).transpose()
}

/// Rank and size as MPI's starter told this process; None where there was none. `variable` looks up a variable of the
/// environment.
///
/// # Errors
/// [`Error::Invalid`] where a variable is no number.
pub fn process(variable: impl Fn(&str) -> Option<String>) -> Result<Option<(usize, usize)>> {
    for [rank, size] in RANKS {
        if let (Some(rank), Some(size)) = (number(&variable, rank)?, number(&variable, size)?) {
            return Ok(Some((rank, size)));
        }
    }
    Ok(None)
}

/// Rank among the processes of this machine as MPI's starter told it; 0 where there was none.
///
/// # Errors
/// [`Error::Invalid`] where a variable is no number.
pub fn local_rank(variable: impl Fn(&str) -> Option<String>) -> Result<usize> {
    let names = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"];
    let ranks = names.into_iter().map(|name| number(&variable, name));
    ranks.collect::<Result<Vec<_>>>().map(|ranks| ranks.into_iter().flatten().next().unwrap_or(0))
}

impl Shard {
    /// Part `number`, from 1, of `of` parts.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no such part.
    pub fn new(number: usize, of: usize) -> Result<Shard> {
        match number.checked_sub(1) {
            Some(index) if index < of => Ok(Shard { index, of }),
            _ => Err(Error::Invalid(format!("there is no shard {number}/{of}: give i/N with i from 1 to N"))),
        }
    }

    /// Part of this process by what Slurm or MPI's starter tell it: of a Slurm array the place of its task, of
    /// processes started by MPI the rank, of an array of such jobs both. `variable` looks up a variable of the
    /// environment.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no such variable is there, or one is no number or out of range.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Shard> {
        let array = |name: &str| number(&variable, &format!("SLURM_ARRAY_TASK_{name}"));
        let mut levels = vec![];
        if let Some(id) = array("ID")? {
            let missing = || Error::Invalid("SLURM_ARRAY_TASK_ID is set, but not _MIN and _COUNT: give i/N".into());
            let (Some(min), Some(count)) = (array("MIN")?, array("COUNT")?) else { return Err(missing()) };
            let step = array("STEP")?.unwrap_or(1).max(1);
            let place = id.checked_sub(min).filter(|distance| distance.is_multiple_of(step)).map(|d| d / step);
            let even = array("MAX")?.is_none_or(|max| max == min + (count.max(1) - 1) * step);
            let place = place.filter(|place| even && *place < count).ok_or_else(|| {
                Error::Invalid(format!("task {id} of a Slurm array with gaps: give i/N, or an array as 1-{count}"))
            })?;
            levels.push((place, count));
        }
        levels.extend(process(&variable)?);
        if levels.is_empty() {
            let message = "neither a Slurm array nor MPI has set a variable that says which shard this is: give i/N";
            return Err(Error::Invalid(message.into()));
        }
        let (index, of) = levels.into_iter().fold((0, 1), |(index, of), (i, n)| (index * n + i, of * n));
        Shard::new(index + 1, of)
    }

    /// Its number, from 1.
    pub fn number(self) -> usize {
        self.index + 1
    }

    /// Parts in all.
    pub fn of(self) -> usize {
        self.of
    }

    /// Tells whether it is all there is.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Of a list what is its part, in order.
    pub fn part<T>(self, list: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        list.into_iter().skip(self.index).step_by(self.of)
    }

    /// Places in the list of what is its part.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (self.index..).step_by(self.of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.number(), self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shard> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (number, of) = numbers.ok_or_else(|| Error::Invalid(format!("{text:?} is no shard: give i/N, as 2/4")))?;
        Shard::new(number, of)
    }
}

impl TryFrom<String> for Shard {
    type Error = Error;

    fn try_from(text: String) -> Result<Shard> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> String {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<String, String> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
        Shard::of_environment(find).map(|shard| shard.to_string()).map_err(|error| error.to_string())
    }

    fn array(id: &str, [min, max, step, count]: [&'static str; 4]) -> Vec<(&'static str, String)> {
        let names = ["ID", "MIN", "MAX", "STEP", "COUNT"].map(|n| format!("SLURM_ARRAY_TASK_{n}").leak() as &str);
        names.into_iter().zip([id, min, max, step, count].map(String::from)).collect()
    }

    #[test]
    fn shards_share_a_list() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].iter().map(|text| text.parse().unwrap()).collect();
        let parts: Vec<Vec<usize>> = shards.iter().map(|shard| shard.part(0..7).collect()).collect();
        assert_eq!(parts, [vec![0, 3, 6], vec![1, 4], vec![2, 5]]);
        assert_eq!(shards[1].places().take(2).collect::<Vec<_>>(), [1, 4]);
        assert!(Shard::default().part(0..7).eq(0..7));
        for wrong in ["", "2", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b"] {
            let error = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains("give i/N"), "{wrong}: {error}");
        }
    }

    #[test]
    fn slurm_and_mpi_say_which_shard_a_process_is() {
        let open = [("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "4")];
        assert_eq!(of(&open).unwrap(), "3/4");
        assert_eq!(of(&[("PMI_RANK", "0"), ("PMI_SIZE", "2")]).unwrap(), "1/2");
        assert_eq!(of(&[("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2")]).unwrap(), "2/2");
        let in_array = |id: &str, sizes, more: &[(&'static str, &'static str)]| {
            let variables = array(id, sizes);
            let given: Vec<(&str, &str)> =
                variables.iter().map(|(n, v)| (*n, v.as_str())).chain(more.to_vec()).collect();
            of(&given)
        };
        assert_eq!(in_array("1", ["1", "8", "1", "8"], &[]).unwrap(), "1/8");
        assert_eq!(in_array("4", ["0", "6", "2", "4"], &[]).unwrap(), "3/4");
        // An array of two jobs of four processes each.
        assert_eq!(in_array("2", ["1", "2", "1", "2"], &open).unwrap(), "7/8");
        // A batch script that calls the program once.
        let once = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")];
        assert!(of(&once).unwrap_err().contains("give i/N"));
        assert!(of(&[]).unwrap_err().contains("neither a Slurm array nor MPI"));
        for (id, sizes) in [("3", ["1", "9", "1", "4"]), ("2", ["1", "5", "2", "3"]), ("9", ["1", "4", "1", "4"])] {
            let error = in_array(id, sizes, &[]).unwrap_err();
            assert!(error.contains("a Slurm array with gaps"), "{error}");
        }
        assert!(of(&[("PMI_RANK", "x"), ("PMI_SIZE", "2")]).unwrap_err().contains("PMI_RANK is \"x\""));
        assert!(of(&[("PMI_RANK", "2"), ("PMI_SIZE", "2")]).unwrap_err().contains("no shard 3/2"));
    }
}
