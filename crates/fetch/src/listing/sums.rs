//! Files of checksums, as `sha256sum` and `md5sum` write them: a checksum and a name a line.

use crate::digest::Digest;

/// Names with their checksums, in the order of the file.
///
/// # Errors
/// Why a text is no such file.
pub(super) fn parse(text: &str) -> Result<Vec<(String, Digest)>, String> {
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = || {
            let shown: String = line.chars().take(60).collect();
            format!("line {} is no checksum and name: `{shown}`", number + 1)
        };
        let (hex, name) = line.split_once([' ', '\t']).ok_or_else(bad)?;
        let digest = Digest::from_hex(hex).ok_or_else(bad)?;
        // A star before the name says that the file was read as binary.
        let name = name.trim_start();
        let name = name.strip_prefix('*').unwrap_or(name);
        let name = name.strip_prefix("./").unwrap_or(name);
        if name.is_empty() {
            return Err(bad());
        }
        all.push((name.to_owned(), digest));
    }
    if all.is_empty() {
        return Err("the file of checksums is empty".into());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_are_read() {
        let text = "# by us\n1d1184d4a026fba9d79d16b9a26cd3bb  ./session1/s1/a.mat\n\
            1d1184d4a026fba9d79d16b9a26cd3bb *b c.mat\r\n\n\
            72b640d6a3fef4b40de255933d1403823d1655c56f93d69761105a653798fc08 RECORDS\n";
        let all = parse(text).unwrap();
        let names: Vec<&str> = all.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["session1/s1/a.mat", "b c.mat", "RECORDS"]);
        assert_eq!(all[2].1.name(), "sha256");
    }

    #[test]
    fn a_page_is_no_file_of_checksums() {
        for bad in [
            "",
            "<!DOCTYPE html>\n",
            "abc  x",
            "1d1184d4a026fba9d79d16b9a26cd3bb  ",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_real_one_is_read() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/real/chbmit-segments/SHA256SUMS.txt"
        );
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: the real recordings are not here ({path})");
            return;
        };
        let all = parse(&text).unwrap();
        assert_eq!(all.len(), text.lines().count());
        assert!(all.iter().any(|(n, _)| n == "chb02/chb02_16+.edf"));
    }
}
