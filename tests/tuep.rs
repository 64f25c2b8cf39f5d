//! TUEP in miniature, from its raw files to epochs of subjects with and without epilepsy.

use crate::agrees::{every_sample, tuh_names};
use crate::support::Scratch;
use mmpipe_simulate::{Tuep, tuep};
use serde_json::json;

fn ingested(version: u8) -> (Scratch, mmpipe_simulate::PlantedCorpus) {
    let scratch = Scratch::new();
    let cfg = Tuep {
        version,
        ..Tuep::default()
    };
    let planted = tuep(&cfg, &scratch.path("raw")).unwrap();
    scratch.ok(&["ingest", "--dataset", "TUEP", "--raw", "raw"]);
    (scratch, planted)
}

#[test]
fn tuep_in_miniature_is_what_was_planted() {
    let (scratch, planted) = ingested(2);
    let recordings = scratch.sql(
        "SELECT DISTINCT r.subject, r.session, r.run, e.task, r.sfreq, r.n_channels, r.seconds, r.epochs, e.label_name \
         FROM recordings r JOIN eeg e ON e.recording_id = r.recording_id ORDER BY 1, 2, 3",
    );
    let row = |place: [&str; 3], montage: &str, sfreq: f64, n_channels: usize, label: &str| {
        json!({
            "subject": place[0], "session": place[1], "run": place[2],
            "task": format!("clinical EEG, {montage}"), "sfreq": sfreq, "n_channels": n_channels,
            "seconds": 9.0, "epochs": 4, "label_name": label,
        })
    };
    assert_eq!(
        recordings,
        [
            row(
                ["aaaaaanr", "s001", "t000"],
                "02_tcp_le",
                256.0,
                24,
                "epilepsy"
            ),
            row(
                ["aaaaaanr", "s003", "t000"],
                "01_tcp_ar",
                250.0,
                23,
                "epilepsy"
            ),
            row(
                ["aaaaaanr", "s003", "t001"],
                "01_tcp_ar",
                400.0,
                23,
                "epilepsy"
            ),
            row(
                ["aaaaabdo", "s002", "t000"],
                "01_tcp_ar",
                1000.0,
                23,
                "epilepsy"
            ),
            row(
                ["aaaaaebo", "s001", "t002"],
                "03_tcp_ar_a",
                512.0,
                21,
                "no_epilepsy"
            ),
            row(
                ["aaaaaebo", "s002", "t000"],
                "04_tcp_le_a",
                250.0,
                22,
                "no_epilepsy"
            ),
        ]
    );
    let labels = scratch.sql(
        "SELECT label, label_name, count(*) AS epochs, min(label_share) AS share, count(DISTINCT subject) AS subjects \
         FROM eeg GROUP BY 1, 2 ORDER BY 1",
    );
    assert_eq!(
        labels,
        [
            json!({ "label": 0, "label_name": "no_epilepsy", "epochs": 8, "share": 1.0, "subjects": 1 }),
            json!({ "label": 1, "label_name": "epilepsy", "epochs": 16, "share": 1.0, "subjects": 2 }),
        ]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1",
    );
    assert_eq!(
        dropped,
        [json!({ "reason": "tail shorter than an epoch", "seconds": 6.0 })]
    );
    for made in &planted.recordings {
        let (reference, mut without) = match made.path.contains("_le") {
            true => ("LE", vec![]),
            false => ("REF", vec!["OZ"]),
        };
        if made.path.contains("_a/") {
            without.extend(["A1", "A2"]);
        }
        let names = tuh_names(reference, &without);
        assert_eq!(every_sample(&scratch, made, &names), 4, "{}", made.path);
    }
    let shown = scratch.ok(&["datasets", "show", "tuep"]);
    for want in [
        "which 14 channels the paper means",
        "2298",
        "631.85",
        "TUSZ",
    ] {
        assert!(shown.contains(want), "{want} is not in\n{shown}");
    }
}

#[test]
fn files_of_linked_ears_lose_what_has_no_place() {
    let (scratch, _) = ingested(2);
    let dropped = scratch.sql(
        "SELECT c['raw_name'] AS raw, c['kind'] AS kind, c['reason'] AS reason \
         FROM (SELECT unnest(channels) AS c FROM recordings WHERE session = 's001' AND subject = 'aaaaaanr') \
         WHERE c['name'] IS NULL ORDER BY 1",
    );
    let row =
        |raw: &str, kind: &str, reason: &str| json!({ "raw": raw, "kind": kind, "reason": reason });
    let custom =
        "input of a custom placement or without a signal, as the publisher says: no place is known";
    assert_eq!(
        dropped,
        [
            row("DC1-DC", "misc", "direct-current input"),
            row("EEG 30-LE", "eeg", custom),
            row("EEG EKG-LE", "ecg", "heart, not brain"),
            row("EEG LUC-LE", "eog", "electrode above or below an eye"),
            row(
                "EEG PG1-LE",
                "eeg",
                "nasopharyngeal electrode: no 10-05 place"
            ),
            row(
                "EEG PG2-LE",
                "eeg",
                "nasopharyngeal electrode: no 10-05 place"
            ),
            row("EEG RLC-LE", "eog", "electrode above or below an eye"),
            row("EEG SP2-LE", "eeg", "sphenoidal electrode: no 10-05 place"),
            row("PHOTIC PH", "trigger", "photic stimulator"),
            row("PULSE RATE", "ecg", "heart, not brain"),
        ]
    );
}

/// The class stays the diagnosis; the new side-cars are read and change nothing.
#[test]
fn version_3_gives_the_epochs_of_version_2() {
    let summary = |scratch: &Scratch| {
        scratch.sql(
            "SELECT subject, session, run, label, epoch, ch_names, ch_mean, ch_std FROM eeg ORDER BY 1, 2, 3, 5",
        )
    };
    let (two, _) = ingested(2);
    let (three, _) = ingested(3);
    assert_eq!(summary(&two), summary(&three));
}
