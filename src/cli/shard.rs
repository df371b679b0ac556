//! `--shard`: the part of the pictures that one of several jobs takes.

use clap::Args;
use sasnet::lab::shard::Shard;
use sasnet::low_level::file::is_stream;
use std::path::{Path, PathBuf};

/// Which part: the same for `smooth` and `eval`.
#[derive(Args)]
pub struct Sharding {
    /// Take only part i of N of the pictures, as 2/4, for jobs that share the work; auto = by the variables of a Slurm
    /// array or of MPI
    #[arg(long, value_name = "i/N|auto", value_parser = parse)]
    shard: Option<Shard>,
}

fn parse(text: &str) -> Result<Shard, String> {
    let shard = match text {
        "auto" => Shard::of_environment(|name| std::env::var(name).ok()),
        _ => text.parse(),
    };
    shard.map_err(|error| error.to_string())
}

impl Sharding {
    /// Which shard; the whole where none is given.
    pub fn shard(&self) -> Shard {
        self.shard.unwrap_or_default()
    }

    /// The name of a shard's own file: scores-2-of-4.json for scores.json; a stream stays.
    pub fn own(&self, path: &Path) -> PathBuf {
        let shard = self.shard();
        if shard.is_whole() || is_stream(path) {
            return path.into();
        }
        let mut name = path.file_stem().unwrap_or_default().to_os_string();
        // As many digits for all, so that they are listed in order.
        let digits = shard.of().to_string().len();
        name.push(format!("-{:0digits$}-of-{}", shard.number(), shard.of()));
        if let Some(extension) = path.extension() {
            name.push(".");
            name.push(extension);
        }
        path.with_file_name(name)
    }
}
