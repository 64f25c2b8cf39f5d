//! The one door to the network: requests, redirects, the mirror, and what an answer's status means.
//! Knows nothing of files.

use std::io::Read as _;
use std::time::Duration;

use chrono::Utc;
use ureq::http::{HeaderMap, Method, Request, header};
use ureq::{Agent, Body};
use url::Url;

use crate::retry::{self, Backoff, Failure, Patience};
use crate::{Error, Result};

/// Redirects that are followed.
const REDIRECTS: usize = 10;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);

/// How to reach the servers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Ask this address for everything: `https://zenodo.org/x` becomes `MIRROR/zenodo.org/x`.
    pub mirror: Option<String>,
    /// When to try again.
    pub patience: Patience,
    /// A server that sends nothing for so long has failed.
    pub silence: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mirror: None,
            patience: Patience::default(),
            silence: Duration::from_secs(60),
        }
    }
}

/// A client of HTTP and HTTPS. Anonymous: it sends no credentials and keeps no cookies.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    mirror: Option<Url>,
    patience: Patience,
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The bytes that the body is said to have.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// Whether the end of the body is marked, so that a cut one is noticed.
    pub(crate) fn is_delimited(&self) -> bool {
        let chunked = self
            .header(header::TRANSFER_ENCODING)
            .is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
        chunked || self.length().is_some()
    }

    /// Start and full size of a part: `bytes 5-9/10`, `bytes 5-9/*`.
    pub(crate) fn range(&self) -> Option<(u64, Option<u64>)> {
        let text = self.header(header::CONTENT_RANGE)?.trim();
        let (range, total) = text.strip_prefix("bytes")?.trim_start().split_once('/')?;
        let (first, _) = range.split_once('-')?;
        let total = match total {
            "*" => None,
            n => Some(n.parse().ok()?),
        };
        Some((first.trim().parse().ok()?, total))
    }
}

impl Client {
    /// A client with these settings.
    ///
    /// # Errors
    /// A mirror that is no address.
    pub fn new(settings: &Settings) -> Result<Client> {
        let mirror = settings
            .mirror
            .as_deref()
            .map(|m| parse(&format!("{}/", m.trim_end_matches('/'))))
            .transpose()?;
        let config = Agent::config_builder()
            .user_agent(concat!("mmpipe/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(settings.silence))
            .timeout_recv_response(Some(settings.silence))
            .build();
        Ok(Client {
            agent: Agent::new_with_config(config),
            mirror,
            patience: settings.patience.clone(),
        })
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Where a request for `url` goes.
    fn through_mirror(&self, url: &Url) -> Url {
        let Some(mirror) = &self.mirror else {
            return url.clone();
        };
        if url.as_str().starts_with(mirror.as_str()) {
            return url.clone();
        }
        let host = url.host_str().unwrap_or("");
        let port = url.port().map_or(String::new(), |p| format!(":{p}"));
        let mut to = mirror.clone();
        to.set_path(&format!("{}{host}{port}{}", mirror.path(), url.path()));
        to.set_query(url.query());
        to
    }

    /// One request, redirects followed. Any status is an answer.
    pub(crate) fn ask(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(header::HeaderName, String)],
    ) -> std::result::Result<Answer, Failure> {
        let mut url = self.through_mirror(url);
        for _ in 0..=REDIRECTS {
            let mut request = Request::builder().method(method).uri(url.as_str());
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request
                .body(())
                .map_err(|e| Failure::Lasting(format!("{url} cannot be asked for: {e}")))?;
            let response = self.agent.run(request).map_err(|e| failure(&e))?;
            let (parts, body) = response.into_parts();
            let answer = Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            };
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let Some(to) = answer.header(header::LOCATION) else {
                return Err(Failure::passing("a redirect without an address"));
            };
            let to = url
                .join(to)
                .map_err(|e| Failure::Lasting(format!("a redirect to `{to}`: {e}")))?;
            if url.scheme() == "https" && to.scheme() != "https" {
                return Err(Failure::Lasting(format!(
                    "a redirect from https to {}, which is not followed: {to}",
                    to.scheme()
                )));
            }
            url = self.through_mirror(&to);
        }
        Err(Failure::Lasting(format!("more than {REDIRECTS} redirects")))
    }

    /// The body of a small text, tried again when that may help.
    pub(crate) fn text(&self, url: &Url, limit: u64) -> std::result::Result<String, Failure> {
        let mut backoff = Backoff::new(&self.patience, url.as_str());
        loop {
            match self.text_once(url, limit) {
                Ok(text) => return Ok(text),
                Err(failure) => std::thread::sleep(backoff.pause(failure)?),
            }
        }
    }

    fn text_once(&self, url: &Url, limit: u64) -> std::result::Result<String, Failure> {
        let answer = self.ask(&Method::GET, url, &[])?;
        if answer.status != 200 {
            return Err(refused(&answer));
        }
        let length = answer.length();
        let mut bytes = Vec::new();
        let mut body = answer.body.into_reader().take(limit + 1);
        body.read_to_end(&mut bytes)
            .map_err(|e| Failure::passing(format!("the answer broke off: {e}")))?;
        if bytes.len() as u64 > limit {
            return Err(Failure::Lasting(format!("more than {limit} bytes")));
        }
        if length.is_some_and(|l| l != bytes.len() as u64) {
            return Err(Failure::passing("the answer is shorter than it says"));
        }
        String::from_utf8(bytes).map_err(|_| Failure::Lasting("the text is not UTF-8".into()))
    }
}

/// An address of http or https.
pub(crate) fn parse(text: &str) -> Result<Url> {
    let bad = |why: String| Error::BadUrl {
        url: text.to_owned(),
        why,
    };
    let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("it has another scheme or no host".into()));
    }
    Ok(url)
}

/// What an error of the client means.
fn failure(error: &ureq::Error) -> Failure {
    use ureq::Error as E;
    let why = match error {
        E::Timeout(_) => format!("the server was silent for too long ({error})"),
        E::HostNotFound => "the host is not known; is there a network?".into(),
        e => e.to_string(),
    };
    match error {
        E::BadUri(_) | E::Tls(_) | E::Rustls(_) | E::RequireHttpsOnly(_) | E::Http(_) => {
            Failure::Lasting(why)
        }
        _ => Failure::passing(why),
    }
}

/// What a status other than success means.
pub(crate) fn refused(answer: &Answer) -> Failure {
    let after = answer
        .header(header::RETRY_AFTER)
        .and_then(|t| retry::retry_after(t, Utc::now()));
    let passing = |why: &str| Failure::Passing {
        why: format!("the server answered {}, {why}", answer.status),
        after,
    };
    match answer.status {
        429 => passing("too many requests"),
        503 => passing("not now"),
        408 | 425 | 500 | 502 | 504 => passing("which may pass"),
        404 | 410 => Failure::Lasting(format!(
            "the server answered {}: the file is not there",
            answer.status
        )),
        401 | 403 | 451 => Failure::Lasting(format!(
            "the server answered {}: it is not open to everybody",
            answer.status
        )),
        other => Failure::Lasting(format!("the server answered {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_takes_every_request() {
        let client = Client::new(&Settings {
            mirror: Some("http://m.example:81/data".into()),
            ..Settings::default()
        })
        .unwrap();
        let url = parse("https://zenodo.org/api/records/1?x=%2B").unwrap();
        let to = client.through_mirror(&url);
        assert_eq!(
            to.as_str(),
            "http://m.example:81/data/zenodo.org/api/records/1?x=%2B"
        );
        assert_eq!(client.through_mirror(&to), to);
        let plus = parse("https://a.b/c_16%2B.edf").unwrap();
        assert!(
            client
                .through_mirror(&plus)
                .as_str()
                .ends_with("/a.b/c_16%2B.edf")
        );
    }

    #[test]
    fn other_schemes_are_no_addresses() {
        for bad in ["file:///etc/passwd", "ftp://a/b", "nothing", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
