//! Marks of transfer damage in binary sample data.

/// Line feeds that must be seen before the statistic says anything.
const ENOUGH: u64 = 24;
/// Bytes looked at when no bare line feed turns up earlier.
const LIMIT: usize = 64 << 20;

/// Counts line feeds when *every* one of them follows a carriage return, which happens by
/// chance once in 256 per line feed: the mark of a text-mode transfer that turned LF into
/// CR LF. A healthy file is left at its first bare line feed, usually within the first
/// kilobyte. A constant signal can hold the pair by itself (2573 is 0x0A0D), so pairs count
/// only where the bytes on both sides of the pair are not the same pair again.
pub(crate) fn rewritten_line_ends(data: &[u8]) -> Option<u64> {
    let data = &data[..data.len().min(LIMIT)];
    let mut pairs = 0;
    let mut from = 0;
    while let Some(step) = data[from..].iter().position(|&b| b == b'\n') {
        let at = from + step;
        if at > 0 && data[at - 1] != b'\r' {
            return None;
        }
        let repeated = at >= 3 && data[at - 3..at - 1] == *b"\r\n";
        pairs += u64::from(!repeated && at > 0);
        from = at + 1;
    }
    (pairs >= ENOUGH).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<u8> {
        let mut x = 0x9e37_79b9u32;
        (0..n)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                (x >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn a_text_mode_copy_is_seen_and_noise_is_not() {
        let clean = noise(100_000);
        assert_eq!(rewritten_line_ends(&clean), None);
        let mut damaged = Vec::new();
        for b in clean {
            if b == b'\n' {
                damaged.push(b'\r');
            }
            damaged.push(b);
        }
        assert!(rewritten_line_ends(&damaged).is_some_and(|n| n > 300));
        assert_eq!(rewritten_line_ends(&[0; 10_000]), None);
        assert_eq!(rewritten_line_ends(&b"\r\n".repeat(10_000)), None);
    }
}
