//! Header 3 of GDF 2: optional fields as tag (one byte), length (three bytes), value. Only tag
//! 1, the texts of the event codes that a file defines itself, is used; manufacturer, network
//! address, technician and the rest are passed over.

use crate::recording::{Diagnostic, Severity};
use crate::text;

const EVENT_DESCRIPTIONS: u8 = 1;

/// The texts of event codes 0 to 255, by code; empty where the file has none.
pub(super) fn descriptions(header3: &[u8], diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = header3;
    while let Some((&[tag, a, b, c], after)) = rest.split_first_chunk::<4>() {
        if tag == 0 {
            break;
        }
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        let Some((value, next)) = after.split_at_checked(len) else {
            diagnostics.push(Diagnostic::new(
                "header3-broken",
                Severity::Warning,
                format!(
                    "tag {tag} of header 3 promises {len} bytes, {} are left; it and what \
                     follows are left out",
                    after.len()
                ),
            ));
            break;
        };
        if tag == EVENT_DESCRIPTIONS {
            found = texts(value);
        }
        rest = next;
    }
    found
}

/// Texts that end with a NUL each; the first belongs to code 0 and is empty, an empty one after
/// it ends the list.
fn texts(value: &[u8]) -> Vec<String> {
    value
        .split(|&b| b == 0)
        .take(256)
        .enumerate()
        .take_while(|(k, raw)| *k == 0 || !raw.is_empty())
        .map(|(_, raw)| text::field(raw))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_walked_and_broken_ones_told() {
        let mut d = Vec::new();
        let mut bytes = vec![3, 4, 0, 0, b'a', 0, b'b', 0];
        bytes.extend([1, 12, 0, 0]);
        bytes.extend(b"\0left\0right\0");
        bytes.extend([0; 20]);
        assert_eq!(descriptions(&bytes, &mut d), ["", "left", "right"]);
        assert!(descriptions(&[], &mut d).is_empty() && d.is_empty());
        assert!(descriptions(&[1, 255, 255, 0, 7], &mut d).is_empty());
        assert_eq!(d[0].code, "header3-broken");
    }
}
