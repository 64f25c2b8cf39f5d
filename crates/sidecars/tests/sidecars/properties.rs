//! No bytes make a reader panic, and a table is always rectangular.

use mmpipe_sidecars::{Format, decode};
use proptest::prelude::*;

use crate::{FIXTURES, fixture, parse};

fn check(bytes: &[u8], format: Format) {
    if let Ok(table) = parse(bytes, format) {
        let width = table.columns.len();
        assert!(table.rows.iter().all(|row| row.len() == width));
        let names: std::collections::HashSet<_> = table.columns.iter().collect();
        assert_eq!(names.len(), width);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, format) in FIXTURES {
            check(&bytes, format);
        }
        for format in [Format::Csv, Format::Tsv, Format::JsonRows] {
            check(&bytes, format);
        }
        decode(&bytes);
    }

    #[test]
    fn mutated_fixtures(
        which in 0..FIXTURES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (name, format) = FIXTURES[which];
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        for (at, byte) in edits {
            let i = at.index(bytes.len());
            bytes[i] = byte;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        check(&bytes, format);
    }

    #[test]
    fn wfdb_annotations_come_back(
        marks in proptest::collection::vec((0u16..1024, 1u16..42), 1..50)
    ) {
        let words = marks.iter().map(|(step, code)| code << 10 | step).chain([0]);
        let bytes: Vec<u8> = words.flat_map(u16::to_le_bytes).collect();
        let table = parse(&bytes, Format::WfdbAnnotations).unwrap();
        let samples: Vec<i64> = table.column("sample").unwrap().flatten().map(|s| s.parse().unwrap()).collect();
        let mut sum = 0;
        let expected: Vec<i64> = marks.iter().map(|(step, _)| { sum += i64::from(*step); sum }).collect();
        prop_assert_eq!(samples, expected);
    }

    #[test]
    fn cap_seconds_follow_the_clock(start in 0i64..86_400, steps in proptest::collection::vec(0i64..40_000, 0..20)) {
        let mut text = String::from("Sleep Stage\tTime\tEvent\n");
        let (mut now, mut expected) = (start, Vec::new());
        for step in std::iter::once(0).chain(steps) {
            now += step;
            expected.push((now - start).to_string());
            let s = now % 86_400;
            text.push_str(&format!("W\t{:02}:{:02}:{:02}\tSLEEP-S0\n", s / 3600, s / 60 % 60, s % 60));
        }
        let table = parse(text, Format::CapScoring).unwrap();
        let seconds: Vec<String> = table.column("seconds").unwrap().flatten().map(str::to_owned).collect();
        prop_assert_eq!(seconds, expected);
    }
}
