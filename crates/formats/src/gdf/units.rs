//! Physical dimension codes of GDF 2 (ISO/IEEE 11073-10101, tables A.6.1 and A.6.3): a unit in
//! the upper bits, a decimal factor in the lower five.

/// Units by code; those that a biosignal file has.
const UNITS: &[(u16, &str)] = &[
    (512, ""),
    (544, "%"),
    (736, "degree"),
    (768, "rad"),
    (992, "pH"),
    (1280, "m"),
    (1312, "yd"),
    (1344, "ft"),
    (1376, "in"),
    (1600, "l"),
    (1728, "g"),
    (2176, "s"),
    (2208, "min"),
    (2240, "h"),
    (2272, "d"),
    (2464, "s-1"),
    (2496, "Hz"),
    (2528, "min-1"),
    (2720, "bpm"),
    (2816, "m s-1"),
    (3040, "l s-1"),
    (3072, "l min-1"),
    (3776, "N"),
    (3840, "Pa"),
    (3872, "mmHg"),
    (3904, "cmH2O"),
    (3936, "bar"),
    (3968, "J"),
    (4032, "W"),
    (4160, "A"),
    (4192, "C"),
    (4256, "V"),
    (4288, "Ohm"),
    (4352, "F"),
    (4384, "K"),
    (4416, "°F"),
    (6048, "°C"),
    (65_504, "T"),
];

/// Prefixes by decimal factor code.
const PREFIXES: &[(u16, &str)] = &[
    (0, ""),
    (1, "da"),
    (2, "h"),
    (3, "k"),
    (4, "M"),
    (5, "G"),
    (6, "T"),
    (16, "d"),
    (17, "c"),
    (18, "m"),
    (19, "µ"),
    (20, "n"),
    (21, "p"),
    (22, "f"),
];

/// The unit of a code: "µV", "mmHg", "" for dimensionless. `None` for 0 (unspecified) and for
/// codes that are not known here.
pub(crate) fn name(code: u16) -> Option<String> {
    let unit = UNITS.iter().find(|u| u.0 == code & 0xffe0)?;
    let prefix = PREFIXES.iter().find(|p| p.0 == code & 0x1f)?;
    Some(format!("{}{}", prefix.1, unit.1))
}

/// The code of a unit as [`name`] writes it.
pub(crate) fn code(unit: &str) -> Option<u16> {
    if unit.is_empty() {
        return Some(512);
    }
    // A whole unit before a prefixed one: "min" is no milli-inch, "m" no prefix alone.
    UNITS.iter().find(|u| u.1 == unit).map(|u| u.0).or_else(|| {
        PREFIXES
            .iter()
            .filter(|p| !p.1.is_empty())
            .find_map(|prefix| {
                let rest = unit.strip_prefix(prefix.1)?;
                let found = UNITS.iter().find(|u| !u.1.is_empty() && u.1 == rest)?;
                Some(found.0 + prefix.0)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_standard() {
        assert_eq!(name(4275).as_deref(), Some("µV"));
        assert_eq!(name(4274).as_deref(), Some("mV"));
        assert_eq!(name(4256).as_deref(), Some("V"));
        assert_eq!(name(512).as_deref(), Some(""));
        assert_eq!(name(0), None);
        assert_eq!(name(65_535), None);
        for unit in [
            "µV", "mV", "V", "nV", "", "%", "mmHg", "°C", "kOhm", "min", "m",
        ] {
            let code = code(unit);
            assert_eq!(code.and_then(name).as_deref(), Some(unit));
        }
        assert_eq!(code("words"), None);
    }
}
