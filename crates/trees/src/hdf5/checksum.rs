//! The two checksums of the format: Bob Jenkins' lookup3 for metadata and Fletcher's for chunks.

/// A fuzzer cannot guess checksums and would never get past them.
#[allow(unexpected_cfgs, reason = "cargo-fuzz sets it")]
pub(super) const CHECKED: bool = !cfg!(fuzzing);

/// Bob Jenkins' `hashlittle` (lookup3.c, 2006, public domain) with the initial value 0.
pub(super) fn lookup3(bytes: &[u8]) -> u32 {
    let seed = 0xdead_beef_u32.wrapping_add(bytes.len() as u32);
    let (mut a, mut b, mut c) = (seed, seed, seed);
    let mut rest = bytes;
    while rest.len() > 12 {
        let (block, after) = rest.split_at_checked(12).unwrap_or_default();
        let [x, y, z] = words(block);
        a = a.wrapping_add(x);
        b = b.wrapping_add(y);
        c = c.wrapping_add(z);
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        rest = after;
    }
    if rest.is_empty() {
        return c;
    }
    let [x, y, z] = words(rest);
    a = a.wrapping_add(x);
    b = b.wrapping_add(y);
    c = c.wrapping_add(z);
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

/// Up to twelve bytes as three little-endian words, padded with zeros.
fn words(bytes: &[u8]) -> [u32; 3] {
    let mut out = [0u32; 3];
    for (i, b) in bytes.iter().take(12).enumerate() {
        if let Some(word) = out.get_mut(i / 4) {
            *word |= u32::from(*b) << (8 * (i % 4));
        }
    }
    out
}

/// Fletcher's checksum as HDF5 computes it: over big-endian 16-bit words.
pub(super) fn fletcher32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (0u32, 0u32);
    // 360 words keep both sums below 2^32.
    for block in bytes.chunks(720) {
        for pair in block.chunks(2) {
            let word = match pair {
                [a, b] => u32::from(*a) << 8 | u32::from(*b),
                [a] => u32::from(*a) << 8,
                _ => 0,
            };
            low += word;
            high += low;
        }
        low = (low & 0xffff) + (low >> 16);
        high = (high & 0xffff) + (high >> 16);
    }
    low = (low & 0xffff) + (low >> 16);
    high = (high & 0xffff) + (high >> 16);
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup3_gives_the_values_of_its_author() {
        // lookup3.c, driver5: hashlittle("", 0, 0) and of the Gettysburg line.
        assert_eq!(lookup3(b""), 0xdead_beef);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }
}
