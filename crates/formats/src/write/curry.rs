//! Curry 8: .cdt, .cdt.dpa and .cdt.ceo, 32-bit floats, channels alternating.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::NewRecording;
use crate::error::{Error, Result};
use crate::units;

/// Writes `path` (which must end in .cdt) and, beside it, the parameters and events. Voltages
/// become µV in one group of channels; other signals keep their unit in a second. An
/// annotation's text must be its decimal code.
///
/// # Errors
/// [`Error::Write`] when rates or lengths differ between signals, the rate is no number above
/// 0, a text has a line break or is no code; [`Error::Io`] when the system refuses.
pub fn write(path: &Path, recording: &NewRecording<'_>) -> Result<()> {
    let refuse = |field: &str, message: String| Error::Write {
        path: path.to_path_buf(),
        field: field.to_owned(),
        message,
    };
    super::stem(path, "cdt")?;
    let (sfreq, points) = super::one_rate(path, recording)?;
    let factors: Vec<Option<f64>> = recording
        .signals
        .iter()
        .map(|s| units::microvolts(&units::normalise(s.unit)))
        .collect();
    // The places of the two groups in the file: the order of the signals stays.
    let group = |eeg: bool| {
        let members = recording.signals.iter().zip(&factors).enumerate();
        members
            .filter(move |(_, (_, f))| f.is_some() == eeg)
            .map(|(i, (s, _))| (i + 1, s))
    };
    let mut events = String::from("\n");
    let mut rows = Vec::new();
    for a in recording.annotations {
        let code: i64 = a.text.parse().map_err(|_| {
            refuse(
                "annotation",
                format!("expected a decimal code, found {:?}", a.text),
            )
        })?;
        let at = (a.onset * sfreq).round().max(0.0) as u64;
        let end = at + (a.duration.unwrap_or(0.0) * sfreq).round().max(0.0) as u64;
        rows.push(format!("{at}\t3\t{code}\t2\t{at}\t{end}\t0\t0\t0\t0\t1"));
    }
    list(&mut events, "NUMBER_LIST", rows.into_iter());

    let mut out = create(path)?;
    let io = |e| Error::io(path, "write", e);
    for t in 0..points {
        for (s, factor) in recording.signals.iter().zip(&factors) {
            let x = s.samples.get(t).copied().unwrap_or(f64::NAN) * factor.unwrap_or(1.0);
            out.write_all(&(x as f32).to_le_bytes()).map_err(io)?;
        }
    }
    out.flush().map_err(io)?;

    let mut head = parameters(recording, sfreq, points);
    for (suffix, eeg) in [("", true), ("_OTHERS", false)] {
        let Some((_, first)) = group(eeg).next() else {
            continue;
        };
        let unit = if eeg { "uV" } else { first.unit };
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "DEVICE_PARAMETERS{suffix} START\n   DataUnit             =  {unit}\n   \
             NumChanThisGroup     =  {}\nDEVICE_PARAMETERS{suffix} END\n\n",
            group(eeg).count()
        );
        let names = group(eeg).map(|(_, s)| s.name.to_owned());
        list(&mut head, &format!("LABELS{suffix}"), names);
        let places = group(eeg).map(|(i, _)| i.to_string());
        list(&mut head, &format!("CHAN_IN_FILE{suffix}"), places);
    }
    text(&beside(path, "dpa"), &head)?;
    text(&beside(path, "ceo"), &events)
}

fn parameters(recording: &NewRecording<'_>, sfreq: f64, points: usize) -> String {
    let s = recording.start;
    format!(
        "FileVersion          =  803\n\nDATA_PARAMETERS START\n   \
         NumSamples           =  {points}\n   NumChannels          =  {}\n   \
         NumTrials            =  1\n   SampleFreqHz         =  {sfreq}\n   \
         TriggerOffsetUsec    =  0\n   DataFormat           =  FLOAT\n   \
         DataSampOrder        =  SAMP\n   SampleTimeUsec       =  {}\n   \
         DataByteOrder        =  INTEL\n   StartYear            =  {}\n   \
         StartMonth           =  {}\n   StartDay             =  {}\n   \
         StartHour            =  {}\n   StartMin             =  {}\n   \
         StartSec             =  {}\n   StartMillisec        =  0\nDATA_PARAMETERS END\n\n",
        recording.signals.len(),
        1e6 / sfreq,
        s.year,
        s.month,
        s.day,
        s.hour,
        s.minute,
        s.second
    )
}

fn list(out: &mut String, name: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<String> = rows.collect();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{name} START\n   ListNrRows           =  {}\n{name} END\n\n{name} START_LIST\t\
         # Do not edit!\n",
        rows.len()
    );
    rows.iter().for_each(|row| {
        out.push_str(row);
        out.push('\n');
    });
    let _ = write!(out, "{name} END_LIST\n\n");
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).map_err(|e| Error::io(path, "create", e))?;
    Ok(BufWriter::new(file))
}

fn text(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).map_err(|e| Error::io(path, "write", e))
}
