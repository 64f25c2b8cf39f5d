//! What of an offer is wanted: names made safe, subjects chosen, sizes asked for, and what is
//! already there.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use url::Url;

use crate::dataset::Dataset;
use crate::digest::Digest;
use crate::folder::Folder;
use crate::http::Client;
use crate::listing::{self, Offered};
use crate::path::RelPath;
use crate::{Error, Result};

/// Which files are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// These subjects alone, as they are written in the names; files of no subject come too.
    pub subjects: Option<Vec<String>>,
    /// Plan from the stored table and ask nobody.
    pub offline: bool,
}

/// What is there of a file, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Here {
    /// Nothing.
    Absent,
    /// So many bytes of it.
    Part(u64),
    /// A file of its size that is still to be checked.
    Unchecked,
    /// The file, checked earlier and unchanged since.
    Checked,
}

/// One file to bring.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name below the folder.
    pub path: RelPath,
    /// Where it is published.
    pub url: Url,
    /// Its bytes, where the publisher tells them.
    pub size: Option<u64>,
    /// Its checksum, where the publisher tells it.
    pub digest: Option<Digest>,
    /// What is there of it.
    pub here: Here,
}

impl Wanted {
    /// The bytes that are still to come.
    pub fn missing(&self) -> u64 {
        let size = self.size.unwrap_or(0);
        match self.here {
            Here::Absent => size,
            Here::Part(there) => size.saturating_sub(there),
            Here::Unchecked | Here::Checked => 0,
        }
    }
}

/// The files of a data set that are wanted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The data set.
    pub dataset: String,
    /// Sorted by name.
    pub files: Vec<Wanted>,
    /// Names that are not asked for, and why.
    pub refused: Vec<(String, String)>,
    /// What to know of the plan.
    pub notes: Vec<String>,
}

impl Plan {
    /// Bytes of all files whose size is known.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|f| f.size).sum()
    }

    /// Bytes that are still to come, of those whose size is known.
    pub fn missing(&self) -> u64 {
        self.files.iter().map(Wanted::missing).sum()
    }

    /// Files whose size nobody tells.
    pub fn unknown_sizes(&self) -> usize {
        self.files.iter().filter(|f| f.size.is_none()).count()
    }
}

/// Asks the source of a data set what it offers and looks what is there below `out`.
///
/// # Errors
/// A data set that is not open, a list that cannot be read, subjects that are not there.
pub fn plan(
    dataset: &Dataset,
    client: &Client,
    filter: &Filter,
    out: &Path,
    jobs: usize,
) -> Result<Plan> {
    let Some(source) = &dataset.source else {
        return Err(Error::Closed {
            name: dataset.name.clone(),
            register: dataset.register.clone().unwrap_or_default(),
        });
    };
    let mut listing = if filter.offline {
        listing::stored(dataset, source)?
    } else {
        listing::list(dataset, source, client)?
    };
    let mut refused = Vec::new();
    let offline = filter.offline;
    ask(client, &mut listing.files, jobs, |f| {
        !offline && f.path.is_none()
    });
    listing.files.retain(|f| match (&f.path, &f.problem) {
        (_, Some(why)) => {
            let name = f.path.clone().unwrap_or_else(|| f.url.to_string());
            refused.push((name, why.clone()));
            false
        }
        (Some(path), None) => dataset.wants(path),
        (None, None) => false,
    });
    choose(dataset, &mut listing.files, filter.subjects.as_deref())?;
    ask(client, &mut listing.files, jobs, |f| {
        !offline && f.size.is_none()
    });

    let folder = Folder::look(out);
    let (mut files, unsafe_names) = safe(listing.files);
    refused.extend(unsafe_names);
    for file in &mut files {
        file.here = folder.here(&file.path, file.size, file.digest);
    }
    if files.is_empty() && refused.is_empty() {
        return Err(Error::Nothing(format!(
            "the source of `{}` offers no file",
            dataset.name
        )));
    }
    refused.sort();
    Ok(Plan {
        dataset: dataset.name.clone(),
        files,
        refused,
        notes: listing.notes,
    })
}

/// Leaves the wanted subjects and what belongs to all.
fn choose(dataset: &Dataset, files: &mut Vec<Offered>, subjects: Option<&[String]>) -> Result<()> {
    let Some(wanted) = subjects else {
        return Ok(());
    };
    if !dataset.has_subjects() {
        return Err(Error::Nothing(format!(
            "the files of `{}` hold several subjects each: leave --subjects out",
            dataset.name
        )));
    }
    let subject = |f: &Offered| {
        let path = f.path.as_deref()?;
        dataset.subject_of(path).map(str::to_owned)
    };
    let known: BTreeSet<String> = files.iter().filter_map(subject).collect();
    let missing: Vec<&str> = wanted
        .iter()
        .map(String::as_str)
        .filter(|w| !known.contains(*w))
        .collect();
    if !missing.is_empty() {
        let known: Vec<String> = known.into_iter().collect();
        return Err(Error::Nothing(format!(
            "`{}` has no subject {}; there are {}",
            dataset.name,
            missing.join(", "),
            known.join(", ")
        )));
    }
    files.retain(|f| subject(f).is_none_or(|s| wanted.contains(&s)));
    Ok(())
}

/// Asks the server for names and sizes that nobody lists, several at a time.
fn ask(client: &Client, files: &mut [Offered], jobs: usize, which: impl Fn(&Offered) -> bool) {
    let todo: Vec<Mutex<&mut Offered>> = files
        .iter_mut()
        .filter(|f| which(f))
        .map(Mutex::new)
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, todo.len().max(1)) {
            scope.spawn(|| {
                while let Some(file) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut file = file
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    let nameless = file.path.is_none();
                    match client.probe(&file.url) {
                        Ok(found) => {
                            file.size = file.size.or(found.size);
                            if nameless {
                                file.path = found.name;
                            }
                            if nameless && file.path.is_none() {
                                file.problem = Some("the server gives it no name".into());
                            }
                        }
                        // A size that is not told comes with the file; a name is needed now.
                        Err(failure) if nameless => {
                            file.problem = Some(failure.why().to_owned());
                        }
                        Err(_) => {}
                    }
                }
            });
        }
    });
}

/// Safe names, each once, none of them below another.
fn safe(files: Vec<Offered>) -> (Vec<Wanted>, Vec<(String, String)>) {
    let mut refused = Vec::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for file in files {
        let Some(name) = file.path else { continue };
        match RelPath::new(&name) {
            Ok(path) => wanted.push(Wanted {
                path,
                url: file.url,
                size: file.size,
                digest: file.digest,
                here: Here::Absent,
            }),
            Err(why) => refused.push((name, why)),
        }
    }
    wanted.sort_by(|a, b| a.path.cmp(&b.path));
    let names: HashSet<String> = wanted.iter().map(|w| w.path.as_str().to_owned()).collect();
    let mut last: Option<String> = None;
    wanted.retain(|w| {
        let name = w.path.as_str();
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        let why = if last.as_deref() == Some(name) {
            Some("it is listed twice".to_owned())
        } else {
            above
                .filter(|a| names.contains(*a))
                .map(|a| format!("`{a}` is a file and no folder"))
                .next()
        };
        last = Some(name.to_owned());
        match why {
            None => true,
            Some(why) => {
                refused.push((name.to_owned(), why));
                false
            }
        }
    });
    (wanted, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(path: &str) -> Offered {
        Offered {
            path: Some(path.to_owned()),
            url: Url::parse("https://a.example/x").unwrap(),
            size: Some(1),
            digest: None,
            problem: None,
        }
    }

    #[test]
    fn hostile_and_doubled_names_are_refused_and_said() {
        let names = ["b", "../x", "a/b", "a", "b", "/etc/passwd", "a-b", "c/d"];
        let (wanted, refused) = safe(names.map(offered).to_vec());
        let kept: Vec<&str> = wanted.iter().map(|w| w.path.as_str()).collect();
        assert_eq!(kept, ["a", "a-b", "b", "c/d"]);
        let mut why: Vec<&str> = refused.iter().map(|(n, _)| n.as_str()).collect();
        why.sort_unstable();
        assert_eq!(why, ["../x", "/etc/passwd", "a/b", "b"]);
    }
}
