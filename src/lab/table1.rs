//! The paper's Table 1: all methods on the same sets, each filter at one setting for all of them, beside what was published
//! on the real sets.

use super::eval::table::{cell, markdown};
use super::eval::{Network, PUBLISHED_GAINS, Report};
use super::train::step::Settings;
use crate::filters::{Filter, METHODS};
use crate::weights::MODELS;

/// The shipped model's row.
pub const OURS: &str = "sasnet";

/// The rows that take no weights file: all filters, at [`Filter::universal`], and the shipped model.
pub fn shipped() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|method| method.name).chain([OURS])
}

/// The paper's other rows, and why they are not scored where they are not.
const OTHERS: [(&str, &str); 6] = [
    ("pnls", "its inner step was published as a binary only"),
    ("iso", "its weights, sizes and number of iterations were not published"),
    ("deaf", UNTRAINED),
    ("drf", UNTRAINED),
    ("resnet", UNTRAINED),
    ("jessnet", UNTRAINED),
];
const UNTRAINED: &str = "no weights were given (--weights NAME=FILE; tools/ablations.sh OUT --rivals trains some)";

/// What was published for a method on the real sets, SPS and NKS.
fn published(method: &str) -> [String; 2] {
    match method {
        OURS => PUBLISHED_GAINS.map(|(_, gain)| format!("+{gain} dB")),
        "jessnet" => ["31.73 / 0.92".into(), String::new()],
        _ => Default::default(),
    }
}

impl Report {
    /// The table in Markdown: a row for each method, a column for each set. With `others` rows for the paper's methods that
    /// were not scored, too, and why.
    pub fn table1(&self, others: bool) -> String {
        let sets = || self.sets.iter();
        let real = PUBLISHED_GAINS.map(|(set, _)| format!("{set}, published"));
        let head = ["method", "setting"].map(String::from).into_iter();
        let mut rows: Vec<Vec<String>> = vec![head.chain(sets().map(|set| set.name.clone())).chain(real).collect()];
        let mut row = |name: &str, setting: String, scores: Vec<String>| {
            rows.push([name.into(), setting].into_iter().chain(scores).chain(published(name)).collect());
        };
        row("input", String::new(), sets().map(|set| cell(&set.input)).collect());
        for (i, network) in self.networks.iter().enumerate() {
            row(&network.label, setting(network), sets().map(|set| cell(&set.networks[i])).collect());
        }
        let is_scored = |name: &str| self.networks.iter().any(|network| network.label == name);
        let mut missing: Vec<(&str, Vec<&str>)> = vec![];
        for (name, why) in OTHERS.into_iter().filter(|(name, _)| others && !is_scored(name)) {
            row(name, String::new(), vec!["-".into(); self.sets.len()]);
            match missing.last_mut().filter(|(last, _)| *last == why) {
                Some((_, names)) => names.push(name),
                None => missing.push((why, vec![name])),
            }
        }
        let mut text = format!("{}\n{}{NOTES}", markdown(&rows), self.means());
        for (why, names) in missing {
            text += &format!("{}: {why}.\n", names.join(", "));
        }
        text
    }
}

const NOTES: &str = "\
A filter has one setting for all sets. Steps of training are shown where a network's file tells them: at a budget as small as
that the table says who learns fast, not who is best.
Published: on the real SPS and NKS, not on these pictures. Of sasnet its paper's gain over the input; of jessnet what the
authors' released model has on their own validation pictures. The other figures of the paper's Table 1 were not at hand.
";

/// What a filter is set to, but for its defaults; how long a network was trained.
fn setting(network: &Network) -> String {
    let mut words = network.file.split(' ');
    let filter = words.next().and_then(|method| Filter::new(method).ok()).filter(|_| network.parameters == 0);
    if let Some(filter) = filter {
        let defaults: Vec<String> = filter.values().map(|(p, v)| format!("{}={}", p.name, p.text(v))).collect();
        return words.filter(|word| !defaults.iter().any(|default| default == word)).collect::<Vec<_>>().join(" ");
    }
    if MODELS.iter().any(|(name, _)| *name == network.file) {
        return format!("model {}", network.file);
    }
    let of = |key: &str| network.metadata.get(key);
    let settings: Option<Settings> = of("settings").and_then(|text| serde_json::from_str(text).ok());
    let budget = |(s, steps): (Settings, &String)| format!("{steps} steps of {} x {}x{}", s.batch, s.crop, s.crop);
    settings.zip(of("steps")).map_or(String::new(), budget)
}
