//! Sounds: stored once, paired with epochs, missing ones told.

use crate::common::*;
use mmpipe_lake::{AudioStore, EpochStore, IngestReport, IngestRequest, Lake};

#[test]
fn epochs_point_at_segments_on_and_off_the_grid() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    write_wav(&raw, "stimuli/a.wav", 11.0);
    let mut asked = request(scan(&raw, &files[..2], WHOLE), &raw);
    asked.scan.streams_sql = Some(
        "SELECT path, 0 AS trial, 'stimuli/a.wav' AS stimulus, 'attended' AS role, CASE WHEN run = '1' THEN 0.0 ELSE 0.5 END AS \"offset\" FROM files \
         UNION ALL SELECT path, 0, 'stimuli/gone.wav', 'unattended', 0.0 FROM files"
            .into(),
    );
    asked.scan.stimuli_sql = Some("SELECT 'stimuli/a.wav' AS stimulus, 'story' AS content_id, 'Ann' AS speaker, 'left' AS side".into());
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let report = run(&lake, asked.clone()).unwrap();
    assert!(
        report.notes.iter().any(|n| n.contains("1 of 2 sounds")
            && n.contains("stimuli/gone.wav; 2 trials are kept without them, 0 of")),
        "{:?}",
        report.notes
    );
    let stimuli = query(
        &lake,
        "SELECT path, status, content_id, seconds, kind, reason, grids FROM stimuli ORDER BY path",
    );
    assert!(
        stimuli.contains(
            "| stimuli/a.wav    | ok      | story      | 11.0    | sound |                             | [{start: 0, rate: 1.0}, {start: 8000, rate: 1.0}] |"
        ),
        "{stimuli}"
    );
    assert!(
        stimuli.contains(
            "| stimuli/gone.wav | missing |            |         | sound | it is not in the raw folder | []"
        ),
        "{stimuli}"
    );
    // 11 s hold 5 segments from 0 s and 5 from 0.5 s.
    let audio = query(
        &lake,
        "SELECT stimulus_id, count(*) AS n, max(onset) AS last, max(cardinality(samples)) AS s FROM audio GROUP BY 1 ORDER BY 1",
    );
    assert!(
        audio.contains("| Mini/stimuli/a.wav     | 5 | 8.0  | 32000 |"),
        "{audio}"
    );
    assert!(
        audio.contains("| Mini/stimuli/a.wav@500 | 5 | 8.5  | 32000 |"),
        "{audio}"
    );
    // A 21-s trial: five epochs have sound, five come after its end and are not written. Of the
    // other trial 9 s are heard from 0.5 s on, and 1.5 s of the sound are left.
    let epochs = query(
        &lake,
        "SELECT run, count(*) AS n, min(cardinality(stimuli)) AS least FROM eeg WHERE content_id = 'story' GROUP BY 1 ORDER BY 1",
    );
    assert!(
        epochs.contains("| 1   | 5 | 1 ") && epochs.contains("| 2   | 4 | 1 "),
        "{epochs}"
    );
    let dropped = &report.recordings[0].dropped;
    let beyond = dropped.iter().find(|d| d.reason == "beyond the sound");
    let beyond = beyond.unwrap_or_else(|| panic!("{dropped:?}"));
    assert_eq!((beyond.epochs, beyond.seconds), (5, 10.0));
    assert_eq!(
        (report.beyond_eeg.trials, report.beyond_eeg.seconds),
        (1, 1.5)
    );
    let dry = IngestRequest {
        dry_run: true,
        ..asked.clone()
    };
    let dry = run(&lake, dry).unwrap();
    assert_eq!((dry.epochs(), dry.beyond_eeg), (9, report.beyond_eeg));

    let (epochs, sounds) = runtime().block_on(async {
        (
            EpochStore::open(&lake, "run = '2' AND epoch = 1")
                .await
                .unwrap(),
            AudioStore::open(&lake, "mindmix").await.unwrap(),
        )
    });
    let stream = &epochs.meta(0).streams[0];
    assert_eq!(
        (
            stream.stimulus_id.as_str(),
            stream.segment,
            stream.role.as_str()
        ),
        ("Mini/stimuli/a.wav@500", 1, "attended")
    );
    assert_eq!(sounds.segments(&stream.stimulus_id), 5);
    let mut out = vec![0.0; 32_000];
    let peak = sounds
        .read(&stream.stimulus_id, stream.segment, &mut out)
        .unwrap();
    // Times its peak it is the sound from 2.5 s on.
    let original = signal(7, 16_000.0, 11.0);
    for (a, b) in out.iter().zip(&original[40_000..]) {
        assert!((a * peak - (*b / 100.0) as f32).abs() < 1e-6);
    }
    assert_eq!(out.iter().fold(0.0_f32, |m, v| m.max(v.abs())), 1.0);
    assert!(sounds.read("Mini/stimuli/a.wav", 5, &mut out).is_err());

    // Nothing to do again; and a later ingest of one recording keeps the other's segments.
    let before = contents(lake.root());
    assert_eq!(run(&lake, asked.clone()).unwrap().skipped(), 2);
    assert_eq!(contents(lake.root()), before);
    let mut one = asked.clone();
    one.scan = mmpipe_corpora::Scan {
        tables: scan(&raw, &files[..1], WHOLE).tables,
        ..asked.scan
    };
    run(&lake, one).unwrap();
    assert_eq!(contents(lake.root()), before);
}

/// A query over `files` that gives every recording these streams in its trial 0.
fn streams(rows: &[&str]) -> Option<String> {
    let one = |row: &&str| format!("SELECT path, 0 AS trial, {row} FROM files WHERE status = 'ok'");
    Some(rows.iter().map(one).collect::<Vec<_>>().join(" UNION ALL "))
}

#[test]
fn channels_of_a_sound_file_are_sounds_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    write_talkers(&raw, "clean/Trail1.wav", &[7, 8], 21.0);
    let mut asked = request(scan(&raw, &files[..1], WHOLE), &raw);
    asked.scan.streams_sql = streams(&[
        "'clean/Trail1.wav#ch2' AS stimulus, 'attended' AS role, 0.0 AS \"offset\", 'right' AS side",
        "'clean/Trail1.wav#ch1', 'unattended', 0.0, 'left'",
        "'clean/Trail1.wav#ch3', 'heard', 0.0, NULL",
    ]);
    asked.scan.stimuli_sql = Some(
        "SELECT 'clean/Trail1.wav#ch2' AS stimulus, '1' AS content_id, 'Ann' AS speaker, 'female' AS gender".into(),
    );
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    run(&lake, asked).unwrap();
    let rows = query(
        &lake,
        "SELECT path, status, gender, reason FROM stimuli ORDER BY path",
    );
    assert!(
        rows.contains("| clean/Trail1.wav#ch1 | ok       |        |")
            && rows.contains("| clean/Trail1.wav#ch2 | ok       | female |")
            && rows.contains("| clean/Trail1.wav#ch3 | rejected |        |")
            && rows.contains("expected a channel 3, found 2 channels"),
        "{rows}"
    );
    let (epochs, sounds) = runtime().block_on(async {
        let epochs = EpochStore::open(&lake, "epoch = 3").await.unwrap();
        (epochs, AudioStore::open(&lake, "mindmix").await.unwrap())
    });
    let heard: Vec<(&str, &str, Option<&str>)> = epochs
        .meta(0)
        .streams
        .iter()
        .map(|s| (s.stimulus_id.as_str(), s.role.as_str(), s.side.as_deref()))
        .collect();
    assert_eq!(
        heard,
        [
            ("Mini/clean/Trail1.wav#ch2", "attended", Some("right")),
            ("Mini/clean/Trail1.wav#ch1", "unattended", Some("left")),
        ]
    );
    let mut out = vec![0.0; 32_000];
    for (seed, channel) in [(7, 1), (8, 2)] {
        let peak = sounds
            .read(&format!("Mini/clean/Trail1.wav#ch{channel}"), 3, &mut out)
            .unwrap();
        for (a, b) in out.iter().zip(&talker(seed, 21.0)[96_000..]) {
            assert!((a * peak - b).abs() < 1e-6);
        }
    }
}

#[test]
fn a_choice_that_lacks_a_sound_is_not_asked_among_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    write_talkers(&raw, "duo.wav", &[7, 8], 21.0);
    for (missing, left) in [
        ("candidate", vec!["attended"]),
        ("heard", vec!["attended", "candidate"]),
    ] {
        let mut asked = request(scan(&raw, &files[..1], WHOLE), &raw);
        let last = format!("'duo.wav#ch3', '{missing}', 0.0");
        asked.scan.streams_sql = streams(&[
            "'duo.wav#ch2' AS stimulus, 'attended' AS role, 0.0 AS \"offset\"",
            "'duo.wav#ch1', 'candidate', 0.0",
            &last,
        ]);
        let lake = Lake::create_or_open(&dir.path().join(missing)).unwrap();
        let report = run(&lake, asked).unwrap();
        let said = report
            .notes
            .iter()
            .any(|n| n.starts_with("incomplete-choice: 1 trials"));
        assert_eq!(said, missing == "candidate", "{:?}", report.notes);
        let epochs = runtime()
            .block_on(EpochStore::open(&lake, "epoch = 3"))
            .unwrap();
        let roles: Vec<&str> = epochs
            .meta(0)
            .streams
            .iter()
            .map(|s| s.role.as_str())
            .collect();
        assert_eq!(roles, left);
    }
}

#[test]
fn a_clock_that_drifts_is_followed_to_the_sample() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    write_wav(&raw, "a.wav", 30.0);
    // 5000 ppm: an epoch's sound starts 159 samples earlier than the epoch before would have it.
    let drift = "'a.wav' AS stimulus, 'heard' AS role, 1.25 AS \"offset\", 1.005 AS rate";
    let mut asked = request(scan(&raw, &files[..1], WHOLE), &raw);
    asked.scan.streams_sql = streams(&[drift]);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    run(&lake, asked.clone()).unwrap();
    let (epochs, sounds) = runtime().block_on(async {
        let epochs = EpochStore::open(&lake, "true").await.unwrap();
        (epochs, AudioStore::open(&lake, "mindmix").await.unwrap())
    });
    assert_eq!(epochs.len(), 10);
    let sound = talker(7, 30.0);
    let mut out = vec![0.0; 32_000];
    for i in 0..epochs.len() {
        let [stream] = epochs.meta(i).streams.as_slice() else {
            panic!("{:?}", epochs.meta(i));
        };
        assert_eq!(stream.stimulus_id, "Mini/a.wav@1250x1.005");
        let peak = sounds
            .read(&stream.stimulus_id, stream.segment, &mut out)
            .unwrap();
        let at = ((1.25 + 2.0 * i as f64 / 1.005) * 16_000.0).round() as usize;
        for (a, b) in out.iter().zip(&sound[at..]) {
            assert!((a * peak - b).abs() < 1e-6, "epoch {i}");
        }
    }
    let note = |report: &IngestReport| {
        let of = |n: &&String| n.starts_with("streams-without-trial");
        report.notes.iter().find(of).cloned()
    };
    let mut lost = IngestRequest {
        dry_run: true,
        ..asked.clone()
    };
    assert_eq!(note(&run(&lake, lost.clone()).unwrap()), None);
    lost.scan.streams_sql = streams(&[drift]).map(|sql| sql.replace("0 AS trial", "3 AS trial"));
    let said = note(&run(&lake, lost).unwrap()).unwrap();
    assert!(
        said.contains(
            "names 1 trials that the trials query does not have, the first: s1/a.edf, trial 3"
        ),
        "{said}"
    );
    // Another recording whose clock was measured a little otherwise has the same segments.
    let mut both = asked.clone();
    both.scan.tables = scan(&raw, &files[..2], WHOLE).tables;
    both.scan.streams_sql = streams(&[&drift.replace("1.005", "1.005 + 2e-8 * CAST(run AS INT)")]);
    let other = Lake::create_or_open(&dir.path().join("other")).unwrap();
    run(&other, both).unwrap();
    let keys = query(&other, "SELECT DISTINCT stimulus_id FROM audio");
    assert!(keys.contains("Mini/a.wav@1250x1.005 |"), "{keys}");
    let count = query(&other, "SELECT count(DISTINCT stimulus_id) AS n FROM audio");
    assert!(count.contains("| 1 |"), "{count}");
    // Unchanged it is skipped; the grid is part of what is compared.
    assert_eq!(run(&lake, asked.clone()).unwrap().skipped(), 1);
    asked.scan.streams_sql = streams(&[&drift.replace("1.005", "0.995")]);
    assert_eq!(run(&lake, asked).unwrap().skipped(), 0);
}

#[test]
fn a_sound_that_comes_later_is_taken_then() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    let mut asked = request(scan(&raw, &files[..1], WHOLE), &raw);
    asked.scan.streams_sql = streams(&["'a.wav' AS stimulus, 'heard' AS role, 0.0 AS \"offset\""]);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let report = run(&lake, asked.clone()).unwrap();
    assert_eq!((report.epochs(), report.count("rejected")), (10, 0));
    assert!(
        report
            .notes
            .iter()
            .any(|n| n.contains("1 trials are kept without them, 1 of these as EEG alone")),
        "{:?}",
        report.notes
    );
    write_wav(&raw, "a.wav", 8.5);
    let report = run(&lake, asked).unwrap();
    assert_eq!((report.epochs(), report.skipped()), (4, 0));
    assert_eq!(report.stimuli[0].status, "ok");
}

/// What a query orders nowhere comes in any order from several threads.
#[test]
fn the_order_of_a_querys_rows_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    write_talkers(&raw, "two.wav", &[7, 8], 21.0);
    let attended = "SELECT path, 0 AS trial, 'two.wav#ch2' AS stimulus, 'attended' AS role, 0.0 AS \"offset\" \
                    FROM files WHERE status = 'ok'";
    let other = attended.replace("ch2", "ch1").replace("'att", "'unatt");
    let told = |first: &str, second: &str, name: &str| {
        let mut asked = request(scan(&raw, &files[..2], WHOLE), &raw);
        asked.scan.streams_sql = Some(format!("{first} UNION ALL {second}"));
        asked.scan.stimuli_sql = Some(
            "SELECT 'two.wav#ch1' AS stimulus, 'a' AS content_id \
             UNION ALL SELECT 'two.wav#ch2', 'b'"
                .into(),
        );
        let lake = Lake::create_or_open(&dir.path().join(name)).unwrap();
        run(&lake, asked).unwrap();
        query(
            &lake,
            "SELECT recording_id, epoch, content_id, stimuli FROM eeg ORDER BY 1, 2",
        )
    };
    let one = told(attended, &other, "one");
    assert!(one.contains("role: attended") && one.contains("role: unattended"));
    assert!(
        one.find("role: attended") < one.find("role: unattended"),
        "{one}"
    );
    assert_eq!(one, told(&other, attended, "other"));
}

#[test]
fn streams_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let files = raw_folder(&raw);
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    for (columns, message) in [
        (
            "0.0 AS \"offset\", 1.5 AS rate",
            "rate 1.5 of \"s1/a.edf\", trial 0: expected 1 to within 0.01",
        ),
        ("0.0 AS \"offset\", 'nan' AS rate", "rate NaN"),
        (
            "0.0 AS \"offset\", 'L' AS side",
            "side \"L\" of \"s1/a.edf\", trial 0, is none of left, right, centre",
        ),
        ("1e9 AS \"offset\"", "offset 1000000000 s"),
    ] {
        let mut asked = request(scan(&raw, &files[..1], WHOLE), &raw);
        asked.scan.streams_sql =
            streams(&[&format!("'a.wav' AS stimulus, 'heard' AS role, {columns}")]);
        let error = run(&lake, asked).unwrap_err().to_string();
        assert!(
            error.contains("streams query") && error.contains(message),
            "{error}"
        );
    }
}
