//! A miniature of TUEP (TUH EEG Epilepsy, doi:10.1109/SPMB.2017.8257044) in the layout of its
//! versions 2 and 3: the class is the topmost folder, the montage the lowest.

use crate::Result;
use crate::files::Staging;
use crate::planted::PlantedCorpus;
use crate::tuh::File;
use std::path::Path;

/// Settings of the TUEP miniature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuep {
    /// 2, or 3 with `.csv` and `.csv_bi` beside each recording and a folder DOCS.
    pub version: u8,
    /// Length of each recording in seconds, 1 to 600.
    pub seconds: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Tuep {
    fn default() -> Self {
        Self {
            version: 2,
            seconds: 9,
            seed: 0,
        }
    }
}

/// Path below the root, patient field, rate, and a start date where it is not the usual one.
type Planned = (&'static str, &'static str, f64, Option<&'static str>);

/// Every rate and every montage that the corpus has, a session with the date in full, a baby, and
/// a date that never was.
const FILES: [Planned; 6] = [
    (
        "00_epilepsy/aaaaaanr/s001_2003/02_tcp_le/aaaaaanr_s001_t000.edf",
        "aaaaaanr M 01-JAN-2003 aaaaaanr Age:0.0109",
        256.0,
        None,
    ),
    (
        "00_epilepsy/aaaaaanr/s003_2013/01_tcp_ar/aaaaaanr_s003_t000.edf",
        "aaaaaanr M 01-JAN-2003 aaaaaanr Age:10",
        250.0,
        None,
    ),
    (
        "00_epilepsy/aaaaaanr/s003_2013/01_tcp_ar/aaaaaanr_s003_t001.edf",
        "aaaaaanr M 01-JAN-2003 aaaaaanr Age:10",
        400.0,
        Some("31.02.13"),
    ),
    (
        "00_epilepsy/aaaaabdo/s002_2015_12_30/01_tcp_ar/aaaaabdo_s002_t000.edf",
        "aaaaabdo F 01-JAN-1961 aaaaabdo Age:54",
        1000.0,
        None,
    ),
    (
        "01_no_epilepsy/aaaaaebo/s001_2012/03_tcp_ar_a/aaaaaebo_s001_t002.edf",
        "aaaaaebo F 01-JAN-1933 aaaaaebo Age:79",
        512.0,
        None,
    ),
    (
        "01_no_epilepsy/aaaaaebo/s002_2014/04_tcp_le_a/aaaaaebo_s002_t000.edf",
        "aaaaaebo F 01-JAN-1933 aaaaaebo Age:81",
        250.0,
        None,
    ),
];

/// Writes the miniature to `out`, which must not exist or be empty. Subjects with epilepsy have a
/// rhythm at 3 Hz, the others at 10 Hz, so that a classifier has something to find.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn tuep(cfg: &Tuep, out: &Path) -> Result<PlantedCorpus> {
    if !(2..=3).contains(&cfg.version) {
        return Err(crate::Error::config("version", "2 or 3", cfg.version));
    }
    if !(1..=600).contains(&cfg.seconds) {
        return Err(crate::Error::config("seconds", "1 to 600", cfg.seconds));
    }
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for (number, (path, patient, sfreq, date)) in FILES.into_iter().enumerate() {
        let epilepsy = path.starts_with("00_");
        let stem = path.trim_end_matches(".edf");
        let file = File {
            path: path.to_string(),
            subject: path.split('/').nth(1).unwrap_or_default(),
            run: stem.rsplit('_').next().unwrap_or_default(),
            label: Some(i32::from(epilepsy)),
            seconds: cfg.seconds,
            sfreq,
            reference: if path.contains("_le") { "LE" } else { "REF" },
            without: if path.contains("_a/") {
                &["A1", "A2"]
            } else {
                &[]
            },
            with: if path.contains("_le") { &["OZ"] } else { &[] },
            rhythm: if epilepsy { 3.0 } else { 10.0 },
            bursts: Vec::new(),
            patient,
            date,
        };
        recordings.push(file.write(&staging, cfg.seed, number)?);
        if cfg.version == 3 {
            annotations(&staging, stem, cfg.seconds, number == 1)?;
        }
    }
    staging.write("AAREADME.txt", "Database: TUH EEG Epilepsy Corpus\n")?;
    if cfg.version == 3 {
        staging.write("DOCS/sessions_common_with_tusz.list", "aaaaaanr_s003\n")?;
        staging.write("DOCS/01_tcp_ar_montage.txt", "")?;
    }
    staging.commit()?;
    Ok(PlantedCorpus { recordings })
}

/// `.csv` by channel and `.csv_bi` for the whole; a seizure from 2 s to 5.5 s or none.
fn annotations(staging: &Staging, stem: &str, seconds: usize, seizure: bool) -> Result<()> {
    let name = stem.rsplit('/').next().unwrap_or_default();
    let head = format!(
        "# version = csv_v1.0.0\n# bname = {name}\n# duration = {seconds}.0000 secs\n\
         # montage_file = nedc_eas_default_montage.txt\n#\n\
         channel,start_time,stop_time,label,confidence\n"
    );
    let end = format!("{seconds}.0000");
    let rows = |channel: &str, label: &str| {
        let row = |start: &str, stop: &str, label: &str| {
            format!("{channel},{start},{stop},{label},1.0000\n")
        };
        if seizure {
            row("0.0000", "2.0000", "bckg")
                + &row("2.0000", "5.5000", label)
                + &row("5.5000", &end, "bckg")
        } else {
            row("0.0000", &end, "bckg")
        }
    };
    let by_channel = rows("FP1-F7", "fnsz") + &rows("F7-T3", "fnsz");
    staging.write(&format!("{stem}.csv"), head.clone() + &by_channel)?;
    staging.write(&format!("{stem}.csv_bi"), head + &rows("TERM", "seiz"))
}
