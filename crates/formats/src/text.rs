//! Bytes to text: UTF-8 where it is valid, else Latin-1, in which every byte is a character.

use std::borrow::Cow;

/// Decodes, cutting nothing.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|&b| char::from(b)).collect()),
    }
}

/// A fixed-width header field: up to the first NUL, decoded, white space trimmed.
pub(crate) fn field(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    decode(&bytes[..end]).trim().to_owned()
}

/// `None` for an empty string.
pub(crate) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_is_the_fallback() {
        assert_eq!(decode("µV".as_bytes()), "µV");
        assert_eq!(decode(b"\xb5V"), "µV");
        assert_eq!(field(b"  uV \0garbage"), "uV");
        assert_eq!(field(b"\0\0"), "");
    }
}
