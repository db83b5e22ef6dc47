//! Reads a line from a client, and no more of it than a line may have.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::clock;
use crate::control::error::{ErrorCode, Refusal};

/// Bytes of a line, its end included. The longest request is one with a name of 64 characters, some 500
/// bytes; 32 connections x 16 KiB = 512 KiB at worst.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// How long a client may say nothing between two requests.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(300);

/// How long a line may take from its first byte to its end.
pub(crate) const LINE_TIME_MAX: Duration = Duration::from_secs(10);

/// A source that gives up a read after a time.
pub(crate) trait Patient: Read {
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

impl Patient for std::os::unix::net::UnixStream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

/// What came of waiting for a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineRead {
    /// A line, without its end.
    Line(Vec<u8>),
    /// The client is done.
    End,
    /// The client is to be told this and left.
    Refused(Refusal),
}

/// The bytes of a client that were not used yet.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Waits for the next line.
    pub(crate) fn next(&mut self, source: &mut impl Patient) -> io::Result<LineRead> {
        let mut until = clock::now() + if self.pending.is_empty() { IDLE_MAX } else { LINE_TIME_MAX };
        let mut searched = 0;
        loop {
            if let Some(end) = self.pending.iter().skip(searched).position(|byte| *byte == b'\n') {
                let mut line: Vec<_> = self.pending.drain(..=searched + end).collect();
                line.pop();
                return Ok(LineRead::Line(line));
            }
            searched = self.pending.len();
            if searched >= LINE_BYTES_MAX {
                let problem = format!("a line has at most {LINE_BYTES_MAX} bytes, and this one has more");
                return Ok(LineRead::Refused(Refusal::new(ErrorCode::LineTooLong, problem)));
            }
            let was_empty = self.pending.is_empty();
            let room = LINE_BYTES_MAX - searched;
            let read = self.read_some(source, room, until)?;
            match read {
                Some(0) if was_empty => return Ok(LineRead::End),
                Some(0) => {
                    let problem = "the line ends before its newline".to_owned();
                    return Ok(LineRead::Refused(Refusal::new(ErrorCode::HalfLine, problem)));
                }
                Some(_) if was_empty => until = clock::now() + LINE_TIME_MAX,
                Some(_) => {}
                None if was_empty => {
                    let problem = format!("nothing was asked for {} seconds", IDLE_MAX.as_secs());
                    return Ok(LineRead::Refused(Refusal::new(ErrorCode::Idle, problem)));
                }
                None => {
                    let problem =
                        format!("the newline did not come within {} seconds", LINE_TIME_MAX.as_secs());
                    return Ok(LineRead::Refused(Refusal::new(ErrorCode::HalfLine, problem)));
                }
            }
        }
    }

    /// Reads what is there, `None` when the time is over.
    fn read_some(
        &mut self,
        source: &mut impl Patient,
        room: usize,
        until: Instant,
    ) -> io::Result<Option<usize>> {
        let mut buffer = [0; 4096];
        let room = room.min(buffer.len());
        loop {
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(None);
            }
            source.set_patience(left)?;
            match source.read(buffer.get_mut(..room).unwrap_or_default()) {
                Ok(count) => {
                    self.pending.extend(buffer.iter().take(count));
                    return Ok(Some(count));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what it has in pieces.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            out[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    impl Patient for Pieces {
        fn set_patience(&self, _: Duration) -> io::Result<()> {
            Ok(())
        }
    }

    fn all(pieces: &[&'static [u8]]) -> Vec<LineRead> {
        let mut source = Pieces(pieces.to_vec());
        let mut lines = Lines::default();
        let mut read = Vec::new();
        loop {
            let next = lines.next(&mut source).expect("it reads");
            let is_last = !matches!(next, LineRead::Line(_));
            read.push(next);
            if is_last {
                return read;
            }
        }
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let read = all(&[b"on", b"e\ntwo\nth", b"ree\n"]);

        let lines = ["one", "two", "three"].map(|line| LineRead::Line(line.as_bytes().to_vec()));
        assert_eq!(read, lines.into_iter().chain([LineRead::End]).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_without_its_end_is_refused() {
        let read = all(&[b"half"]);

        assert!(
            matches!(&read[..], [LineRead::Refused(Refusal { code: ErrorCode::HalfLine, .. })]),
            "{read:?}"
        );
    }

    #[test]
    fn a_line_without_end_is_refused_when_it_is_too_long() {
        let piece: &'static [u8] = Box::leak(vec![b'x'; 4096].into_boxed_slice());

        let read = all(&[piece; LINE_BYTES_MAX / 4096 + 1]);

        assert!(
            matches!(&read[..], [LineRead::Refused(Refusal { code: ErrorCode::LineTooLong, .. })]),
            "{read:?}"
        );
    }
}
