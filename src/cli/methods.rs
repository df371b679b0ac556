//! `sasnet methods`, and filters as the command line names them.

use clap::Args;
use clap::builder::PossibleValuesParser;
use sasnet::filters::Method;
use sasnet::low_level::fit::Cut;
use sasnet::low_level::net::count::COUNTED;
use sasnet::low_level::plan::{Plan, Target};
use sasnet::{Filter, Result};

/// List the classical filters that `sasnet smooth --method` takes: parameters with defaults, ranges, and the setting that
/// suits pictures of several kinds best (universal); paper, cost.
#[derive(Args)]
pub struct Methods {
    /// Of this one alone
    #[arg(value_parser = PossibleValuesParser::new(Filter::methods().iter().map(|m| m.name)))]
    method: Option<String>,
}

impl Methods {
    /// Prints the list.
    pub fn run(self) -> Result<()> {
        let wanted = |method: &&&Method| self.method.as_deref().is_none_or(|name| method.name == name);
        for (i, method) in Filter::methods().iter().filter(wanted).enumerate() {
            if i > 0 {
                say!("");
            }
            print(method)?;
        }
        Ok(())
    }
}

fn print(method: &Method) -> Result<()> {
    let filter = Filter::new(method.name)?;
    let plan = Plan::new(&Cut::WHOLE.graph(&filter, COUNTED)?.graph, Target::Cpu { threads: 1 })?;
    say!("{}: {}, {}", method.name, method.title, method.year);
    say!("  {}", method.paper);
    say!("  on 512x384: {}, {:.0} MB", method.cost, plan.peak_bytes() as f64 / 1e6);
    for parameter in method.parameters {
        let value = format!("{}={}", parameter.name, parameter.text(parameter.default));
        let universal = parameter.universal.map_or(String::new(), |v| format!("; universal {}", parameter.text(v)));
        say!("  {value:18} {} ({}{universal})", parameter.help, parameter.domain);
    }
    Ok(())
}

/// A parameter's name and value.
pub fn parse_setting(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    pair.map(|(name, value)| (name.into(), value.into())).ok_or("give a name and a value, as in sigma=3")
}

/// The filter of a method with these settings.
pub fn filter(method: &str, settings: &[(String, String)]) -> Result<Filter> {
    let settings = settings.iter().map(|(name, value)| format!(",{name}={value}"));
    format!("{method}{}", settings.collect::<String>()).parse()
}
