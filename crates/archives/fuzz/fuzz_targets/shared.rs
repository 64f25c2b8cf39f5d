//! One input listed and unpacked under small limits, and what must hold of the result.

use std::fs;
use std::path::Path;

use mmpipe_archives::{Limits, list_all, unpack};

#[path = "../../../formats/fuzz/bounded.rs"]
mod bounded;

/// Beyond 16 times the archive: the buffers of copying, and a member unpacked at once, of which
/// the limit below allows a megabyte.
const FREE: usize = 8 << 20;

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
        // With one, and with a second that unpacks ahead.
        threads: 1 + data.len() % 2,
        ..Limits::default()
    };
    let into = folder.path().join("in");
    let (listed, unpacked) = bounded::within(data.len(), 16, FREE, || {
        (
            list_all(&path, &limits),
            unpack(&path, &into, &limits, &|_| true),
        )
    });
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
