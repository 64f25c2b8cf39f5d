//! One input listed and unpacked under small limits, and what must hold of the result.

use std::fs;
use std::path::Path;

use mmpipe_archives::{Limits, list_all, unpack};

/// Lists and unpacks `data` as the file `name`.
pub fn try_archive(name: &str, data: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join(name);
    if fs::write(&path, data).is_err() {
        return;
    }
    let limits = Limits {
        total_bytes: Some(1 << 20),
        members: 200,
        name_bytes: 1 << 18,
        threads: 1,
        ..Limits::default()
    };
    let listed = list_all(&path, &limits);
    let into = folder.path().join("in");
    let unpacked = unpack(&path, &into, &limits, &|_| true);
    if let (Ok(listed), Ok(report)) = (&listed, &unpacked) {
        assert_eq!(listed.members.len(), report.members.len());
        for member in &report.members {
            let meta = fs::symlink_metadata(into.join(&member.path)).expect("it is there");
            assert!(meta.is_file() && meta.len() == member.bytes);
        }
        let again = unpack(&path, &into, &limits, &|_| true).expect("a second time");
        assert!(again.already);
    }
    outside(folder.path(), name);
    if let Ok(listed) = listed {
        let safe = |p: &str| p.split('/').all(|part| !matches!(part, "" | "." | ".."));
        assert!(listed.members.iter().all(|m| safe(&m.path)));
    }
}

/// Beside the folder lies the archive alone.
fn outside(folder: &Path, name: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        assert!(found == "in" || found == name, "{found:?}");
    }
}
