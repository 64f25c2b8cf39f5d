//! Checksums: those that publishers give, and the running ones that are compared with them.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::md5::Md5;

/// A published checksum of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// MD5 (RFC 1321).
    Md5([u8; 16]),
    /// SHA-256 (FIPS 180-4).
    Sha256([u8; 32]),
}

impl Digest {
    /// From hexadecimal digits; their number tells the kind.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let text = text.trim();
        if !text.is_ascii() {
            return None;
        }
        match text.len() {
            32 => bytes::<16>(text).map(Digest::Md5),
            64 => bytes::<32>(text).map(Digest::Sha256),
            _ => None,
        }
    }

    /// From `md5:HEX` or `sha256:HEX`, as Zenodo and the receipts write it.
    pub fn from_tagged(text: &str) -> Option<Digest> {
        let (kind, hex) = text.split_once(':')?;
        let digest = Digest::from_hex(hex)?;
        (digest.name() == kind.to_ascii_lowercase()).then_some(digest)
    }

    /// `md5` or `sha256`.
    pub fn name(&self) -> &'static str {
        match self {
            Digest::Md5(_) => "md5",
            Digest::Sha256(_) => "sha256",
        }
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    for (to, pair) in out.iter_mut().zip(hex.as_bytes().as_chunks::<2>().0) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` takes a sign.
        if !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        *to = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(out)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Digest::Md5(b) => b,
            Digest::Sha256(b) => b,
        };
        write!(f, "{}:", self.name())?;
        bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A running checksum of the kind that is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    Md5(Md5),
    Sha256(Sha256),
}

impl Hasher {
    /// To compare with `wanted`; SHA-256 where nothing is published.
    pub(crate) fn like(wanted: Option<Digest>) -> Self {
        match wanted {
            Some(Digest::Md5(_)) => Hasher::Md5(Md5::new()),
            Some(Digest::Sha256(_)) | None => Hasher::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Md5(h) => h.update(bytes),
            Hasher::Sha256(h) => h.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Hasher::Md5(h) => Digest::Md5(h.finish()),
            Hasher::Sha256(h) => Digest::Sha256(h.finalize().into()),
        }
    }
}

/// A git-annex key: `SHA256E-s123--HEX.ext` and its like, for MD5 and SHA-256 with and without `E`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnexKey {
    /// Size in bytes, where the key has one.
    pub size: Option<u64>,
    /// The checksum.
    pub digest: Digest,
}

impl AnnexKey {
    /// Reads a key; `None` for other backends and for text that is no key.
    pub fn parse(key: &str) -> Option<AnnexKey> {
        let (head, name) = key.split_once("--")?;
        let mut fields = head.split('-');
        let length = match fields.next()? {
            "MD5" | "MD5E" => 32,
            "SHA256" | "SHA256E" => 64,
            _ => return None,
        };
        let size = fields
            .find_map(|f| f.strip_prefix('s'))
            .map(str::parse)
            .transpose()
            .ok()?;
        let (hex, rest) = name.split_at_checked(length)?;
        if !(rest.is_empty() || rest.starts_with('.')) {
            return None;
        }
        Some(AnnexKey {
            size,
            digest: Digest::from_hex(hex)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annex_keys_are_read() {
        let key = AnnexKey::parse("MD5-s297068703--1d1184d4a026fba9d79d16b9a26cd3bb").unwrap();
        assert_eq!(key.size, Some(297_068_703));
        assert_eq!(
            key.digest.to_string(),
            "md5:1d1184d4a026fba9d79d16b9a26cd3bb"
        );
        let hex = "a8b4ec201f0c21b144a60bff189f36668eb2d88ea1e1db4646b1a55894396cc1";
        let key = AnnexKey::parse(&format!("SHA256E-s42399744--{hex}.nii.gz")).unwrap();
        assert_eq!(key.size, Some(42_399_744));
        assert_eq!(key.digest, Digest::from_hex(hex).unwrap());
        for bad in [
            "",
            "MD5E-s1",
            "SHA1-s3--da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "MD5-s1--1d1184d4a026fba9d79d16b9a26cd3b",
            "MD5-sx--1d1184d4a026fba9d79d16b9a26cd3bb",
            "MD5-s1--+d1184d4a026fba9d79d16b9a26cd3bb",
            "MD5--ééééééééééééééééé",
        ] {
            assert_eq!(AnnexKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_number_of_digits_tells_the_kind() {
        let text = "md5:1d1184d4a026fba9d79d16b9a26cd3bb";
        assert_eq!(Digest::from_tagged(text).unwrap().to_string(), text);
        assert_eq!(
            Digest::from_tagged("sha256:1d1184d4a026fba9d79d16b9a26cd3bb"),
            None
        );
        assert_eq!(Digest::from_hex("1d11"), None);
        let mut hasher = Hasher::like(None);
        hasher.update(b"abc");
        assert_eq!(
            hasher.finish().to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
