//! Sounds: stored once, paired with epochs, missing ones told.

use crate::common::*;
use mmpipe_lake::{AudioStore, EpochStore, Lake};

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
        report
            .notes
            .iter()
            .any(|n| n.contains("gone.wav") && n.contains("kept without it")),
        "{:?}",
        report.notes
    );
    let stimuli = query(
        &lake,
        "SELECT path, status, content_id, seconds, phases FROM stimuli ORDER BY path",
    );
    assert!(
        stimuli.contains("| stimuli/a.wav    | ok       | story      | 11.0    | [0, 8000] |"),
        "{stimuli}"
    );
    assert!(
        stimuli.contains("| stimuli/gone.wav | rejected |"),
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
    // A 21-s trial: five epochs have sound, five come after its end.
    assert!(
        query(
            &lake,
            "SELECT count(*) AS n FROM eeg WHERE run = '1' AND cardinality(stimuli) = 1"
        )
        .contains("| 5 |")
    );
    assert!(
        query(
            &lake,
            "SELECT count(*) AS n FROM eeg WHERE content_id = 'story'"
        )
        .contains("| 14 |")
    );

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
