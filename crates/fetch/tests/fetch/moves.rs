//! Bytes that arrive in spite of the network.

use std::time::{Duration, Instant};

use mmpipe_fetch::{Check, Status};

use crate::server::{Act, Server};
use crate::support::{bare, brought, data, failed, row, run, run_with, settings, summed};

#[test]
fn everything_comes_once_and_a_second_run_asks_for_no_file() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let (a, b) = (data(300_000, 1), data(10, 2));
    let set = summed(
        &server,
        &[("S1/a.edf", &a), ("b+ c.txt", &b), ("empty", b"")],
    );
    server.put("/b%2B%20c.txt", b.clone());
    let first = run(&set, dir.path());
    assert!(first.is_complete(), "{first:#?}");
    brought(&first, dir.path(), "S1/a.edf", &a);
    brought(&first, dir.path(), "b+ c.txt", &b);
    brought(&first, dir.path(), "empty", b"");
    assert_eq!(row(&first, "S1/a.edf").check, Some(Check::Sha256));
    assert_eq!(first.received, 300_010);

    let gets = || {
        let asked = server.asked("/S1/a.edf");
        asked.iter().filter(|a| a.method == "GET").count()
    };
    assert_eq!(gets(), 1);
    let second = run(&set, dir.path());
    assert_eq!(second.count(Status::Present), 3, "{second:#?}");
    assert_eq!((second.received, gets()), (0, 1));
}

#[test]
fn a_cut_body_goes_on_where_it_ended() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(200_000, 3);
    let set = bare(&server, &[("a.edf", &a)]);
    server.misbehave(
        "/a.edf",
        [Act::Serve, Act::Cut(70_000), Act::Reset, Act::Cut(60_000)],
    );
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "a.edf", &a);
    assert_eq!(row(&report, "a.edf").failures, 3);
    assert_eq!(report.received, 200_000, "no byte came twice");
    let asked = server.asked("/a.edf");
    let last = asked.last().unwrap();
    assert_eq!(last.headers["range"], "bytes=130000-");
    assert_eq!(
        last.headers["if-range"],
        format!("\"{}\"", &crate::support::sha256(&a)[..8])
    );
}

#[test]
fn a_run_that_died_is_gone_on_with() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let (a, b) = (data(100_000, 4), data(50_000, 5));
    let sets = [
        summed(&server, &[("a.edf", &a)]),
        bare(&server, &[("b.edf", &b)]),
    ];
    let mut once = settings();
    once.patience.retries = 0;
    for (set, name, bytes) in [(&sets[0], "a.edf", &a), (&sets[1], "b.edf", &b)] {
        // The first answer is to the question for the size.
        server.misbehave(&format!("/{name}"), [Act::Serve, Act::Cut(30_000)]);
        let first = run_with(set, dir.path(), &once, 1);
        failed(&first, dir.path(), name, "byte 30000");
        let second = run_with(set, dir.path(), &once, 1);
        brought(&second, dir.path(), name, bytes);
        assert_eq!(second.received, bytes.len() as u64 - 30_000);
    }
}

#[test]
fn bytes_that_a_power_failure_made_up_are_not_believed() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(100_000, 14);
    let sets = [
        summed(&server, &[("a.edf", &a)]),
        bare(&server, &[("b.edf", &a)]),
    ];
    let mut once = settings();
    for (set, name, received) in [(&sets[0], "a.edf", 150_000), (&sets[1], "b.edf", 70_000)] {
        server.misbehave(&format!("/{name}"), [Act::Serve, Act::Cut(30_000)]);
        once.patience.retries = 0;
        run_with(set, dir.path(), &once, 1);
        // The length of the file was written, its blocks were not.
        let parts = std::fs::read_dir(dir.path().join(".mmpipe-fetch/parts")).unwrap();
        let part = parts
            .flatten()
            .map(|e| e.path())
            .find(|p| p.extension().is_some_and(|e| e == "part"))
            .unwrap();
        let file = std::fs::File::options().write(true).open(&part).unwrap();
        file.set_len(50_000).unwrap();
        // With a checksum the damage is found at the end; without one nothing after the last
        // sync is used.
        once.patience.retries = 1;
        let report = run_with(set, dir.path(), &once, 1);
        brought(&report, dir.path(), name, &a);
        assert_eq!(report.received, received);
    }
}

#[test]
fn a_part_of_another_version_is_thrown_away() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let mut once = settings();
    once.patience.retries = 0;
    // Of the same size, once with and once without a checksum.
    for (k, make) in [summed, bare].into_iter().enumerate() {
        let name = format!("{k}.edf");
        let (old, new) = (data(60_000, 6), data(60_000, 7));
        let set = make(&server, &[(&name, &old)]);
        server.misbehave(&format!("/{name}"), [Act::Serve, Act::Cut(20_000)]);
        failed(
            &run_with(&set, dir.path(), &once, 1),
            dir.path(),
            &name,
            "20000",
        );
        let set = make(&server, &[(&name, &new)]);
        brought(
            &run_with(&set, dir.path(), &once, 1),
            dir.path(),
            &name,
            &new,
        );
    }
}

#[test]
fn all_of_it_in_answer_to_a_part_starts_from_the_first_byte() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(90_000, 8);
    let set = summed(&server, &[("a.edf", &a)]);
    server.misbehave("/a.edf", [Act::Serve, Act::Cut(40_000), Act::IgnoreRange]);
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "a.edf", &a);
    assert_eq!(report.received, 130_000);
}

#[test]
fn another_part_than_asked_for_is_not_taken() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(90_000, 9);
    let set = bare(&server, &[("a.edf", &a)]);
    server.misbehave("/a.edf", [Act::Serve, Act::Cut(40_000), Act::WrongRange]);
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "a.edf", &a);
}

#[test]
fn busy_servers_are_waited_for() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(1000, 10);
    let set = summed(&server, &[("a.edf", &a)]);
    let busy = |status, wait: &str| {
        Act::Answer(
            status,
            vec![("Retry-After", wait.to_owned())],
            b"later".to_vec(),
        )
    };
    server.misbehave(
        "/a.edf",
        [Act::Serve, busy(429, "1"), busy(503, "0"), busy(500, "0")],
    );
    let began = Instant::now();
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "a.edf", &a);
    assert_eq!(row(&report, "a.edf").failures, 3);
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "Retry-After was not kept"
    );

    server.misbehave("/a.edf", [Act::Serve, busy(429, "86400")]);
    let dir = tempfile::tempdir().unwrap();
    failed(&run(&set, dir.path()), dir.path(), "a.edf", "86400 s");
}

#[test]
fn a_list_is_asked_for_again_too() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(1000, 11);
    let set = summed(&server, &[("a.edf", &a)]);
    let no = Act::Answer(503, Vec::new(), Vec::new());
    server.misbehave("/sums", [Act::Reset, no, Act::Cut(20)]);
    brought(&run(&set, dir.path()), dir.path(), "a.edf", &a);
}

#[test]
fn a_silent_server_is_left() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(50_000, 12);
    let set = summed(&server, &[("a.edf", &a)]);
    server.misbehave("/a.edf", [Act::Serve, Act::Silent(Duration::from_secs(30))]);
    let mut hasty = settings();
    hasty.silence = Duration::from_millis(500);
    let report = run_with(&set, dir.path(), &hasty, 1);
    brought(&report, dir.path(), "a.edf", &a);
    assert_eq!(row(&report, "a.edf").failures, 1);
    assert_eq!(report.received, 50_000);
}

#[test]
fn redirects_are_followed_and_end() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(5000, 13);
    let set = summed(&server, &[("a.edf", &a), ("loop.edf", &a)]);
    server.put("/elsewhere/x?y=1", a.clone());
    let to = |to: &str| Act::Answer(302, vec![("Location", to.to_owned())], Vec::new());
    server.misbehave("/a.edf", vec![to("elsewhere/x?y=1"); 2]);
    server.misbehave("/loop.edf", vec![to("/loop.edf"); 40]);
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "a.edf", &a);
    failed(&report, dir.path(), "loop.edf", "redirects");
}

#[test]
fn many_files_come_at_a_time_and_the_report_is_the_same() {
    let server = Server::start();
    let files: Vec<(String, Vec<u8>)> = (0..12)
        .map(|k| (format!("S{k:02}.edf"), data(200_000, k)))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
    let set = summed(&server, &files);
    let rows = |jobs| {
        let dir = tempfile::tempdir().unwrap();
        let report = run_with(&set, dir.path(), &settings(), jobs);
        assert!(report.is_complete());
        serde_json::to_string(&report.files).unwrap()
    };
    let one = rows(1);
    assert_eq!(one, rows(6));
    assert!(server.most_at_a_time() > 1);
}
