//! The texts beside the recordings of CHB-MIT, with what is wrong in the real ones.

use super::files::{FILES, File};
use super::montages::labels;

/// Rate of the real files, Hz.
pub(super) const SFREQ: usize = 256;

/// The cases, in order.
pub(super) fn cases() -> Vec<&'static str> {
    let mut cases: Vec<&str> = FILES.iter().map(|f| f.case).collect();
    cases.dedup();
    cases
}

/// Whether the summary of a case tells of a file: that of chb24 only of those with seizures.
fn is_told(file: &File) -> bool {
    file.case != "chb24" || !file.seizures.is_empty()
}

/// `chbNN-summary.txt`.
pub(super) fn summary(case: &str, seconds: usize) -> String {
    let mut out = format!("Data Sampling Rate: {SFREQ} Hz\n*************************\n");
    let mut montage = None;
    for file in FILES.iter().filter(|f| f.case == case && is_told(f)) {
        if montage != Some(file.montage) {
            out.push_str(match montage {
                None => "\nChannels in EDF Files:\n**********************\n",
                Some(_) => "\nChannels changed:\n",
            });
            for (i, label) in labels(file.montage).iter().enumerate() {
                out.push_str(&format!("Channel {}: {label}\n", i + 1));
            }
            montage = Some(file.montage);
        }
        out.push_str(&format!("\nFile Name: {}.edf\n", file.record));
        if case != "chb24" {
            let (h, m, s) = file.start;
            let start = usize::from(h) * 3600 + usize::from(m) * 60 + usize::from(s);
            let clock = |t: usize| format!("{}:{:02}:{:02}", t / 3600, t / 60 % 60, t % 60);
            out.push_str(&format!(
                "File Start Time: {}\nFile End Time: {}\n",
                clock(start),
                clock(start + seconds)
            ));
        }
        out.push_str(&format!(
            "Number of Seizures in File: {}\n",
            file.seizures.len()
        ));
        for (k, (start, stop)) in file.seizures.iter().enumerate() {
            // The early cases do not count; the second end of chb09_08 is called the first.
            let early = case < "chb06";
            let end = if file.record == "chb09_08" { 1 } else { k + 1 };
            let number = |k: usize| {
                if early {
                    String::new()
                } else {
                    format!(" {k}")
                }
            };
            out.push_str(&format!(
                "Seizure{} Start Time: {start} seconds\nSeizure{} End Time: {stop} seconds\n",
                number(k + 1),
                number(end),
            ));
        }
    }
    out
}

/// `chbNN_NN.edf.seizures`, annotations in the MIT format of WFDB: `[` and `]`.
pub(super) fn seizures(file: &File) -> Vec<u8> {
    const START: u16 = 32;
    const STOP: u16 = 33;
    const SKIP: u16 = 59;
    let mut out = Vec::new();
    let mut last = 0;
    for (start, stop) in file.seizures {
        for (code, at) in [(START, start * SFREQ), (STOP, stop * SFREQ)] {
            // Steps of more than 1023 samples do not fit the word.
            let step = (at - last) as u32;
            for word in [SKIP << 10, (step >> 16) as u16, step as u16, code << 10] {
                out.extend(word.to_le_bytes());
            }
            last = at;
        }
    }
    out.extend([0, 0]);
    out
}

/// `RECORDS`, every file.
pub(super) fn records() -> String {
    FILES
        .iter()
        .map(|f| format!("{}/{}.edf\n", f.case, f.record))
        .collect()
}

/// `RECORDS-WITH-SEIZURES`, which names chb07_18 for chb07_19.
pub(super) fn records_with_seizures() -> String {
    FILES
        .iter()
        .filter(|f| !f.seizures.is_empty())
        .map(|f| format!("{}/{}.edf\n", f.case, f.record))
        .collect::<String>()
        .replace("chb07_19", "chb07_18")
}

/// `SUBJECT-INFO`, which has no row for chb24.
pub(super) fn subject_info() -> String {
    let rows = cases().into_iter().filter(|c| *c != "chb24");
    let rows: String = rows.map(|c| format!("{c}\tF\t11\n")).collect();
    format!("Case\tGender\tAge (years)\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_pass_midnight_and_chb24_has_none() {
        assert!(summary("chb04", 20).contains("File End Time: 24:00:10"));
        let text = summary("chb24", 20);
        assert!(!text.contains("File Start Time") && !text.contains("chb24_22"));
    }

    #[test]
    fn both_ends_of_chb09_08_are_the_first() {
        let text = summary("chb09", 20);
        assert_eq!(text.matches("Seizure 1 End Time").count(), 2, "{text}");
        assert!(!text.contains("Seizure 2 End Time"));
    }

    #[test]
    fn the_list_of_records_with_seizures_is_wrong_as_published() {
        let list = records_with_seizures();
        assert!(list.contains("chb07_18") && !list.contains("chb07_19"));
    }
}
