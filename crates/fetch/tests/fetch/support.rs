//! What the tests share: data, a data set over the server, a run.

use std::path::Path;
use std::time::Duration;

use mmpipe_fetch::{
    Client, Dataset, Error, FileReport, Filter, Options, Patience, Plan, Progress, RelPath, Report,
    Settings, Status, fetch, plan,
};
use sha2::{Digest as _, Sha256};

use crate::server::Server;

/// Bytes that are no text and differ with the seed.
pub(crate) fn data(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// Settings that try three times, without long pauses.
pub(crate) fn settings() -> Settings {
    Settings {
        mirror: None,
        patience: Patience {
            retries: 3,
            first: Duration::from_millis(1),
            longest: Duration::from_millis(5),
            ..Patience::default()
        },
        silence: Duration::from_secs(20),
    }
}

/// A data set of files below the server's root, with the checksums of a file at `/sums`.
pub(crate) fn summed(server: &Server, files: &[(&str, &[u8])]) -> Dataset {
    let mut sums = String::new();
    for (name, bytes) in files {
        server.put_tagged(&format!("/{name}"), *bytes, &sha256(bytes)[..8]);
        sums.push_str(&format!("{}  {name}\n", sha256(bytes)));
    }
    server.put("/sums", sums);
    dataset(&format!(
        "kind = 'http'\nbase = '{}/'\nsums = 'sums'",
        server.url()
    ))
}

/// A data set of files that have neither checksum nor listed size.
pub(crate) fn bare(server: &Server, files: &[(&str, &[u8])]) -> Dataset {
    let mut names = String::new();
    for (name, bytes) in files {
        server.put_tagged(&format!("/{name}"), *bytes, &sha256(bytes)[..8]);
        names.push_str(&format!("'{name}', "));
    }
    dataset(&format!(
        "kind = 'http'\nbase = '{}/'\nfiles = [{names}]",
        server.url()
    ))
}

/// A data set with this source.
pub(crate) fn dataset(source: &str) -> Dataset {
    let text = format!(
        "[[dataset]]\nname = 'Test'\ntitle = 'test'\nurl = 'https://example.org'\nlicence = 'CC0-1.0'\n\
         access = 'open'\nsubject = '^(?P<subject>S\\d+)'\n[dataset.source]\n{source}\n"
    );
    Dataset::parse_all(&text).unwrap().remove(0)
}

/// Who is told nothing.
pub(crate) struct Quiet;

impl Progress for Quiet {
    fn started(&self, _: &RelPath) {}
    fn moved(&self, _: i64) {}
    fn ended(&self, _: &FileReport) {}
}

pub(crate) fn planned(dataset: &Dataset, out: &Path) -> Result<Plan, Error> {
    let client = Client::new(&settings())?;
    plan(dataset, &client, &Filter::default(), out, 4)
}

/// Plans and fetches.
pub(crate) fn run(dataset: &Dataset, out: &Path) -> Report {
    run_with(dataset, out, &settings(), 2)
}

pub(crate) fn run_with(dataset: &Dataset, out: &Path, settings: &Settings, jobs: usize) -> Report {
    let client = Client::new(settings).unwrap();
    let plan = plan(dataset, &client, &Filter::default(), out, jobs).unwrap();
    let options = Options {
        jobs,
        check_again: false,
    };
    fetch(&plan, out, &client, &options, &Quiet).unwrap()
}

/// The row of a file.
#[track_caller]
pub(crate) fn row<'a>(report: &'a Report, path: &str) -> &'a FileReport {
    let found = report.files.iter().find(|f| f.path == path);
    found.unwrap_or_else(|| panic!("no row of {path}: {report:#?}"))
}

/// That a file failed for a reason with these words, and that nothing of its name is there.
#[track_caller]
pub(crate) fn failed(report: &Report, out: &Path, path: &str, words: &str) {
    let row = row(report, path);
    assert_eq!(row.status, Status::Failed, "{row:?}");
    let reason = row.reason.as_deref().unwrap_or("");
    assert!(reason.contains(words), "{reason}");
    assert!(!out.join(path).exists(), "{path} was kept");
    assert!(!report.is_complete());
}

/// That a file was brought and holds these bytes.
#[track_caller]
pub(crate) fn brought(report: &Report, out: &Path, path: &str, bytes: &[u8]) {
    let row = row(report, path);
    assert_eq!(row.status, Status::Fetched, "{row:?}");
    assert!(
        std::fs::read(out.join(path)).unwrap() == bytes,
        "{path} differs"
    );
}
