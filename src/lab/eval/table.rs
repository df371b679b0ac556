//! A report as tables in Markdown.

use super::{Network, Report};
use crate::lab::metrics::Scores;
use crate::net::count::COUNTED;

/// Rows of a Markdown table that are not shown by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableOptions {
    /// Rows for the luma (Y) alone.
    pub luma: bool,
    /// Rows for each network's parameters, operations and noise scale.
    pub details: bool,
    /// A row for each picture, in a table of its own.
    pub per_image: bool,
    /// [`PUBLISHED_GAINS`], next to the gains measured.
    pub published: bool,
}

/// Mean gain in PSNR over the input, in dB, of SASNet on the real sets as its paper reports it (Li, Qin, Xu, Ji: Deep
/// Scale-Aware Image Smoothing). The rows of its Table 1, other methods' among them, were not at hand.
pub const PUBLISHED_GAINS: [(&str, f64); 2] = [("SPS", 12.9), ("NKS", 6.7)];

impl Report {
    /// Tables in Markdown, which read well as plain text, too: a row for each set, a column for the input and each
    /// network, PSNR in dB / SSIM.
    pub fn markdown(&self, shown: TableOptions) -> String {
        let mut text = self.table(shown);
        text += &format!("\n{}", self.means());
        if shown.published {
            text += &format!("\n{}", self.published());
        }
        if shown.per_image {
            text += &format!("\n{}", self.per_image(shown));
        }
        text
    }

    /// What the scores are.
    pub(in crate::lab) fn means(&self) -> String {
        let counts: Vec<String> = self.sets.iter().map(|s| format!("{} of {}", s.images.len(), s.name)).collect();
        let ensemble = if self.options.ensemble { ", networks by the mean of eight flips and rotations" } else { "" };
        let finish = self.networks.iter().find_map(|network| network.finish.as_ref());
        let finish = finish.map_or(String::new(), |filter| format!(", networks finished by {filter}"));
        format!("PSNR in dB / SSIM of the 8-bit pictures, means over {}{ensemble}{finish}.\n", counts.join(", "))
    }

    fn table(&self, shown: TableOptions) -> String {
        let mut rows = vec![self.heading("set")];
        for set in &self.sets {
            rows.extend(scores(&set.name, set.input, &set.networks, shown.luma));
        }
        if shown.details {
            let mut row = |name: &str, value: &dyn Fn(&Network) -> String| {
                let head = [name.into(), String::new()];
                rows.push(head.into_iter().chain(self.networks.iter().map(value)).collect());
            };
            // Filters have neither.
            let of_network = |n: &Network, text: String| if n.parameters > 0 { text } else { "-".into() };
            row("parameters", &|n| of_network(n, thousands(n.parameters)));
            row(&format!("GMAC at {}x{}", COUNTED.w, COUNTED.h), &|n| of_network(n, format!("{:.2}", n.gmac)));
            row("noise scale", &|n| of_network(n, n.noise.to_string()));
        }
        markdown(&rows)
    }

    fn per_image(&self, shown: TableOptions) -> String {
        let mut rows = vec![self.heading("picture")];
        for set in &self.sets {
            for image in &set.images {
                let name = format!("{}/{}", set.name, image.name);
                rows.extend(scores(&name, image.input, &image.networks, shown.luma));
            }
        }
        markdown(&rows)
    }

    fn published(&self) -> String {
        let labels = self.networks.iter().map(|n| n.label.clone());
        let mut rows = vec![["gain in PSNR, dB".into()].into_iter().chain(labels).collect::<Vec<_>>()];
        rows[0].push("SASNet, published".into());
        for set in &self.sets {
            let gains = set.networks.iter().map(|scores| format!("{:.2}", scores.gain(&set.input)));
            rows.push([set.name.clone()].into_iter().chain(gains).chain([String::new()]).collect());
        }
        for (set, gain) in PUBLISHED_GAINS {
            let mut row = vec![String::new(); self.networks.len() + 2];
            row[0] = format!("{set}, the real set");
            row[self.networks.len() + 1] = format!("{gain:.1}");
            rows.push(row);
        }
        markdown(&rows)
            + "\nPublished, on the real sets (not these pictures): SASNet's gains over the input as its paper reports them \
               (Deep Scale-Aware Image Smoothing, Li, Qin, Xu and Ji). The other rows of its Table 1 were not at hand.\n"
    }

    fn heading(&self, first: &str) -> Vec<String> {
        let labels = self.networks.iter().map(|network| network.label.as_str());
        [first, "input"].into_iter().chain(labels).map(String::from).collect()
    }
}

/// The row of a set or picture, and that of its luma.
fn scores(name: &str, input: Scores, networks: &[Scores], luma: bool) -> Vec<Vec<String>> {
    let row = |name: String, cell: fn(&Scores) -> String| {
        [name].into_iter().chain([&input].into_iter().chain(networks).map(cell)).collect()
    };
    let mut rows = vec![row(name.into(), cell)];
    if luma {
        rows.push(row(format!("{name}, Y"), |s| format!("{:.2} / {:.4}", s.psnr_y, s.ssim_y)));
    }
    rows
}

/// PSNR in dB / SSIM.
pub(in crate::lab) fn cell(s: &Scores) -> String {
    format!("{:.2} / {:.4}", s.psnr, s.ssim)
}

fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let group =
        |(i, c): (usize, char)| if i > 0 && (digits.len() - i).is_multiple_of(3) { vec![',', c] } else { vec![c] };
    digits.chars().enumerate().flat_map(group).collect()
}

/// A table whose first row is its heading, padded so that columns stand below each other; numbers to the right.
pub(in crate::lab) fn markdown(rows: &[Vec<String>]) -> String {
    let cell = |text: &String| text.replace('|', "\\|");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            text += &if column == 0 { format!("| {cell:width$} ") } else { format!("| {cell:>width$} ") };
        }
        text += "|\n";
        if i == 0 {
            let line = |(column, width)| format!("|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" });
            text.extend(widths.iter().copied().enumerate().map(line));
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let rows = [["set", "in|put"], ["kodim", "1"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(markdown(&rows), "| set   | in\\|put |\n|-------|--------:|\n| kodim |       1 |\n");
        assert_eq!([0, 999, 1000, 2151984].map(thousands), ["0", "999", "1,000", "2,151,984"]);
    }
}
