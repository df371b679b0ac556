//! The paper's Table 2 in print: `sasnet bench --table2`, `sasnet plan --table2`.

use sasnet::lab::table2::{Published, Row, UNITS};

/// The paper's Table 2, measured or planned.
pub fn print((width, height): (usize, usize), rows: &[Row]) {
    let measured = rows.iter().any(|row| row.measured.is_some());
    let more = if measured { "    took      time" } else { "" };
    say!("{width}x{height}      parameters     GMAC    count    paper's G    planned   paper's MB{more}");
    for row in rows {
        let of_paper = |of: fn(&Published) -> f64, digits: usize| {
            row.published.as_ref().map_or("-".into(), |published| format!("{:.digits$}", of(published)))
        };
        let more = row.measured.as_ref().map_or(String::new(), |measured| {
            format!("  {:6.1} MB {:>9}", measured.allocated_bytes as f64 / 1e6, time(measured.ms))
        });
        say!(
            "{:12} {:12} {:8.2} {:8.2} {:>12} {:7.1} MB {:>12}{more}",
            row.name,
            row.parameters,
            row.macs as f64 / 1e9,
            row.paper_count as f64 / 1e9,
            of_paper(|p| p.giga, 2),
            row.planned_bytes as f64 / 1e6,
            of_paper(|p| p.mb, 0),
        );
    }
    say!("\n{}", UNITS);
}

/// With three digits, in a unit that suits.
pub fn time(ms: f64) -> String {
    match ms {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 9995.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}
