//! Joins the reports of shards to that of all pictures.

use super::{Image, Report, SetScores};
use crate::error::{Error, Result};
use crate::lab::shard::Shard;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

impl Report {
    /// Reads what [`Report::write_json`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::File`] where it is something else.
    pub fn read_json(path: &Path) -> Result<Report> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        serde_json::from_str(&text).map_err(|e| Error::file(path, format!("not a report of scores: {e}")))
    }

    /// Joins the reports of all shards, each with its file's name: the report of one that scored all pictures. Its
    /// device is those of the shards.
    ///
    /// # Errors
    /// [`Error::File`] of the report that does not fit the first, or has a shard that another has, too;
    /// [`Error::Invalid`] where there is none, and for shards that are missing.
    pub fn merge(parts: Vec<(PathBuf, Report)>) -> Result<Report> {
        let Some((first_path, first)) = parts.first().cloned() else {
            return Err(Error::Invalid("no reports to join: give those of all shards".into()));
        };
        let of = first.shard.of();
        let (mut seen, mut images, mut devices) = (vec![None; of], vec![], vec![]);
        for (path, part) in parts {
            let differs = [
                ("shards", part.shard.of() != of),
                ("version", part.version != first.version),
                ("options", part.options != first.options),
                ("networks", part.networks != first.networks),
                ("number of pictures", part.pictures != first.pictures),
            ];
            if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
                let message = format!("not of one evaluation with {}: another {what}", first_path.display());
                return Err(Error::file(path, message));
            }
            let known: &mut Option<PathBuf> = &mut seen[part.shard.number() - 1];
            if let Some(other) = known.replace(path.clone()) {
                return Err(Error::file(path, format!("has shard {}, as {} has", part.shard, other.display())));
            }
            if !devices.contains(&part.device) {
                devices.push(part.device);
            }
            let own = part.sets.into_iter().flat_map(|set| set.images.into_iter().map(move |i| (set.name.clone(), i)));
            let own: Vec<(String, Image)> = own.collect();
            let expected = part.shard.part(0..part.pictures).count();
            if own.len() != expected {
                let has = own.len();
                return Err(Error::file(
                    path,
                    format!("has {has} pictures, not the {expected} of shard {}", part.shard),
                ));
            }
            images.extend(part.shard.places().zip(own));
        }
        let missing = (1..=of).filter(|number| seen[number - 1].is_none()).map(|number| format!("{number}/{of}"));
        let missing: Vec<String> = missing.collect();
        if !missing.is_empty() {
            return Err(Error::Invalid(format!("shards are missing: {}; give their reports, too", missing.join(", "))));
        }
        images.sort_by_key(|(place, _)| *place);
        let sets = sets(images.into_iter().map(|(_, image)| image))?;
        Ok(Report { shard: Shard::default(), device: devices.join("; "), sets, ..first })
    }
}

/// Pictures in the order of the whole, set by set.
fn sets(images: impl Iterator<Item = (String, Image)>) -> Result<Vec<SetScores>> {
    let changed = |what: &str| {
        Error::Invalid(format!(
            "{what} in the joined reports: the folders changed from shard to shard; score them again"
        ))
    };
    let (mut names, mut files) = (BTreeSet::new(), BTreeSet::new());
    let mut sets: Vec<(String, Vec<Image>)> = vec![];
    for (name, image) in images {
        if !files.insert((name.clone(), image.file.clone())) {
            return Err(changed(&format!("{} is twice", image.file)));
        }
        match sets.last_mut() {
            Some((last, images)) if *last == name => images.push(image),
            _ if !names.insert(name.clone()) => return Err(changed(&format!("the set {name} is in two pieces"))),
            _ => sets.push((name, vec![image])),
        }
    }
    Ok(sets.into_iter().map(|(name, images)| SetScores::of(name, images)).collect())
}
