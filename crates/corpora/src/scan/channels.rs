//! From the channels of a header to rows that say what is kept, under which name, and why not.

use std::collections::BTreeMap;

use mmpipe_formats::Header;

use super::bids::Extras;
use super::microvolts;
use super::note::Note;
use crate::electrodes::{Electrode, canonical, canonical_all, is_reference, pair};
use crate::manifest::{ChannelRules, Derivations, Keep, ListWhen, Pattern, Rates};

/// One row of the table `channels`, without the path.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) raw_name: String,
    pub(super) kind: String,
    pub(super) name: Option<String>,
    pub(super) unit: String,
    pub(super) to_microvolts: Option<f64>,
    pub(super) sfreq: f64,
    pub(super) keep: bool,
    pub(super) reason: Option<String>,
    pub(super) position: Option<[f32; 3]>,
    /// From the sensor of a numbered cap to the place that names it, mm.
    pub(super) distance: Option<f32>,
}

/// Applies the channel rules to a file.
///
/// # Errors
/// Why the whole file must be rejected.
pub(super) fn rows(
    path: &str,
    header: &Header,
    rules: &ChannelRules,
    unit: Option<&str>,
    extras: Option<&Extras>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Row>, String> {
    let labels = labels(path, header, rules)?;
    let said = canonical_all(&labels);
    let mut rows = Vec::with_capacity(labels.len());
    for ((channel, label), said) in header.channels.iter().zip(&labels).zip(said) {
        let (said, distance) = on_cap(rules, label, said);
        let declared = extras.and_then(|e| declared(e, &channel.name, &said));
        let mut row = Row {
            raw_name: channel.name.clone(),
            kind: "eeg".into(),
            name: said.name().map(str::to_owned),
            unit: channel.unit.clone(),
            to_microvolts: channel.microvolts(),
            sfreq: channel.sfreq,
            keep: true,
            reason: None,
            position: extras.and_then(|e| position(e, &channel.name, &said)),
            distance,
        };
        set_kind(&mut row, &said, rules, declared, path, notes);
        set_unit(&mut row, unit, declared, path, notes);
        judge(&mut row, &said, label, rules, declared, path);
        rows.push(row);
    }
    if let Some(extras) = extras {
        missing_channels(path, header, extras, notes);
    }
    drop_repeats(&mut rows);
    if rules.rates == Rates::Common {
        drop_other_rates(&mut rows);
    }
    if !rows.iter().any(|r| r.keep) {
        return Err(match rows.iter().find_map(|r| r.reason.as_deref()) {
            Some(first) => format!(
                "no EEG channel is kept; of {} channels the first: {first}",
                rows.len()
            ),
            None => "the file holds no channels".into(),
        });
    }
    Ok(rows)
}

/// What the manifest's cap says of a label, and how far its place is; else what the dictionary
/// says.
fn on_cap(rules: &ChannelRules, label: &str, said: Electrode) -> (Electrode, Option<f32>) {
    let Some(found) = rules.layout.and_then(|cap| cap.place(label)) else {
        return (said, None);
    };
    let said = match found.name {
        Some(name) => Electrode::Name(name),
        None => Electrode::Unknown {
            reason: format!(
                "`{label}` lies {} mm from the nearest 10-05 place that no other sensor has",
                found.mm
            ),
        },
    };
    (said, Some(found.mm))
}

/// The EEG rate of a file: the most common of its kept channels, of equals the highest.
pub(super) fn sfreq(rows: &[Row]) -> Option<f64> {
    let kept: Vec<f64> = rows.iter().filter(|r| r.keep).map(|r| r.sfreq).collect();
    let count = |rate: f64| kept.iter().filter(|&&r| r == rate).count();
    kept.iter()
        .copied()
        .max_by(|&a, &b| count(a).cmp(&count(b)).then(a.total_cmp(&b)))
}

/// What each channel is called before the dictionary is asked.
fn labels(path: &str, header: &Header, rules: &ChannelRules) -> Result<Vec<String>, String> {
    if let Some(names) = position_list(path, header, rules) {
        if names.len() != header.channels.len() {
            return Err(format!(
                "expected {} channels as in the manifest's position list, found {}",
                names.len(),
                header.channels.len()
            ));
        }
        return Ok(names.to_vec());
    }
    Ok(header
        .channels
        .iter()
        .map(|c| match rules.rename.get(&c.name) {
            Some(new) => new.clone(),
            None => strip(&c.name, rules).to_owned(),
        })
        .collect())
}

/// The position list of a file: the first of `lists` that applies, else `positions`.
fn position_list<'a>(path: &str, header: &Header, rules: &'a ChannelRules) -> Option<&'a [String]> {
    let useless = || {
        let said = |label: &str| match canonical(label) {
            Electrode::Name(_) | Electrode::NotEeg { .. } => true,
            Electrode::Unknown { .. } => pair(label).is_some(),
        };
        let known = header.channels.iter().filter(|c| said(&c.name)).count();
        2 * known < header.channels.len()
    };
    let list = rules
        .lists
        .iter()
        .find(|list| list.pattern.is_match(path) && (list.when == ListWhen::Always || useless()));
    match list {
        Some(list) => Some(&list.names),
        None => (!rules.positions.is_empty()).then_some(rules.positions.as_slice()),
    }
}

/// Takes the manifest's prefixes and suffixes off, each at most once.
fn strip<'a>(label: &'a str, rules: &ChannelRules) -> &'a str {
    let mut rest = label.trim();
    for prefix in &rules.strip_prefix {
        let head = rest.get(..prefix.len());
        if head.is_some_and(|h| h.eq_ignore_ascii_case(prefix)) {
            rest = rest.get(prefix.len()..).unwrap_or(rest).trim_start();
            break;
        }
    }
    for suffix in &rules.strip_suffix {
        let cut = rest.len().wrapping_sub(suffix.len());
        let tail = rest.get(cut..);
        if tail.is_some_and(|t| t.eq_ignore_ascii_case(suffix)) {
            rest = rest.get(..cut).unwrap_or(rest).trim_end();
            break;
        }
    }
    rest
}

/// The row of channels.tsv for a channel: by its label, else by the place both name.
fn declared<'a>(
    extras: &'a Extras,
    raw: &str,
    said: &Electrode,
) -> Option<&'a BTreeMap<String, String>> {
    if let Some(row) = extras.channels.get(raw) {
        return Some(row);
    }
    let name = said.name()?;
    extras
        .channels
        .iter()
        .find(|(other, _)| canonical(other).name() == Some(name))
        .map(|(_, row)| row)
}

fn position(extras: &Extras, raw: &str, said: &Electrode) -> Option<[f32; 3]> {
    let metres = &extras.positions.metres;
    if let Some(found) = metres.get(raw) {
        return Some(*found);
    }
    let name = said.name()?;
    metres
        .iter()
        .find(|(other, _)| canonical(other).name() == Some(name))
        .map(|(_, p)| *p)
}

/// Channel types of BIDS, by the kinds of this crate.
fn kind_of_type(kind: &str) -> Option<&'static str> {
    Some(match kind.to_ascii_uppercase().as_str() {
        "EEG" => "eeg",
        "EOG" | "HEOG" | "VEOG" => "eog",
        "ECG" => "ecg",
        "EMG" => "emg",
        "REF" => "ref",
        "TRIG" => "trigger",
        "RESP" => "resp",
        "TEMP" => "temp",
        "GSR" => "gsr",
        "MISC" | "AUDIO" | "EYEGAZE" | "PUPIL" | "PPG" | "SYSCLOCK" | "ADC" | "DAC" | "OTHER" => {
            "misc"
        }
        _ => return None,
    })
}

/// Kind: the manifest, then a label that says it is no EEG, then channels.tsv, else EEG.
fn set_kind(
    row: &mut Row,
    said: &Electrode,
    rules: &ChannelRules,
    declared: Option<&BTreeMap<String, String>>,
    path: &str,
    notes: &mut Vec<Note>,
) {
    if let Some(rule) = rules
        .kinds
        .iter()
        .find(|r| r.pattern.is_match(&row.raw_name))
    {
        row.kind.clone_from(&rule.kind);
        if rule.kind != "eeg" {
            row.reason = Some(format!("the manifest says {}", rule.kind));
        }
        return;
    }
    let typed = declared.and_then(|d| d.get("type"));
    let known = typed.and_then(|t| kind_of_type(t));
    if let (Some(typed), None) = (typed, known) {
        notes.push(Note::remark(
            path,
            "channel-type-unknown",
            format!(
                "channels.tsv: type `{typed}` of {} is none of BIDS; the label decides",
                row.raw_name
            ),
        ));
    }
    if let Electrode::NotEeg { kind, reason } = said {
        row.kind = (*kind).to_owned();
        row.reason = Some(reason.clone());
        if known == Some("eeg") {
            notes.push(Note::remark(
                path,
                "channel-type-conflict",
                format!(
                    "channels.tsv calls {} EEG, its label says {kind}; it is dropped",
                    row.raw_name
                ),
            ));
        } else if let Some(known) = known {
            row.kind = known.to_owned();
        }
    } else if let Some(known) = known {
        row.kind = known.to_owned();
        if known != "eeg" {
            row.reason = typed.map(|t| format!("channels.tsv says {t}"));
        }
    }
    if row.kind == "eeg" && row.name.as_deref().is_some_and(is_reference) {
        row.kind = "ref".into();
    }
}

/// Unit: a known fault, then the file, then channels.tsv.
fn set_unit(
    row: &mut Row,
    fault: Option<&str>,
    declared: Option<&BTreeMap<String, String>>,
    path: &str,
    notes: &mut Vec<Note>,
) {
    if !matches!(row.kind.as_str(), "eeg" | "ref") {
        return;
    }
    let units = declared.and_then(|d| d.get("units"));
    if let Some(unit) = fault {
        row.to_microvolts = microvolts(unit);
    } else if row.to_microvolts.is_none() {
        row.to_microvolts = units.and_then(|u| microvolts(u));
        if let (Some(units), Some(_)) = (units, row.to_microvolts) {
            notes.push(Note::remark(
                path,
                "unit-from-side-car",
                format!(
                    "{}: the file's unit `{}` is no voltage; channels.tsv says {units}",
                    row.raw_name, row.unit
                ),
            ));
        }
    }
}

/// Keep or not, and why.
fn judge(
    row: &mut Row,
    said: &Electrode,
    label: &str,
    rules: &ChannelRules,
    declared: Option<&BTreeMap<String, String>>,
    path: &str,
) {
    let drop = |row: &mut Row, reason: String| {
        row.keep = false;
        row.name = None;
        row.reason = Some(reason);
    };
    if rules.audio_copy.contains(&row.raw_name) {
        row.kind = "audio".into();
        return drop(row, "holds a copy of the sound".into());
    }
    let here = |path_of: &Option<Pattern>| path_of.as_ref().is_none_or(|p| p.is_match(path));
    if let Some(rule) = rules
        .drop
        .iter()
        .find(|r| r.pattern.is_match(&row.raw_name) && here(&r.path))
    {
        if let Some(kind) = &rule.kind {
            row.kind.clone_from(kind);
        }
        return drop(row, rule.reason.clone());
    }
    let ear = row.name.as_deref().is_some_and(is_reference);
    if row.kind == "ref" && ear && row.reason.is_none() {
        if rules.references == Keep::Drop {
            let reason = "earlobe or mastoid: a reference, not a place on the scalp".to_owned();
            return drop(row, reason);
        }
    } else if row.kind != "eeg" {
        let reason = row.reason.take().unwrap_or_else(|| "not EEG".into());
        return drop(row, reason);
    }
    if let Some((a, b)) = pair(label) {
        let against_ear = is_reference(b) && !is_reference(a);
        match rules.reference_derivations {
            Derivations::Pair if against_ear => row.name = Some(format!("{a}-{b}")),
            Derivations::Drop if against_ear => {
                return drop(
                    row,
                    format!("`{label}` is measured against an earlobe or mastoid"),
                );
            }
            _ if !against_ear && rules.bipolar == Keep::Keep => {
                row.name = Some(format!("{a}-{b}"));
            }
            _ => {}
        }
    }
    if row.name.is_none() {
        let why = match said {
            Electrode::Unknown { reason } | Electrode::NotEeg { reason, .. } => reason.clone(),
            Electrode::Name(_) => String::new(),
        };
        if rules.unknown == Keep::Drop {
            return drop(row, why);
        }
        row.name = Some(format!("raw:{label}"));
        row.reason = Some(format!("kept under its raw label: {why}"));
    }
    let status = declared.and_then(|d| d.get("status"));
    if status.is_some_and(|s| s.eq_ignore_ascii_case("bad")) {
        let why = declared
            .and_then(|d| d.get("status_description"))
            .map_or(String::new(), |d| format!(" ({d})"));
        if rules.bad == Keep::Drop {
            return drop(row, format!("marked bad in channels.tsv{why}"));
        }
        row.reason = Some(format!("kept although marked bad in channels.tsv{why}"));
    }
    if row.to_microvolts.is_none() {
        let reason = format!("its unit `{}` is no voltage", row.unit);
        drop(row, reason);
    }
}

/// Of channels with one name the first is kept.
fn drop_repeats(rows: &mut [Row]) {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (index, row) in rows.iter_mut().enumerate() {
        let Some(name) = row.name.clone().filter(|_| row.keep) else {
            continue;
        };
        match first.get(&name) {
            Some(earlier) => {
                row.keep = false;
                row.name = None;
                row.reason = Some(format!("second channel called {name}: {earlier} is kept"));
            }
            None => {
                first.insert(name, index);
            }
        }
    }
}

/// Of channels with several rates those with the most common (then the highest) are kept.
fn drop_other_rates(rows: &mut [Row]) {
    let Some(rate) = sfreq(rows) else {
        return;
    };
    for row in rows.iter_mut().filter(|r| r.keep && r.sfreq != rate) {
        row.keep = false;
        row.name = None;
        row.reason = Some(format!(
            "sampled at {} Hz, the EEG of this file at {rate} Hz",
            row.sfreq
        ));
    }
}

/// Says which rows of channels.tsv belong to no channel of the file.
fn missing_channels(path: &str, header: &Header, extras: &Extras, notes: &mut Vec<Note>) {
    let missing: Vec<&str> = extras
        .channels
        .keys()
        .filter(|name| {
            let place = canonical(name).name();
            !header.channels.iter().any(|c| {
                c.name == **name || (place.is_some() && canonical(&c.name).name() == place)
            })
        })
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        notes.push(Note::warning(
            path,
            "channels-not-in-file",
            format!(
                "channels.tsv names {} channels that the file lacks: {}",
                missing.len(),
                missing.join(", ")
            ),
        ));
    }
}
