//! Classical smoothing filters: one file each, with its name, paper, parameters, and its graph of operators, which the
//! executors run as they run a network's.
//!
//! ```no_run
//! use sasnet::{Device, Filter, Options, Smoother, image};
//!
//! let filter = Filter::new("rgf")?.with("sigma_s", 2)?.with("sigma_r", 0.05)?;
//! let mut smoother = Smoother::new(filter, Device::open(None)?);
//! let picture = image::read("photo.jpg")?;
//! let smoothed = smoother.smooth(&picture.tensor, &Options::default())?;
//! image::write("smooth.png", &picture.with(smoothed)?)?;
//! # Ok::<(), sasnet::Error>(())
//! ```
//!
//! They take f (1, 3, H, W), R'G'B' in [0, 1] as stored, of any size, and nothing is clipped inside. x runs along columns,
//! y along rows; Dx, Dy are forward differences. A new filter is a file with a [`Method`] and a line in [`METHODS`].

use crate::error::{Error, Result};
use crate::fit::{Cut, CutGraph, Subject};
use crate::graph::{Layout, Value};
use crate::net::slabs::windows;
use crate::ops::{Graph, guided::RUN, rows::Rows};
use crate::plan::{Plan, Target};
use crate::tensor::Shape;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

mod gf;
mod ils;
mod l0;
mod rgf;
mod rtv;
mod sdf;

/// All methods, the oldest kinds first.
pub static METHODS: &[&Method] =
    &[&gf::METHOD, &l0::METHOD, &rtv::METHOD, &rgf::METHOD, &sdf::METHOD, &ils::METHOD, &ils::WELSCH];

/// A kind of filter: all that is known of it without a picture.
pub struct Method {
    /// Name on the command line.
    pub name: &'static str,
    /// Name in words.
    pub title: &'static str,
    /// Year of the paper.
    pub year: u16,
    /// Authors, title, where it appeared.
    pub paper: &'static str,
    /// Operations on a picture of 512x384.
    pub cost: &'static str,
    /// What can be set.
    pub parameters: &'static [Parameter],
    /// Rows above and below a row that it depends on; None: on the whole picture.
    halo: fn(&Filter) -> Option<usize>,
    /// Appends the filter: f (1, 3, H, W) -> u of the same shape.
    build: fn(&Filter, &mut Graph, Value) -> Result<Value>,
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Names are unique.
impl PartialEq for Method {
    fn eq(&self, other: &Method) -> bool {
        self.name == other.name
    }
}

/// A parameter of a method.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    /// Which values it takes.
    pub domain: Domain,
    /// The value where none is given; of a choice its index.
    pub default: f64,
    /// Values that `sasnet tune` tries; none: the default.
    pub grid: &'static [f64],
    /// The value of [`Filter::universal`]; None: the default.
    pub universal: Option<f64>,
}

impl Parameter {
    const UNSET: Parameter =
        Parameter { name: "", help: "", domain: Domain::Choice(&[]), default: 0.0, grid: &[], universal: None };

    const fn real(name: &'static str, range: [f64; 2], default: f64, help: &'static str) -> Parameter {
        Parameter { name, help, domain: Domain::Real(range[0], range[1]), default, ..Parameter::UNSET }
    }

    const fn whole(name: &'static str, range: [u32; 2], default: u32, help: &'static str) -> Parameter {
        Parameter { name, help, domain: Domain::Whole(range[0], range[1]), default: default as f64, ..Parameter::UNSET }
    }

    const fn choice(name: &'static str, choices: &'static [&'static str], help: &'static str) -> Parameter {
        Parameter { name, help, domain: Domain::Choice(choices), ..Parameter::UNSET }
    }

    const fn tried(self, grid: &'static [f64]) -> Parameter {
        Parameter { grid, ..self }
    }

    const fn universal(self, value: f64) -> Parameter {
        Parameter { universal: Some(value), ..self }
    }

    /// The value that a text gives.
    fn parse(&self, text: &str) -> Option<f64> {
        match self.domain {
            Domain::Real(from, to) => text.parse().ok().filter(|v| (from..=to).contains(v)),
            Domain::Whole(from, to) => text.parse().ok().filter(|v| (from..=to).contains(v)).map(f64::from),
            Domain::Choice(choices) => choices.iter().position(|choice| *choice == text).map(|i| i as f64),
        }
    }

    /// A value as [`Filter::with`] takes it.
    pub fn text(&self, value: f64) -> String {
        match self.domain {
            Domain::Choice(choices) => choices[value as usize].into(),
            _ => value.to_string(),
        }
    }
}

/// The values that a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// Numbers from .. to ..
    Real(f64, f64),
    /// Whole numbers from .. to ..
    Whole(u32, u32),
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Real(from, to) => write!(f, "{from} to {to}"),
            Domain::Whole(from, to) => write!(f, "{from} to {to}, whole"),
            Domain::Choice(choices) => f.write_str(&choices.join(" or ")),
        }
    }
}

/// [`Filter::finish`], as its text.
pub const FINISH: &str = "rtv,lambda=0.0005,sigma=0.5";

/// The range of a residual at which iterations end.
const TOLERANCE: [f64; 2] = [1e-12, 0.1];

/// A filter: a method with its parameters. [`crate::Smoother::new`] takes it as it takes weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    method: &'static Method,
    /// In the order of the method's parameters.
    values: Vec<f64>,
}

impl Filter {
    /// The filter of a method, by its name ([`Filter::methods`]), with its defaults.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown name.
    pub fn new(method: &str) -> Result<Filter> {
        let Some(known) = METHODS.iter().find(|known| known.name == method) else {
            let names: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
            return Err(Error::Invalid(format!("there is no method {method}; there are {}", names.join(", "))));
        };
        Ok(Filter { method: known, values: known.parameters.iter().map(|parameter| parameter.default).collect() })
    }

    /// The filter of a method at the setting that `sasnet tune` found for sets of two kinds together: those that stand in
    /// for the paper's SPS and NKS.
    ///
    /// # Errors
    /// As [`Filter::new`].
    pub fn universal(method: &str) -> Result<Filter> {
        let Filter { method, .. } = Filter::new(method)?;
        Ok(Filter { method, values: method.parameters.iter().map(|p| p.universal.unwrap_or(p.default)).collect() })
    }

    /// The weak filter that suits a network's result ([`crate::Smoother::with_finish`]): it takes away the faint unevenness
    /// that is left of textures, and leaves edges (`weights/README.md` has what it gains).
    pub fn finish() -> Filter {
        FINISH.parse().expect("it is a filter")
    }

    /// All methods.
    pub fn methods() -> &'static [&'static Method] {
        METHODS
    }

    /// With another value of a parameter: a number, or one of its words.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a parameter that the method does not have, and a value that it does not take.
    pub fn with(mut self, name: &str, value: impl ToString) -> Result<Filter> {
        let (method, value) = (self.method.name, value.to_string());
        let Some(i) = self.method.parameters.iter().position(|parameter| parameter.name == name) else {
            let names: Vec<&str> = self.method.parameters.iter().map(|parameter| parameter.name).collect();
            let message = format!("the method {method} has no parameter {name}; it has {}", names.join(", "));
            return Err(Error::Invalid(message));
        };
        let parameter = &self.method.parameters[i];
        self.values[i] = parameter.parse(&value).ok_or_else(|| {
            Error::Invalid(format!("{name} of the method {method} is {value}; give {}", parameter.domain))
        })?;
        Ok(self)
    }

    /// The method.
    pub fn method(&self) -> &'static Method {
        self.method
    }

    /// All parameters with their values.
    pub fn values(&self) -> impl Iterator<Item = (&'static Parameter, f64)> {
        self.method.parameters.iter().zip(self.values.iter().copied())
    }

    /// The value of a parameter; panics where the method has none of this name.
    fn get(&self, name: &str) -> f64 {
        let found = self.values().find(|(parameter, _)| parameter.name == name);
        found.unwrap_or_else(|| panic!("{} has a parameter {name}", self.method.name)).1
    }

    fn whole(&self, name: &str) -> usize {
        self.get(name) as usize
    }

    /// The word that a choice has.
    fn chosen(&self, name: &str) -> String {
        let (parameter, value) = self.values().find(|(p, _)| p.name == name).expect("a parameter of the method");
        parameter.text(value)
    }

    /// Appends the filter: f (1, 3, H, W) -> u of the same shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another shape.
    pub fn build(&self, g: &mut Graph, f: Value) -> Result<Value> {
        let shape = g.shape(f);
        if (shape.n, shape.c) != (1, 3) || shape.is_empty() {
            return Err(Error::Invalid(format!("the picture is {shape}; give 1x3 channels of one pixel or more")));
        }
        (self.method.build)(self, g, f)
    }
}

impl FromStr for Filter {
    type Err = Error;

    /// Of `rtv,lambda=0.005,sigma=3`: a method's name, and values of parameters that are not its defaults.
    fn from_str(text: &str) -> Result<Filter> {
        let mut parts = text.split(',');
        let method = Filter::new(parts.next().expect("a part at least"))?;
        let mut given = HashSet::new();
        parts.try_fold(method, |filter, part| match part.split_once('=') {
            Some((name, _)) if !given.insert(name) => {
                Err(Error::Invalid(format!("{name} is given twice: give it once")))
            }
            Some((name, value)) => filter.with(name, value),
            None => Err(Error::Invalid(format!("{part:?} is no parameter; give a name and a value, as in sigma=3"))),
        })
    }
}

impl fmt::Display for Filter {
    /// As on the command line: the method, and all parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values().map(|(parameter, v)| format!(" {}={}", parameter.name, parameter.text(v)));
        write!(f, "{}{}", self.method.name, values.collect::<String>())
    }
}

/// Rows of a slab are a multiple of this, but for the last's, so that the runs of window means keep their places.
const SLAB_ROWS: usize = RUN;

impl Subject for Filter {
    fn what(&self) -> String {
        let whole = if (self.method.halo)(self).is_some() { "" } else { " (which takes the whole picture at once)" };
        format!("the method {}{whole}", self.method.name)
    }

    fn slabs(&self, shape: Shape) -> (usize, bool) {
        let most = (self.method.halo)(self).map_or(1, |_| shape.h.div_ceil(SLAB_ROWS));
        (most, false)
    }

    fn graph(&self, cut: Cut, shape: Shape) -> Result<CutGraph> {
        let mut g = Graph::new(Layout::default());
        let rows = shape.h.div_ceil(SLAB_ROWS).div_ceil(cut.count) * SLAB_ROWS;
        let heights = (0..shape.h).step_by(rows).map(|first| rows.min(shape.h - first));
        let x: Vec<Value> = heights.map(|h| g.input("f", Shape { h, ..shape })).collect();
        let mut y = vec![];
        if let [x] = x[..] {
            y.push(self.build(&mut g, x)?);
        } else {
            let halo = (self.method.halo)(self).expect("what is cut has a halo").next_multiple_of(SLAB_ROWS);
            for window in windows(&g, &x, halo) {
                let f = g.apply1("halo", window.rows, &x[window.slabs])?;
                let u = self.build(&mut g, f)?;
                let own: Rows = window.own;
                y.push(g.apply1("slab", own, &[u])?);
            }
        }
        y.iter().for_each(|y| g.output(*y));
        Ok(CutGraph { graph: g, x, y, cut })
    }

    fn estimate(&self, cut: Cut, shape: Shape, target: Target) -> Result<u64> {
        Ok(Plan::new(&self.graph(cut, shape)?.graph, target)?.peak_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range_and_names_are_unique() {
        for (i, method) in METHODS.iter().enumerate() {
            assert!(METHODS[..i].iter().all(|other| other != method), "{method:?}");
            let filter = Filter::new(method.name).unwrap();
            for (parameter, value) in filter.clone().values() {
                let same = filter.clone().with(parameter.name, parameter.text(value)).unwrap();
                assert_eq!(same, filter, "{}", parameter.name);
                let named = method.parameters.iter().filter(|other| other.name == parameter.name);
                assert_eq!(named.count(), 1, "{}", parameter.name);
                let tried = parameter
                    .grid
                    .iter()
                    .chain(&parameter.universal)
                    .map(|v| filter.clone().with(parameter.name, parameter.text(*v)));
                tried.for_each(|filter| drop(filter.unwrap()));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |result: Result<Filter>| result.unwrap_err().to_string();
        let text = error(Filter::new("gauss"));
        assert!(text.contains("no method gauss; there are gf, l0, rtv, rgf, sdf, ils"), "{text}");
        let gf = || Filter::new("gf").unwrap();
        let text = error(gf().with("sigma", 3));
        assert!(text.contains("no parameter sigma; it has r, eps, guide"), "{text}");
        for (name, value) in [("r", "0"), ("r", "2.5"), ("eps", "NaN"), ("eps", "-1"), ("guide", "grey")] {
            let text = error(gf().with(name, value));
            assert!(text.contains(&format!("{name} of the method gf is {value}; give")), "{text}");
        }
        let parsed = "gf,r=2,guide=channel".parse::<Filter>();
        assert_eq!(parsed.unwrap(), gf().with("r", 2).unwrap().with("guide", "channel").unwrap());
        assert!(Filter::finish().to_string().starts_with("rtv lambda=0.0005 sigma=0.5 "));
        for (text, why) in [
            ("", "no method ;"),
            ("gf,r", "\"r\" is no parameter"),
            ("gf,", "\"\" is no"),
            ("gf,r=", "r of"),
            ("gf,r=2,r=3", "r is given twice"),
        ] {
            let text = error(text.parse());
            assert!(text.contains(why), "{text}");
        }
        assert_eq!(gf().with("r", 2).unwrap().to_string(), "gf r=2 eps=0.01 guide=colour");
    }
}
