//! A miniature of TUEV (TUH EEG Events, doi:10.1109/SPMB.2015.7405421) in the layout of its
//! version 2: EDF files with marks on pairs of electrodes beside them, in `.rec` and `.lab`.

use crate::Result;
use crate::files::Staging;
use crate::planted::PlantedRecording;
use crate::tuh::{Burst, File, PAIRS};
use std::path::Path;

/// Names of the codes 1 to 6.
const NAMES: [&str; 6] = ["spsw", "gped", "pled", "eyem", "artf", "bckg"];
/// A rhythm for each of them, Hz.
const RHYTHMS: [f64; 6] = [7.0, 2.0, 1.5, 3.0, 25.0, 12.0];

/// Settings of the TUEV miniature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tuev {
    /// Seed.
    pub seed: u64,
}

/// A mark: one class on one pair for some time.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct TuevMark {
    /// Number of the pair, 0 to 21.
    pub pair: usize,
    /// s from the start of the recording.
    pub start: f64,
    /// s from the start of the recording.
    pub stop: f64,
    /// 1 to 6: spsw, gped, pled, eyem, artf, bckg.
    pub code: usize,
}

/// What was planted.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedTuev {
    /// The recordings, by path.
    pub recordings: Vec<PlantedRecording>,
    /// The marks of each recording.
    pub marks: Vec<Vec<TuevMark>>,
}

fn mark(pair: usize, start: f64, stop: f64, code: usize) -> TuevMark {
    TuevMark {
        pair,
        start,
        stop,
        code,
    }
}

/// Marks of a second each, on several pairs.
fn seconds(pairs: &[usize], starts: std::ops::Range<usize>, code: usize) -> Vec<TuevMark> {
    starts
        .flat_map(|s| {
            pairs
                .iter()
                .map(move |&p| mark(p, s as f64, s as f64 + 1.0, code))
        })
        .collect()
}

/// Which side-cars a recording has.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    RecAndLab,
    Lab,
    Rec,
}

struct Planned {
    path: &'static str,
    subject: &'static str,
    run: &'static str,
    sfreq: f64,
    seconds: usize,
    patient: &'static str,
    date: Option<&'static str>,
    beside: Beside,
    marks: Vec<TuevMark>,
}

/// The files: two of one subject (250 and 256 Hz), one that has only `.lab` files, and three of
/// the evaluation set, one with a date that never was.
fn plan() -> Vec<Planned> {
    let every: Vec<usize> = (0..PAIRS.len()).collect();
    let train = Planned {
        path: "edf/train/aaaaaaar/aaaaaaar_00000001.edf",
        subject: "aaaaaaar",
        run: "00000001",
        sfreq: 250.0,
        seconds: 13,
        patient: "/aa F 01-JAN-0000 /aa Age:19",
        date: None,
        beside: Beside::RecAndLab,
        // Epochs of 2 s: background on all pairs; a spike on one pair; one instant on several
        // pairs as eye movement and artefact; marks that are not a second long; nothing; an
        // artefact from the middle of a second.
        marks: [
            seconds(&every, 0..2, 6),
            vec![
                mark(3, 2.5, 3.5, 1),
                mark(0, 4.0, 5.0, 4),
                mark(4, 4.0, 5.0, 4),
                mark(0, 4.0, 5.0, 5),
                mark(0, 6.0, 6.4, 2),
                mark(1, 6.4, 8.0, 3),
                mark(13, 10.5, 11.5, 5),
            ],
        ]
        .concat(),
    };
    let eval = |path, subject, run, patient, date, marks| Planned {
        path,
        subject,
        run,
        sfreq: 250.0,
        seconds: 8,
        patient,
        date,
        beside: Beside::Rec,
        marks,
    };
    vec![
        Planned {
            path: "edf/train/aaaaaaar/aaaaaaar_00000002.edf",
            run: "00000002",
            sfreq: 256.0,
            seconds: 8,
            beside: Beside::Rec,
            marks: seconds(&[2, 6], 1..5, 2),
            ..train
        },
        Planned {
            path: "edf/train/aaaaaacd/aaaaaacd_00000001.edf",
            subject: "aaaaaacd",
            seconds: 6,
            patient: "/aa M 01-JAN-0000 /aa Age:0.0109",
            beside: Beside::Lab,
            marks: vec![mark(7, 0.0, 1.0, 4), mark(21, 2.3, 3.9, 1)],
            ..train
        },
        eval(
            "edf/eval/000/bckg_000_a_.edf",
            "000",
            "bckg_000_a_",
            "000 F 01-JAN-0000 000 Age:36",
            Some("00.00.00"),
            [seconds(&[0, 4], 0..4, 5), seconds(&[1], 4..7, 6)].concat(),
        ),
        eval(
            "edf/eval/001/pled_001_a_.edf",
            "001",
            "pled_001_a_",
            "001 F 01-JAN-0000 001 Age:68",
            None,
            seconds(&[8, 9], 0..8, 3),
        ),
        eval(
            "edf/eval/001/pled_001_a_2.edf",
            "001",
            "pled_001_a_2",
            "001 F 01-JAN-0000 001 Age:68",
            None,
            seconds(&[9], 3..6, 3),
        ),
        train,
    ]
}

/// Writes the miniature to `out`, which must not exist or be empty. Every mark has a rhythm of
/// its class on the two electrodes of its pair, so that a classifier has something to find.
///
/// # Errors
/// A target that is not empty, or a file system that refuses.
pub fn tuev(cfg: &Tuev, out: &Path) -> Result<PlantedTuev> {
    let staging = Staging::new(out)?;
    let mut plan = plan();
    plan.sort_by_key(|p| p.path);
    let mut made = PlantedTuev {
        recordings: Vec::new(),
        marks: Vec::new(),
    };
    for (number, planned) in plan.into_iter().enumerate() {
        let file = File {
            path: planned.path.to_string(),
            subject: planned.subject,
            run: planned.run,
            label: None,
            seconds: planned.seconds,
            sfreq: planned.sfreq,
            reference: "REF",
            without: &[],
            with: &[],
            rhythm: 10.0,
            bursts: planned.marks.iter().filter_map(burst).collect(),
            patient: planned.patient,
            date: planned.date,
        };
        made.recordings
            .push(file.write(&staging, cfg.seed, number)?);
        let stem = planned.path.trim_end_matches(".edf");
        if planned.beside != Beside::Lab {
            staging.write(&format!("{stem}.rec"), rec(&planned.marks))?;
        }
        if planned.beside != Beside::Rec {
            for pair in 0..PAIRS.len() {
                staging.write(
                    &format!("{stem}_ch{pair:03}.lab"),
                    lab(&planned.marks, pair),
                )?;
                staging.write(&format!("{stem}_ch{pair:03}.htk"), htk())?;
            }
        }
        made.marks.push(planned.marks);
    }
    staging.write("AAREADME.txt", "Database: TUH EEG Events Corpus\n")?;
    staging.write("needs_fixin.list", "")?;
    staging.commit()?;
    Ok(made)
}

fn burst(mark: &TuevMark) -> Option<Burst> {
    let (a, b) = PAIRS.get(mark.pair)?;
    Some(Burst {
        electrodes: [a, b],
        start: mark.start,
        stop: mark.stop,
        hz: *RHYTHMS.get(mark.code.checked_sub(1)?)?,
    })
}

/// `pair,start,stop,code`.
fn rec(marks: &[TuevMark]) -> String {
    let line = |m: &TuevMark| format!("{},{:.1},{:.1},{}\n", m.pair, m.start, m.stop, m.code);
    marks.iter().map(line).collect()
}

/// `start stop label` of one pair, in ticks of 10 µs.
fn lab(marks: &[TuevMark], pair: usize) -> String {
    let ticks = |seconds: f64| (seconds * 1e5).round() as u64;
    let line = |m: &TuevMark| {
        let name = NAMES.get(m.code.wrapping_sub(1)).unwrap_or(&"null");
        format!("{} {} {name}\n", ticks(m.start), ticks(m.stop))
    };
    marks.iter().filter(|m| m.pair == pair).map(line).collect()
}

/// A feature file of HTK without frames: count, period of 100 ms, bytes a frame, kind 9 (user).
fn htk() -> [u8; 12] {
    let mut out = [0; 12];
    out[4..8].copy_from_slice(&1_000_000_u32.to_be_bytes());
    out[8..10].copy_from_slice(&104_u16.to_be_bytes());
    out[10..12].copy_from_slice(&9_u16.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_cars_are_written_as_the_publisher_describes_them() {
        // The examples of the publisher's text.
        let marks = [mark(13, 90.4, 91.4, 6), mark(0, 1171.0, 1172.0, 4)];
        assert_eq!(rec(&marks[..1]), "13,90.4,91.4,6\n");
        assert_eq!(lab(&marks, 0), "117100000 117200000 eyem\n");
        assert_eq!(lab(&marks, 13), "9040000 9140000 bckg\n");
        assert_eq!(lab(&marks, 1), "");
    }
}
