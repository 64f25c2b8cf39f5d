//! The sources, each against an answer in its own form.

use mmpipe_fetch::{Check, Client, Error, Filter, Settings, Status, find, plan};

use crate::server::{Act, Server};
use crate::support::{bare, brought, data, dataset, failed, planned, row, run, run_with, settings};
use crate::support::{sha256, summed};

/// A page of a bucket's list.
fn page(objects: &[(&str, usize)], next: Option<&str>) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
    for (key, size) in objects {
        text.push_str(&format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;0-2&quot;</ETag></Contents>"
        ));
    }
    match next {
        Some(token) => text.push_str(&format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        )),
        None => text.push_str("<IsTruncated>false</IsTruncated>"),
    }
    text.push_str("</ListBucketResult>");
    text
}

#[test]
fn a_bucket_is_listed_page_by_page_and_joined_with_its_checksums() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let (a, b) = (data(700, 1), data(800, 2));
    let list = "/bucket?list-type=2&prefix=set%2F1.0%2F";
    server.put(
        list,
        page(&[("set/1.0/", 0), ("set/1.0/S1/a+.edf", 700)], Some("1/x=")),
    );
    server.put(
        &format!("{list}&continuation-token=1%2Fx%3D"),
        page(&[("set/1.0/S2/b.edf", 800), ("set/1.0/SUMS", 999)], None),
    );
    let sums = format!(
        "{} S1/a+.edf\n{} S2/b.edf\n{} S3/hole.edf\n",
        sha256(&a),
        sha256(&b),
        sha256(&b)
    );
    server.put("/bucket/set/1.0/S1/a%2B.edf", a.clone());
    server.put("/bucket/set/1.0/S2/b.edf", b.clone());
    server.put("/bucket/set/1.0/SUMS", sums.clone());
    let set = dataset(&format!(
        "kind = 's3'\nendpoint = '{}/bucket'\nprefix = 'set/1.0/'\nsums = 'SUMS'",
        server.url()
    ));
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "S1/a+.edf", &a);
    brought(&report, dir.path(), "S2/b.edf", &b);
    assert_eq!(row(&report, "S2/b.edf").check, Some(Check::Sha256));
    // The list says 999 bytes of the file of checksums: a lie that is found.
    failed(&report, dir.path(), "SUMS", "999 are expected");
    // A file that has a checksum and is not in the list is not forgotten.
    failed(&report, dir.path(), "S3/hole.edf", "404");
}

#[test]
fn a_list_that_never_ends_or_is_none_is_an_error() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let set = dataset(&format!(
        "kind = 's3'\nendpoint = '{}/b'\nprefix = 'p/'",
        server.url()
    ));
    let list = "/b?list-type=2&prefix=p%2F";
    server.put(list, page(&[("p/a", 1)], Some("t")));
    server.put(
        &format!("{list}&continuation-token=t"),
        page(&[("p/a", 1)], Some("t")),
    );
    let error = planned(&set, dir.path()).unwrap_err().to_string();
    assert!(error.contains("never ends"), "{error}");
    server.put(list, "<html>log in</html>");
    let error = planned(&set, dir.path()).unwrap_err();
    assert!(matches!(error, Error::Listing { .. }), "{error}");
    server.misbehave(list, [Act::Answer(403, Vec::new(), Vec::new())]);
    let error = planned(&set, dir.path()).unwrap_err().to_string();
    assert!(error.contains("not open to everybody"), "{error}");
}

#[test]
fn names_that_lead_elsewhere_are_refused_and_the_others_come() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    let a = data(50, 3);
    let file = |key: &str| {
        format!(
            r#"{{"key": "{key}", "size": 50, "checksum": "md5:{}", "links": {{"self": "{}/f"}}}}"#,
            "0".repeat(32),
            server.url()
        )
    };
    let good = format!(
        r#"{{"key": "good.edf", "size": 50, "links": {{"self": "{}/f"}}}}"#,
        server.url()
    );
    let bad = [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        "a\\\\b",
        ".mmpipe-fetch/receipts.jsonl",
    ];
    let mut files: Vec<String> = bad.iter().map(|k| file(k)).collect();
    files.push(good);
    server.put(
        "/api/records/7",
        format!("{{\"files\": [{}]}}", files.join(",")),
    );
    server.put("/f", a.clone());
    let set = dataset(&format!(
        "kind = 'zenodo'\nrecord = '7'\napi = '{}/api'",
        server.url()
    ));
    let report = run(&set, &out);
    brought(&report, &out, "good.edf", &a);
    assert_eq!(row(&report, "good.edf").check, Some(Check::Size));
    assert_eq!(report.count(Status::Refused), bad.len(), "{report:#?}");
    assert!(!report.is_complete());
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn zenodo_and_figshare_give_md5() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    // md5sum of "abc", RFC 1321.
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    server.put("/file", "abc");
    server.put("/damaged", "abd");
    server.put(
        "/records/9",
        format!(
            r#"{{"files": [{{"key": "S1.mat", "size": 3, "checksum": "md5:{md5}", "links": {{"self": "{0}/file"}}}},
            {{"key": "S2.mat", "size": 3, "checksum": "md5:{md5}", "links": {{"self": "{0}/damaged"}}}}]}}"#,
            server.url()
        ),
    );
    let set = dataset(&format!(
        "kind = 'zenodo'\nrecord = '9'\napi = '{}'",
        server.url()
    ));
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "S1.mat", b"abc");
    assert_eq!(row(&report, "S1.mat").check, Some(Check::Md5));
    failed(&report, dir.path(), "S2.mat", md5);

    server.put(
        "/articles/9/files?page_size=1000",
        format!(
            r#"[{{"id": 1, "name": "s01.zip", "size": 3, "is_link_only": false, "download_url": "{0}/file", "computed_md5": "{md5}"}},
            {{"id": 2, "name": "far.zip", "size": 0, "is_link_only": true, "download_url": "{0}/far"}}]"#,
            server.url()
        ),
    );
    let set = dataset(&format!(
        "kind = 'figshare'\narticle = '9'\napi = '{}'",
        server.url()
    ));
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "s01.zip", b"abc");
    assert_eq!(row(&report, "far.zip").status, Status::Refused);
}

#[test]
fn nemar_gives_objects_and_small_files() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(400, 4);
    let key = format!("SHA256E-s400--{}.eeg", sha256(&a));
    server.put(&format!("/nm9/objects/{key}"), a.clone());
    server.put("/nm9/v1/README.md", "words");
    server.put(
        "/nm9/v1/manifest.json",
        format!(
            r#"{{"files": [{{"path": "README.md", "url": "README.md", "size": 5}},
            {{"path": "sub-1/x.eeg", "url": "{}/nm9/objects/{key}?X-Amz-Expires=3600"}}]}}"#,
            server.url()
        ),
    );
    let set = dataset(&format!(
        "kind = 'nemar'\nid = 'nm9'\nversion = 'v1'\napi = '{}'",
        server.url()
    ));
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "sub-1/x.eeg", &a);
    brought(&report, dir.path(), "README.md", b"words");
    assert_eq!(row(&report, "sub-1/x.eeg").check, Some(Check::Sha256));
}

#[test]
fn a_server_may_name_the_files() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(60, 5);
    for (id, named) in [
        ("v1", "attachment; filename=\"S01.mat\""),
        ("v2", "inline"),
        ("v3", "attachment; filename=\"../x\""),
    ] {
        server.put(&format!("/{id}"), a.clone());
        server.header(&format!("/{id}"), "Content-Disposition", named);
    }
    // No HEAD for strangers: the first byte tells as much.
    server.misbehave("/v1", [Act::Answer(403, Vec::new(), Vec::new())]);
    let set = dataset(&format!(
        "kind = 'http'\nbase = '{}/'\nnamed_by_server = ['v1', 'v2', 'v3', 'v4']",
        server.url()
    ));
    let report = run(&set, dir.path());
    brought(&report, dir.path(), "S01.mat", &a);
    assert_eq!(row(&report, "S01.mat").check, Some(Check::Size));
    assert_eq!(report.count(Status::Refused), 3, "{report:#?}");
}

#[test]
fn subjects_are_chosen_and_what_belongs_to_all_comes_too() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(5, 6);
    let set = summed(&server, &[("S1.edf", &a), ("S2.edf", &a), ("README", &a)]);
    let client = Client::new(&settings()).unwrap();
    let with = |ids: &[&str]| {
        let filter = Filter {
            subjects: Some(ids.iter().map(|s| (*s).to_owned()).collect()),
            offline: false,
        };
        plan(&set, &client, &filter, dir.path(), 1)
    };
    let found = with(&["S2"]).unwrap();
    let names: Vec<&str> = found.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(names, ["README", "S2.edf"]);
    let error = with(&["S2", "S9"]).unwrap_err().to_string();
    assert!(
        error.contains("no subject S9") && error.contains("S1, S2"),
        "{error}"
    );
}

#[test]
fn a_mirror_stands_for_every_host() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let a = data(3000, 7);
    // The publisher's host does not exist; its files lie below the mirror.
    server.put(
        "/m/nowhere.invalid/set/sums",
        format!("{} a.edf\n", sha256(&a)),
    );
    server.put("/m/nowhere.invalid/set/a.edf", a.clone());
    let set = dataset("kind = 'http'\nbase = 'https://nowhere.invalid/set/'\nsums = 'sums'");
    let through = Settings {
        mirror: Some(format!("{}/m/", server.url())),
        ..settings()
    };
    let report = run_with(&set, dir.path(), &through, 1);
    brought(&report, dir.path(), "a.edf", &a);
}

#[test]
fn a_stored_table_plans_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = Client::new(&Settings {
        mirror: Some("http://127.0.0.1:9".into()),
        ..settings()
    })
    .unwrap();
    let offline = Filter {
        subjects: None,
        offline: true,
    };
    let plan_of = |name: &str| plan(&find(name).unwrap(), &nobody, &offline, dir.path(), 1);
    let found = plan_of("ds004408").unwrap();
    assert_eq!(found.files.len(), 1181);
    assert!(
        found
            .files
            .iter()
            .all(|f| f.size.is_some() && f.digest.is_some())
    );
    assert_eq!(found.bytes(), 20_080_811_408);
    assert!(matches!(plan_of("KUL"), Err(Error::NoTable(_))));
    assert!(matches!(plan_of("TUAB"), Err(Error::Closed { .. })));
}

#[test]
fn a_source_that_offers_nothing_is_said() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    server.put("/b?list-type=2&prefix=p%2F", page(&[], None));
    let set = dataset(&format!(
        "kind = 's3'\nendpoint = '{}/b'\nprefix = 'p/'",
        server.url()
    ));
    assert!(matches!(planned(&set, dir.path()), Err(Error::Nothing(_))));
    let empty = bare(&server, &[]);
    assert!(matches!(
        planned(&empty, dir.path()),
        Err(Error::Nothing(_))
    ));
}
