//! Writers of MATLAB level 5, MATLAB v7.3 and `.npy` files, for miniatures of data sets. Not for large data:
//! a file is made in memory. Owns values and their bytes; knows nothing of what they mean.

mod mat5;
mod mat73;
mod mat73_parts;
mod npy;

pub use mat5::write_mat5;
pub use mat73::write_mat73;
pub use npy::write_npy;

/// Numbers of one type, in linear order (first dimension fastest).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Numbers {
    /// 64-bit floating point.
    F64(Vec<f64>),
    /// 32-bit floating point.
    F32(Vec<f32>),
    /// 8-bit signed integers.
    I8(Vec<i8>),
    /// 16-bit signed integers.
    I16(Vec<i16>),
    /// 32-bit signed integers.
    I32(Vec<i32>),
    /// 64-bit signed integers.
    I64(Vec<i64>),
    /// 8-bit unsigned integers.
    U8(Vec<u8>),
    /// 16-bit unsigned integers.
    U16(Vec<u16>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
    /// 64-bit unsigned integers.
    U64(Vec<u64>),
    /// Truth values.
    Bool(Vec<bool>),
}

macro_rules! each {
    ($self:expr, $v:ident => $with:expr, bool $b:ident => $bools:expr) => {
        match $self {
            Numbers::F64($v) => $with,
            Numbers::F32($v) => $with,
            Numbers::I8($v) => $with,
            Numbers::I16($v) => $with,
            Numbers::I32($v) => $with,
            Numbers::I64($v) => $with,
            Numbers::U8($v) => $with,
            Numbers::U16($v) => $with,
            Numbers::U32($v) => $with,
            Numbers::U64($v) => $with,
            Numbers::Bool($b) => $bools,
        }
    };
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        each!(self, v => v.len(), bool v => v.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends element `at` as little-endian bytes.
    fn push(&self, at: usize, out: &mut Vec<u8>) {
        each!(
            self,
            v => out.extend(v.get(at).copied().unwrap_or_default().to_le_bytes()),
            bool v => out.push(u8::from(v.get(at).copied().unwrap_or_default()))
        );
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),*) => {
        $(impl From<Vec<$type>> for Numbers {
            fn from(values: Vec<$type>) -> Numbers {
                Numbers::$variant(values)
            }
        })*
    };
}
from!(f64 => F64, f32 => F32, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
      u8 => U8, u16 => U16, u32 => U32, u64 => U64, bool => Bool);

/// A variable of MATLAB.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Numbers of these dimensions.
    Array(Vec<u64>, Numbers),
    /// A row of characters.
    Text(String),
    /// A cell array of these dimensions, elements in linear order.
    Cell(Vec<u64>, Vec<Value>),
    /// A struct array of these dimensions: each field with its value in every element.
    Struct(Vec<u64>, Vec<(String, Vec<Value>)>),
}

impl Value {
    /// Numbers of these dimensions, in linear order (first dimension fastest).
    pub fn array(dims: &[u64], numbers: impl Into<Numbers>) -> Value {
        Value::Array(dims.to_vec(), numbers.into())
    }

    /// One number, as MATLAB keeps it: 1 × 1, 64-bit floating point.
    pub fn scalar(number: f64) -> Value {
        Value::array(&[1, 1], vec![number])
    }

    /// A row vector.
    pub fn row(numbers: impl Into<Numbers>) -> Value {
        let numbers = numbers.into();
        Value::Array(vec![1, numbers.len() as u64], numbers)
    }

    /// A column vector.
    pub fn column(numbers: impl Into<Numbers>) -> Value {
        let numbers = numbers.into();
        Value::Array(vec![numbers.len() as u64, 1], numbers)
    }

    /// A row of characters.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// A cell array of one row.
    pub fn cells(values: impl IntoIterator<Item = Value>) -> Value {
        let values: Vec<Value> = values.into_iter().collect();
        Value::Cell(vec![1, values.len() as u64], values)
    }

    /// A cell array of one row of texts.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::cells(texts.into_iter().map(Value::text))
    }

    /// A struct.
    pub fn record<N: Into<String>>(fields: impl IntoIterator<Item = (N, Value)>) -> Value {
        let fields = fields.into_iter().map(|(name, v)| (name.into(), vec![v]));
        Value::Struct(vec![1, 1], fields.collect())
    }

    /// A struct array of one row. Every record must have the first one's fields in its order
    /// (checked when it is written).
    pub fn records(records: impl IntoIterator<Item = Vec<(&'static str, Value)>>) -> Value {
        let mut fields: Vec<(String, Vec<Value>)> = Vec::new();
        let mut n = 0;
        for record in records {
            n += 1;
            for (k, (name, value)) in record.into_iter().enumerate() {
                match fields.iter_mut().find(|(known, _)| known == name) {
                    Some((_, values)) => values.push(value),
                    None => fields.insert(k.min(fields.len()), (name.to_owned(), vec![value])),
                }
            }
        }
        Value::Struct(vec![1, n], fields)
    }
}
