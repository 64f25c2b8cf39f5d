//! Open files of named arrays that several recordings share: a compressed MATLAB file of twenty
//! recordings in one variable is inflated once, not twenty times.
//!
//! Owns which files are kept open, and for how long: until the last [`Hold`] is dropped, or the
//! program ends. One in use is never closed for another: it would be inflated anew. Of the others
//! as many stay as hold a quarter of the memory that was left at first. A file that was replaced
//! since (another size, time or inode) is opened anew.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mmpipe_trees::Tree;

use super::arrays;
use crate::error::Result;
use crate::stamp::Stamp;

/// Most files that are kept open though nobody uses them.
const MOST_KEPT: usize = 64;

/// Bytes that files may hold which nobody uses, where the system does not say what is left.
const UNKNOWN: u64 = 1 << 30;

/// What files may hold that are kept though nobody uses them, the latest, which may not have been
/// read yet, aside.
fn allowance() -> u64 {
    static QUARTER: OnceLock<u64> = OnceLock::new();
    *QUARTER.get_or_init(|| mmpipe_machine::available_memory().map_or(UNKNOWN, |left| left / 4))
}

struct Kept {
    stamp: Stamp,
    tree: Arc<dyn Tree>,
}

/// What is kept, and for whom.
struct Files {
    /// The latest at the back.
    kept: VecDeque<Kept>,
    holds: usize,
}

impl Files {
    /// Takes out what is to be closed so that no more than `most` are kept, which hold no more than
    /// `bytes`: the oldest that nobody uses.
    fn unused(&mut self, most: usize, bytes: u64) -> Vec<Kept> {
        let mut closed = Vec::new();
        let held = |kept: &VecDeque<Kept>| kept.iter().map(|k| k.tree.held()).sum::<u64>();
        while self.kept.len() > most || held(&self.kept) > bytes {
            let unused = |kept: &Kept| Arc::strong_count(&kept.tree) == 1;
            let Some(at) = self.kept.iter().position(unused) else {
                break;
            };
            closed.extend(self.kept.remove(at));
        }
        closed
    }
}

static FILES: Mutex<Files> = Mutex::new(Files {
    kept: VecDeque::new(),
    holds: 0,
});

fn files() -> MutexGuard<'static, Files> {
    // Every entry is whole between two statements, also after a panic.
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that files which were shared are still of use: when the last one is dropped, they are
/// closed.
#[derive(Debug)]
pub struct Hold(());

impl Hold {
    /// One more.
    pub fn new() -> Hold {
        files().holds += 1;
        Hold(())
    }
}

impl Default for Hold {
    fn default() -> Self {
        Hold::new()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut files = files();
        files.holds -= 1;
        if files.holds == 0 {
            let kept = std::mem::take(&mut files.kept);
            drop(files);
            // Large memory goes back to the system; nobody needs to wait for that. Without a thread
            // it is dropped here.
            let _ = std::thread::Builder::new().spawn(move || drop(kept));
        }
    }
}

/// Opens a file of named arrays, or takes the one that is open already, however its path is
/// spelt; the tree has the canonical one. Those in use, and others while there is memory, stay open
/// until the last [`Hold`] is dropped.
///
/// # Errors
/// [`crate::Error::Tree`].
pub fn share(path: &Path) -> Result<Arc<dyn Tree>> {
    // What cannot be looked at cannot be opened either, which says why.
    let Ok(stamp) = Stamp::of(path) else {
        return arrays(path).map(Arc::from);
    };
    if let Some(tree) = taken(&stamp) {
        return Ok(tree);
    }
    // Not under the lock: some containers are parsed as a whole when they are opened.
    let tree: Arc<dyn Tree> = Arc::from(arrays(stamp.path())?);
    // Of two that opened it at the same time, both use what the first put there.
    if let Some(tree) = taken(&stamp) {
        return Ok(tree);
    }
    let mut files = files();
    files.kept.retain(|kept| kept.stamp.path() != stamp.path());
    files.kept.push_back(Kept {
        stamp,
        tree: tree.clone(),
    });
    let closed = files.unused(MOST_KEPT, allowance());
    drop(files);
    drop(closed);
    Ok(tree)
}

/// Whether a file is open, so that reading it now is cheap.
pub fn is_shared(path: &Path) -> bool {
    Stamp::of(path).is_ok_and(|stamp| files().kept.iter().any(|kept| kept.stamp == stamp))
}

/// An open file, which becomes the latest.
fn taken(stamp: &Stamp) -> Option<Arc<dyn Tree>> {
    let mut files = files();
    let at = files.kept.iter().position(|kept| kept.stamp == *stamp)?;
    let kept = files.kept.remove(at)?;
    let tree = kept.tree.clone();
    files.kept.push_back(kept);
    Some(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmpipe_trees::write::{Value, write_mat5, write_npy};

    #[test]
    fn what_is_in_use_stays_and_the_oldest_of_the_others_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files {
            kept: VecDeque::new(),
            holds: 0,
        };
        for name in ["a", "b", "c", "d"] {
            let path = folder.path().join(format!("{name}.npy"));
            write_npy(&path, &[1], &vec![0.0].into()).unwrap();
            let stamp = Stamp::of(&path).unwrap();
            let tree = Arc::from(arrays(&path).unwrap());
            files.kept.push_back(Kept { stamp, tree });
        }
        let used = [files.kept[0].tree.clone(), files.kept[2].tree.clone()];
        let names = |kept: &mut dyn Iterator<Item = &Kept>| -> String {
            kept.map(|k| k.stamp.path().file_stem().unwrap().to_str().unwrap())
                .collect()
        };
        assert_eq!(names(&mut files.unused(3, 0).iter()), "b");
        assert_eq!(names(&mut files.kept.iter()), "acd");
        assert_eq!(names(&mut files.unused(1, 0).iter()), "d");
        assert_eq!(names(&mut files.kept.iter()), "ac");
        drop(used);
        assert_eq!(names(&mut files.unused(1, 0).iter()), "a");
    }

    #[test]
    fn files_stay_while_there_is_memory_for_what_they_were_inflated_to() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files {
            kept: VecDeque::new(),
            holds: 0,
        };
        let x: Vec<f64> = (0..1000).map(|i| f64::from(i).sin()).collect();
        for name in ["a", "b", "c"] {
            let path = folder.path().join(format!("{name}.mat"));
            let x = Value::array(&[1000, 1], x.clone());
            write_mat5(&path, &[("x", x)], true).unwrap();
            let stamp = Stamp::of(&path).unwrap();
            let tree: Arc<dyn Tree> = Arc::from(arrays(&path).unwrap());
            files.kept.push_back(Kept { stamp, tree });
        }
        // Nothing is inflated yet.
        assert!(files.unused(3, 0).is_empty());
        for kept in &files.kept {
            assert_eq!(
                kept.tree.numbers(&kept.tree.variables()[0], 1000).unwrap(),
                x
            );
        }
        let one = files.kept[0].tree.held();
        assert!((8000..8200).contains(&one), "{one}");
        assert!(files.unused(3, 3 * one).is_empty());
        assert_eq!(files.unused(3, 3 * one - 1).len(), 1);
        assert_eq!(files.unused(3, 0).len(), 2);
    }

    #[test]
    fn a_file_is_opened_once_and_anew_when_it_was_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let put = |x: f64| {
            let other = folder.path().join("b.npy");
            write_npy(&other, &[2], &vec![x, x].into()).unwrap();
            std::fs::rename(&other, &path).unwrap();
        };
        put(1.0);
        let hold = Hold::new();
        let first = share(&path).unwrap();
        assert!(is_shared(&path));
        assert!(Arc::ptr_eq(&first, &share(&path).unwrap()));
        let other = folder.path().join(".").join("a.npy");
        assert!(Arc::ptr_eq(&first, &share(&other).unwrap()));
        put(2.0);
        let second = share(&path).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        let read = |tree: &Arc<dyn Tree>| tree.numbers(&tree.variables()[0], 9).unwrap();
        assert_eq!((read(&first), read(&second)), (vec![1.0; 2], vec![2.0; 2]));
        assert!(share(&folder.path().join("none.npy")).is_err());
        let more = Hold::new();
        drop(hold);
        assert!(is_shared(&path));
        drop(more);
        // Another test may hold files too; it does not hold this one twice.
        assert!(share(&path).is_ok());
    }
}
