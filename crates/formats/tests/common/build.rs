//! Builds small EDF and BDF files byte by byte, so that every field can be made wrong.

/// One signal of a file to be built.
#[derive(Clone)]
pub(crate) struct Signal {
    pub(crate) label: String,
    pub(crate) unit: &'static str,
    pub(crate) physical: (&'static str, &'static str),
    pub(crate) digital: (&'static str, &'static str),
    pub(crate) samples: usize,
}

/// A file to be built; fields are public so that a test can spoil one.
#[derive(Clone)]
pub(crate) struct Edf {
    pub(crate) bdf: bool,
    pub(crate) reserved: &'static str,
    pub(crate) date: &'static str,
    pub(crate) time: &'static str,
    pub(crate) header_bytes: Option<String>,
    pub(crate) records: String,
    pub(crate) duration: &'static str,
    pub(crate) count: Option<String>,
    pub(crate) signals: Vec<Signal>,
    /// Bytes of the annotation signal, a record; empty for none.
    pub(crate) annotations: Vec<Vec<u8>>,
    pub(crate) n_records: usize,
}

pub(crate) const ANNOTATION_SAMPLES: usize = 32;

impl Edf {
    /// Two signals of 8 and 4 samples a record, `n` records of 1 s.
    pub(crate) fn new(n: usize) -> Edf {
        let signal = |label: &str, samples| Signal {
            label: label.to_owned(),
            unit: "uV",
            physical: ("-100", "100"),
            digital: ("-32768", "32767"),
            samples,
        };
        Edf {
            bdf: false,
            reserved: "",
            date: "02.03.04",
            time: "05.06.07",
            header_bytes: None,
            records: n.to_string(),
            duration: "1",
            count: None,
            signals: vec![signal("A", 8), signal("B", 4)],
            annotations: Vec::new(),
            n_records: n,
        }
    }

    /// EDF+ with the given annotation bytes, one entry a record.
    pub(crate) fn plus(reserved: &'static str, annotations: Vec<Vec<u8>>) -> Edf {
        Edf {
            reserved,
            n_records: annotations.len(),
            records: annotations.len().to_string(),
            annotations,
            ..Edf::new(1)
        }
    }

    /// The digital value of sample `k` of signal `s`.
    pub(crate) fn value(s: usize, k: usize) -> i32 {
        // Spread over all bytes, line feeds included.
        ((k as i32 * 37 + s as i32 * 1001) % 100_000 * 7919) % 32_000
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut signals = self.signals.clone();
        if !self.annotations.is_empty() {
            signals.push(Signal {
                label: if self.bdf {
                    "BDF Annotations"
                } else {
                    "EDF Annotations"
                }
                .to_owned(),
                unit: "",
                physical: ("-1", "1"),
                digital: ("-32768", "32767"),
                samples: ANNOTATION_SAMPLES,
            });
        }
        let n = signals.len();
        let mut out = if self.bdf {
            b"\xffBIOSEMI".to_vec()
        } else {
            b"0       ".to_vec()
        };
        put(&mut out, "X X X X", 80);
        put(&mut out, "a recording", 80);
        put(&mut out, self.date, 8);
        put(&mut out, self.time, 8);
        put(
            &mut out,
            &self
                .header_bytes
                .clone()
                .unwrap_or((256 * (n + 1)).to_string()),
            8,
        );
        put(&mut out, self.reserved, 44);
        put(&mut out, &self.records, 8);
        put(&mut out, self.duration, 8);
        put(&mut out, &self.count.clone().unwrap_or(n.to_string()), 4);
        let column = |out: &mut Vec<u8>, width, text: &dyn Fn(&Signal) -> String| {
            signals.iter().for_each(|s| put(out, &text(s), width));
        };
        column(&mut out, 16, &|s| s.label.clone());
        column(&mut out, 80, &|_| "AgAgCl".into());
        column(&mut out, 8, &|s| s.unit.into());
        column(&mut out, 8, &|s| s.physical.0.into());
        column(&mut out, 8, &|s| s.physical.1.into());
        column(&mut out, 8, &|s| s.digital.0.into());
        column(&mut out, 8, &|s| s.digital.1.into());
        column(&mut out, 80, &|_| "HP:0.1Hz".into());
        column(&mut out, 8, &|s| s.samples.to_string());
        column(&mut out, 32, &|_| String::new());
        let width = if self.bdf { 3 } else { 2 };
        for record in 0..self.n_records {
            for (i, s) in self.signals.iter().enumerate() {
                for k in 0..s.samples {
                    let value = Edf::value(i, record * s.samples + k);
                    out.extend(&value.to_le_bytes()[..width]);
                }
            }
            if let Some(lists) = self.annotations.get(record) {
                assert!(lists.len() <= ANNOTATION_SAMPLES * width);
                out.extend(lists);
                out.resize(out.len() + ANNOTATION_SAMPLES * width - lists.len(), 0);
            }
        }
        out
    }
}

fn put(out: &mut Vec<u8>, text: &str, width: usize) {
    // Latin-1, as files in the wild have it.
    let mut field: Vec<u8> = text.chars().map(|c| c as u8).collect();
    field.resize(width, b' ');
    out.extend(field);
}
