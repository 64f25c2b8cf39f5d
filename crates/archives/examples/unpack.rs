//! Unpacks an archive into a folder: `unpack ARCHIVE FOLDER [THREADS]`. Prints the seconds taken.

use std::path::Path;
use std::time::Instant;

use mmpipe_archives::{Limits, unpack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, archive, into, rest @ ..] = &args[..] else {
        return Err("usage: unpack ARCHIVE FOLDER [THREADS]".into());
    };
    let threads = rest.first().map_or(Ok(0), |n| n.parse())?;
    let limits = Limits {
        threads,
        ..Limits::default()
    };
    let start = Instant::now();
    let report = unpack(Path::new(archive), Path::new(into), &limits, &|_| true)?;
    println!("{}", start.elapsed().as_secs_f64());
    for row in &report.refused {
        eprintln!("{}: {}", row.path, row.message);
    }
    Ok(())
}
