//! Which pictures are smoothed, where each goes, and what is left out.

use crate::cli::count;
use clap::Args;
use sasnet::image::{self, Format, Listing, Why};
use sasnet::lab::shard::Shard;
use sasnet::low_level::file::{is_stream, prepare_folder};
use sasnet::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What goes in and out.
#[derive(Args)]
pub struct Files {
    /// Pictures, or folders of pictures; - is a picture on standard input (sasnet smooth: or y4m video)
    #[arg(required = true, value_name = "IN")]
    pub inputs: Vec<PathBuf>,
    /// File for one picture (its extension is the format; may be the picture's own), or - for standard output; folder
    /// for several, which keep their names
    #[arg(short, long, value_name = "OUT", required_unless_present = "suffix")]
    out: Option<PathBuf>,
    /// Go into folders in folders, too; the results lie in folders of the same names
    #[arg(short, long, help_heading = "Folders")]
    recursive: bool,
    /// Leave out pictures whose result exists already: go on where a run was interrupted
    #[arg(long, help_heading = "Folders")]
    skip_existing: bool,
    /// Replace no file: a picture whose result exists already is an error
    #[arg(long, conflicts_with = "skip_existing", help_heading = "Folders")]
    no_clobber: bool,
    /// Put this behind the names of the results, as _smooth in photo_smooth.jpg; without --out they lie beside the
    /// pictures
    #[arg(long, value_name = "TEXT", value_parser = parse_suffix, help_heading = "Folders")]
    suffix: Option<String>,
    /// Format of the results, by its extension [default: that of each picture]
    #[arg(long, value_name = "EXT", value_parser = parse_format)]
    format: Option<Extension>,
}

/// An extension and the format that it names.
#[derive(Clone, Debug)]
pub struct Extension {
    name: String,
    format: Format,
}

fn parse_format(text: &str) -> Result<Extension, String> {
    let name = text.trim_start_matches('.').to_ascii_lowercase();
    let known = || Format::all().map(|format| format.extensions()[0]).collect::<Vec<_>>().join(", ");
    match Format::from_extension(&name) {
        Some(format) => Ok(Extension { name, format }),
        None => Err(format!("give one of {}", known())),
    }
}

fn parse_suffix(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && !text.contains(['/', '\\']);
    if fits { Ok(text.into()) } else { Err("give a part of a name, as _smooth") }
}

/// The name of standard input and output.
pub const STANDARD: &str = "-";

/// A path as messages call it.
pub fn name<'a>(path: &'a Path, standard: &'static str) -> &'a Path {
    if path == Path::new(STANDARD) { Path::new(standard) } else { path }
}

/// Extension of video.
pub const VIDEO: &str = "y4m";

/// A picture (or video) and where its result goes; `-` are standard input and output.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The picture.
    pub input: PathBuf,
    /// The result.
    pub output: PathBuf,
    /// Format of the result; None: that of the picture.
    pub format: Option<Format>,
}

/// All jobs, and what is none.
#[derive(Default)]
pub struct Jobs {
    /// In order.
    pub jobs: Vec<Job>,
    /// Pictures of all shards.
    pub of: usize,
    /// What is left out, and why.
    pub left_out: Vec<(PathBuf, String)>,
    /// Pictures that cannot be smoothed, as is known beforehand.
    pub failed: Vec<(PathBuf, Error)>,
}

/// A picture, and its name in the folder of results.
struct Found {
    input: PathBuf,
    name: PathBuf,
}

impl Files {
    /// Finds the pictures of a shard and names their results; makes the folders for them.
    ///
    /// # Errors
    /// Where not one picture should be smoothed: one would overwrite another, a folder cannot be written, ...
    pub fn jobs(&self, shard: Shard) -> Result<Jobs> {
        let mut jobs = Jobs::default();
        let found = self.find(&mut jobs.left_out)?;
        if let Some(job) = self.single(&found)? {
            jobs.of = 1;
            shard.part([job]).try_for_each(|job| self.add(&mut jobs, job, true))?;
        } else {
            self.check_folder(&found)?;
            let named = found.iter().map(|found| self.named(found)).collect::<Result<Vec<Job>>>()?;
            let named = self.without_results(named, &mut jobs.left_out)?;
            jobs.of = named.len();
            // Before it is seen what exists: other shards write meanwhile.
            shard.part(named).try_for_each(|job| self.add(&mut jobs, job, false))?;
        }
        let outputs = jobs.jobs.iter().map(|job| &job.output).filter(|output| *output != Path::new(STANDARD));
        let folders: HashSet<&Path> = outputs.filter(|output| !is_stream(output)).filter_map(|o| o.parent()).collect();
        folders.into_iter().try_for_each(prepare_folder)?;
        Ok(jobs)
    }

    fn find(&self, left_out: &mut Vec<(PathBuf, String)>) -> Result<Vec<Found>> {
        let mut all = vec![];
        for input in &self.inputs {
            let is_standard = input == Path::new(STANDARD);
            if is_standard && self.inputs.len() > 1 {
                return Err(Error::Invalid("the standard input (-) is smoothed alone: leave out the others".into()));
            }
            if is_standard || !input.metadata().map_err(Error::io(input))?.is_dir() {
                all.push(Found {
                    input: input.clone(),
                    name: input.file_name().unwrap_or(OsStr::new("picture")).into(),
                });
                continue;
            }
            let Listing { pictures, left_out: others, .. } = image::list(input, self.recursive, self.out.as_deref())?;
            if pictures.is_empty() {
                let has_folders = others.iter().any(|(_, why)| *why == Why::Folder);
                let hint = if has_folders { "; --recursive goes into the folders in it" } else { "" };
                return Err(match image::no_pictures(input) {
                    Error::File { path, message } => Error::File { path, message: message + hint },
                    other => other,
                });
            }
            all.extend(pictures.into_iter().map(|path| {
                let name = path.strip_prefix(input).expect("the folder's pictures lie in it").to_path_buf();
                Found { input: path, name }
            }));
            let because = |why| match why {
                Why::Folder => "folders, which --recursive goes into".to_string(),
                why => why.to_string(),
            };
            left_out.extend(others.into_iter().map(|(path, why)| (path, because(why))));
        }
        Ok(all)
    }

    /// The job where there is one picture and a file for it.
    fn single(&self, found: &[Found]) -> Result<Option<Job>> {
        let (Some(out), [only]) = (&self.out, found) else { return Ok(None) };
        if self.inputs[0].is_dir() || out.is_dir() {
            return Ok(None);
        }
        if self.suffix.is_some() {
            let message = "--suffix is for results that keep their names: give a folder as --out, or none";
            return Err(Error::file(out, message));
        }
        let named = Format::from_path(out);
        let given = self.format.as_ref();
        let (format, is_free) = (given.map(|e| e.format), out == Path::new(STANDARD) || is_stream(out));
        match (named, given) {
            (Some(named), Some(given)) if named != given.format && !is_free => {
                let message = format!("its extension says another format than --format {}", given.name);
                return Err(Error::file(out, message));
            }
            (None, None) if !is_free && !is_video(out) => image::check_format(out)?,
            _ => {}
        }
        let format = format.or(named);
        Ok(Some(Job { input: only.input.clone(), output: out.clone(), format }))
    }

    /// Checks that there is a folder for several results.
    fn check_folder(&self, found: &[Found]) -> Result<()> {
        let pictures = count(found.len());
        match &self.out {
            Some(out) if out == Path::new(STANDARD) => {
                Err(Error::Invalid(format!("{pictures} do not fit one standard output: give a folder as --out")))
            }
            Some(out) if out.exists() && !out.is_dir() => {
                let what = if out.is_file() { "a file" } else { "no folder" };
                Err(Error::file(out, format!("is {what}; {pictures} go into a folder")))
            }
            _ if found.iter().any(|found| found.input == Path::new(STANDARD)) => {
                let message = "the standard input has no name for its result: give a file or - as --out";
                Err(Error::Invalid(message.into()))
            }
            _ => Ok(()),
        }
    }

    /// A picture's job under its own name, with the suffix and extension that are asked for.
    fn named(&self, found: &Found) -> Result<Job> {
        let mut output = match &self.out {
            Some(folder) => folder.join(&found.name),
            None => found.input.clone(),
        };
        if self.suffix.is_some() || self.format.is_some() {
            let mut name = output.file_stem().unwrap_or_default().to_os_string();
            name.push(self.suffix.as_deref().unwrap_or_default());
            let own = || output.extension().unwrap_or_default().to_os_string();
            let extension = self.format.as_ref().map_or_else(own, |e| e.name.clone().into());
            if !extension.is_empty() {
                name.push(".");
                name.push(extension);
            }
            output.set_file_name(name);
        }
        let format = Format::from_path(&output);
        Ok(Job { input: found.input.clone(), output, format })
    }

    /// Leaves out the results of an earlier run with a suffix, which lie among the pictures.
    ///
    /// # Errors
    /// Where one result would get the name of another, or of a picture.
    fn without_results(&self, jobs: Vec<Job>, left_out: &mut Vec<(PathBuf, String)>) -> Result<Vec<Job>> {
        let real = |path: &PathBuf| path.canonicalize().ok();
        let results: HashSet<PathBuf> = match self.suffix {
            Some(_) => jobs.iter().filter_map(|job| real(&job.output)).collect(),
            None => HashSet::new(),
        };
        let is_result = |job: &Job| real(&job.input).is_some_and(|input| results.contains(&input));
        let (old, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(is_result);
        left_out.extend(old.into_iter().map(|job| (job.input, "results of others, by --suffix".into())));

        let sources: HashMap<PathBuf, &Job> = jobs.iter().filter_map(|job| Some((real(&job.input)?, job))).collect();
        let mut taken: HashMap<PathBuf, &PathBuf> = HashMap::new();
        for Job { input, output, .. } in &jobs {
            if let Some(other) = taken.insert(real(output).unwrap_or_else(|| output.clone()), input) {
                let message =
                    format!("would get the same name as {}; give two folders, one after the other", other.display());
                return Err(Error::file(input, message));
            }
            // There may be no other copy.
            if let Some(source) = real(output).and_then(|output| sources.get(&output)) {
                return Err(Error::file(&source.input, "would be overwritten; smooth into another folder"));
            }
        }
        Ok(jobs)
    }

    /// Adds a job unless its result exists, or cannot be written.
    fn add(&self, jobs: &mut Jobs, job: Job, is_single: bool) -> Result<()> {
        let is_file = job.output != Path::new(STANDARD) && !is_stream(&job.output);
        let exists = is_file && job.output.exists();
        if exists && self.skip_existing {
            jobs.left_out.push((job.input, "pictures whose results exist".into()));
            return Ok(());
        }
        let problem = if is_file && job.output.is_dir() {
            Some(Error::file(&job.output, "is a folder, where the result would go"))
        } else if exists && self.no_clobber {
            Some(Error::file(&job.output, "exists already, and --no-clobber replaces no file"))
        } else if job.format.is_none() && !is_single {
            let hint = |error| match error {
                Error::File { path, message } => Error::File { path, message: message + "; --format chooses one" },
                other => other,
            };
            image::check_format(&job.output).err().map(hint)
        } else {
            None
        };
        match problem {
            Some(error) if is_single => return Err(error),
            Some(error) => jobs.failed.push((job.input, error)),
            None => jobs.jobs.push(job),
        }
        Ok(())
    }
}

/// Tells whether a path's extension is that of video.
pub fn is_video(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(VIDEO))
}
