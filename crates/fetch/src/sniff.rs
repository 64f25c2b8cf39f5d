//! What is no data although a server sent it as such: pages for people, and the small texts that
//! git-annex, Git LFS and object stores put where a file should be.

/// Bytes that are enough to tell.
pub(crate) const HEAD: usize = 1024;

/// What the first bytes show that a file of extension `extension` must not be, or `None`.
pub(crate) fn not_data(head: &[u8], extension: &str) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let start = head.trim_ascii_start();
    let lower: Vec<u8> = start
        .iter()
        .take(HEAD)
        .map(u8::to_ascii_lowercase)
        .collect();
    let begins = |with: &[u8]| lower.starts_with(with);
    let pages = ["html", "htm", "xhtml", "svg"];
    if !pages.contains(&extension)
        && (begins(b"<!doctype html") || begins(b"<html") || begins(b"<head") || begins(b"<body"))
    {
        return Some("an HTML page");
    }
    if begins(b"<?xml") && find(&lower, b"<error>") && find(&lower, b"<code>") {
        return Some("an object store's error message");
    }
    if start.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some("a Git LFS pointer");
    }
    let line = start.split(|b| *b == b'\n').next().unwrap_or(start);
    if line.starts_with(b"/annex/objects/")
        || (line.len() < HEAD && find(line, b".git/annex/objects/") && !line.contains(&0))
    {
        return Some("a git-annex pointer");
    }
    None
}

fn find(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|w| w == needle)
}

/// Whether a Content-Type is that of a page for people.
pub(crate) fn is_page(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_pointers_are_told_from_data() {
        for (head, what) in [
            (&b"\n <!DOCTYPE HTML>\n<html>"[..], "an HTML page"),
            (b"\xef\xbb\xbf<html lang=en>", "an HTML page"),
            (
                b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>",
                "an object store's error message",
            ),
            (
                b"version https://git-lfs.github.com/spec/v1\noid",
                "a Git LFS pointer",
            ),
            (
                b"../../.git/annex/objects/W8/xZ/MD5-s2--1d/MD5-s2--1d",
                "a git-annex pointer",
            ),
            (b"/annex/objects/MD5E-s2--1d.mat\n", "a git-annex pointer"),
        ] {
            assert_eq!(not_data(head, "edf"), Some(what));
        }
        assert_eq!(not_data(b"<html>", "html"), None);
        for data in [
            &b"0       X X X X"[..],
            b"MATLAB 5.0 MAT-file",
            b"",
            b"<score>",
            b"RIFF",
        ] {
            assert_eq!(not_data(data, "edf"), None);
        }
    }
}
