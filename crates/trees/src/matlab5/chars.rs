//! Characters: stored as bytes, UTF-8, UTF-16 or UTF-32, counted by MATLAB in UTF-16 units, by
//! SciPy in code points and by Octave in bytes.

use super::tag::{MI_UTF8, MI_UTF16, MI_UTF32};

/// Some writers leave the data of blank characters out; SciPy too reads blanks then. More than
/// this are damage: no file makes us allocate what it does not hold.
const MOST_BLANKS: u64 = 1024;

/// What one element of a char matrix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Point,
    Unit,
    Byte,
}

/// A char matrix in linear order.
#[derive(Debug)]
pub(super) struct Codes {
    codes: Vec<u32>,
    coding: Coding,
}

impl Codes {
    /// Decodes stored characters, of which there must be `n`.
    ///
    /// # Errors
    /// A message, when there are not, or the storage type holds no characters.
    pub(super) fn decode(kind: u32, bytes: &[u8], big: bool, n: u64) -> Result<Codes, String> {
        let read = |codes: Vec<u32>, coding| Codes { codes, coding };
        if bytes.is_empty() && n <= MOST_BLANKS {
            return Ok(read(vec![u32::from(b' '); n as usize], Coding::Point));
        }
        let candidates = match kind {
            1 | 2 => vec![read(latin(bytes), Coding::Point)],
            MI_UTF8 => match std::str::from_utf8(bytes) {
                Ok(text) => vec![
                    read(text.chars().map(u32::from).collect(), Coding::Point),
                    read(text.encode_utf16().map(u32::from).collect(), Coding::Unit),
                    read(latin(bytes), Coding::Byte),
                ],
                Err(_) => vec![
                    read(
                        String::from_utf8_lossy(bytes)
                            .chars()
                            .map(u32::from)
                            .collect(),
                        Coding::Point,
                    ),
                    read(latin(bytes), Coding::Byte),
                ],
            },
            3 | 4 | MI_UTF16 => {
                let units: Vec<u16> = bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|b| {
                        if big {
                            u16::from_be_bytes(*b)
                        } else {
                            u16::from_le_bytes(*b)
                        }
                    })
                    .collect();
                let points = char::decode_utf16(units.iter().copied())
                    .map(|c| u32::from(c.unwrap_or(char::REPLACEMENT_CHARACTER)))
                    .collect();
                vec![
                    read(units.into_iter().map(u32::from).collect(), Coding::Unit),
                    read(points, Coding::Point),
                ]
            }
            5 | 6 | MI_UTF32 => {
                let points = bytes.as_chunks::<4>().0.iter();
                vec![read(
                    points
                        .map(|b| {
                            if big {
                                u32::from_be_bytes(*b)
                            } else {
                                u32::from_le_bytes(*b)
                            }
                        })
                        .collect(),
                    Coding::Point,
                )]
            }
            _ => return Err(format!("expected a type of characters, found {kind}")),
        };
        let found: Vec<usize> = candidates.iter().map(|c| c.codes.len()).collect();
        candidates
            .into_iter()
            .find(|c| c.codes.len() as u64 == n)
            .ok_or_else(|| format!("expected {n} characters, found {found:?}"))
    }

    /// The code of an element.
    pub(super) fn get(&self, at: u64) -> Option<u32> {
        self.codes.get(usize::try_from(at).ok()?).copied()
    }

    /// Row `r` of `rows`, without trailing blanks.
    pub(super) fn row(&self, r: usize, rows: usize) -> String {
        let row = self.codes.iter().skip(r).step_by(rows.max(1)).copied();
        let mut text = match self.coding {
            Coding::Point => row
                .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
            Coding::Unit => {
                let units: Vec<u16> = row.map(|c| c as u16).collect();
                String::from_utf16_lossy(&units)
            }
            Coding::Byte => {
                let bytes: Vec<u8> = row.map(|c| c as u8).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        };
        text.truncate(text.trim_end_matches([' ', '\0']).len());
        text
    }
}

fn latin(bytes: &[u8]) -> Vec<u32> {
    bytes.iter().map(|b| u32::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_decide_the_coding() {
        let text = "é😀";
        for (n, coding) in [(2, Coding::Point), (3, Coding::Unit), (6, Coding::Byte)] {
            let codes = Codes::decode(MI_UTF8, text.as_bytes(), false, n).unwrap();
            assert_eq!(codes.coding, coding);
            assert_eq!(codes.row(0, 1), text);
        }
        let message = Codes::decode(MI_UTF8, text.as_bytes(), false, 5).unwrap_err();
        assert_eq!(message, "expected 5 characters, found [2, 3, 6]");
        assert!(Codes::decode(9, &[0; 8], false, 1).is_err());
    }

    #[test]
    fn blanks_may_be_left_out() {
        let codes = Codes::decode(MI_UTF8, b"", false, 3).unwrap();
        assert_eq!((codes.get(2), codes.get(3)), (Some(32), None));
        assert_eq!(codes.row(0, 1), "");
        assert!(Codes::decode(MI_UTF8, b"", false, 1 << 30).is_err());
    }

    #[test]
    fn rows_of_a_padded_matrix() {
        let codes = Codes::decode(4, b"\0a\0b\0c\0 ", true, 4).unwrap();
        assert_eq!([codes.row(0, 2), codes.row(1, 2)], ["ac", "b"]);
        assert_eq!(codes.get(1), Some(98));
    }
}
