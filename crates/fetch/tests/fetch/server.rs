//! A small HTTP/1.1 server for tests. Each resource has a list of ways to misbehave, one a request;
//! after them it behaves.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers as it should.
    Serve,
    /// Resets the connection without an answer.
    Reset,
    /// States the whole length and closes after so many bytes of the body.
    Cut(usize),
    /// States this length, sends the whole body and closes.
    SayLength(usize),
    /// This status with these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// All of it, whatever part was asked for.
    IgnoreRange,
    /// A part that starts one byte late.
    WrongRange,
    /// The body with its last byte changed.
    Corrupt,
    /// The body in chunks, without a length.
    Chunked,
    /// The body without a length, ended by closing.
    Unmarked,
    /// Headers, half of the body, and then nothing for so long.
    Silent(Duration),
}

#[derive(Debug, Default)]
struct Resource {
    body: Vec<u8>,
    etag: Option<String>,
    headers: Vec<(&'static str, String)>,
    acts: VecDeque<Act>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    resources: Mutex<HashMap<String, Resource>>,
    asked: Mutex<Vec<Asked>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// The server; its thread ends with the test program.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    state: Arc<State>,
    address: String,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || {
                    let at = state.now.fetch_add(1, Ordering::SeqCst) + 1;
                    state.most.fetch_max(at, Ordering::SeqCst);
                    // A client that goes away is no failure of the server.
                    let _ = answer(&state, stream);
                    state.now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Server { state, address }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves `body` at `target` (path and query).
    pub(crate) fn put(&self, target: &str, body: impl Into<Vec<u8>>) {
        self.edit(target, |r| r.body = body.into());
    }

    /// As [`Server::put`], with an ETag.
    pub(crate) fn put_tagged(&self, target: &str, body: impl Into<Vec<u8>>, etag: &str) {
        self.edit(target, |r| {
            r.body = body.into();
            r.etag = Some(format!("\"{etag}\""));
        });
    }

    /// A header of every good answer.
    pub(crate) fn header(&self, target: &str, name: &'static str, value: &str) {
        self.edit(target, |r| r.headers.push((name, value.to_owned())));
    }

    /// How the next requests for `target` go.
    pub(crate) fn misbehave(&self, target: &str, acts: impl IntoIterator<Item = Act>) {
        self.edit(target, |r| r.acts.extend(acts));
    }

    fn edit(&self, target: &str, change: impl FnOnce(&mut Resource)) {
        let mut all = self.state.resources.lock().unwrap();
        change(all.entry(target.to_owned()).or_default());
    }

    /// The requests for `target` so far.
    pub(crate) fn asked(&self, target: &str) -> Vec<Asked> {
        let all = self.state.asked.lock().unwrap();
        all.iter().filter(|a| a.target == target).cloned().collect()
    }

    /// The most connections that were open at a time.
    pub(crate) fn most_at_a_time(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }
}

fn answer(state: &State, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(1, stream.try_clone()?);
    let mut out = stream;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let act = {
        let mut all = state.resources.lock().unwrap();
        all.get_mut(&target)
            .map(|r| r.acts.pop_front().unwrap_or(Act::Serve))
    };
    if matches!(act, Some(Act::Reset)) {
        // Bytes that were not read make the system reset the connection.
        state.asked.lock().unwrap().push(Asked {
            method,
            target,
            headers: HashMap::new(),
        });
        return Ok(());
    }
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    state.asked.lock().unwrap().push(Asked {
        method: method.clone(),
        target: target.clone(),
        headers: headers.clone(),
    });
    let Some(act) = act else {
        return write(&mut out, 404, &[("Content-Length", "4".into())], b"none");
    };
    let (body, etag, own) = {
        let all = state.resources.lock().unwrap();
        let r = &all[&target];
        (r.body.clone(), r.etag.clone(), r.headers.clone())
    };
    let mut head = own;
    if let Some(etag) = &etag {
        head.push(("ETag", etag.clone()));
    }
    head.push(("Connection", "close".into()));
    let is_head = method == "HEAD";
    let from = range(&headers, etag.as_deref()).filter(|_| !matches!(act, Act::IgnoreRange));
    match act {
        Act::Answer(status, headers, text) => {
            head.extend(headers);
            head.push(("Content-Length", text.len().to_string()));
            return write(&mut out, status, &head, if is_head { b"" } else { &text });
        }
        Act::Chunked => {
            head.push(("Transfer-Encoding", "chunked".into()));
            write(&mut out, 200, &head, b"")?;
            for piece in body.chunks(1000) {
                write!(out, "{:x}\r\n", piece.len())?;
                out.write_all(piece)?;
                out.write_all(b"\r\n")?;
            }
            return out.write_all(b"0\r\n\r\n");
        }
        Act::Unmarked => return write(&mut out, 200, &head, &body),
        _ => {}
    }
    let (status, mut start) = match from {
        Some(n) if n >= body.len() => return write(&mut out, 416, &head, b""),
        Some(n) => (206, n),
        None => (200, 0),
    };
    let end = match headers.get("range").and_then(|r| r.rsplit_once('-')) {
        Some((_, last)) if status == 206 && !last.is_empty() => {
            (last.parse::<usize>().unwrap() + 1).min(body.len())
        }
        _ => body.len(),
    };
    if status == 206 {
        if matches!(act, Act::WrongRange) {
            start += 1;
        }
        let last = end - 1;
        head.push((
            "Content-Range",
            format!("bytes {start}-{last}/{}", body.len()),
        ));
    }
    let mut rest = body[start..end].to_vec();
    let length = match &act {
        Act::SayLength(n) => *n,
        _ => rest.len(),
    };
    head.push(("Content-Length", length.to_string()));
    if is_head {
        return write(&mut out, status, &head, b"");
    }
    match act {
        Act::Cut(n) => rest.truncate(n),
        Act::Corrupt => {
            if let Some(last) = rest.last_mut() {
                *last ^= 0x55;
            }
        }
        Act::Silent(pause) => {
            let half = rest.len() / 2;
            write(&mut out, status, &head, &rest[..half])?;
            std::thread::sleep(pause);
            return out.write_all(&rest[half..]);
        }
        _ => {}
    }
    write(&mut out, status, &head, &rest)?;
    // Read what the client still says, so that closing does not reset.
    out.shutdown(std::net::Shutdown::Write)?;
    let mut sink = [0; 64];
    while reader.read(&mut sink)? > 0 {}
    Ok(())
}

/// The first byte asked for, where If-Range does not say otherwise.
fn range(headers: &HashMap<String, String>, etag: Option<&str>) -> Option<usize> {
    let range = headers.get("range")?.strip_prefix("bytes=")?;
    if let Some(only) = headers.get("if-range")
        && etag != Some(only.as_str())
    {
        return None;
    }
    range.split_once('-')?.0.parse().ok()
}

fn write(
    out: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Because\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes())?;
    out.write_all(body)
}
