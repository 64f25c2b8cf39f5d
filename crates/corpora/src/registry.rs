//! The manifests that are built in, and those of a user's folder.

use std::path::Path;

use rayon::prelude::*;

use crate::{Error, Manifest, Result};

/// Every built-in manifest but the one for any BIDS folder: file name and text.
const BUILTIN: &[(&str, &str)] = &[
    (
        "BCI-IV-2A.toml",
        include_str!("../../../data-manifests/BCI-IV-2A.toml"),
    ),
    (
        "BCI-IV-2B.toml",
        include_str!("../../../data-manifests/BCI-IV-2B.toml"),
    ),
    (
        "BNCI2014-001.toml",
        include_str!("../../../data-manifests/BNCI2014-001.toml"),
    ),
    (
        "BNCI2014-004.toml",
        include_str!("../../../data-manifests/BNCI2014-004.toml"),
    ),
    (
        "Brennan-NEMAR.toml",
        include_str!("../../../data-manifests/Brennan-NEMAR.toml"),
    ),
    (
        "Brennan-V2.toml",
        include_str!("../../../data-manifests/Brennan-V2.toml"),
    ),
    (
        "Brennan_2018.toml",
        include_str!("../../../data-manifests/Brennan_2018.toml"),
    ),
    (
        "Broderick-Dryad.toml",
        include_str!("../../../data-manifests/Broderick-Dryad.toml"),
    ),
    (
        "Broderick_2018.toml",
        include_str!("../../../data-manifests/Broderick_2018.toml"),
    ),
    (
        "CAPSleep.toml",
        include_str!("../../../data-manifests/CAPSleep.toml"),
    ),
    (
        "CHB-MIT.toml",
        include_str!("../../../data-manifests/CHB-MIT.toml"),
    ),
    ("DTU.toml", include_str!("../../../data-manifests/DTU.toml")),
    (
        "EEGMMIDB.toml",
        include_str!("../../../data-manifests/EEGMMIDB.toml"),
    ),
    (
        "EEGMat.toml",
        include_str!("../../../data-manifests/EEGMat.toml"),
    ),
    (
        "ESAA.toml",
        include_str!("../../../data-manifests/ESAA.toml"),
    ),
    (
        "FEIS.toml",
        include_str!("../../../data-manifests/FEIS.toml"),
    ),
    (
        "HGD-MAT.toml",
        include_str!("../../../data-manifests/HGD-MAT.toml"),
    ),
    ("HGD.toml", include_str!("../../../data-manifests/HGD.toml")),
    (
        "HMCSleep.toml",
        include_str!("../../../data-manifests/HMCSleep.toml"),
    ),
    ("KUL.toml", include_str!("../../../data-manifests/KUL.toml")),
    (
        "OpenBMI-ERP.toml",
        include_str!("../../../data-manifests/OpenBMI-ERP.toml"),
    ),
    (
        "OpenBMI-SSVEP.toml",
        include_str!("../../../data-manifests/OpenBMI-SSVEP.toml"),
    ),
    (
        "OpenBMI.toml",
        include_str!("../../../data-manifests/OpenBMI.toml"),
    ),
    (
        "HR-EEG4EMO.toml",
        include_str!("../../../data-manifests/HR-EEG4EMO.toml"),
    ),
    (
        "Le_Petit_Prince.toml",
        include_str!("../../../data-manifests/Le_Petit_Prince.toml"),
    ),
    (
        "MAD-EEG.toml",
        include_str!("../../../data-manifests/MAD-EEG.toml"),
    ),
    (
        "PME4.toml",
        include_str!("../../../data-manifests/PME4.toml"),
    ),
    (
        "TwoTalker.toml",
        include_str!("../../../data-manifests/TwoTalker.toml"),
    ),
    (
        "TUAB.toml",
        include_str!("../../../data-manifests/TUAB.toml"),
    ),
    (
        "TUEP.toml",
        include_str!("../../../data-manifests/TUEP.toml"),
    ),
    (
        "TUEV.toml",
        include_str!("../../../data-manifests/TUEV.toml"),
    ),
    (
        "ds004356.toml",
        include_str!("../../../data-manifests/ds004356.toml"),
    ),
    (
        "zenodo_10260082.toml",
        include_str!("../../../data-manifests/zenodo_10260082.toml"),
    ),
    (
        "zenodo_4518754.toml",
        include_str!("../../../data-manifests/zenodo_4518754.toml"),
    ),
];

/// The manifest behind [`scan_bids`](crate::scan_bids).
const BIDS: (&str, &str) = (
    "_bids.toml",
    include_str!("../../../data-manifests/_bids.toml"),
);

/// The built-in manifests, by name.
///
/// # Errors
/// A built-in manifest that does not parse; tests rule it out.
pub fn builtin() -> Result<Vec<Manifest>> {
    load(None)
}

/// The built-in manifests and those of `extra` (`*.toml`, not starting with `_` or `.`),
/// sorted by name. A manifest of `extra` replaces the built-in one of the same name.
///
/// # Errors
/// A folder or file that cannot be read, a manifest that does not parse, a name claimed twice.
pub fn load(extra: Option<&Path>) -> Result<Vec<Manifest>> {
    let mut all: Vec<(String, Manifest)> = Vec::new();
    if let Some(dir) = extra {
        for path in toml_files(dir)? {
            let text = std::fs::read_to_string(&path).map_err(|source| Error::Io {
                path: path.clone(),
                source,
            })?;
            let file = path.display().to_string();
            all.push((file.clone(), Manifest::parse(&text, &file)?));
        }
    }
    let extras = all.len();
    // Their patterns take a millisecond each to compile, and every command waits for them.
    let builtin: Vec<Manifest> = BUILTIN
        .par_iter()
        .map(|(file, text)| Manifest::parse(text, file))
        .collect::<Result<_>>()?;
    for ((file, _), manifest) in BUILTIN.iter().zip(builtin) {
        let replaced = all[..extras]
            .iter()
            .any(|(_, m)| m.name.eq_ignore_ascii_case(&manifest.name));
        if !replaced {
            all.push(((*file).to_owned(), manifest));
        }
    }
    for (i, (first, a)) in all.iter().enumerate() {
        for (second, b) in &all[i + 1..] {
            if let Some(name) = b.names().find(|n| a.is_called(n)) {
                return Err(Error::DuplicateName {
                    name: name.to_owned(),
                    first: first.clone(),
                    second: second.clone(),
                });
            }
        }
    }
    let mut manifests: Vec<Manifest> = all.into_iter().map(|(_, m)| m).collect();
    manifests.sort_by_key(|m| m.name.to_lowercase());
    Ok(manifests)
}

/// The manifest called `name` of those that [`load`] gives; a built-in one that is asked for by its
/// name is read alone, which is sooner.
///
/// # Errors
/// As [`load`] and [`find`].
pub fn named(extra: Option<&Path>, name: &str) -> Result<Manifest> {
    let is_named = |file: &str| file.strip_suffix(".toml") == Some(name);
    let builtin = BUILTIN.iter().find(|(file, _)| is_named(file));
    if let (None, Some((file, text))) = (extra, builtin) {
        return Manifest::parse(text, file);
    }
    find(&load(extra)?, name).cloned()
}

/// The manifest for any BIDS-EEG folder.
///
/// # Errors
/// It does not parse; tests rule it out.
pub fn bids() -> Result<Manifest> {
    Manifest::parse(BIDS.1, BIDS.0)
}

/// The manifest called `name`, by name or alias, in any case.
///
/// # Errors
/// [`Error::UnknownDataset`] with the nearest names.
pub fn find<'a>(manifests: &'a [Manifest], name: &str) -> Result<&'a Manifest> {
    if let Some(m) = manifests.iter().find(|m| m.is_called(name)) {
        return Ok(m);
    }
    let wanted = name.to_lowercase();
    let mut near: Vec<(usize, &str)> = manifests
        .iter()
        .filter_map(|m| {
            m.names()
                .map(|n| distance(&wanted, &n.to_lowercase()))
                .min()
                .map(|d| (d, m.name.as_str()))
        })
        .filter(|(d, _)| *d <= 2.max(wanted.chars().count() / 3))
        .collect();
    near.sort();
    let names: Vec<&str> = near.iter().take(3).map(|(_, n)| *n).collect();
    Err(Error::UnknownDataset {
        name: name.to_owned(),
        near: match names.as_slice() {
            [] => String::new(),
            names => format!("; did you mean {}?", names.join(" or ")),
        },
    })
}

/// `*.toml` of a folder, sorted; names that start with `_` or `.` are not data sets.
fn toml_files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let io = |source| Error::Io {
        path: dir.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with(['_', '.']));
        if !hidden && path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(ca != *cb))
                .min(above + 1)
                .min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
