//! A zip's members unpacked side by side, each thread with its own handle on the archive. The
//! result does not depend on the number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::catalogue::{Planned, open, zip_plan};
use crate::error::{At, Error};
use crate::place::{Landed, Place, Sink, Want};
use crate::unpack::Job;
use crate::zip::{self, Entry};
use crate::{How, Result};

/// A member to unpack: its row, its entry.
struct Item<'a> {
    row: usize,
    path: String,
    entry: &'a Entry,
}

/// What one thread did.
#[derive(Default)]
struct Done {
    written: Vec<Landed>,
    kept: Vec<Landed>,
    failed: Vec<(usize, Error)>,
}

/// Unpacks what the job wants.
pub(crate) fn run(job: &mut Job<'_>) -> Result<()> {
    let at = job.at;
    let (mut file, size) = open(at.0)?;
    let entries = zip::directory(at, &mut file, size)?;
    let plan = zip_plan(at, &mut file, size, &entries, job.limits, &mut job.names)?;
    let mut items = Vec::new();
    for (i, planned) in plan {
        let entry = &entries[i];
        match planned {
            Planned::Link(link) => job.add_link(link),
            Planned::File(path) => {
                if let Some(row) = job.add(path.clone(), entry.bytes) {
                    items.push(Item { row, path, entry });
                }
            }
        }
    }
    if let Some(item) = items.iter().find(|item| item.entry.encrypted) {
        return Err(at.encrypted(Some(&item.path)));
    }
    check_room(job, &items, size)?;
    // The largest first, so that no thread is left with one at the end.
    items.sort_by_key(|item| std::cmp::Reverse(item.entry.bytes));

    let cores = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let threads = match job.limits.threads {
        0 => cores,
        n => n,
    };
    let threads = threads.min(items.len()).max(1);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let all = Mutex::new(Done::default());
    let place = job.place;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let done = work(at, place, size, &items, &next, &stop);
                let mut all = all.lock().unwrap_or_else(|e| e.into_inner());
                all.written.extend(done.written);
                all.kept.extend(done.kept);
                all.failed.extend(done.failed);
            });
        }
    });
    let mut done = all.into_inner().unwrap_or_else(|e| e.into_inner());
    job.land(done.written, How::Written);
    job.land(done.kept, How::Kept);
    done.failed.sort_by_key(|(row, _)| *row);
    for (row, error) in done.failed {
        let path = job.rows[row].path.clone();
        job.fail(&path, error);
    }
    Ok(())
}

/// Checks the sizes that the directory states, which no member may exceed, before any is written.
fn check_room(job: &Job<'_>, items: &[Item<'_>], size: u64) -> Result<()> {
    let sum = |items: &mut dyn Iterator<Item = &Item<'_>>| {
        items.fold(0u64, |sum, item| sum.saturating_add(item.entry.bytes))
    };
    let total = sum(&mut items.iter());
    let cap = job.limits.cap(size);
    if total > cap {
        let what = format!("the members wanted take {total} bytes, the limit is {cap}");
        return Err(job.at.over(None, what));
    }
    let new = sum(&mut items
        .iter()
        .filter(|i| !job.place.sized(&i.path, i.entry.bytes)));
    if let Some(free) = job.place.free().filter(|&free| new > free) {
        let what = format!("the members wanted take {new} bytes, {free} are free on the disk");
        return Err(job.at.over(None, what));
    }
    Ok(())
}

fn work(
    at: At<'_>,
    place: &Place,
    size: u64,
    items: &[Item<'_>],
    next: &AtomicUsize,
    stop: &AtomicBool,
) -> Done {
    let mut done = Done::default();
    let mut sink = Sink::new(place);
    let mut whole = zip::Whole::new();
    let mut handle = None;
    while !stop.load(Ordering::Relaxed)
        && let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed))
    {
        let entry = item.entry;
        if let Some(ns) = place.checked(&item.path, entry.bytes, entry.crc) {
            done.kept.push((item.row, ns, entry.crc));
            continue;
        }
        let file = match handle.take().map_or_else(|| open(at.0).map(|f| f.0), Ok) {
            Ok(file) => handle.insert(file),
            Err(error) => {
                done.failed.push((item.row, error));
                break;
            }
        };
        let want = Want {
            index: item.row,
            member: &item.path,
            exact: Some(entry.bytes),
            most: entry.bytes,
            crc: Some(entry.crc),
        };
        let written = match whole.unpack(at, file, size, entry) {
            Some(mut bytes) => sink.write(at, &want, &mut bytes),
            None => zip::contents(at, file, size, entry)
                .and_then(|mut body| sink.write(at, &want, &mut body)),
        };
        if let Err(error) = written {
            // A disk that is full or gone fails for every member; the rest need not try.
            if matches!(error, Error::Io { .. }) {
                stop.store(true, Ordering::Relaxed);
            }
            done.failed.push((item.row, error));
        }
    }
    if let Err(error) = sink.flush() {
        let row = sink.unnamed();
        done.failed.extend(row.map(|row| (row, error)));
    }
    done.written = std::mem::take(&mut sink.landed);
    done
}
