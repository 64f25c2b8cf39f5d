//! The folder: what is there already, who else writes, how much room there is.

use std::fs;

use mmpipe_fetch::{Client, Error, Filter, Here, Options, Status, fetch, plan};

use crate::server::{Act, Server};
use crate::support::{Quiet, brought, data, failed, planned, row, run, settings, sha256, summed};

#[test]
fn files_that_are_there_are_checked_and_wrong_ones_replaced() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(3000, 1);
    let names = ["same.edf", "cut.edf", "other.edf"];
    let files: Vec<(&str, &[u8])> = names.iter().map(|n| (*n, &a[..])).collect();
    let set = summed(&server, &files);
    fs::write(dir.path().join("same.edf"), &a).unwrap();
    fs::write(dir.path().join("cut.edf"), &a[..100]).unwrap();
    fs::write(dir.path().join("other.edf"), data(3000, 2)).unwrap();
    let report = run(&set, dir.path());
    assert_eq!(row(&report, "same.edf").status, Status::Present);
    for name in ["cut.edf", "other.edf"] {
        brought(&report, dir.path(), name, &a);
        assert!(row(&report, name).reason.is_some(), "the change is said");
    }
}

#[test]
fn a_file_that_changed_after_its_receipt_is_brought_again() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(3000, 3);
    let set = summed(&server, &[("a.edf", &a)]);
    run(&set, dir.path());
    fs::write(dir.path().join("a.edf"), data(3000, 4)).unwrap();
    brought(&run(&set, dir.path()), dir.path(), "a.edf", &a);
}

#[test]
fn a_receipt_is_not_believed_when_asked_to_check_again() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(3000, 5);
    let set = summed(&server, &[("a.edf", &a)]);
    run(&set, dir.path());
    // Other bytes, with the time of the receipt.
    let path = dir.path().join("a.edf");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, data(3000, 6)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(row(&run(&set, dir.path()), "a.edf").status, Status::Present);
    let client = Client::new(&settings()).unwrap();
    let plan = planned(&set, dir.path()).unwrap();
    let options = Options {
        jobs: 1,
        check_again: true,
    };
    let report = fetch(&plan, dir.path(), &client, &options, &Quiet).unwrap();
    brought(&report, dir.path(), "a.edf", &a);
}

#[test]
fn a_plan_says_what_is_there_and_writes_nothing() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(9000, 7);
    let set = summed(&server, &[("S1.edf", &a), ("S2.edf", &a), ("S3.edf", &a)]);
    let out = dir.path().join("new");
    let plan = planned(&set, &out).unwrap();
    assert!(!out.exists());
    assert_eq!(
        (plan.bytes(), plan.missing(), plan.unknown_sizes()),
        (27_000, 27_000, 0)
    );
    let stop = Act::Answer(404, Vec::new(), Vec::new());
    server.misbehave("/S2.edf", [Act::Serve, Act::Cut(4000), stop.clone()]);
    server.misbehave("/S3.edf", [Act::Serve, stop]);
    run(&set, &out);
    let plan = planned(&set, &out).unwrap();
    let here: Vec<Here> = plan.files.iter().map(|f| f.here).collect();
    assert_eq!(here, [Here::Checked, Here::Part(4000), Here::Absent]);
    assert_eq!(plan.missing(), 14_000);
}

#[test]
fn too_little_room_is_said_before_the_first_byte() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let set = summed(&server, &[("a.edf", b"x")]);
    let client = Client::new(&settings()).unwrap();
    let mut plan = plan(&set, &client, &Filter::default(), dir.path(), 1).unwrap();
    plan.files[0].size = Some(1 << 60);
    let error = fetch(&plan, dir.path(), &client, &Options::default(), &Quiet).unwrap_err();
    assert!(
        matches!(error, Error::Space { needed, .. } if needed == 1 << 60),
        "{error}"
    );
    assert!(server.asked("/a.edf").iter().all(|a| a.method == "HEAD"));
}

#[test]
fn a_folder_in_a_files_place_is_left_alone() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(10, 8);
    let set = summed(&server, &[("a.edf", &a)]);
    fs::create_dir_all(dir.path().join("a.edf/inner")).unwrap();
    let report = run(&set, dir.path());
    assert_eq!(row(&report, "a.edf").status, Status::Failed);
    assert!(dir.path().join("a.edf/inner").is_dir());
}

#[test]
fn a_file_in_a_folders_place_fails_that_file_alone() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(10, 9);
    let set = summed(&server, &[("a/x.edf", &a), ("b.edf", &a)]);
    fs::write(dir.path().join("a"), b"in the way").unwrap();
    let report = run(&set, dir.path());
    failed(
        &report,
        dir.path(),
        "a/x.edf",
        "could not be put in its place",
    );
    brought(&report, dir.path(), "b.edf", &a);
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"in the way");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fails_ends_the_run_and_every_file_has_a_row() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(10, 9);
    let set = summed(&server, &[("a.edf", &a), ("b.edf", &a), ("c.edf", &a)]);
    // The part of the first file lies on a disk that is full.
    let parts = dir.path().join(".mmpipe-fetch/parts");
    fs::create_dir_all(&parts).unwrap();
    let name = format!("{}.part", &sha256(b"a.edf")[..24]);
    std::os::unix::fs::symlink("/dev/full", parts.join(name)).unwrap();
    let client = Client::new(&settings()).unwrap();
    let plan = planned(&set, dir.path()).unwrap();
    let options = Options {
        jobs: 1,
        check_again: false,
    };
    let report = fetch(&plan, dir.path(), &client, &options, &Quiet).unwrap();
    failed(&report, dir.path(), "a.edf", "the part could not be");
    assert_eq!(report.count(Status::NotTried), 2);
}
