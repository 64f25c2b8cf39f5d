//! When to try again: how long to wait, and for what not to.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How patient a fetch is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// How often something is tried again after a failure that may pass.
    pub retries: u32,
    /// The first pause; each next one is twice as long.
    pub first: Duration,
    /// The longest pause of our own.
    pub longest: Duration,
    /// The longest pause that a server may ask for.
    pub longest_asked: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            retries: 6,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            longest_asked: Duration::from_secs(600),
            seed: 0,
        }
    }
}

/// Why one attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It may go better next time; not before the server's pause.
    Passing {
        why: String,
        after: Option<Duration>,
    },
    /// It will not.
    Lasting(String),
    /// Our own disk: nothing else will go better either.
    Local(String),
}

impl Failure {
    pub(crate) fn passing(why: impl Into<String>) -> Self {
        Failure::Passing {
            why: why.into(),
            after: None,
        }
    }

    pub(crate) fn why(&self) -> &str {
        match self {
            Failure::Passing { why, .. } | Failure::Lasting(why) | Failure::Local(why) => why,
        }
    }
}

/// The pauses of one file or listing.
#[derive(Debug)]
pub(crate) struct Backoff<'a> {
    patience: &'a Patience,
    state: u64,
    failures: u32,
}

impl<'a> Backoff<'a> {
    /// For one thing; its name keeps the jitter of many apart.
    pub(crate) fn new(patience: &'a Patience, name: &str) -> Self {
        // FNV-1a, to spread the names.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Backoff {
            patience,
            state: patience.seed ^ hash,
            failures: 0,
        }
    }

    /// Something was gained: failures count from none again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after this failure, or what to give up with.
    pub(crate) fn pause(&mut self, failure: Failure) -> Result<Duration, Failure> {
        let Failure::Passing { why, after } = failure else {
            return Err(failure);
        };
        if self.failures >= self.patience.retries {
            let tries = self.failures + 1;
            return Err(Failure::Lasting(format!("{why} (tried {tries} times)")));
        }
        if let Some(asked) = after
            && asked > self.patience.longest_asked
        {
            return Err(Failure::Lasting(format!(
                "{why}; the server asks to wait {} s: run the command again then",
                asked.as_secs()
            )));
        }
        let doubled = self
            .patience
            .first
            .saturating_mul(1 << self.failures.min(20));
        let jitter = 0.5 + self.uniform();
        let own = doubled.min(self.patience.longest).mul_f64(jitter);
        self.failures += 1;
        Ok(own.max(after.unwrap_or_default()))
    }

    /// A number in [0, 1): SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The pause of a Retry-After header: seconds or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(seed: u64, name: &str) -> Vec<f64> {
        let patience = Patience {
            seed,
            ..Patience::default()
        };
        let mut backoff = Backoff::new(&patience, name);
        std::iter::from_fn(|| backoff.pause(Failure::passing("reset")).ok())
            .map(|d| d.as_secs_f64())
            .collect()
    }

    #[test]
    fn pauses_double_with_jitter_and_end() {
        let found = pauses(7, "a");
        assert_eq!(found.len(), 6);
        for (k, pause) in found.iter().enumerate() {
            let middle = f64::from(1u32 << k);
            assert!((0.5 * middle..1.5 * middle).contains(pause), "{k}: {pause}");
        }
        assert_eq!(found, pauses(7, "a"));
        assert_ne!(found, pauses(8, "a"));
        assert_ne!(found, pauses(7, "b"));
    }

    #[test]
    fn what_the_server_asks_for_is_kept() {
        let patience = Patience::default();
        let mut backoff = Backoff::new(&patience, "x");
        let asked = |s| Failure::Passing {
            why: "429".into(),
            after: Some(Duration::from_secs(s)),
        };
        assert_eq!(backoff.pause(asked(30)).unwrap(), Duration::from_secs(30));
        let error = backoff.pause(asked(3600)).unwrap_err();
        assert!(error.why().contains("3600 s"), "{error:?}");
        let lasting = Failure::Lasting("404".into());
        assert_eq!(backoff.pause(lasting.clone()).unwrap_err(), lasting);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc2822("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        let read = |t| retry_after(t, now.to_utc());
        assert_eq!(read(" 120"), Some(Duration::from_secs(120)));
        let date = "Wed, 21 Oct 2015 07:29:30 GMT";
        assert_eq!(read(date), Some(Duration::from_secs(90)));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-3"), None);
    }
}
