//! Where every sample lies and which values are missing.

use super::header::{Fields, Signal};
use super::number::{Number, Place, Scale, decode};

/// Digital ranges of fewer steps are a scale, not the limits of a converter.
const LEAST_STEPS: f64 = 4.0;

/// One channel's place in a data record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Offset in the record, bytes.
    pub(super) at: usize,
    /// Samples a record, one or more.
    pub(super) samples: usize,
    pub(super) number: Number,
    pub(super) scale: Scale,
}

impl Column {
    /// True when some stored value says that the sample is missing.
    pub(super) fn can_miss(&self) -> bool {
        self.number.is_float() || self.scale.low.is_finite()
    }
}

/// Positions of channels within data records and of records within the file.
#[derive(Debug)]
pub(super) struct Layout {
    /// Offset of the first data record.
    pub(super) data: usize,
    /// Bytes of a data record.
    pub(super) record_bytes: usize,
    /// Whole records in the file that are used.
    pub(super) records: u64,
    /// Channels that have samples, in file order.
    pub(super) columns: Vec<Column>,
}

impl Layout {
    /// `None` when a record is larger than can be addressed.
    pub(super) fn new(fields: &Fields) -> Option<Layout> {
        let mut at = 0usize;
        let mut columns = Vec::new();
        for signal in fields.signals.iter().filter(|s| s.samples > 0) {
            let samples = usize::try_from(signal.samples).ok()?;
            columns.push(Column {
                at,
                samples,
                number: signal.number,
                scale: scale(signal),
            });
            at = at.checked_add(samples.checked_mul(signal.number.bytes())?)?;
        }
        Some(Layout {
            data: usize::try_from(fields.header_bytes).ok()?,
            record_bytes: at,
            records: 0,
            columns,
        })
    }

    /// Samples a record of the fastest channels.
    pub(super) fn fastest(&self) -> usize {
        self.columns.iter().map(|c| c.samples).max().unwrap_or(0)
    }

    /// The bytes of a range of records.
    pub(super) fn bytes<'a>(
        &self,
        file: &'a [u8],
        records: std::ops::Range<u64>,
    ) -> Option<&'a [u8]> {
        let offset = |record: u64| {
            usize::try_from(record)
                .ok()?
                .checked_mul(self.record_bytes)?
                .checked_add(self.data)
        };
        file.get(offset(records.start)?..offset(records.end)?)
    }

    /// True when sample `k` of a channel is missing.
    pub(super) fn missing(&self, file: &[u8], column: &Column, k: u64) -> bool {
        let n = column.samples as u64;
        let record = k / n;
        let Some(records) = self.bytes(file, record..record + 1) else {
            return false;
        };
        let place = Place {
            records,
            stride: self.record_bytes,
            at: column.at + (k % n) as usize * column.number.bytes(),
            samples: 1,
            skip: 0,
        };
        let mut out = [0f64];
        decode(column.number, place, column.scale, &mut out);
        out[0].is_nan()
    }
}

/// The line through the two points of the header, and the values that are missing.
fn scale(signal: &Signal) -> Scale {
    let (physical, digital) = (signal.physical, signal.digital);
    let (gain, offset) = if !signal.calibrated || physical == digital {
        (1.0, 0.0)
    } else {
        let gain = (physical.1 - physical.0) / (digital.1 - digital.0);
        (gain, physical.0 - digital.0 * gain)
    };
    let limited = signal.number.is_signed_integer() && digital.1 - digital.0 >= LEAST_STEPS;
    let (low, high) = if limited {
        digital
    } else {
        (f64::NEG_INFINITY, f64::INFINITY)
    };
    Scale {
        gain,
        offset,
        low,
        high,
    }
}
