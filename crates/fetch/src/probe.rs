//! What a server tells of a file without sending it.

use ureq::http::{Method, header};
use url::Url;

use crate::http::{Answer, Client, refused};
use crate::path::decode;
use crate::retry::{Backoff, Failure};

/// Size and name of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) size: Option<u64>,
    pub(crate) name: Option<String>,
}

impl Client {
    /// Asks for the headers alone, and for the first byte where a server takes no such request.
    pub(crate) fn probe(&self, url: &Url) -> Result<Told, Failure> {
        let mut backoff = Backoff::new(self.patience(), url.as_str());
        loop {
            match self.probe_once(url) {
                Ok(told) => return Ok(told),
                Err(failure) => std::thread::sleep(backoff.pause(failure)?),
            }
        }
    }

    fn probe_once(&self, url: &Url) -> Result<Told, Failure> {
        let answer = self.ask(&Method::HEAD, url, &[])?;
        if answer.status == 200 {
            return Ok(told(&answer, answer.length()));
        }
        // Object stores refuse it to strangers (403), others do not know it (405, 501).
        if !matches!(answer.status, 400 | 403 | 405 | 501) {
            return Err(refused(&answer));
        }
        let first = [(header::RANGE, "bytes=0-0".to_owned())];
        let answer = self.ask(&Method::GET, url, &first)?;
        match answer.status {
            200 => Ok(told(&answer, answer.length())),
            206 => Ok(told(&answer, answer.range().and_then(|(_, total)| total))),
            _ => Err(refused(&answer)),
        }
    }
}

fn told(answer: &Answer, size: Option<u64>) -> Told {
    let name = answer
        .header(header::CONTENT_DISPOSITION)
        .and_then(filename);
    Told { size, name }
}

/// The file name of a Content-Disposition header (RFC 6266); the encoded form goes before.
fn filename(text: &str) -> Option<String> {
    let mut plain = None;
    for field in fields(text) {
        let Some((key, value)) = field.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "filename*" => {
                let (charset, rest) = value.split_once('\'')?;
                let (_, name) = rest.split_once('\'')?;
                if charset.eq_ignore_ascii_case("utf-8") {
                    return decode(name);
                }
            }
            "filename" => {
                let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
                plain = Some(inner.unwrap_or(value).replace("\\\"", "\""));
            }
            _ => {}
        }
    }
    plain.filter(|n| !n.is_empty())
}

/// The fields of a header: parted by `;`, but not within quotes.
fn fields(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attachments_are_read() {
        for (text, name) in [
            ("attachment; filename=\"S01.mat\"", Some("S01.mat")),
            ("attachment; filename=audio.zip", Some("audio.zip")),
            ("attachment; filename=\"a;b.mat\"; size=3", Some("a;b.mat")),
            (
                "attachment; filename=\"x\"; filename*=UTF-8''%C3%A9.mat",
                Some("é.mat"),
            ),
            ("inline", None),
            ("attachment; filename=\"\"", None),
        ] {
            assert_eq!(filename(text).as_deref(), name, "{text}");
        }
    }
}
