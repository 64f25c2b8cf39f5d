//! What must not be kept as data, whatever the server says of it.

use mmpipe_fetch::{Check, Status};

use crate::server::{Act, Server};
use crate::support::{bare, brought, data, failed, row, run, summed};

const PAGE: &[u8] = b"<!DOCTYPE html><html><body>Please log in</body></html>";

fn page(kind: &str) -> Act {
    Act::Answer(200, vec![("Content-Type", kind.to_owned())], PAGE.to_vec())
}

#[test]
fn a_missing_file_is_named_and_the_others_go_on() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(1000, 1);
    let set = summed(
        &server,
        &[
            ("a.edf", &a),
            ("gone.edf", &a),
            ("shut.edf", &a),
            ("z.edf", &a),
        ],
    );
    let answer = |status| Act::Answer(status, Vec::new(), b"no".to_vec());
    server.misbehave("/gone.edf", vec![answer(404); 9]);
    server.misbehave("/shut.edf", vec![answer(403); 9]);
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "a.edf", &a);
    brought(&report, dir.path(), "z.edf", &a);
    failed(&report, dir.path(), "gone.edf", "404");
    failed(&report, dir.path(), "shut.edf", "not open to everybody");
    assert_eq!(
        row(&report, "gone.edf").failures,
        1,
        "a 404 is not asked for again"
    );
    assert_eq!(
        (report.count(Status::Fetched), report.count(Status::Failed)),
        (2, 2)
    );
}

#[test]
fn a_page_is_never_kept() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(1000, 2);
    let sets = [
        summed(&server, &[("a.edf", &a)]),
        bare(&server, &[("b.edf", &a), ("c.edf", PAGE), ("d.html", PAGE)]),
    ];
    server.misbehave("/a.edf", vec![page("text/html; charset=utf-8"); 9]);
    // The size that is asked for first is right; the file itself is not.
    server.misbehave("/b.edf", [Act::Serve]);
    server.misbehave("/b.edf", vec![page("application/octet-stream"); 9]);
    let report = run(&sets[0], dir.path());
    failed(&report, dir.path(), "a.edf", "an HTML page");
    let report = run(&sets[1], dir.path());
    failed(&report, dir.path(), "b.edf", "an HTML page");
    // Here even its size is as expected: only a look at the bytes tells.
    failed(&report, dir.path(), "c.edf", "an HTML page");
    // And this one is a page.
    brought(&report, dir.path(), "d.html", PAGE);
}

#[test]
fn a_page_that_goes_away_is_waited_out() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(1000, 3);
    let set = summed(&server, &[("a.edf", &a)]);
    server.misbehave("/a.edf", [Act::Serve, page("text/html")]);
    brought(&run(&set, dir.path()), dir.path(), "a.edf", &a);
}

#[test]
fn a_pointer_is_never_kept() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let link = b"../../.git/annex/objects/W8/xZ/MD5-s9--1d1184d4a026fba9d79d16b9a26cd3bb/x";
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    let set = bare(&server, &[("a.mat", link), ("b.mat", lfs)]);
    let report = run(&set, dir.path());
    failed(&report, dir.path(), "a.mat", "a git-annex pointer");
    failed(&report, dir.path(), "b.mat", "a Git LFS pointer");
}

#[test]
fn damage_is_found_thrown_away_and_asked_for_again() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(40_000, 4);
    let set = summed(&server, &[("once.edf", &a), ("always.edf", &a)]);
    server.misbehave("/once.edf", [Act::Serve, Act::Corrupt]);
    server.misbehave("/always.edf", [Act::Serve]);
    server.misbehave("/always.edf", vec![Act::Corrupt; 9]);
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "once.edf", &a);
    failed(&report, dir.path(), "always.edf", "its checksum is sha256:");
    assert_eq!(
        row(&report, "always.edf").received,
        80_000,
        "twice is enough"
    );
}

#[test]
fn lengths_that_are_lies_are_found() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(30_000, 5);
    let set = summed(
        &server,
        &[("short.edf", &a), ("long.edf", &a), ("once.edf", &a)],
    );
    for (name, length) in [("short", 20_000), ("long", 50_000)] {
        server.misbehave(&format!("/{name}.edf"), [Act::Serve]);
        server.misbehave(&format!("/{name}.edf"), vec![Act::SayLength(length); 9]);
    }
    server.misbehave(
        "/once.edf",
        [Act::Serve, Act::SayLength(29_999), Act::SayLength(40_000)],
    );
    let report = run(&set, dir.path());
    failed(
        &report,
        dir.path(),
        "short.edf",
        "says 20000 bytes, 30000 are expected",
    );
    failed(
        &report,
        dir.path(),
        "long.edf",
        "says 50000 bytes, 30000 are expected",
    );
    brought(&report, dir.path(), "once.edf", &a);
}

#[test]
fn a_length_that_is_not_told_is_taken_where_the_end_is_marked() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(30_000, 6);
    let set = bare(&server, &[("chunks.edf", &a), ("unmarked.edf", &a)]);
    let no = Act::Answer(404, Vec::new(), Vec::new());
    server.misbehave("/chunks.edf", [no.clone(), Act::Chunked]);
    server.misbehave("/unmarked.edf", [no.clone(), Act::Unmarked]);
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "chunks.edf", &a);
    assert_eq!(row(&report, "chunks.edf").check, Some(Check::Stated));
    failed(
        &report,
        dir.path(),
        "unmarked.edf",
        "neither size nor checksum",
    );

    // With a checksum the end need not be marked.
    let set = summed(&server, &[("known.edf", &a)]);
    server.misbehave("/known.edf", [no, Act::Unmarked]);
    brought(&run(&set, dir.path()), dir.path(), "known.edf", &a);
}
