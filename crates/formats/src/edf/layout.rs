//! Where every sample lies.

use super::header::Fields;

/// Positions of signals within data records and of records within the file.
pub(super) struct Layout {
    /// Offset of the first data record.
    pub(super) data: usize,
    /// Bytes of a data record.
    pub(super) record_bytes: usize,
    /// Whole records in the file that are used.
    pub(super) records: u64,
    /// Seconds a record.
    pub(super) duration: f64,
    /// Ordinary signals, in file order.
    pub(super) signals: Vec<Column>,
    /// Annotation signals, in file order.
    pub(super) annotation_signals: Vec<Column>,
}

/// One signal's place in a data record.
#[derive(Clone, Copy)]
pub(super) struct Column {
    /// Offset in the record, bytes.
    pub(super) offset: usize,
    /// Samples a record.
    pub(super) samples: usize,
    /// Bytes of these samples.
    pub(super) len: usize,
}

impl Layout {
    /// `None` when a record is larger than can be addressed.
    pub(super) fn new(fields: &Fields) -> Option<Layout> {
        let width: usize = if fields.is_bdf() { 3 } else { 2 };
        let mut offset = 0usize;
        let (mut signals, mut annotation_signals) = (Vec::new(), Vec::new());
        for signal in &fields.signals {
            let samples = usize::try_from(signal.samples).ok()?;
            let len = samples.checked_mul(width)?;
            let column = Column {
                offset,
                samples,
                len,
            };
            if signal.annotations {
                annotation_signals.push(column);
            } else {
                signals.push(column);
            }
            offset = offset.checked_add(len)?;
        }
        Some(Layout {
            data: usize::try_from(fields.header_bytes).ok()?,
            record_bytes: offset,
            records: 0,
            duration: fields.duration,
            signals,
            annotation_signals,
        })
    }

    /// The bytes of one signal in one record.
    pub(super) fn bytes<'a>(
        &self,
        file: &'a [u8],
        record: u64,
        column: &Column,
    ) -> Option<&'a [u8]> {
        let record = usize::try_from(record).ok()?;
        let start = record
            .checked_mul(self.record_bytes)?
            .checked_add(self.data + column.offset)?;
        file.get(start..start.checked_add(column.len)?)
    }

    /// Half a sample of the fastest signal, the most that two records may be off and still
    /// follow each other.
    pub(super) fn tolerance(&self) -> f64 {
        let fastest = self.signals.iter().map(|s| s.samples).max().unwrap_or(1) as f64;
        (0.5 * self.duration / fastest).max(1e-6)
    }
}
