//! A reader that works on a thread of its own, a few blocks ahead of who takes from it. Owns the
//! blocks; what comes out, errors too, and in which order, is what the reader itself gives.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes of a block, and how many may wait.
const BLOCK: usize = 1 << 18;
const AHEAD: usize = 4;

/// The taking end.
pub(crate) struct Pipe {
    full: Receiver<io::Result<Vec<u8>>>,
    /// Blocks go back to be filled again.
    empty: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

/// Does `work` on what `source` gives.
pub(crate) fn piped<T>(source: impl Read + Send, work: impl FnOnce(Pipe) -> T) -> T {
    let (full, taken) = sync_channel(AHEAD);
    let (back, empty) = channel();
    let pipe = Pipe {
        full: taken,
        empty: back,
        block: Vec::new(),
        at: 0,
    };
    std::thread::scope(|scope| {
        scope.spawn(move || fill(source, &full, &empty));
        // The pipe ends with the work, and with it the other thread.
        work(pipe)
    })
}

fn fill(mut source: impl Read, full: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut block = empty.try_recv().unwrap_or_default();
        block.resize(BLOCK, 0);
        let mut there = 0;
        let end = loop {
            match source.read(block.get_mut(there..).unwrap_or_default()) {
                Ok(0) => break Some(None),
                Ok(n) => there += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => break Some(Some(e)),
            }
            if there >= BLOCK {
                break None;
            }
        };
        block.truncate(there);
        if there > 0 && full.send(Ok(block)).is_err() {
            return;
        }
        match end {
            None => {}
            Some(None) => return,
            Some(Some(error)) => {
                // Nobody takes it where the work ended before.
                let _ = full.send(Err(error));
                return;
            }
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.at == self.block.len() {
            let Ok(next) = self.full.recv() else {
                return Ok(0);
            };
            let spent = std::mem::replace(&mut self.block, next?);
            self.at = 0;
            // The other thread may have ended.
            let _ = self.empty.send(spent);
        }
        let rest = self.block.get(self.at..).unwrap_or_default();
        let n = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `left` bytes that count up, a few at a time, then an error or the end.
    struct Counting {
        at: usize,
        left: usize,
        fails: bool,
    }

    impl Read for Counting {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(self.left).min(60_000);
            for (i, b) in out.iter_mut().take(n).enumerate() {
                *b = ((self.at + i) % 251) as u8;
            }
            self.at += n;
            self.left -= n;
            match n == 0 && self.fails {
                true => Err(io::Error::other("the fault")),
                false => Ok(n),
            }
        }
    }

    #[test]
    fn all_bytes_come_in_order_and_then_the_error() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK + 17] {
            for fails in [false, true] {
                let source = Counting {
                    at: 0,
                    left: length,
                    fails,
                };
                let mut out = Vec::new();
                let end = piped(source, |mut pipe| pipe.read_to_end(&mut out));
                assert_eq!(end.is_err(), fails);
                assert!(end.is_ok() || end.unwrap_err().to_string() == "the fault");
                assert_eq!(out.len(), length);
                assert!(out.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8));
            }
        }
    }

    #[test]
    fn who_stops_early_ends_the_other_thread() {
        let endless = io::repeat(7);
        let mut out = [0; 100];
        piped(endless, |mut pipe| pipe.read_exact(&mut out)).unwrap();
        assert_eq!(out, [7; 100]);
    }
}
