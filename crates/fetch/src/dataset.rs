//! The table of sources: where each data set is published, on what terms, and which of its files
//! are wanted. Built from `sources/*.toml`; nothing is asked of a server here.

use regex::Regex;
use serde::Deserialize;

use crate::{Error, Result};

const BUILT_IN: [&str; 2] = [
    include_str!("../sources/paired.toml"),
    include_str!("../sources/eeg.toml"),
];

/// Who may download a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everybody; `fetch` brings it.
    Open,
    /// Who has filled in a form.
    Registration,
    /// Who has signed an agreement and was given credentials.
    Credentialed,
}

/// Where the list of files and the files themselves come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// An object store that lists its objects to everybody (ListObjectsV2).
    S3 {
        /// Address of the bucket, without a slash at its end.
        endpoint: String,
        /// What the keys of the data set start with; it is left out of the local names.
        prefix: String,
        /// File of checksums below the prefix.
        sums: Option<String>,
        /// Stored table of checksums.
        table: Option<String>,
    },
    /// A Zenodo record.
    Zenodo {
        /// Its number.
        record: String,
        /// Address of the service.
        #[serde(default = "zenodo")]
        api: String,
    },
    /// A figshare article.
    Figshare {
        /// Its number.
        article: String,
        /// Address of the service.
        #[serde(default = "figshare")]
        api: String,
    },
    /// A data set of NEMAR.
    Nemar {
        /// Its number.
        id: String,
        /// Version, as `v1.0.0`.
        version: String,
        /// Stored table of checksums.
        table: Option<String>,
        /// Address of the service.
        #[serde(default = "nemar")]
        api: String,
    },
    /// Files below one address that nobody lists.
    Http {
        /// Address, with a slash at its end.
        base: String,
        /// Names; `{01..09}` stands for each of these numbers.
        #[serde(default)]
        files: Vec<String>,
        /// Stored table of names, sizes and checksums.
        table: Option<String>,
        /// File of checksums, which names the files too.
        sums: Option<String>,
        /// Which names of it are wanted.
        sums_include: Option<String>,
        /// Addresses below `base` whose file names the server tells.
        #[serde(default)]
        named_by_server: Vec<String>,
    },
}

fn zenodo() -> String {
    "https://zenodo.org/api".into()
}

fn figshare() -> String {
    "https://api.figshare.com/v2".into()
}

fn nemar() -> String {
    "https://data.nemar.org".into()
}

impl Source {
    /// The kind, as the table of sources writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Source::S3 { .. } => "s3",
            Source::Zenodo { .. } => "zenodo",
            Source::Figshare { .. } => "figshare",
            Source::Nemar { .. } => "nemar",
            Source::Http { .. } => "http",
        }
    }

    /// The stored table of checksums.
    pub(crate) fn table(&self) -> Option<&str> {
        match self {
            Source::S3 { table, .. } | Source::Nemar { table, .. } | Source::Http { table, .. } => {
                table.as_deref()
            }
            Source::Zenodo { .. } | Source::Figshare { .. } => None,
        }
    }
}

/// One data set.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name, that of its manifest.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// What it is.
    pub title: String,
    /// Page for people.
    pub url: String,
    /// Licence, or where it is told.
    pub licence: String,
    /// Who may download it.
    pub access: Access,
    /// Where to register, for those that are not open.
    pub register: Option<String>,
    /// What to do, for those that are not open.
    pub steps: Vec<String>,
    /// What to know of it.
    pub notes: Vec<String>,
    /// Where it comes from, for those that are open.
    pub source: Option<Source>,
    exclude: Vec<Regex>,
    subject: Option<Regex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    dataset: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    title: String,
    url: String,
    licence: String,
    access: Access,
    register: Option<String>,
    #[serde(default)]
    steps: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    source: Option<Source>,
    #[serde(default)]
    exclude: Vec<String>,
    subject: Option<String>,
}

impl Dataset {
    /// Reads a table of sources: `[[dataset]]` with the fields of this type, `exclude` (patterns
    /// of names that are left out) and `subject` (a pattern with a group of that name).
    ///
    /// # Errors
    /// TOML that is broken or says something else, with line; patterns that are none.
    pub fn parse_all(text: &str) -> Result<Vec<Dataset>> {
        let tables: Tables = toml::from_str(text).map_err(|e| Error::Sources(e.to_string()))?;
        tables.dataset.into_iter().map(Dataset::new).collect()
    }

    fn new(raw: Raw) -> Result<Dataset> {
        let bad = |what: String| Error::Sources(format!("`{}`: {what}", raw.name));
        let pattern = |p: &String| Regex::new(p).map_err(|e| bad(e.to_string()));
        let exclude = raw.exclude.iter().map(pattern).collect::<Result<_>>()?;
        let subject = raw.subject.as_ref().map(pattern).transpose()?;
        if let Some(s) = &subject
            && !s.capture_names().any(|n| n == Some("subject"))
        {
            return Err(bad("`subject` needs a group of that name".into()));
        }
        match (raw.access, &raw.source, &raw.register) {
            (Access::Open, Some(_), None) => {}
            (Access::Open, ..) => return Err(bad("open ones have a source alone".into())),
            (_, None, Some(_)) => {}
            _ => return Err(bad("closed ones have `register` and no source".into())),
        }
        Ok(Dataset {
            name: raw.name,
            aliases: raw.aliases,
            title: raw.title,
            url: raw.url,
            licence: raw.licence,
            access: raw.access,
            register: raw.register,
            steps: raw.steps,
            notes: raw.notes,
            source: raw.source,
            exclude,
            subject,
        })
    }

    /// Whether a file of this name is wanted at all.
    pub(crate) fn wants(&self, path: &str) -> bool {
        !self.exclude.iter().any(|p| p.is_match(path))
    }

    /// Whose file it is; `None` for those that belong to all.
    pub(crate) fn subject_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let found = self.subject.as_ref()?.captures(path)?;
        found.name("subject").map(|m| m.as_str())
    }

    /// Whether files can be told apart by subject.
    pub(crate) fn has_subjects(&self) -> bool {
        self.subject.is_some()
    }
}

/// All data sets of the built-in table.
///
/// # Errors
/// A broken table, which the tests of this crate rule out.
pub fn datasets() -> Result<Vec<Dataset>> {
    let mut all = Vec::new();
    for text in BUILT_IN {
        all.extend(Dataset::parse_all(text)?);
    }
    Ok(all)
}

/// The data set of this name or alias, in any case.
///
/// # Errors
/// [`Error::UnknownDataset`] with the names there are.
pub fn find(name: &str) -> Result<Dataset> {
    let all = datasets()?;
    let known = all.iter().map(|d| d.name.as_str()).collect::<Vec<_>>();
    let known = known.join(", ");
    let is = |d: &Dataset| {
        let names = std::iter::once(&d.name).chain(&d.aliases);
        names.into_iter().any(|n| n.eq_ignore_ascii_case(name))
    };
    all.into_iter()
        .find(is)
        .ok_or_else(|| Error::UnknownDataset {
            name: name.to_owned(),
            known,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_built_in_table_is_sound() {
        let all = datasets().unwrap();
        let mut names = HashSet::new();
        for d in &all {
            for name in std::iter::once(&d.name).chain(&d.aliases) {
                assert!(names.insert(name.to_lowercase()), "{name} is there twice");
            }
            assert!(d.url.starts_with("https://"), "{}", d.name);
            assert!(
                d.access == Access::Open || !d.steps.is_empty(),
                "{}",
                d.name
            );
            if let Some(table) = d.source.as_ref().and_then(Source::table) {
                let rows = crate::table::table(table).unwrap();
                assert!(!rows.files.is_empty());
                if d.has_subjects() {
                    let one = rows.files.iter().find(|f| d.subject_of(&f.path).is_some());
                    assert!(one.is_some(), "{}: no file has a subject", d.name);
                }
            }
        }
        // The 12 paired corpora and the 11 of EEG alone, some with a second form.
        for name in [
            "ds004356",
            "zenodo_4518754",
            "zenodo_10260082",
            "Brennan_2018",
            "Brennan-NEMAR",
            "Broderick_2018",
            "Le_Petit_Prince",
            "MAD-EEG",
            "KUL",
            "DTU",
            "ESAA",
            "PME4",
            "HR-EEG4EMO",
            "BCI-IV-2A",
            "BCI-IV-2B",
            "HGD",
            "OpenBMI",
            "EEGMat",
            "EEGMMIDB",
            "TUEP",
            "TUEV",
            "TUAB",
            "HMCSleep",
            "CAPSleep",
            "CHB-MIT",
            "ds004408",
            "ds004718",
        ] {
            assert!(find(name).is_ok(), "{name}");
        }
        assert!(find("eegmatt").unwrap_err().to_string().contains("EEGMat"));
    }

    #[test]
    fn a_wrong_table_is_refused() {
        let head = "[[dataset]]\nname = 'x'\ntitle = 't'\nurl = 'u'\nlicence = 'l'\n";
        for (rest, what) in [
            ("access = 'open'", "source alone"),
            ("access = 'registration'", "register"),
            (
                "access = 'open'\nsource = { kind = 'zenodo', record = '1' }\nsubject = 'S'",
                "group",
            ),
            (
                "access = 'open'\nsource = { kind = 'zenodo', record = '1' }\nexclude = ['(']",
                "x",
            ),
            ("access = 'open'\nsource = { kind = 'ftp' }", "ftp"),
            ("access = 'open'\ncolour = 'red'", "colour"),
        ] {
            let error = Dataset::parse_all(&format!("{head}{rest}\n")).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
