//! The mean of several trainings' weights. Short runs that begin at the same weights err in different ways, and their mean
//! is better than each of them (Wortsman et al. 2022, "Model soups").

use crate::error::{Error, Result};
use crate::weights::Weights;

/// The mean of weights of the same network, each called by the name beside it in an error; the metadata are the first's,
/// with `mean_of` the number.
///
/// # Errors
/// [`Error::Invalid`] where one is of another network, or there is none.
pub fn mean(all: &[(String, Weights)]) -> Result<Weights> {
    let [(first, weights), others @ ..] = all else {
        return Err(Error::Invalid("there are no weights to take the mean of".into()));
    };
    if let Some((name, other)) = others.iter().find(|(_, other)| other.network != weights.network) {
        let [one, another] = [weights, other].map(|weights| weights.network.describe());
        return Err(Error::Invalid(format!(
            "{name} has a network of {another}, and {first} one of {one}: a mean is of the same network"
        )));
    }
    let element =
        |i: usize| all.iter().map(|(_, weights)| f64::from(weights.params[i])).sum::<f64>() / all.len() as f64;
    let params = (0..weights.params.len()).map(|i| element(i) as f32).collect();
    let mut metadata = weights.metadata.clone();
    metadata.insert("mean_of".into(), all.len().to_string());
    Ok(Weights { network: weights.network.clone(), params, metadata })
}
