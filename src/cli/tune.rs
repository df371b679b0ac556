//! `sasnet tune`

use super::data::PairByOrder;
use super::eval::read_sets;
use super::methods::{filter, parse_setting};
use super::stop::Stop;
use super::{count, count_of, progress};
use clap::Args;
use clap::builder::PossibleValuesParser;
use sasnet::lab::tune::{Axis, Log, Part, Search, at_the_border, grid};
use sasnet::{Error, Filter, Progress, Result};
use std::path::PathBuf;

/// Find the best setting of a classical filter for sets of pictures with ground truths: one for all sets, by a grid, and
/// golden sections from its best.
#[derive(Args)]
pub struct Tune {
    /// The filter (`sasnet methods` lists them)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Filter::methods().iter().map(|m| m.name)))]
    method: String,
    /// A set of pictures, as for `sasnet eval`; several: --set A=DIR --set B=DIR. The sum of their mean PSNRs decides
    #[arg(long = "set", value_name = "[NAME=]DIR", required = true)]
    sets: Vec<String>,
    #[command(flatten)]
    order: PairByOrder,
    /// Try these values of a parameter, in all combinations with those of others: --try lambda=0.005,0.01,0.02
    /// [default: a grid of each method's own]
    #[arg(long = "try", value_name = "NAME=VALUES", value_parser = parse_axis)]
    tries: Vec<Axis>,
    /// Keep a parameter at a value; others that are not tried keep their defaults
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting)]
    fix: Vec<(String, String)>,
    /// Then try N settings more for each parameter that is a real number: a golden section between the grid's values on both
    /// sides of the best
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    golden: Option<u16>,
    /// Try on every N-th picture of each set
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Try on squares of this side from the pictures' middles instead of whole pictures
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..))]
    crop: Option<u32>,
    /// Keep what was tried there, and go on from it where it exists
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    adapter: super::Adapter,
}

/// Settings that are printed.
const SHOWN: usize = 5;

impl Tune {
    /// Tries all settings and prints the best.
    pub fn run(self) -> Result<()> {
        let base = filter(&self.method, &self.fix)?;
        let fixed: Vec<&str> = self.fix.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(axis) = self.tries.iter().find(|axis| fixed.contains(&axis.name.as_str())) {
            return Err(Error::Invalid(format!("{} is both fixed and tried: leave one out", axis.name)));
        }
        let axes = if self.tries.is_empty() { Axis::of(&base, &fixed) } else { self.tries };
        let settings = grid(&base, &axes)?;
        let sets = read_sets(&self.sets, &self.order)?;
        let part = Part { every: self.every.into(), crop: self.crop.map(|side| side as usize) };
        let mut log = Log::new(&sets, part)?;
        if let Some(path) = &self.log {
            log = log.resume(path)?;
        }
        let device = self.adapter.open()?;
        let pictures: usize = log.sets.iter().map(|(_, pictures)| pictures).sum();
        let known = settings.iter().filter(|s| log.tried.iter().any(|tried| tried.setting == s.to_string())).count();
        let kept = if known > 0 { format!(", {known} of them as in the log") } else { String::new() };
        note!("{} on {}{kept}", count_of(settings.len(), "setting"), count(pictures));
        let bar = progress((settings.len() - known) * pictures);
        let stop = Stop::listen(None);
        stop.working(true);
        let mut observer = |progress: &Progress| {
            super::show(&bar, progress);
            stop.answer()
        };
        let mut each = |log: &Log| self.log.as_ref().map_or(Ok(()), |path| log.write(path));
        let mut search = Search::new(&sets, &device, &mut log, &mut observer, &mut each)?;
        let mut best = search.best(&settings)?;
        let border = at_the_border(&best, &axes);
        if !border.is_empty() {
            note!("note: the best {} lies at the border of what was tried; try further", border.join(", "));
        }
        if let Some(steps) = self.golden {
            bar.inc_length(u64::from(steps) * (axes.len() * pictures) as u64);
            best = search.golden(best, &axes, steps.into())?;
        }
        bar.finish_and_clear();

        let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        say!("PSNR in dB: {}; setting", names.join(", "));
        for tried in search.ranked().iter().take(SHOWN) {
            let scores: Vec<String> = tried.psnr.iter().map(|psnr| format!("{psnr:.3}")).collect();
            say!("  {}  {}", scores.join("  "), tried.setting);
        }
        let given = best.values().filter(|(p, v)| *v != p.default || axes.iter().any(|axis| axis.name == p.name));
        let flags: String = given.map(|(p, v)| format!(" --set {}={}", p.name, p.text(v))).collect();
        say!("sasnet smooth --method {}{flags}", self.method);
        Ok(())
    }
}

/// A parameter and values with commas between them.
fn parse_axis(text: &str) -> Result<Axis, &'static str> {
    let (name, values) = parse_setting(text).map_err(|_| "give a name and values, as in sigma=1,2,3")?;
    Ok(Axis { name, values: values.split(',').map(String::from).collect() })
}
