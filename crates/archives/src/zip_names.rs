//! The names of zip members: UTF-8 by flag or extra field, code page 437 otherwise. Owns the
//! code page and the walk over extra fields.

use flate2::Crc;

use crate::zip::{u16_at, u32_at};

/// The upper half of code page 437.
const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The body of the extra field `id`.
pub(crate) fn extra(mut fields: &[u8], id: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(fields, 2)?);
        let body = fields.get(4..4 + length)?;
        if u16_at(fields, 0)? == id {
            return Some(body);
        }
        fields = &fields[4 + length..];
    }
}

/// A member's name as text. Names that are valid UTF-8 without saying so are read as UTF-8:
/// writers on Linux often leave the flag out, and other text is hardly ever valid by chance.
pub(crate) fn name(raw: &[u8], fields: &[u8]) -> String {
    // Info-ZIP's Unicode path, valid only while it belongs to this name.
    if let Some(body) = extra(fields, 0x7075)
        && let Some(crc) = u32_at(body, 1)
        && let Some(better) = body.get(5..)
    {
        let mut sum = Crc::new();
        sum.update(raw);
        if sum.sum() == crc
            && let Ok(text) = std::str::from_utf8(better)
        {
            return text.to_owned();
        }
    }
    if let Ok(text) = std::str::from_utf8(raw) {
        return text.to_owned();
    }
    let high: Vec<char> = HIGH.chars().collect();
    raw.iter()
        .map(|&b| match b {
            0..128 => char::from(b),
            _ => high.get(usize::from(b) - 128).copied().unwrap_or('?'),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_utf8_or_code_page_437() {
        assert_eq!(HIGH.chars().count(), 128);
        assert_eq!(name("é".as_bytes(), &[]), "é");
        assert_eq!(name(b"\x82t\x82", &[]), "été");
        let mut field = vec![0x75, 0x70, 7, 0, 1];
        let mut crc = Crc::new();
        crc.update(b"\x82");
        field.extend(crc.sum().to_le_bytes());
        field.extend("é".as_bytes());
        assert_eq!(name(b"\x82", &field), "é");
        assert_eq!(name(b"x", &field), "x");
    }
}
