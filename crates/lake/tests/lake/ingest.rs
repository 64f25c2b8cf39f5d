//! Ingest through the public door: what is stored, what is skipped, what is refused.

use std::path::Path;

use crate::common::*;
use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Float64Type};
use mmpipe_lake::{EpochStore, Error, Lake};
use mmpipe_signal::recipe::Recipe;

fn ingested(trials: &str) -> (tempfile::TempDir, Lake, Vec<File>) {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    run(&lake, request(scan(&raw, &files, trials), &raw)).unwrap();
    (dir, lake, files)
}

#[test]
fn epochs_are_what_the_recipe_says() {
    let (dir, lake, files) = ingested(WHOLE);
    let counts = query(
        &lake,
        "SELECT subject, run, label_name, count(*) AS n, max(onset) AS last FROM eeg GROUP BY 1, 2, 3 ORDER BY 1, 2",
    );
    assert!(
        counts.contains("| 1       | 1   | run 1      | 10 | 18.0 |"),
        "{counts}"
    );
    assert!(
        counts.contains("| 1       | 2   | run 2      | 4  | 6.0  |"),
        "{counts}"
    );
    assert!(
        counts.contains("| 2       | 1   | run 1      | 6  | 10.0 |"),
        "{counts}"
    );

    // Every sample against the recipe applied to the file by hand.
    let recipe = Recipe::builtin("mindmix").unwrap();
    let recording = mmpipe_formats::open(&dir.path().join("raw").join(&files[0].path)).unwrap();
    let n = recording.header().channels[0].n_samples as usize;
    let mut raw = vec![vec![0.0; n]; 5];
    let mut views: Vec<&mut [f64]> = raw.iter_mut().map(Vec::as_mut_slice).collect();
    recording.read_f64(&[0, 1, 2, 3, 4], 0, &mut views).unwrap();
    let clean = mmpipe_signal::pipeline::condition(&recipe, 256.0, raw).unwrap();
    let batches = runtime().block_on(lake.query("SELECT eeg, ch_mean, ch_std, ch_names, onset FROM eeg WHERE run = '1' AND subject = '1' ORDER BY epoch")).unwrap();
    let mut seen = 0;
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let list = |name: &str| {
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_list::<i32>()
                    .value(row)
            };
            let onset = batch
                .column_by_name("onset")
                .unwrap()
                .as_primitive::<Float64Type>()
                .value(row);
            let first = (onset * 200.0).round() as usize;
            let (eeg, mean, std) = (list("eeg"), list("ch_mean"), list("ch_std"));
            assert_eq!(
                list("ch_names")
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .collect::<Vec<_>>(),
                ["Fp1", "Fp2", "C3", "C4", "O1"]
            );
            for (c, clean) in clean.iter().enumerate() {
                let mut expected = clean[first..first + 400].to_vec();
                let stats = mmpipe_signal::epochs::zscore(&mut expected);
                let stored = eeg.as_fixed_size_list().value(c);
                let stored = stored.as_primitive::<Float32Type>();
                assert_eq!(stored.len(), 400);
                for (a, b) in stored.values().iter().zip(&expected) {
                    assert_eq!(*a, *b as f32);
                }
                assert_eq!(
                    mean.as_primitive::<Float32Type>().value(c),
                    stats.mean as f32
                );
                assert_eq!(std.as_primitive::<Float32Type>().value(c), stats.std as f32);
                assert!(
                    (stats.std - 1.0).abs() > 0.1,
                    "the signal itself is not of unit variance"
                );
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
}

#[test]
fn every_second_of_every_recording_is_accounted_for() {
    let trials = "SELECT path, 1 AS trial, 1.0 AS start, 6.5 AS stop FROM files \
                  UNION ALL SELECT path, 2, 7.0, 99.0 FROM files \
                  UNION ALL SELECT path, 3, 0.0, 0.5 FROM files";
    let (_dir, lake, _) = ingested(trials);
    let sums = query(
        &lake,
        "SELECT count(*) AS n, sum(CASE WHEN abs(r.epochs * 2 + d.s - r.seconds) < 1e-6 THEN 1 ELSE 0 END) AS balanced \
         FROM recordings r JOIN (SELECT recording_id, sum(d['seconds']) AS s FROM (SELECT recording_id, unnest(dropped) AS d FROM recordings) GROUP BY 1) d \
         ON r.recording_id = d.recording_id",
    );
    assert!(sums.contains("| 3 | 3        |"), "{sums}");
    let reasons = query(
        &lake,
        "SELECT DISTINCT d['reason'] AS r FROM (SELECT unnest(dropped) AS d FROM recordings) ORDER BY 1",
    );
    for reason in [
        "outside any trial",
        "tail shorter than an epoch",
        "trial reaches past the recording",
    ] {
        assert!(reasons.contains(reason), "{reasons}");
    }
}

#[test]
fn threads_do_not_change_a_byte_and_a_second_ingest_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    let mut found = Vec::new();
    for threads in [1, 2] {
        let lake = Lake::create_or_open(&dir.path().join(format!("lake{threads}"))).unwrap();
        let mut asked = request(scan(&raw, &files, WHOLE), &raw);
        asked.threads = threads;
        let report = run(&lake, asked.clone()).unwrap();
        assert_eq!((report.epochs(), report.skipped()), (20, 0));
        let before = contents(lake.root());
        let again = run(&lake, asked).unwrap();
        assert_eq!((again.epochs(), again.skipped()), (20, 3));
        assert_eq!(contents(lake.root()), before);
        found.push(before);
    }
    assert_eq!(found[0], found[1]);
    assert!(
        found[0]
            .iter()
            .filter(|(p, _)| p.starts_with("eeg"))
            .count()
            == 3
    );
}

#[test]
fn what_changed_is_redone_what_vanished_is_removed_and_a_filter_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let mut files = raw_folder(&raw);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    run(&lake, request(scan(&raw, &files, WHOLE), &raw)).unwrap();

    // Other bytes, same header.
    write_edf(&raw, &files[1], 77);
    let report = run(&lake, request(scan(&raw, &files, WHOLE), &raw)).unwrap();
    let redone: Vec<&str> = report
        .recordings
        .iter()
        .filter(|r| !r.skipped)
        .map(|r| r.path.as_str())
        .collect();
    assert_eq!(redone, ["s1/b.edf"]);

    // Other trials for all.
    let shifted = WHOLE.replace("CAST(NULL AS DOUBLE) AS start", "1.0 AS start");
    let report = run(&lake, request(scan(&raw, &files, &shifted), &raw)).unwrap();
    assert_eq!(report.skipped(), 0);

    // Another recipe lives beside the first.
    let mut other = request(scan(&raw, &files, &shifted), &raw);
    other.recipe.h_freq = Some(30.0);
    other.recipe.name = "low".into();
    run(&lake, other).unwrap();
    assert!(
        query(
            &lake,
            "SELECT recipe, count(*) AS n FROM eeg GROUP BY 1 ORDER BY 1"
        )
        .contains("low")
    );

    // Only subject 2: files of subject 1 are there but not asked for.
    let report = run(&lake, request(scan(&raw, &files[2..], &shifted), &raw)).unwrap();
    assert!(report.removed.is_empty());
    assert!(
        query(
            &lake,
            "SELECT count(DISTINCT subject) AS n FROM eeg WHERE recipe = 'mindmix'"
        )
        .contains("| 2 |")
    );

    // A file is gone.
    std::fs::remove_file(raw.join("s1/a.edf")).unwrap();
    files.remove(0);
    let report = run(&lake, request(scan(&raw, &files, &shifted), &raw)).unwrap();
    assert_eq!(report.removed, ["s1/a.edf"]);
    let left = query(
        &lake,
        "SELECT count(*) AS n, count(DISTINCT recording_id) AS r FROM eeg WHERE recipe = 'mindmix'",
    );
    assert!(left.contains("| 9 | 2 |"), "{left}");
}

#[test]
fn what_cannot_be_read_is_a_row_and_the_rest_is_ingested() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let mut files = raw_folder(&raw);
    // The scan saw them whole; by now one is cut to nothing and one is text.
    std::fs::write(raw.join("s1/a.edf"), b"").unwrap();
    std::fs::write(
        raw.join("s2/a.edf"),
        b"not an EDF file at all, whatever its name says",
    )
    .unwrap();
    let mut refused = file("s3/c.edf", "3", "1", 1.0);
    (refused.status, refused.reason) = ("rejected", Some("the header is damaged".into()));
    let mut other = file("notes.txt", "", "", 0.0);
    (other.status, other.reason) = (
        "ignored",
        Some("no rule of the manifest matches this file".into()),
    );
    files.extend([refused, other]);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let report = run(&lake, request(scan(&raw, &files, WHOLE), &raw)).unwrap();
    assert_eq!(
        (
            report.count("ok"),
            report.count("rejected"),
            report.epochs()
        ),
        (1, 3, 4)
    );
    assert_eq!(report.ignored[0].path, "notes.txt");
    let rows = query(
        &lake,
        "SELECT path, status, reason FROM recordings ORDER BY path",
    );
    assert!(rows.contains("the header is damaged"), "{rows}");
    assert_eq!(rows.matches("rejected").count(), 3, "{rows}");
    assert!(query(&lake, "SELECT count(*) AS n FROM eeg").contains("| 4 |"));
    // Repaired: ingested by the next run.
    let mut good = file("s1/a.edf", "1", "1", 21.0);
    write_edf(&raw, &good, 0);
    good.status = "ok";
    let report = run(&lake, request(scan(&raw, &files, WHOLE), &raw)).unwrap();
    assert_eq!((report.count("ok"), report.skipped()), (2, 1));
}

#[test]
fn channels_that_do_not_fit_are_left_out_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let mut one = file("a.edf", "1", "1", 10.0);
    one.channels = vec![
        eeg("Fp1", 256.0),
        eeg("Fp2", 256.0),
        eeg("Cz", 128.0),
        Channel {
            name: "T1 C",
            canonical: Some("T7"),
            unit: "degC",
            factor: None,
            sfreq: 256.0,
        },
        Channel {
            canonical: Some("Fp1"),
            ..eeg("FP1 b", 256.0)
        },
        Channel {
            name: "Trig",
            canonical: None,
            unit: "",
            factor: None,
            sfreq: 256.0,
        },
    ];
    write_edf(&raw, &one, 3);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    run(&lake, request(scan(&raw, &[one], WHOLE), &raw)).unwrap();
    let rows = query(
        &lake,
        "SELECT c['raw_name'] AS raw, c['reason'] AS reason FROM (SELECT unnest(channels) AS c FROM recordings)",
    );
    for reason in [
        "sampled at 128 Hz, most channels at 256 Hz",
        "is not a voltage",
        "a second channel called Fp1",
        "not an electrode",
    ] {
        assert!(rows.contains(reason), "{rows}");
    }
    assert!(query(&lake, "SELECT DISTINCT ch_names AS c FROM eeg").contains("| [Fp1, Fp2] |"));
}

#[test]
fn a_dry_run_writes_nothing_and_expects_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let before = contents(lake.root());
    let mut asked = request(scan(&raw, &files, WHOLE), &raw);
    asked.dry_run = true;
    let planned = run(&lake, asked.clone()).unwrap();
    assert_eq!(contents(lake.root()), before);
    asked.dry_run = false;
    let done = run(&lake, asked).unwrap();
    let counts = |r: &mmpipe_lake::IngestReport| {
        r.recordings
            .iter()
            .map(|r| (r.path.clone(), r.epochs))
            .collect::<Vec<_>>()
    };
    assert_eq!(counts(&planned), counts(&done));
}

#[test]
fn queries_that_give_nonsense_are_refused_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let fails = |trials: &str| run(&lake, request(scan(&raw, &files, trials), &raw)).unwrap_err();
    assert!(
        fails("SELECT nonsense FROM files")
            .to_string()
            .contains("trials query")
    );
    assert!(
        fails("SELECT path, 0 AS trial, 0.0 AS start FROM files")
            .to_string()
            .contains("expected a column stop")
    );
    assert!(
        fails("SELECT 'x' AS path, 0 AS trial, 0.0 AS start, 1.0 AS stop")
            .to_string()
            .contains("is not a file")
    );
    assert!(
        fails("SELECT path, 0 AS trial, 'a' AS start, 1.0 AS stop FROM files")
            .to_string()
            .contains("column start")
    );
    let twice = format!("{WHOLE} UNION ALL {WHOLE}");
    assert!(fails(&twice).to_string().contains("two rows for trial 0"));
    let mut same_run = files.clone();
    same_run[1].run = Some("1".into());
    let e = run(&lake, request(scan(&raw, &same_run, WHOLE), &raw)).unwrap_err();
    assert!(matches!(e, Error::Collision { .. }), "{e}");
    let e = run(&lake, request(scan(&raw, &[], WHOLE), &raw)).unwrap_err();
    assert!(matches!(e, Error::Empty(_)), "{e}");
    assert!(
        run(
            &lake,
            request(scan(&raw, &files, WHOLE), Path::new("/nonexistent"))
        )
        .is_err()
    );
}

#[test]
fn a_lake_that_cannot_be_written_is_an_error_and_leaves_nothing_partial() {
    let (dir, lake, files) = ingested(WHOLE);
    let raw = dir.path().join("raw");
    // A file stands where a folder is needed.
    let blocked = Lake::create_or_open(&dir.path().join("blocked")).unwrap();
    std::fs::write(blocked.root().join("eeg"), b"").unwrap();
    let e = run(&blocked, request(scan(&raw, &files, WHOLE), &raw)).unwrap_err();
    assert!(matches!(e, Error::Io { .. }), "{e}");
    assert!(e.to_string().contains("eeg"), "{e}");
    // A writer died: what it left is neither listed nor kept.
    let shard = contents(lake.root())
        .into_iter()
        .map(|(p, _)| p)
        .find(|p| p.starts_with("eeg"))
        .unwrap();
    let folder = lake.root().join(shard.parent().unwrap());
    let stale = folder.join(".half.parquet.4294967295-0.mmpipe-tmp");
    std::fs::write(&stale, b"PAR1").unwrap();
    let orphan = folder.join("orphan.parquet");
    std::fs::copy(lake.root().join(&shard), &orphan).unwrap();
    run(&lake, request(scan(&raw, &files, WHOLE), &raw)).unwrap();
    assert!(!stale.exists() && !orphan.exists());
    assert!(query(&lake, "SELECT count(*) AS n FROM eeg").contains("| 20 |"));
}

#[test]
fn metadata_queries_do_not_touch_the_samples() {
    use datafusion::physical_plan::{ExecutionPlan, collect, metrics::MetricValue};
    // Of usual width: beside 64 channels the other columns are small.
    const NAMES: [&str; 64] = [
        "Fp1", "Fpz", "Fp2", "AF7", "AF3", "AFz", "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2",
        "F4", "F6", "F8", "FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "T7",
        "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2",
        "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "PO7", "PO3",
        "POz", "PO4", "PO8", "O1", "Oz", "O2", "F9", "F10", "Iz",
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut wide = file("wide.edf", "1", "1", 20.0);
    wide.channels = NAMES.map(|n| eeg(n, 256.0)).to_vec();
    write_edf(dir.path(), &wide, 5);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    run(&lake, request(scan(dir.path(), &[wide], WHOLE), dir.path())).unwrap();
    let size = 10 * 64 * 400 * 4;
    fn scanned(plan: &dyn ExecutionPlan) -> u64 {
        let own: usize = plan.metrics().map_or(0, |m| {
            m.iter()
                .filter_map(|m| match m.value() {
                    MetricValue::Count { name, count } if name == "bytes_scanned" => {
                        Some(count.value())
                    }
                    _ => None,
                })
                .sum()
        });
        own as u64
            + plan
                .children()
                .iter()
                .map(|c| scanned(c.as_ref()))
                .sum::<u64>()
    }
    let bytes = |sql: &str| {
        runtime().block_on(async {
            let ctx = lake.context().await.unwrap();
            let plan = ctx
                .sql(sql)
                .await
                .unwrap()
                .create_physical_plan()
                .await
                .unwrap();
            collect(plan.clone(), ctx.task_ctx()).await.unwrap();
            scanned(plan.as_ref())
        })
    };
    let metadata =
        bytes("SELECT subject, label_name, count(*) FROM eeg WHERE onset > 1 GROUP BY 1, 2");
    let by_channel =
        bytes("SELECT ch_name, avg(ch_std) FROM eeg_channels WHERE subject = '1' GROUP BY 1");
    let samples = bytes("SELECT eeg FROM eeg");
    assert!(metadata > 0 && by_channel > 0);
    assert!(
        samples >= size,
        "reading all samples reads them: {samples} of {size}"
    );
    assert!(metadata * 50 < size, "{metadata} of {size}");
    assert!(by_channel * 50 < size, "{by_channel} of {size}");
}

#[test]
fn the_view_by_channel_and_the_store_agree_with_the_table() {
    let (_dir, lake, _) = ingested(WHOLE);
    let n = query(
        &lake,
        "SELECT count(*) AS n, count(DISTINCT ch_name) AS c FROM eeg_channels",
    );
    assert!(n.contains("| 100 | 5 |"), "{n}");
    let power = query(
        &lake,
        "SELECT ch_name, bandpower(samples, sfreq, 9, 11) > 0.2 AS alpha FROM eeg_channels WHERE ch_name = 'C3' AND epoch = 0 AND run = '2'",
    );
    assert!(power.contains("| C3      | true  |"), "{power}");

    let store = runtime()
        .block_on(EpochStore::open(&lake, "subject = '1'"))
        .unwrap();
    assert_eq!((store.len(), store.n_times()), (14, 400));
    let batches = runtime()
        .block_on(lake.query(
            "SELECT epoch_id, eeg FROM eeg WHERE subject = '1' ORDER BY recording_id, trial, epoch",
        ))
        .unwrap();
    let mut i = 0;
    let mut out = vec![0.0; 5 * 400];
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let id = batch
                .column(0)
                .as_primitive::<arrow::datatypes::UInt64Type>()
                .value(row);
            let eeg = batch.column(1).as_list::<i32>().value(row);
            let values = eeg.as_fixed_size_list();
            store.read(i, &mut out).unwrap();
            assert_eq!(store.meta(i).epoch_id, id);
            let at = values.value_offset(0) as usize;
            assert_eq!(
                &values.values().as_primitive::<Float32Type>().values()[at..at + out.len()],
                &out[..]
            );
            i += 1;
        }
    }
    assert_eq!(i, 14);
    let ids: Vec<u64> = [13, 0, 5].iter().map(|&i| store.meta(i).epoch_id).collect();
    let some = runtime()
        .block_on(EpochStore::open_ids(&lake, "mindmix", &ids))
        .unwrap();
    assert_eq!(
        (0..3).map(|i| some.meta(i).epoch_id).collect::<Vec<_>>(),
        ids
    );
    assert!(matches!(
        runtime().block_on(EpochStore::open_ids(&lake, "mindmix", &[1])),
        Err(Error::NotFound(_))
    ));
    assert!(some.read(3, &mut out).is_err());
    assert!(matches!(
        some.read(0, &mut out[1..]),
        Err(Error::Layout { .. })
    ));
}

#[test]
fn a_real_corpus_goes_in_by_its_manifest() {
    let raw = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/real/physionet-eegmat");
    if !raw.is_dir() {
        eprintln!("skipped: {} is not here", raw.display());
        return;
    }
    let manifests = mmpipe_corpora::registry::builtin().unwrap();
    let manifest = mmpipe_corpora::registry::find(&manifests, "EEGMat").unwrap();
    let filter = mmpipe_corpora::Filter {
        subjects: Some(vec!["Subject00".into()]),
    };
    let scan = mmpipe_corpora::scan(manifest, &raw, &filter).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::create_or_open(dir.path()).unwrap();
    let mut asked = request(scan, &raw);
    asked.threads = 2;
    let report = run(&lake, asked.clone()).unwrap();
    assert_eq!(report.count("ok"), 2, "{:?}", report.recordings);
    // 182 s of rest and 62 s of arithmetic.
    let counts = query(
        &lake,
        "SELECT label_name, label, count(*) AS n FROM eeg GROUP BY 1, 2 ORDER BY 2",
    );
    assert!(
        counts.contains("| rest       | 0     | 91 |")
            && counts.contains("| arithmetic | 1     | 31 |"),
        "{counts}"
    );
    let balance = query(
        &lake,
        "SELECT count(*) AS n FROM recordings WHERE abs(epochs * 2 - seconds) < 2 AND status = 'ok'",
    );
    assert!(balance.contains("| 2 |"), "{balance}");
    assert_eq!(run(&lake, asked).unwrap().skipped(), 2);
}
