//! What every file of the raw folder is, by the manifest's file rules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::walk::Found;
use super::{Filter, SoundPart};
use crate::manifest::{Action, Fault, FileKind, FileRule};

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// A recording that can be read.
    Ok,
    /// A recording that cannot or must not be used.
    Rejected,
    /// Metadata or a part of a recording.
    SideCar,
    /// A sound.
    Stimulus,
    /// Not used.
    Ignored,
}

impl Status {
    /// As in the table `files`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Rejected => "rejected",
            Status::SideCar => "side-car",
            Status::Stimulus => "stimulus",
            Status::Ignored => "ignored",
        }
    }
}

/// One file, before it is opened.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) full: PathBuf,
    pub(super) bytes: u64,
    pub(super) kind: Option<FileKind>,
    pub(super) groups: BTreeMap<String, String>,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    /// For annotation files: the path of the recording they belong to.
    pub(super) of: Option<String>,
    /// For a recording inside a file of named arrays: the file's path and where in it.
    pub(super) part: Option<(String, String)>,
    /// For a sound inside a file of named arrays: what is known of it.
    pub(super) sound: Option<FoundSound>,
}

/// A sound inside a file of named arrays.
#[derive(Debug, Clone)]
pub(super) struct FoundSound {
    pub(super) part: SoundPart,
    pub(super) container: String,
    pub(super) sfreq: f64,
    pub(super) seconds: f64,
    pub(super) channels: usize,
}

impl File {
    /// The subject that the path names.
    pub(super) fn subject(&self) -> Option<&str> {
        self.groups.get("subject").map(String::as_str)
    }

    /// Whether it is a file itself and not a recording or sound inside one.
    pub(super) fn is_whole(&self) -> bool {
        let within = self
            .part
            .as_ref()
            .is_some_and(|(path, _)| *path != self.path);
        !within && self.sound.is_none()
    }

    /// Ignores a file of a subject that is not asked for; files of no subject always pass.
    pub(super) fn keep_if_wanted(&mut self, filter: &Filter) {
        let wanted = match (&filter.subjects, self.subject()) {
            (Some(asked), Some(subject)) => asked.iter().any(|a| same_subject(a, subject)),
            _ => true,
        };
        if !wanted {
            self.status = Status::Ignored;
            self.reason = Some("not among the subjects asked for".into());
        }
    }

    /// Whether it is a recording to be opened.
    pub(super) fn is_open(&self) -> bool {
        self.kind == Some(FileKind::Signal) && self.status == Status::Ok
    }
}

/// Applies the first matching rule, the known faults and the subject filter.
pub(super) fn classify(
    found: Vec<Found>,
    rules: &[FileRule],
    faults: &[Fault],
    filter: &Filter,
) -> Vec<File> {
    found
        .into_iter()
        .map(|f| {
            let mut file = by_rule(f, rules);
            if file.kind == Some(FileKind::Signal) {
                let rejected = faults
                    .iter()
                    .find(|x| x.action == Action::Reject && x.pattern.is_match(&file.path));
                if let (Status::Ok, Some(fault)) = (file.status, rejected) {
                    file.status = Status::Rejected;
                    file.reason = Some(format!("known fault: {} ({})", fault.fault, fault.source));
                }
            }
            file.keep_if_wanted(filter);
            file
        })
        .collect()
}

/// Whether a subject asked for is the one a path names.
pub(super) fn same_subject(asked: &str, subject: &str) -> bool {
    asked == subject || asked.strip_prefix("sub-") == Some(subject)
}

fn by_rule(found: Found, rules: &[FileRule]) -> File {
    let hit = rules
        .iter()
        .find_map(|rule| rule.pattern.groups(&found.path).map(|g| (rule, g)));
    let mut file = File {
        path: found.path,
        full: found.full,
        bytes: found.bytes,
        kind: None,
        groups: BTreeMap::new(),
        status: Status::Ignored,
        reason: Some("no rule of the manifest matches this file".into()),
        of: None,
        part: None,
        sound: None,
    };
    if let Some((rule, groups)) = hit {
        file.of = rule.of.as_ref().map(|of| expand(of, &groups));
        file.kind = Some(rule.kind);
        file.groups = groups;
        for (column, value) in &rule.set {
            file.groups.insert(column.clone(), value.clone());
        }
        file.reason.clone_from(&rule.reason);
        file.status = match rule.kind {
            FileKind::Signal => Status::Ok,
            FileKind::SideCar | FileKind::Annotations => Status::SideCar,
            FileKind::Stimulus => Status::Stimulus,
            FileKind::Ignore => Status::Ignored,
        };
    }
    if let Some(problem) = found.problem {
        file.status = match file.kind {
            Some(FileKind::Signal | FileKind::SideCar | FileKind::Annotations) => Status::Rejected,
            Some(FileKind::Stimulus) => Status::Rejected,
            Some(FileKind::Ignore) | None => Status::Ignored,
        };
        file.reason = Some(problem);
    }
    file
}

/// Puts named groups into `${group}`.
fn expand(template: &str, groups: &BTreeMap<String, String>) -> String {
    let mut text = template.to_owned();
    for (name, value) in groups {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}
