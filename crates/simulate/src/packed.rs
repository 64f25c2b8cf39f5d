//! Archives as publishers ship them, and workbooks: zip and tar.gz whose members are stored as they
//! are, without compression. Made in memory; same members, same bytes.

/// Members of an archive: name and content.
pub(crate) type Members<'a> = &'a [(String, Vec<u8>)];

/// A zip archive (PKWARE APPNOTE 6.3), method 0.
pub(crate) fn zip(members: Members<'_>) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let at = out.len() as u32;
        let mut common = Vec::new();
        // Version 2.0, no flags, stored, 1980-01-01 00:00.
        for word in [20_u16, 0x0800, 0, 0, 33] {
            common.extend(word.to_le_bytes());
        }
        common.extend(crc32(content).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((content.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, n) = (out.len() as u32, members.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(n.to_le_bytes());
    out.extend(n.to_le_bytes());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out
}

/// A tar archive (POSIX ustar) in gzip (RFC 1952), blocks stored.
pub(crate) fn tar_gz(members: Members<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in members {
        let mut head = [0_u8; 512];
        let mut put = |at: usize, text: &str| {
            for (to, from) in head.iter_mut().skip(at).zip(text.bytes()) {
                *to = from;
            }
        };
        put(0, name);
        put(100, "0000644");
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
        for (to, from) in head
            .iter_mut()
            .skip(148)
            .zip(format!("{sum:06o}\0 ").bytes())
        {
            *to = from;
        }
        tar.extend(head);
        tar.extend(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut out = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    let mut blocks = tar.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let n = block.len() as u16;
        out.extend(n.to_le_bytes());
        out.extend((!n).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32(&tar).to_le_bytes());
    out.extend((tar.len() as u32).to_le_bytes());
    out
}

/// A workbook (ECMA-376) of one sheet: texts in line, numbers as numbers.
pub(crate) fn xlsx(sheet: &str, rows: &[Vec<String>]) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
    let cell = |(column, text): (usize, &String), row: usize| {
        let place = format!("{}{row}", char::from(b'A' + (column % 26) as u8));
        match text.parse::<f64>() {
            Ok(x) => format!("<c r=\"{place}\"><v>{x}</v></c>"),
            Err(_) => {
                let text = text.replace('&', "&amp;").replace('<', "&lt;");
                format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
            }
        }
    };
    let rows: String = rows
        .iter()
        .zip(1..)
        .map(|(cells, row)| {
            let cells: String = cells.iter().enumerate().map(|c| cell(c, row)).collect();
            format!("<row r=\"{row}\">{cells}</row>")
        })
        .collect();
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
    let part = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let parts = [
        (
            "[Content_Types].xml",
            format!(
                "<Types xmlns=\"{PACKAGE}/content-types\">\
                 <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
                 <Override PartName=\"/xl/workbook.xml\" ContentType=\"{part}.sheet.main+xml\"/>\
                 <Override PartName=\"/xl/worksheets/sheet1.xml\" ContentType=\"{part}.worksheet+xml\"/></Types>"
            ),
        ),
        (
            "_rels/.rels",
            format!(
                "<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" \
                 Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets>\
                 <sheet name=\"{sheet}\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" \
                 Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>"),
        ),
    ];
    let members: Vec<(String, Vec<u8>)> = parts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), format!("{head}{text}").into_bytes()))
        .collect();
    zip(&members)
}

/// CRC-32 of zip and gzip (polynomial 0xedb88320).
fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|b| {
            (0..8).fold(b, |c, _| {
                if c & 1 == 1 {
                    (c >> 1) ^ 0xedb8_8320
                } else {
                    c >> 1
                }
            })
        })
        .collect();
    !bytes.iter().fold(!0_u32, |c, b| {
        let low = (c ^ u32::from(*b)) & 0xff;
        (c >> 8) ^ table.get(low as usize).copied().unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_is_that_of_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    /// Other programs read them, where they are there.
    #[test]
    fn other_programs_read_the_archives() {
        let dir = tempfile::tempdir().unwrap();
        let members = [
            ("a/b.txt".to_owned(), b"one".to_vec()),
            ("c.bin".to_owned(), vec![7; 200_000]),
        ];
        std::fs::write(dir.path().join("x.zip"), zip(&members)).unwrap();
        std::fs::write(dir.path().join("x.tar.gz"), tar_gz(&members)).unwrap();
        for (program, args) in [
            ("python3", vec!["-m", "zipfile", "-e", "x.zip", "."]),
            ("tar", vec!["xzf", "x.tar.gz"]),
        ] {
            let mut command = std::process::Command::new(program);
            let Ok(done) = command.current_dir(dir.path()).args(args).output() else {
                eprintln!("skipped: {program} is not here");
                continue;
            };
            assert!(done.status.success(), "{program}: {done:?}");
            for (name, content) in &members {
                let path = dir.path().join(name);
                assert_eq!(&std::fs::read(&path).unwrap(), content, "{program}");
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}
