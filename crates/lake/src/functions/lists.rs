//! `zscore(samples)` and `bandpower(samples, sfreq, lo, hi)` over one list of samples a row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `zscore(list) -> list<f32>`: mean removed, divided by the population standard deviation; a
/// flat list gives zeros.
pub(super) fn zscore() -> ScalarUDF {
    ScalarUDF::from(Lists {
        name: "zscore",
        signature: Signature::any(1, Volatility::Immutable),
    })
}

/// `bandpower(list, sfreq, lo, hi) -> f64`: power between `lo` and `hi` Hz in the square of
/// the samples' unit, from Welch's spectrum.
pub(super) fn bandpower() -> ScalarUDF {
    ScalarUDF::from(Lists {
        name: "bandpower",
        signature: Signature::any(4, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Lists {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Lists {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        let is_list = |t: &DataType| match t {
            DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
                f.data_type().is_numeric()
            }
            _ => false,
        };
        match args.first() {
            Some(t) if is_list(t) => {}
            other => {
                return Err(DataFusionError::Plan(format!(
                    "{} expects a list of numbers, for example eeg[1], found {}",
                    self.name,
                    other.map_or("nothing".into(), ToString::to_string)
                )));
            }
        }
        if let Some(wrong) = args.iter().skip(1).find(|t| !t.is_numeric()) {
            return Err(DataFusionError::Plan(format!(
                "{} expects (samples, sfreq, lo, hi) with numbers, found {wrong}",
                self.name
            )));
        }
        Ok(if self.name == "zscore" {
            DataType::List(item())
        } else {
            DataType::Float64
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let out = match arrays.as_slice() {
            [samples] => zscore_rows(samples)?,
            [samples, sfreq, lo, hi] => bandpower_rows(samples, [sfreq, lo, hi])?,
            other => return exec_err!("{} got {} arguments", self.name, other.len()),
        };
        Ok(ColumnarValue::Array(out))
    }
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}

/// The samples of every row as f64, `None` for a null row.
fn rows(samples: &ArrayRef) -> impl Iterator<Item = Result<Option<Vec<f64>>>> + '_ {
    (0..samples.len()).map(move |i| {
        if samples.is_null(i) {
            return Ok(None);
        }
        let row = match samples.data_type() {
            DataType::List(_) => samples.as_list::<i32>().value(i),
            DataType::LargeList(_) => samples.as_list::<i64>().value(i),
            DataType::FixedSizeList(_, _) => samples.as_fixed_size_list().value(i),
            other => return exec_err!("expected a list of samples, found {other}"),
        };
        if row.null_count() > 0 {
            return exec_err!("a list of samples holds null");
        }
        Ok(Some(match row.as_primitive_opt::<Float32Type>() {
            Some(row) => row.values().iter().map(|&v| f64::from(v)).collect(),
            None => cast(&row, &DataType::Float64)?
                .as_primitive::<Float64Type>()
                .values()
                .to_vec(),
        }))
    })
}

fn zscore_rows(samples: &ArrayRef) -> Result<ArrayRef> {
    let mut values: Vec<f32> = Vec::new();
    let mut lengths = Vec::with_capacity(samples.len());
    for row in rows(samples) {
        let mut row = row?.unwrap_or_default();
        mmpipe_signal::epochs::zscore(&mut row);
        values.extend(row.iter().map(|&v| v as f32));
        lengths.push(row.len());
    }
    let nulls: Option<NullBuffer> = samples.logical_nulls();
    let values = Arc::new(arrow::array::Float32Array::from(values));
    Ok(Arc::new(ListArray::try_new(
        item(),
        OffsetBuffer::from_lengths(lengths),
        values,
        nulls,
    )?))
}

fn bandpower_rows(samples: &ArrayRef, numbers: [&ArrayRef; 3]) -> Result<ArrayRef> {
    let numbers = numbers
        .iter()
        .map(|a| cast(a, &DataType::Float64))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let mut out = Float64Builder::with_capacity(samples.len());
    for (i, row) in rows(samples).enumerate() {
        let mut number = numbers.iter().map(|a| {
            let a = a.as_primitive::<Float64Type>();
            a.is_valid(i).then(|| a.value(i))
        });
        match (
            row?,
            number.next().flatten(),
            number.next().flatten(),
            number.next().flatten(),
        ) {
            (Some(x), Some(sfreq), Some(lo), Some(hi)) => {
                if !(sfreq > 0.0 && sfreq.is_finite() && lo >= 0.0 && hi > lo) {
                    return exec_err!(
                        "bandpower expects sfreq > 0 and 0 <= lo < hi, found sfreq {sfreq}, lo {lo}, hi {hi}"
                    );
                }
                let power = mmpipe_signal::spectrum::bandpower(&x, sfreq, lo, hi);
                // An empty list has no power, not a power that is no number.
                out.append_option(power.is_finite().then_some(power));
            }
            _ => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}
