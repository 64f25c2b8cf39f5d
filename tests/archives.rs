//! A raw folder as its publisher ships it: in an archive.

use std::fs;
use std::io::Write;

use crate::support::Scratch;

const COUNTS: &str = "SELECT subject, run, label, count(*) AS epochs, sum(epoch_id % 1000) AS ids \
                      FROM eeg GROUP BY 1, 2, 3 ORDER BY 1, 2";

#[test]
fn an_archive_gives_what_its_folder_gives() {
    let scratch = Scratch::new();
    let simulate = [
        "simulate",
        "--dataset",
        "EEGMat",
        "--out",
        "raw",
        "--subjects",
        "2",
    ];
    scratch.ok(&simulate);
    let file = fs::File::create(scratch.path("eegmat.zip")).unwrap();
    let mut zip = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default();
    let mut names: Vec<_> = fs::read_dir(scratch.path("raw"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in &names {
        zip.start_file(format!("eegmat-1.0.0/{name}"), options)
            .unwrap();
        zip.write_all(&fs::read(scratch.path("raw").join(name)).unwrap())
            .unwrap();
    }
    zip.finish().unwrap();

    scratch.ok(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    let want = scratch.sql(COUNTS);
    assert_eq!(want.len(), 4);
    fs::remove_dir_all(scratch.lake()).unwrap();

    let dry = scratch.run(&[
        "ingest",
        "--dataset",
        "EEGMat",
        "--raw",
        "eegmat.zip",
        "--dry-run",
    ]);
    assert!(
        dry.code != 0 && dry.stderr.contains("not unpacked in a dry run"),
        "{dry}"
    );
    let ingest = ["ingest", "--dataset", "EEGMat", "--raw", "eegmat.zip"];
    scratch.ok(&ingest);
    assert_eq!(scratch.sql(COUNTS), want);
    let again = scratch.ok(&ingest);
    assert!(again.contains("unchanged   4 recordings"), "{again}");
    // The scratch may go: it is unpacked again, and nothing else is done.
    fs::remove_dir_all(scratch.lake().join("unpacked")).unwrap();
    let again = scratch.ok(&ingest);
    assert!(again.contains("unchanged   4 recordings"), "{again}");
    assert_eq!(scratch.sql(COUNTS), want);

    // The same archive inside a raw folder, beside one that is cut short.
    fs::create_dir(scratch.path("mixed")).unwrap();
    fs::rename(scratch.path("eegmat.zip"), scratch.path("mixed/eegmat.zip")).unwrap();
    let bytes = fs::read(scratch.path("mixed/eegmat.zip")).unwrap();
    fs::write(scratch.path("mixed/rest.zip"), &bytes[..bytes.len() / 2]).unwrap();
    fs::remove_dir_all(scratch.lake()).unwrap();
    let ran = scratch.run(&["ingest", "--dataset", "EEGMat", "--raw", "mixed"]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stdout.contains("rejected    rest.zip: cut short"),
        "{ran}"
    );
    assert_eq!(scratch.sql(COUNTS).len(), 4);
}
