//! Stimulus ids: which sound a row of `[streams]` or `[stimuli]` means.

use std::fmt;

/// A stimulus id taken apart: `PATH`, `PATH#PART`, `PATH#chN` or `PATH#PART#chN`.
///
/// ```
/// use mmpipe_corpora::StimulusRef;
///
/// let id = StimulusRef::parse("clean/Trail7.wav#ch2");
/// assert_eq!((id.path.as_str(), id.channel), ("clean/Trail7.wav", Some(2)));
/// assert_eq!(id.sound(), "clean/Trail7.wav");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StimulusRef {
    /// The file, below the raw folder.
    pub path: String,
    /// One channel of the sound, from 1; without it the mean of all is heard.
    pub channel: Option<u32>,
    /// The array inside a file of named arrays, as `[[sounds]]` calls it.
    pub part: Option<String>,
}

impl StimulusRef {
    /// Takes an id apart. Every text is one: whether the sound is there, the tables tell.
    pub fn parse(id: &str) -> StimulusRef {
        let (sound, channel) = match id.rsplit_once('#') {
            Some((sound, last)) if !sound.is_empty() => match channel_number(last) {
                Some(n) => (sound, Some(n)),
                None => (id, None),
            },
            _ => (id, None),
        };
        let (path, part) = match sound.rsplit_once('#') {
            Some((path, part)) if !path.is_empty() && !part.is_empty() => (path, Some(part)),
            _ => (sound, None),
        };
        StimulusRef {
            path: path.to_owned(),
            channel,
            part: part.map(str::to_owned),
        }
    }

    /// The id without its channel: the `path` of the sound in the table `files`.
    pub fn sound(&self) -> String {
        match &self.part {
            Some(part) => format!("{}#{part}", self.path),
            None => self.path.clone(),
        }
    }
}

impl fmt::Display for StimulusRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sound())?;
        match self.channel {
            Some(n) => write!(f, "#ch{n}"),
            None => Ok(()),
        }
    }
}

/// The number in `ch12`, which names a channel of a sound.
pub(crate) fn channel_number(part: &str) -> Option<u32> {
    let digits = part.strip_prefix("ch")?;
    // `ch007` would not come back as it was.
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|n| plain && *n >= 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_taken_apart() {
        for (id, path, part, channel) in [
            ("a/b.wav", "a/b.wav", None, None),
            ("a/b.wav#ch1", "a/b.wav", None, Some(1)),
            ("m.hdf5#0001/x#ch2", "m.hdf5", Some("0001/x"), Some(2)),
            ("m.hdf5#0001/x", "m.hdf5", Some("0001/x"), None),
            ("a.wav#ch0", "a.wav", Some("ch0"), None),
            ("a.wav#ch01", "a.wav", Some("ch01"), None),
            ("a.wav#channel", "a.wav", Some("channel"), None),
            ("#ch1", "#ch1", None, None),
            ("a.wav#", "a.wav#", None, None),
            ("", "", None, None),
        ] {
            let found = StimulusRef::parse(id);
            assert_eq!(
                (found.path.as_str(), found.part.as_deref(), found.channel),
                (path, part, channel),
                "{id}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_id_comes_back(id in "([a-z#/. ]|ch|[0-9]){0,24}") {
            prop_assert_eq!(StimulusRef::parse(&id).to_string(), id);
        }
    }
}
