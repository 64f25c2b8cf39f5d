//! The stored tables of names, sizes and checksums (`tables/*.tsv`, made by `tables/make.py`).

use crate::digest::Digest;
use crate::{Error, Result};

const TABLES: [(&str, &str); 8] = [
    ("ds004356", include_str!("../tables/ds004356.tsv")),
    ("ds004408", include_str!("../tables/ds004408.tsv")),
    ("ds004718", include_str!("../tables/ds004718.tsv")),
    (
        "high-gamma-mat",
        include_str!("../tables/high-gamma-mat.tsv"),
    ),
    ("nm000135", include_str!("../tables/nm000135.tsv")),
    ("nm000172", include_str!("../tables/nm000172.tsv")),
    ("nm000180", include_str!("../tables/nm000180.tsv")),
    ("nm000323", include_str!("../tables/nm000323.tsv")),
];

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    /// Where it was read from.
    pub(crate) about: String,
    /// Sorted by path.
    pub(crate) files: Vec<Row>,
}

impl Table {
    /// The row of a file.
    pub(crate) fn get(&self, path: &str) -> Option<&Row> {
        let at = self.files.binary_search_by(|f| f.path.as_str().cmp(path));
        at.ok().map(|i| &self.files[i])
    }
}

/// The table of this name.
pub(crate) fn table(name: &str) -> Result<Table> {
    let found = TABLES.iter().find(|(n, _)| *n == name);
    let (_, text) = found.ok_or_else(|| Error::NoTable(name.to_owned()))?;
    parse(text).ok_or_else(|| Error::Sources(format!("the table `{name}` is broken")))
}

fn parse(text: &str) -> Option<Table> {
    let mut lines = text.lines();
    let about = lines.next()?.strip_prefix("# ")?.to_owned();
    let row = |line: &str| {
        let mut cells = line.split('\t');
        Some(Row {
            path: cells.next()?.to_owned(),
            size: cells.next()?.parse().ok()?,
            digest: Digest::from_hex(cells.next()?)?,
        })
    };
    let mut files: Vec<Row> = lines.map(row).collect::<Option<_>>()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(Table { about, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_read_and_small_enough_to_carry() {
        let bytes: usize = TABLES.iter().map(|(_, text)| text.len()).sum();
        assert!(bytes < 400_000, "{bytes} bytes of tables");
        for (name, text) in TABLES {
            let t = table(name).unwrap();
            assert_eq!(t.files.len() + 1, text.lines().count(), "{name}");
            assert!(t.about.contains(" at "), "{name}");
            for f in &t.files {
                crate::path::RelPath::new(&f.path).unwrap();
                assert_eq!(t.get(&f.path), Some(f));
            }
        }
        // 54 subjects in two sessions; 14 subjects in two parts; 19 subjects of 20 runs.
        assert_eq!(table("nm000323").unwrap().files.len(), 108);
        assert_eq!(table("nm000172").unwrap().files.len(), 28);
        let runs = table("ds004408").unwrap().files;
        let eeg = runs.iter().filter(|f| f.path.ends_with(".eeg")).count();
        assert_eq!(eeg, 380);
    }

    #[test]
    fn the_table_of_the_high_gamma_files_fits_their_layout() {
        // 34,560 bytes of header and records of 133,114 bytes each, an independent fact.
        for f in table("nm000172").unwrap().files {
            assert_eq!((f.size - 34_560) % 133_114, 0, "{}", f.path);
        }
    }
}
