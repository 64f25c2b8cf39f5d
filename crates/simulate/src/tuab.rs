//! A miniature of TUAB (TUH Abnormal EEG, doi:10.1109/SPMB.2015.7405423) in the layout of its
//! versions 3 (flat) and 2 (a folder for each subject and session, with reports).

use crate::Result;
use crate::files::Staging;
use crate::planted::PlantedCorpus;
use crate::tuh::File;
use std::path::Path;

/// Settings of the TUAB miniature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuab {
    /// 2 or 3.
    pub version: u8,
    /// Length of each recording in seconds, 1 to 600.
    pub seconds: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Tuab {
    fn default() -> Self {
        Self {
            version: 3,
            seconds: 7,
            seed: 0,
        }
    }
}

/// Partition, class, subject in version 3, session, run, and what its header says.
struct Planned {
    folder: (&'static str, &'static str),
    subject: &'static str,
    session: &'static str,
    run: &'static str,
    sfreq: f64,
    patient: &'static str,
    date: Option<&'static str>,
}

const fn planned(
    folder: (&'static str, &'static str),
    (subject, session, run): (&'static str, &'static str, &'static str),
    sfreq: f64,
    patient: &'static str,
) -> Planned {
    Planned {
        folder,
        subject,
        session,
        run,
        sfreq,
        patient,
        date: None,
    }
}

/// All rates of the corpus, a subject with a normal and an abnormal session, one who is in the
/// miniature of TUEP too, and a date that never was.
const FILES: [Planned; 6] = [
    planned(
        ("eval", "abnormal"),
        ("aaaaaqax", "s002", "t001"),
        512.0,
        "aaaaaqax M 01-JAN-1963 aaaaaqax Age:50",
    ),
    planned(
        ("eval", "normal"),
        ("aaaaaomx", "s001", "t000"),
        250.0,
        "aaaaaomx F 01-JAN-1988 aaaaaomx Age:23",
    ),
    planned(
        ("train", "abnormal"),
        ("aaaaaanr", "s004", "t000"),
        256.0,
        "aaaaaanr M 01-JAN-2003 aaaaaanr Age:11",
    ),
    planned(
        ("train", "abnormal"),
        ("aaaaamye", "s003", "t001"),
        250.0,
        "aaaaamye F 01-JAN-1970 aaaaamye Age:44",
    ),
    planned(
        ("train", "normal"),
        ("aaaaamye", "s001", "t000"),
        250.0,
        "aaaaamye F 01-JAN-1970 aaaaamye Age:41",
    ),
    Planned {
        date: Some("00.00.00"),
        ..planned(
            ("train", "normal"),
            ("aaaaaaav", "s004", "t000"),
            256.0,
            "aaaaaaav M 01-JAN-0000 aaaaaaav Age:26",
        )
    },
];

/// Writes the miniature to `out`, which must not exist or be empty. Abnormal recordings have a
/// rhythm at 2 Hz, the others at 10 Hz, so that a classifier has something to find.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn tuab(cfg: &Tuab, out: &Path) -> Result<PlantedCorpus> {
    if !(2..=3).contains(&cfg.version) {
        return Err(crate::Error::config("version", "2 or 3", cfg.version));
    }
    if !(1..=600).contains(&cfg.seconds) {
        return Err(crate::Error::config("seconds", "1 to 600", cfg.seconds));
    }
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for (number, planned) in FILES.iter().enumerate() {
        let (subject, folder) = place(cfg, planned);
        let (session, run) = (planned.session, planned.run);
        let abnormal = planned.folder.1 == "abnormal";
        let file = File {
            path: format!("{folder}/{subject}_{session}_{run}.edf"),
            subject: &subject,
            run,
            label: Some(i32::from(abnormal)),
            seconds: cfg.seconds,
            sfreq: planned.sfreq,
            reference: "REF",
            without: &[],
            with: &[],
            rhythm: if abnormal { 2.0 } else { 10.0 },
            bursts: Vec::new(),
            patient: planned.patient,
            date: planned.date,
        };
        recordings.push(file.write(&staging, cfg.seed, number)?);
        if cfg.version == 2 {
            staging.write(
                &format!("{folder}/{subject}_{session}.txt"),
                "CLINICAL HISTORY: simulated.\n",
            )?;
        }
    }
    staging.write("AAREADME.txt", "Database: TUH Abnormal EEG Corpus\n")?;
    staging.commit()?;
    Ok(PlantedCorpus { recordings })
}

/// Subject and folder of a file, by version.
fn place(cfg: &Tuab, planned: &Planned) -> (String, String) {
    let (partition, class) = planned.folder;
    let folder = format!("edf/{partition}/{class}/01_tcp_ar");
    if cfg.version == 3 {
        return (planned.subject.to_string(), folder);
    }
    // Letters counted in base 26, which is not how the publisher maps them.
    let count = |n: u64, letter: u8| n * 26 + u64::from(letter - b'a');
    let number = planned.subject.bytes().fold(0, count);
    let subject = format!("{:08}", number % 100_000_000);
    let hundred = &subject[3..6];
    let folder = format!(
        "{folder}/{hundred}/{subject}/{}_2012_02_21",
        planned.session
    );
    (subject, folder)
}
