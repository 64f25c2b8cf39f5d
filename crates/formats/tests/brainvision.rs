//! Every number format, orientation and byte order of BrainVision, and headers that lie.

use std::path::{Path, PathBuf};

use mmpipe_formats::{Error, Severity, open};
use tempfile::TempDir;

const N: usize = 3;
const POINTS: usize = 600;

/// Whole numbers that every format can hold.
fn value(channel: usize, t: usize) -> i64 {
    ((channel * 7919 + t * 31) % 30_000) as i64
}

fn header(common: &str, infos: &str, channels: &str) -> String {
    format!(
        "Brain Vision Data Exchange Header File Version 1.0\n; comment\n[Common Infos]\n\
         Codepage=UTF-8\nDataFile=$b.eeg\nNumberOfChannels=3\nSamplingInterval=4000\n{common}\n\
         [{infos}\n[Channel Infos]\n{channels}\n[Comment]\nDataFile=not this\n"
    )
}

const CHANNELS: &str = "Ch1=Fz,Cz,0.5,µV\nCh2=a\\1b,,2,\nCh3=Resp,,,C";

fn put(folder: &Path, head: &[u8], data: &[u8]) -> PathBuf {
    std::fs::write(folder.join("x.eeg"), data).unwrap();
    std::fs::write(folder.join("x.vhdr"), head).unwrap();
    folder.join("x.vhdr")
}

fn order(vectorized: bool) -> Vec<(usize, usize)> {
    if vectorized {
        (0..N)
            .flat_map(|c| (0..POINTS).map(move |t| (c, t)))
            .collect()
    } else {
        (0..POINTS)
            .flat_map(|t| (0..N).map(move |c| (c, t)))
            .collect()
    }
}

fn check(path: &Path) {
    let r = open(path).unwrap();
    let h = r.header();
    assert!(h.diagnostics.is_empty(), "{:?}", h.diagnostics);
    assert_eq!(h.channels[0].sfreq, 250.0);
    let named: Vec<_> = h
        .channels
        .iter()
        .map(|c| (c.name.as_str(), c.unit.as_str()))
        .collect();
    assert_eq!(named, [("Fz", "µV"), ("a,b", "µV"), ("Resp", "C")]);
    assert_eq!(h.channels[0].transducer.as_deref(), Some("Cz"));
    for (c, resolution) in [(0, 0.5), (1, 2.0), (2, 1.0)] {
        let mut out = vec![0f64; POINTS - 10];
        r.read_f64(&[c], 7, &mut [&mut out]).unwrap();
        for (t, x) in out.iter().enumerate() {
            assert_eq!(*x, value(c, t + 7) as f64 * resolution);
        }
    }
    // Channels together and in another order, with blocks of different lengths.
    let (mut a, mut b) = (vec![0f32; 300], vec![0f32; 599]);
    r.read_f32(&[2, 0], 1, &mut [&mut a, &mut b]).unwrap();
    assert_eq!(
        (a[299], b[598]),
        (value(2, 300) as f32, value(0, 599) as f32 * 0.5)
    );
}

#[test]
fn every_number_format_in_both_orientations() {
    let folder = TempDir::new().unwrap();
    for vectorized in [false, true] {
        let orientation = if vectorized {
            "VECTORIZED"
        } else {
            "MULTIPLEXED"
        };
        for big in [false, true] {
            for format in [
                "INT_16",
                "UINT_16",
                "INT_32",
                "IEEE_FLOAT_32",
                "IEEE_FLOAT_64",
            ] {
                let mut data = Vec::new();
                for (c, t) in order(vectorized) {
                    let v = value(c, t);
                    let mut bytes = match format {
                        "INT_16" => (v as i16).to_le_bytes().to_vec(),
                        "UINT_16" => (v as u16).to_le_bytes().to_vec(),
                        "INT_32" => (v as i32).to_le_bytes().to_vec(),
                        "IEEE_FLOAT_32" => (v as f32).to_le_bytes().to_vec(),
                        _ => (v as f64).to_le_bytes().to_vec(),
                    };
                    if big {
                        bytes.reverse();
                    }
                    data.extend(bytes);
                }
                let order = if big { "YES" } else { "NO" };
                let head = header(
                    &format!("DataOrientation={orientation}\nDataFormat=BINARY"),
                    &format!("Binary Infos]\nBinaryFormat={format}\nUseBigEndianOrder={order}"),
                    CHANNELS,
                );
                check(&put(folder.path(), head.as_bytes(), &data));
            }
        }
    }
}

#[test]
fn text_data_in_both_orientations() {
    let folder = TempDir::new().unwrap();
    for (vectorized, symbol) in [(false, "."), (true, ","), (false, ","), (true, ".")] {
        let mut data = String::from("a line to skip\n");
        let rows = if vectorized { N } else { POINTS };
        let columns = if vectorized { POINTS } else { N };
        for row in 0..rows {
            data.push_str("name");
            for column in 0..columns {
                let (c, t) = if vectorized {
                    (row, column)
                } else {
                    (column, row)
                };
                data.push_str(&format!(" {}{symbol}0", value(c, t)));
            }
            data.push('\n');
        }
        let orientation = if vectorized {
            "VECTORIZED"
        } else {
            "MULTIPLEXED"
        };
        let head = header(
            &format!("DataOrientation={orientation}\nDataFormat=ASCII"),
            &format!("ASCII Infos]\nDecimalSymbol={symbol}\nSkipLines=1\nSkipColumns=1"),
            CHANNELS,
        );
        check(&put(folder.path(), head.as_bytes(), data.as_bytes()));
    }
}

fn binary(channels: &str) -> String {
    header(
        "DataOrientation=MULTIPLEXED",
        "Binary Infos]\nBinaryFormat=INT_16",
        channels,
    )
}

#[test]
fn latin1_headers_give_the_same_unit() {
    let folder = TempDir::new().unwrap();
    let head: Vec<u8> = binary(CHANNELS).chars().map(|c| c as u8).collect();
    assert!(std::str::from_utf8(&head).is_err());
    let r = open(&put(folder.path(), &head, &[0; 60])).unwrap();
    assert_eq!(r.header().channels[0].unit, "µV");
}

#[test]
fn segments_are_runs() {
    let folder = TempDir::new().unwrap();
    let head = header(
        "MarkerFile=x.vmrk",
        "Binary Infos]\nBinaryFormat=INT_16",
        CHANNELS,
    );
    std::fs::write(
        folder.path().join("x.vmrk"),
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\n\
         Mk1=New Segment,,1,1,0,20200101000000000000\nMk2=New Segment,,5,1,0\n",
    )
    .unwrap();
    let r = open(&put(folder.path(), head.as_bytes(), &[1; 60])).unwrap();
    let runs: Vec<_> = r
        .runs(0)
        .into_iter()
        .map(|r| (r.onset, r.samples))
        .collect();
    assert_eq!(runs, [(0.0, 0..4), (0.016, 4..10)]);
    assert_eq!(r.header().annotations.len(), 1);
    assert_eq!(r.header().diagnostics[0].code, "segments");
}

#[test]
fn cut_and_damaged_data_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let codes = |head: &str, data: &[u8]| {
        let r = open(&put(folder.path(), head.as_bytes(), data)).unwrap();
        let found: Vec<_> = r
            .header()
            .diagnostics
            .iter()
            .map(|d| (d.code, d.severity))
            .collect();
        (found, r.header().channels[0].n_samples)
    };
    let multiplexed = binary(CHANNELS);
    let vectorized = multiplexed.replace("MULTIPLEXED", "VECTORIZED");
    assert_eq!(
        codes(&multiplexed, &[1; 61]),
        (vec![("truncated", Severity::Warning)], 10)
    );
    assert_eq!(
        codes(&vectorized, &[1; 61]),
        (vec![("truncated", Severity::Damaged)], 10)
    );
    let promised = vectorized.replace("NumberOf", "DataPoints=11\nNumberOf");
    assert_eq!(
        codes(&promised, &[1; 60]),
        (vec![("truncated", Severity::Damaged)], 10)
    );
    let crlf = b"\r\nabcd".repeat(30);
    assert_eq!(
        codes(&multiplexed, &crlf),
        (vec![("line-ends-rewritten", Severity::Damaged)], 30)
    );
}

#[test]
fn headers_that_lie_are_named_with_their_line() {
    let folder = TempDir::new().unwrap();
    let good = binary(CHANNELS);
    let refused = |head: &str| {
        open(&put(folder.path(), head.as_bytes(), &[0; 60]))
            .err()
            .unwrap()
    };
    for (from, to, field) in [
        (
            "NumberOfChannels=3",
            "NumberOfChannels=4000000000",
            "NumberOfChannels",
        ),
        (
            "NumberOfChannels=3",
            "NumberOfChannels=-3",
            "NumberOfChannels",
        ),
        ("NumberOfChannels=3\n", "", "NumberOfChannels"),
        (
            "SamplingInterval=4000",
            "SamplingInterval=0",
            "SamplingInterval",
        ),
        (
            "SamplingInterval=4000",
            "SamplingInterval=NaN",
            "SamplingInterval",
        ),
        ("MULTIPLEXED", "SIDEWAYS", "DataOrientation"),
        ("INT_16", "INT_17", "BinaryFormat"),
        ("Ch3=", "Ch2=", "Ch2"),
        ("Ch3=", "Ch9=", "Ch9"),
        (",0.5,", ",half,", "Ch1"),
        ("DataFile=$b.eeg", "", "DataFile"),
    ] {
        assert!(good.contains(from));
        match refused(&good.replace(from, to)) {
            Error::Text { field: found, .. } => assert!(found.contains(field), "{found} {field}"),
            other => panic!("{from} {to}: {other}"),
        }
    }
    let error = refused(&good.replace("INT_16", "INT_17"));
    assert!(
        error
            .to_string()
            .contains("line 10: [Binary Infos] BinaryFormat"),
        "{error}"
    );
    let error =
        refused(&good.replace("[Common Infos]", "[Common Infos]\nDataType=FREQUENCYDOMAIN"));
    assert_eq!(error.code(), "unsupported");
    put(folder.path(), good.as_bytes(), &[0; 60]);
    std::fs::remove_file(folder.path().join("x.eeg")).unwrap();
    let error = open(&folder.path().join("x.vhdr")).err().unwrap();
    assert_eq!(error.code(), "missing-file");
}

#[test]
fn a_renamed_recording_is_found_and_told() {
    let folder = TempDir::new().unwrap();
    let head = binary(CHANNELS).replace("$b.eeg", "old.eeg");
    let path = put(folder.path(), head.as_bytes(), &[0; 60]);
    let r = open(&path).unwrap();
    assert_eq!(r.header().diagnostics[0].code, "renamed");
    // The data file of another name leads to the only header that names it.
    std::fs::rename(folder.path().join("x.eeg"), folder.path().join("old.eeg")).unwrap();
    let r = open(&folder.path().join("old.eeg")).unwrap();
    assert_eq!(r.header().path, path);
    std::fs::copy(&path, folder.path().join("y.vhdr")).unwrap();
    let error = open(&folder.path().join("old.eeg")).err().unwrap();
    assert!(error.to_string().contains("2 headers"), "{error}");
}
