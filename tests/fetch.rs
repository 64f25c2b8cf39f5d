//! `mmpipe fetch` through the binary: the plan from the built-in table, data sets that are not open,
//! and a fetch through a mirror on the loopback interface.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use crate::support::Scratch;

/// A mirror that serves these bodies at these paths, and 404 for the rest.
fn mirror(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            for line in lines.by_ref() {
                if line.is_ok_and(|l| l.is_empty()) {
                    break;
                }
            }
            let path = first.split_whitespace().nth(1).unwrap_or_default();
            let found = files.iter().find(|(p, _)| *p == path);
            let (status, body) = found.map_or((404, &b""[..]), |(_, b)| (200, &b[..]));
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let body = if first.starts_with("HEAD") { b"" } else { body };
            // The client may have gone away.
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body);
        }
    });
    url
}

/// A figshare article of two files; the second is as `second` says.
fn article(second: &[u8]) -> String {
    // md5sum of "abc": RFC 1321, appendix A.5.
    let file = |name: &str, id: u32| {
        format!(
            r#"{{"name": "{name}", "size": 3, "is_link_only": false, "computed_md5":
            "900150983cd24fb0d6963f7d28e17f72", "download_url": "https://ndownloader.figshare.com/files/{id}"}}"#
        )
    };
    mirror(vec![
        (
            "/api.figshare.com/v2/articles/18737924/files?page_size=1000",
            format!("[{}, {}]", file("s01.zip", 1), file("s02.zip", 2)).into_bytes(),
        ),
        ("/ndownloader.figshare.com/files/1", b"abc".to_vec()),
        ("/ndownloader.figshare.com/files/2", second.to_vec()),
    ])
}

#[test]
fn the_plan_of_the_built_in_table() {
    let args = [
        "fetch",
        "--dataset",
        "HGD",
        "--out",
        "raw",
        "--dry-run",
        "--offline",
    ];
    insta::assert_snapshot!(Scratch::new().ok(&args));
}

#[test]
fn many_files_are_summed_by_folder() {
    let scratch = Scratch::new();
    let args = [
        "fetch",
        "--dataset",
        "ds004408",
        "--out",
        "raw",
        "--dry-run",
        "--offline",
        "--subjects",
        "001,019",
    ];
    insta::assert_snapshot!(scratch.ok(&args));
    let json = scratch.json(&args);
    assert_eq!(json["files"].as_array().unwrap().len(), 41 + 2 * 60);
    assert!(!scratch.path("raw").exists(), "a dry run writes nothing");
}

#[test]
fn the_list_of_data_sets() {
    insta::assert_snapshot!(Scratch::new().ok(&["fetch", "--list"]));
}

#[test]
fn what_is_not_open_is_said_with_what_to_do() {
    let scratch = Scratch::new();
    for name in ["TUAB", "BCI-IV-2A"] {
        let ran = scratch.run(&["fetch", "--dataset", name, "--out", "raw"]);
        assert_eq!(ran.code, 1, "{ran}");
        insta::assert_snapshot!(format!("closed-{name}"), ran.stdout);
    }
    let told = scratch.run(&["fetch", "--dataset", "hr-eeg4emo", "--out", "raw", "--json"]);
    assert_eq!(told.code, 1, "{told}");
    let told: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(told["access"], "registration");
    assert!(
        told["register"]
            .as_str()
            .unwrap()
            .contains("interdigital.com")
    );
    assert!(told["steps"].as_array().is_some_and(|s| !s.is_empty()));
}

#[test]
fn wrong_words_are_errors() {
    let scratch = Scratch::new();
    for (name, code, args) in [
        (
            "unknown",
            1,
            vec!["fetch", "--dataset", "EEGMatt", "--out", "raw"],
        ),
        ("no-out", 2, vec!["fetch", "--dataset", "EEGMat"]),
        (
            "offline-alone",
            2,
            vec!["fetch", "--dataset", "HGD", "--out", "raw", "--offline"],
        ),
        (
            "no-table",
            1,
            vec![
                "fetch",
                "--dataset",
                "KUL",
                "--out",
                "raw",
                "--dry-run",
                "--offline",
            ],
        ),
        (
            "no-subject",
            1,
            vec![
                "fetch",
                "--dataset",
                "HGD",
                "--out",
                "raw",
                "--dry-run",
                "--offline",
                "--subjects",
                "15",
            ],
        ),
        (
            "bad-mirror",
            1,
            vec![
                "fetch",
                "--dataset",
                "DTU",
                "--out",
                "raw",
                "--mirror",
                "ftp://x",
            ],
        ),
    ] {
        let ran = scratch.run(&args);
        assert_eq!(ran.code, code, "{ran}");
        insta::assert_snapshot!(format!("wrong-{name}"), ran.stderr);
    }
}

#[test]
fn a_fetch_through_a_mirror_and_a_second_one() {
    let scratch = Scratch::new();
    let url = article(b"abc");
    let args = [
        "fetch",
        "--dataset",
        "PME4",
        "--out",
        "raw",
        "--mirror",
        &url,
    ];
    let first = scratch.json(&args);
    assert_eq!(first["files"][1]["status"], "fetched");
    assert_eq!(first["files"][1]["check"], "md5");
    assert_eq!(std::fs::read(scratch.path("raw/s02.zip")).unwrap(), b"abc");
    let second = scratch.ok(&args);
    assert!(second.contains("present     2 files"), "{second}");
}

#[test]
fn a_fetch_that_lacks_a_file_ends_with_1_and_names_it() {
    let scratch = Scratch::new();
    let url = article(b"<html>no</html>");
    let ran = scratch.run(&[
        "fetch",
        "--dataset",
        "PME4",
        "--out",
        "raw",
        "--mirror",
        &url,
        "--retries",
        "0",
    ]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stdout.contains("failed      1 file\n  s02.zip: "),
        "{ran}"
    );
    assert!(ran.stdout.contains("HTML page"), "{ran}");
    assert!(scratch.path("raw/s01.zip").exists());
    assert!(!scratch.path("raw/s02.zip").exists());
}

#[test]
fn an_unreachable_source_is_named() {
    let scratch = Scratch::new();
    // Port 9 of the loopback interface, where nobody listens.
    let ran = scratch.run(&[
        "fetch",
        "--dataset",
        "KUL",
        "--out",
        "raw",
        "--mirror",
        "http://127.0.0.1:9",
        "--retries",
        "0",
    ]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stderr
            .contains("https://zenodo.org/api/records/4004271"),
        "{ran}"
    );
    assert!(!scratch.path("raw").exists());
}
