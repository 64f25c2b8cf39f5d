//! The damages, one a row: what, to which fixture, how, and the error that must come of it.

/// What, fixture, damage, kind of error.
pub(crate) type Case = (&'static str, &'static str, fn(&mut Vec<u8>), &'static str);

fn set(data: &mut [u8], at: usize, bytes: &[u8]) {
    data[at..at + bytes.len()].copy_from_slice(bytes);
}

fn central(d: &[u8]) -> usize {
    find(d, b"PK\x01\x02")
}

fn end(d: &[u8]) -> usize {
    rfind(d, b"PK\x05\x06")
}

/// Sets a field of the tar header at `header` and mends its checksum.
fn tar_field(d: &mut [u8], header: usize, at: usize, bytes: &[u8]) {
    set(d, header + at, bytes);
    set(d, header + 148, b"        ");
    let sum: u32 = d[header..header + 512].iter().map(|&b| u32::from(b)).sum();
    set(d, header + 148, format!("{sum:06o}\0 ").as_bytes());
}

pub(crate) const CASES: &[Case] = &[
    (
        "no end record",
        "plain.zip",
        |d| d.truncate(d.len() - 10),
        "truncated",
    ),
    (
        "half a zip",
        "plain.zip",
        |d| d.truncate(d.len() / 2),
        "truncated",
    ),
    (
        "first four bytes",
        "plain.zip",
        |d| d.truncate(4),
        "truncated",
    ),
    (
        "too many entries stated",
        "plain.zip",
        |d| {
            let e = end(d);
            set(d, e + 10, &[9, 0])
        },
        "corrupt",
    ),
    (
        "a directory larger than the file",
        "plain.zip",
        |d| {
            let e = end(d);
            set(d, e + 12, &[0xff; 3])
        },
        "corrupt",
    ),
    (
        "a directory that starts too late",
        "plain.zip",
        |d| {
            let e = end(d);
            set(d, e + 16, &[0xff; 3])
        },
        "corrupt",
    ),
    (
        "one of several disks",
        "plain.zip",
        |d| {
            let e = end(d);
            set(d, e + 4, &[1, 0])
        },
        "unsupported",
    ),
    (
        "an entry without its signature",
        "plain.zip",
        |d| {
            let c = central(d);
            d[c + 1] = b'X'
        },
        "corrupt",
    ),
    (
        "an entry's name past the directory",
        "plain.zip",
        |d| {
            let c = rfind(d, b"PK\x01\x02");
            set(d, c + 28, &[0xff, 0xff])
        },
        "corrupt",
    ),
    (
        "an entry's data past the directory",
        "stored.zip",
        |d| {
            let c = central(d);
            set(d, c + 20, &[0xff; 3])
        },
        "corrupt",
    ),
    (
        "an offset past the file",
        "plain.zip",
        |d| {
            let c = rfind(d, b"PK\x01\x02");
            set(d, c + 42, &[0xff; 3])
        },
        "corrupt",
    ),
    (
        "two members on the same data",
        "descriptors.zip",
        |d| {
            let c = rfind(d, b"PK\x01\x02");
            set(d, c + 42, &[0; 4])
        },
        "corrupt",
    ),
    (
        "a larger size than the data",
        "plain.zip",
        |d| {
            let c = rfind(d, b"set/S01.edf") - 46;
            set(d, c + 24, &[0x89, 0x13])
        },
        "corrupt",
    ),
    (
        "a smaller size than the data",
        "plain.zip",
        |d| {
            let c = rfind(d, b"set/S01.edf") - 46;
            set(d, c + 24, &[0x87, 0x13])
        },
        "corrupt",
    ),
    (
        "a stored member of two sizes",
        "stored.zip",
        |d| {
            let c = central(d);
            set(d, c + 24, &[1, 0])
        },
        "corrupt",
    ),
    (
        "a wrong sum",
        "stored.zip",
        |d| {
            let c = central(d);
            d[c + 16] ^= 1
        },
        "checksum",
    ),
    (
        "a flipped byte of data",
        "stored.zip",
        |d| d[200] ^= 1,
        "checksum",
    ),
    (
        "a local header gone",
        "stored.zip",
        |d| set(d, 2, b"\x07\x08"),
        "corrupt",
    ),
    (
        "a local header of another name",
        "stored.zip",
        |d| d[30] = b'z',
        "corrupt",
    ),
    (
        "a reserved deflate block",
        "plain.zip",
        |d| {
            let l = find(d, b"set/S01.edf") + 11;
            d[l] |= 7
        },
        "corrupt",
    ),
    (
        "deflate cut short",
        "plain.zip",
        |d| {
            let c = rfind(d, b"set/S01.edf") - 46;
            set(d, c + 20, &[0x20, 0])
        },
        "corrupt",
    ),
    (
        "an unknown method",
        "stored.zip",
        |d| {
            let c = central(d);
            set(d, c + 10, &[77, 0])
        },
        "unsupported",
    ),
    ("bzip2", "bzip2.zip", |_| {}, "unsupported"),
    ("encrypted", "secret.zip", |_| {}, "encrypted"),
    (
        "AES",
        "stored.zip",
        |d| {
            let c = central(d);
            set(d, c + 10, &[99, 0])
        },
        "encrypted",
    ),
    (
        "a 64-bit record gone",
        "wide.zip",
        |d| {
            let r = rfind(d, b"PK\x06\x06");
            d[r] = b'X'
        },
        "corrupt",
    ),
    (
        "a 64-bit count",
        "wide.zip",
        |d| {
            let r = rfind(d, b"PK\x06\x06");
            set(d, r + 32, &[0xff; 8])
        },
        "corrupt",
    ),
    (
        "a 64-bit directory size",
        "wide.zip",
        |d| {
            let r = rfind(d, b"PK\x06\x06");
            set(d, r + 40, &[0xff; 8])
        },
        "corrupt",
    ),
    (
        "a tar without its end",
        "pax.tar",
        |d| d.truncate(512 * 12),
        "truncated",
    ),
    (
        "a tar cut in a member",
        "pax.tar",
        |d| d.truncate(512 * 6),
        "truncated",
    ),
    (
        "a tar cut in a header",
        "pax.tar",
        |d| d.truncate(512 + 100),
        "truncated",
    ),
    ("a tar header's sum", "gnu.tar", |d| d[512] ^= 1, "corrupt"),
    (
        "a tar size that is no number",
        "gnu.tar",
        |d| tar_field(d, 512, 124, b"x"),
        "corrupt",
    ),
    (
        "a negative tar size",
        "gnu.tar",
        |d| tar_field(d, 512, 124, &[0xff; 12]),
        "corrupt",
    ),
    (
        "a tar size beyond the disk",
        "gnu.tar",
        |d| tar_field(d, 512, 124, b"77777777777\0"),
        "over-limit",
    ),
    (
        "a tar size beyond the file",
        "gnu.tar",
        |d| tar_field(d, 512, 124, b"00000077777\0"),
        "truncated",
    ),
    (
        "a huge long name",
        "gnu.tar",
        |d| {
            let h = find(d, b"././@LongLink");
            tar_field(d, h, 124, b"00077777777\0")
        },
        "corrupt",
    ),
    (
        "a pax record's length",
        "pax.tar",
        |d| {
            let p = find(d, b" path=");
            set(d, p - 3, b"999")
        },
        "corrupt",
    ),
    (
        "a pax record without =",
        "pax.tar",
        |d| {
            let p = find(d, b" path=");
            set(d, p + 5, b"/")
        },
        "corrupt",
    ),
    (
        "a global path",
        "pax.tar",
        |d| {
            let p = find(d, b" path=") / 512 * 512 - 512;
            tar_field(d, p, 156, b"g")
        },
        "unsupported",
    ),
    ("a sparse member", "sparse.tar", |_| {}, "unsupported"),
    (
        "a tar.gz cut short",
        "plain.tar.gz",
        |d| d.truncate(d.len() - 200),
        "truncated",
    ),
    (
        "a tar.gz without its trailer",
        "plain.tar.gz",
        |d| d.truncate(d.len() - 5),
        "truncated",
    ),
    (
        "a tar.gz of a wrong sum",
        "plain.tar.gz",
        |d| {
            let n = d.len();
            d[n - 7] ^= 1
        },
        "checksum",
    ),
    (
        "a tar.gz of a wrong length",
        "plain.tar.gz",
        |d| {
            let n = d.len();
            d[n - 1] ^= 1
        },
        "corrupt",
    ),
    (
        "a tar.gz with a tail",
        "plain.tar.gz",
        |d| d.extend(b"tail of bytes"),
        "corrupt",
    ),
    (
        "gzip of another method",
        "plain.tar.gz",
        |d| d[2] = 7,
        "corrupt",
    ),
    (
        "gzip's first block",
        "plain.tar.gz",
        |d| {
            // After the file name that the header carries.
            let start = 10 + find(&d[10..], b"\0") + 1;
            d[start] |= 7;
        },
        "corrupt",
    ),
    (
        "a gz cut short",
        "single.gz",
        |d| d.truncate(3000),
        "truncated",
    ),
    (
        "a gz of a wrong sum",
        "single.gz",
        |d| {
            let n = d.len();
            d[n - 8] ^= 1
        },
        "checksum",
    ),
    ("empty", "plain.zip", |d| d.clear(), "not-archive"),
    (
        "a web page",
        "plain.zip",
        |d| set(d, 0, b"<htm"),
        "not-archive",
    ),
    (
        "xz",
        "plain.tar.gz",
        |d| set(d, 0, b"\xfd7zXZ\0"),
        "not-archive",
    ),
];

fn find(data: &[u8], what: &[u8]) -> usize {
    data.windows(what.len()).position(|w| w == what).unwrap()
}

fn rfind(data: &[u8], what: &[u8]) -> usize {
    data.windows(what.len()).rposition(|w| w == what).unwrap()
}
