//! What a scan reads of a file that holds several recordings while it is open: the recordings' headers
//! and channels, and the tables of its small variables. Owns nothing of how they are read.

use std::collections::HashMap;

use super::classify::File;
use super::run::{Outcome, outcome};
use super::tree_tables::{self, Read};
use crate::manifest::{Layout, Manifest};

/// What was read of some files.
#[derive(Default)]
pub(super) struct Early {
    /// By the recording's path.
    opened: HashMap<String, Outcome>,
    /// By the number of the manifest's table and the file's path.
    tables: HashMap<(usize, String), Read>,
}

impl Early {
    /// Reads a file's recordings and tables; `files` are the file and its recordings. What a recording
    /// of a BIDS folder is depends on its side-cars, and is not read here.
    pub(super) fn read(files: &[File], manifest: &Manifest) -> Self {
        let mut early = Self::default();
        for file in files {
            if file.is_open() && manifest.layout != Layout::Bids {
                let opened = outcome(file, manifest, None);
                early.opened.insert(file.path.clone(), opened);
            }
            if !tree_tables::may_hold(file) {
                continue;
            }
            let rules = manifest.tables.iter().enumerate();
            for (k, rule) in rules.filter(|(_, rule)| rule.pattern.is_match(&file.path)) {
                let rows = tree_tables::rows(file, rule);
                early.tables.insert((k, file.path.clone()), rows);
            }
        }
        early
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.opened.extend(other.opened);
        self.tables.extend(other.tables);
    }

    /// What came of opening a recording, if it was.
    pub(super) fn opened(&mut self, path: &str) -> Option<Outcome> {
        self.opened.remove(path)
    }

    /// The rows of a file's table, if they were read.
    pub(super) fn rows(&mut self, table: usize, path: &str) -> Option<Read> {
        self.tables.remove(&(table, path.to_owned()))
    }
}
