//! The INI dialect of .vhdr and .vmrk: sections, `key=value`, `;` comments, and a free-text
//! `[Comment]` section that ends everything.

/// One `key=value` with the number of its line.
pub(super) struct Entry<'a> {
    pub(super) line: usize,
    pub(super) section: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// Walks the entries in file order.
pub(super) fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut section = "";
    text.lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .take_while(|(_, line)| !line.eq_ignore_ascii_case("[comment]"))
        .filter_map(move |(number, line)| {
            if line.is_empty() || line.starts_with(';') {
                return None;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.trim();
                return None;
            }
            let (key, value) = line.split_once('=')?;
            Some(Entry {
                line: number,
                section,
                key: key.trim(),
                value: value.trim(),
            })
        })
}

/// `Ch12` or `Mk12` to 12.
pub(super) fn numbered(key: &str, prefix: &str) -> Option<usize> {
    let head = key.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| key[prefix.len()..].parse().ok())
        .flatten()
}

/// Commas inside a field are coded as `\1`.
pub(super) fn unescape(field: &str) -> String {
    field.trim().replace("\\1", ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_and_the_free_text() {
        let text =
            "Magic line\r\n; c\r\n[A B]\r\nKey = v=1 \r\nno equals\n[C]\nx=2\n[Comment]\ny=3\n";
        let got: Vec<_> = entries(text)
            .map(|e| (e.line, e.section, e.key, e.value))
            .collect();
        assert_eq!(got, vec![(4, "A B", "Key", "v=1"), (7, "C", "x", "2")]);
        assert_eq!(numbered("ch012", "Ch"), Some(12));
        assert_eq!(numbered("Chx", "Ch"), None);
        assert_eq!(numbered("µ", "Ch"), None);
        assert_eq!(unescape(" a\\1b"), "a,b");
    }
}
