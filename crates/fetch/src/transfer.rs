//! One file moved: the part that is there, the request for the rest, the bytes, the check, the
//! place. Retries are decided here; the network itself is [`crate::http`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};

use ureq::http::{Method, header};

use crate::digest::{Digest, Hasher};
use crate::folder::{Folder, PartNote};
use crate::http::{Answer, Client, refused};
use crate::plan::Wanted;
use crate::report::{Check, FileReport, Status};
use crate::retry::{Backoff, Failure};
use crate::run::Progress;
use crate::sniff;

/// Bytes moved at a time.
const CHUNK: usize = 256 << 10;
/// Bytes after which a part without a checksum is synced.
const SYNC: u64 = 64 << 20;
/// New bytes after which failures are counted from none again.
const GAIN: u64 = 1 << 20;
/// Whole files with a wrong checksum that are thrown away before we give up.
const MISMATCHES: u32 = 2;

/// What all transfers of a run share.
pub(crate) struct Transfer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) folder: &'a Folder,
    pub(crate) progress: &'a dyn Progress,
    /// Read files that have a receipt again.
    pub(crate) again: bool,
}

/// A part that is being filled.
struct Part {
    file: File,
    len: u64,
    hasher: Hasher,
    note: PartNote,
    received: u64,
    mismatches: u32,
}

fn local(what: &str) -> impl FnOnce(io::Error) -> Failure {
    move |e| Failure::Local(format!("{what}: {e}"))
}

/// What stands in the way of one file alone does not end the run.
fn in_the_way(e: io::Error) -> Failure {
    use ErrorKind as K;
    let why = format!("the file could not be put in its place: {e}");
    match e.kind() {
        K::NotADirectory | K::IsADirectory | K::AlreadyExists | K::InvalidFilename => {
            Failure::Lasting(why)
        }
        _ => Failure::Local(why),
    }
}

impl Transfer<'_> {
    /// Brings one file, whatever it takes. The flag says that our own disk failed.
    pub(crate) fn bring(&self, wanted: &Wanted) -> (FileReport, bool) {
        let mut report = FileReport::new(wanted.path.as_str(), Status::Failed);
        report.size = wanted.size;
        match self.present(wanted) {
            Ok(Some((digest, check))) => {
                report.status = Status::Present;
                report.digest = Some(digest.to_string());
                report.check = Some(check);
                return (report, false);
            }
            Ok(None) => {}
            Err(failure) => {
                report.reason = Some(failure.why().to_owned());
                return (report, matches!(failure, Failure::Local(_)));
            }
        }
        self.progress.started(&wanted.path);
        let replaces = wanted.path.below(self.folder.root()).exists();
        match self.fill(wanted, &mut report) {
            Ok((digest, size)) => {
                report.status = Status::Fetched;
                report.size = Some(size);
                report.digest = Some(digest.to_string());
                report.check = Some(check_of(wanted));
                report.reason =
                    replaces.then(|| "it takes the place of a file that was not the same".into());
                (report, false)
            }
            Err(failure) => {
                report.reason = Some(failure.why().to_owned());
                (report, matches!(failure, Failure::Local(_)))
            }
        }
    }

    /// Whether the file is there already and is the right one.
    fn present(&self, wanted: &Wanted) -> Result<Option<(Digest, Check)>, Failure> {
        let path = wanted.path.below(self.folder.root());
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(_) => return Ok(None),
        };
        if !meta.is_file() {
            return Err(Failure::Lasting("a folder is in its place".into()));
        }
        if wanted.size.is_some_and(|s| s != meta.len()) {
            return Ok(None);
        }
        if !self.again
            && let Some(receipt) = self.folder.receipt(&wanted.path, wanted.digest)
            && let Some(digest) = Digest::from_tagged(&receipt.digest)
        {
            return Ok(Some((digest, check_of(wanted))));
        }
        // Without a size or a checksum nothing says that it is the right one.
        if wanted.size.is_none() && wanted.digest.is_none() {
            return Ok(None);
        }
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) => return Err(Failure::Lasting(format!("the file that is there: {e}"))),
        };
        let mut hasher = Hasher::like(wanted.digest);
        let head = hash(&mut file, &mut hasher, meta.len())
            .map_err(|e| Failure::Lasting(format!("the file that is there: {e}")))?;
        let digest = hasher.finish();
        let right = match wanted.digest {
            Some(published) => published == digest,
            None => sniff::not_data(&head, &wanted.path.extension()).is_none(),
        };
        if !right {
            return Ok(None);
        }
        self.folder
            .record(&wanted.path, digest)
            .map_err(local("the receipt could not be written"))?;
        Ok(Some((digest, check_of(wanted))))
    }

    /// Fills the part, checks it and puts it in its place.
    fn fill(&self, wanted: &Wanted, report: &mut FileReport) -> Result<(Digest, u64), Failure> {
        let mut part = self
            .open(wanted)
            .map_err(local("the part could not be opened"))?;
        let mut backoff = Backoff::new(self.client.patience(), wanted.path.as_str());
        let mut furthest = part.len;
        loop {
            let outcome = self.attempt(&mut part, wanted);
            let outcome = outcome.and_then(|()| self.verify(&mut part, wanted));
            report.received = part.received;
            match outcome {
                Ok(digest) => {
                    self.finish(&part, wanted, digest)?;
                    return Ok((digest, part.len));
                }
                Err(failure) => {
                    report.failures += 1;
                    tracing::debug!("{}: {}", wanted.path, failure.why());
                    if part.len >= furthest + GAIN {
                        furthest = part.len;
                        backoff.reset();
                    }
                    let pause = backoff.pause(failure)?;
                    std::thread::sleep(pause);
                }
            }
        }
    }

    /// The part that is there, where it is one of this very file; else an empty one.
    fn open(&self, wanted: &Wanted) -> io::Result<Part> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.folder.part(&wanted.path))?;
        let fresh = PartNote {
            path: wanted.path.as_str().to_owned(),
            size: wanted.size,
            digest: wanted.digest.map(|d| d.to_string()),
            ..PartNote::default()
        };
        let note = self.folder.note(&wanted.path).filter(|n| {
            (wanted.size.is_none() || n.size == wanted.size)
                && n.digest == fresh.digest
                && (n.digest.is_some() || n.validator.is_some())
        });
        let mut part = Part {
            len: file.metadata()?.len(),
            hasher: Hasher::like(wanted.digest),
            note: note.clone().unwrap_or(fresh),
            received: 0,
            mismatches: 0,
            file: file.try_clone()?,
        };
        let believed = match (&note, wanted.digest) {
            (None, _) => 0,
            (Some(_), Some(_)) => part.len,
            (Some(note), None) => part.len.min(note.synced),
        };
        let longer = wanted.size.is_some_and(|s| believed > s);
        let believed = if longer { 0 } else { believed };
        if believed < part.len {
            part.file.set_len(believed)?;
            part.len = believed;
        }
        file.rewind()?;
        hash(&mut file, &mut part.hasher, part.len)?;
        part.file.seek(SeekFrom::Start(part.len))?;
        Ok(part)
    }

    /// Throws the bytes away and starts from the first.
    fn restart(&self, part: &mut Part, wanted: &Wanted) -> Result<(), Failure> {
        let empty = local("the part could not be emptied");
        let done = part.file.set_len(0).and_then(|()| part.file.rewind());
        done.map_err(empty)?;
        self.progress.moved(-i64::try_from(part.len).unwrap_or(0));
        part.len = 0;
        part.hasher = Hasher::like(wanted.digest);
        part.note.size = wanted.size;
        part.note.validator = None;
        part.note.synced = 0;
        Ok(())
    }

    /// Makes the bytes of a part last, where no checksum would find them lost.
    fn keep(&self, part: &mut Part, wanted: &Wanted) -> Result<(), Failure> {
        if wanted.digest.is_some() {
            return Ok(());
        }
        let kept = part.file.sync_data().and_then(|()| {
            part.note.synced = part.len;
            self.folder.write_note(&wanted.path, &part.note)
        });
        kept.map_err(local("the part could not be synced"))
    }

    /// One request and what comes of it. Bytes that came stay, unless they are wrong.
    fn attempt(&self, part: &mut Part, wanted: &Wanted) -> Result<(), Failure> {
        if part.note.size == Some(part.len) {
            return Ok(());
        }
        let mut headers = Vec::new();
        if part.len > 0 {
            headers.push((header::RANGE, format!("bytes={}-", part.len)));
            // A checksum tells more than the name of a version, which servers of one host may not
            // agree on.
            if let Some(validator) = &part.note.validator
                && wanted.digest.is_none()
            {
                headers.push((header::IF_RANGE, validator.clone()));
            }
        }
        let answer = self.client.ask(&Method::GET, &wanted.url, &headers)?;
        self.accept(&answer, part, wanted)?;
        let said = answer.length().map(|n| n.saturating_add(part.len));
        if let Some(why) = wrong(&answer, said, part, wanted) {
            let page = |answer: Answer| {
                let mut head = Vec::new();
                let read = answer.body.into_reader().take(sniff::HEAD as u64);
                let _ = { read }.read_to_end(&mut head);
                sniff::not_data(&head, &wanted.path.extension())
            };
            return Err(match page(answer) {
                Some(what) => Failure::passing(format!("the server sent {what}, not the file")),
                None => why,
            });
        }
        part.note.size = part.note.size.or(said);
        if part.note.validator.is_none() {
            part.note.validator = validator(&answer);
        }
        self.folder
            .write_note(&wanted.path, &part.note)
            .map_err(local("the note of the part could not be written"))?;
        let poured = self.pour(answer, part, wanted);
        if !matches!(poured, Ok(()) | Err(Failure::Local(_))) {
            self.keep(part, wanted)?;
        }
        poured
    }

    /// What the status means; a part that does not fit the answer is thrown away.
    fn accept(&self, answer: &Answer, part: &mut Part, wanted: &Wanted) -> Result<(), Failure> {
        match answer.status {
            // The server sends all of it, asked for the rest or not.
            200 if part.len > 0 => self.restart(part, wanted),
            200 => Ok(()),
            206 => {
                let (start, total) = answer.range().unwrap_or((u64::MAX, None));
                let noted = part.note.validator.as_ref();
                let other = wanted.digest.is_none()
                    && validator(answer).is_some_and(|v| noted.is_some_and(|n| *n != v));
                let fits = |t: u64| part.note.size.is_none_or(|s| s == t);
                if start == part.len && total.is_none_or(fits) && !other {
                    return Ok(());
                }
                let at = part.len;
                self.restart(part, wanted)?;
                Err(Failure::passing(format!(
                    "asked for the bytes from {at}, the server sent others"
                )))
            }
            416 => {
                let at = part.len;
                self.restart(part, wanted)?;
                Err(Failure::passing(format!(
                    "the server does not go on from byte {at}"
                )))
            }
            _ => Err(refused(answer)),
        }
    }

    /// The body into the part.
    fn pour(&self, answer: Answer, part: &mut Part, wanted: &Wanted) -> Result<(), Failure> {
        let mut body = answer.body.into_reader();
        let mut buffer = vec![0; CHUNK];
        let of = |part: &Part| {
            let size = part.note.size;
            size.map_or("an unknown size".to_owned(), |s| s.to_string())
        };
        loop {
            let n = match body.read(&mut buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => {
                    return Err(Failure::passing(format!(
                        "it broke off at byte {} of {}: {e}",
                        part.len,
                        of(part)
                    )));
                }
            };
            if n == 0 {
                break;
            }
            part.received += n as u64;
            if part.note.size.is_some_and(|s| part.len + n as u64 > s) {
                let why = format!("the server sends more than {} bytes", of(part));
                self.restart(part, wanted)?;
                return Err(Failure::passing(why));
            }
            let bytes = &buffer[..n];
            part.file
                .write_all(bytes)
                .map_err(local("the part could not be written"))?;
            part.hasher.update(bytes);
            part.len += n as u64;
            self.progress.moved(i64::try_from(n).unwrap_or(0));
            if part.len - part.note.synced >= SYNC {
                self.keep(part, wanted)?;
            }
        }
        match part.note.size {
            Some(size) if part.len < size => Err(Failure::passing(format!(
                "it ended at byte {} of {size}",
                part.len
            ))),
            _ => Ok(()),
        }
    }

    /// Compares a whole part with what is published.
    fn verify(&self, part: &mut Part, wanted: &Wanted) -> Result<Digest, Failure> {
        let digest = part.hasher.clone().finish();
        if wanted.digest == Some(digest) {
            return Ok(digest);
        }
        let mut head = Vec::new();
        let mut read = || -> io::Result<()> {
            part.file.rewind()?;
            (&part.file)
                .take(sniff::HEAD as u64)
                .read_to_end(&mut head)?;
            part.file.seek(SeekFrom::Start(part.len))?;
            Ok(())
        };
        read().map_err(local("the part could not be read"))?;
        let what = sniff::not_data(&head, &wanted.path.extension());
        let why = match (wanted.digest, what) {
            (None, None) => return Ok(digest),
            (_, Some(what)) => format!("the server sent {what}, not the file"),
            (Some(published), None) => {
                format!("its checksum is {digest} and the publisher's is {published}")
            }
        };
        self.restart(part, wanted)?;
        part.mismatches += 1;
        if part.mismatches >= MISMATCHES {
            return Err(Failure::Lasting(format!(
                "{why} (the same {} times)",
                part.mismatches
            )));
        }
        Err(Failure::passing(why))
    }

    /// Syncs, renames, and writes the receipt.
    fn finish(&self, part: &Part, wanted: &Wanted, digest: Digest) -> Result<(), Failure> {
        let synced = part.file.sync_all();
        synced.map_err(local("the part could not be synced"))?;
        self.folder.place(&wanted.path).map_err(in_the_way)?;
        let recorded = self.folder.record(&wanted.path, digest);
        recorded.map_err(local("the receipt could not be written"))
    }
}

/// Why a body must not be taken, before a byte of it is.
fn wrong(answer: &Answer, said: Option<u64>, part: &Part, wanted: &Wanted) -> Option<Failure> {
    let right_size = said.is_some() && said == wanted.size;
    if let (Some(said), Some(size)) = (said, part.note.size)
        && said != size
    {
        return Some(Failure::passing(format!(
            "the server says {said} bytes, {size} are expected"
        )));
    }
    let kind = answer.header(header::CONTENT_TYPE).unwrap_or("");
    let is_page = sniff::is_page(kind) && !matches!(&*wanted.path.extension(), "html" | "htm");
    // A publisher's checksum will tell; some servers call every text a page.
    if is_page && !(right_size && wanted.digest.is_some()) {
        return Some(Failure::passing(format!(
            "the server sent {kind}, a page and not the file"
        )));
    }
    if wanted.digest.is_some() {
        return None;
    }
    let coding = answer.header(header::CONTENT_ENCODING).unwrap_or("");
    if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
        return Some(Failure::Lasting(format!(
            "the server sends it coded as {coding}, which was not asked for"
        )));
    }
    if part.note.size.is_none() && !answer.is_delimited() {
        return Some(Failure::Lasting(
            "neither size nor checksum is known: a whole file cannot be told from a cut one".into(),
        ));
    }
    None
}

/// What names this very version of a file: a strong ETag, else a date.
fn validator(answer: &Answer) -> Option<String> {
    let etag = answer.header(header::ETAG).filter(|e| e.starts_with('"'));
    let found = etag.or_else(|| answer.header(header::LAST_MODIFIED));
    found.map(str::to_owned)
}

fn check_of(wanted: &Wanted) -> Check {
    match (wanted.digest, wanted.size) {
        (Some(Digest::Sha256(_)), _) => Check::Sha256,
        (Some(Digest::Md5(_)), _) => Check::Md5,
        (None, Some(_)) => Check::Size,
        (None, None) => Check::Stated,
    }
}

/// Takes `len` bytes in; gives the first of them.
fn hash(file: &mut File, hasher: &mut Hasher, len: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; CHUNK];
    let mut head = Vec::new();
    let mut left = len;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let n = match file.read(&mut buffer[..most]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if head.is_empty() {
            head.extend_from_slice(&buffer[..n.min(sniff::HEAD)]);
        }
        hasher.update(&buffer[..n]);
        left -= n as u64;
    }
    Ok(head)
}
