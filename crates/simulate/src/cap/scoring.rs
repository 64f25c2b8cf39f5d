//! The scorings of the CAP miniature, as RemLogic exports them.

use super::nights::{Columns, Night};

/// Length of a stage, s.
pub(super) const EPOCH: i64 = 30;

/// The clock `t` s after the start of the recording.
fn clock(night: &Night, t: i64) -> String {
    let (h, m, s) = night.start;
    let start = i64::from(h) * 3600 + i64::from(m) * 60 + i64::from(s);
    let at = (start + t).rem_euclid(86_400);
    let c = night.separator;
    format!("{:02}{c}{:02}{c}{:02}", at / 3600, at / 60 % 60, at % 60)
}

/// The scoring of a night, in Latin-1 as the real ones.
pub(super) fn text(night: &Night) -> Vec<u8> {
    let mut out: Vec<String> = vec![
        "RemLogic Event Export".into(),
        format!("Patient:\t{}", night.record.to_uppercase()),
        "Patient ID:\t".into(),
        format!("Recording Date:\t{}", night.date),
        String::new(),
        "Events Included:".into(),
    ];
    let events = [
        "MCAP-A1",
        "MCAP-A2",
        "MCAP-A3",
        "SLEEP-MT",
        "SLEEP-REM",
        "SLEEP-S0",
        "SLEEP-S1",
        "SLEEP-S2",
        "SLEEP-S3",
        "SLEEP-S4",
        "SLEEP-UNSCORED",
    ];
    // One line less, so that the table begins a line earlier.
    let skip = usize::from(night.columns == Columns::N16);
    out.extend(events.iter().skip(skip).map(|e| (*e).to_owned()));
    out.extend(["", "Scoring Session:", "Scorer Name:\tNiccol\u{f2}", ""].map(String::from));
    out.push(
        match night.columns {
            Columns::All => "Sleep Stage\tPosition\tTime [hh:mm:ss]\tEvent\tDuration[s]\tLocation",
            Columns::NoPosition => "Sleep Stage\tTime [hh:mm:ss]\tEvent\tDuration[s]\tLocation",
            Columns::NoLocation => "Sleep Stage\tPosition\tTime [hh:mm:ss]\tEvent\tDuration[s]",
            Columns::N16 => "Sleep Stage\tPosition\tTime [hh:mm:ss]\tEvent\tDuration [s]\tLocation",
        }
        .into(),
    );
    for (k, stage) in night.stages.iter().enumerate() {
        let t = night.scored_from + k as i64 * EPOCH;
        if stage.is_empty() {
            continue;
        }
        let (place, location) = ("Unknown Position", "ROC-LOC");
        let mut row = |t: i64, event: &str, seconds: i64| {
            let time = clock(night, t);
            out.push(match night.columns {
                Columns::All | Columns::N16 => {
                    format!("{stage}\t{place}\t{time}\t{event}\t{seconds}\t{location}")
                }
                Columns::NoPosition => format!("{stage}\t{time}\t{event}\t{seconds}\t{location}"),
                Columns::NoLocation => format!("{stage}\t{place}\t{time}\t{event}\t{seconds}"),
            });
        };
        row(t, &format!("SLEEP-{stage}"), EPOCH);
        // Phases A in sleep, one of them over the end of the stage.
        if *stage == "S2" {
            row(t + 4, "MCAP-A1", 5);
            row(t + 27, "MCAP-A3", 9);
        }
    }
    if night.record == "nfle27" {
        out.push("S2\t22:1".into());
    }
    let text = out.join("\r\n") + "\r\n";
    // Every character is Latin-1.
    text.chars().map(|c| c as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::super::nights::NIGHTS;
    use super::*;

    fn lines(record: &str) -> Vec<String> {
        let night = NIGHTS.iter().find(|n| n.record == record).unwrap();
        let text: String = text(night).iter().map(|b| char::from(*b)).collect();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_table_begins_where_the_real_ones_do() {
        assert!(lines("n1")[21].starts_with("Sleep Stage\tPosition\tTime [hh:mm:ss]"));
        assert!(lines("n16")[20].contains("Duration [s]"));
    }

    #[test]
    fn clocks_roll_over_midnight() {
        let lines = lines("n1");
        assert!(lines[22].contains("23:59:10\tSLEEP-S0"), "{}", lines[22]);
        assert!(lines[24].contains("00:00:40\tSLEEP-S3"), "{}", lines[24]);
    }

    #[test]
    fn nfle27_starts_before_its_recording() {
        assert!(lines("nfle27")[22].contains("22:08:16"));
    }
}
