//! The last lines of the log, for whoever asks after they were written, and the filter that says what is.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// Lines that are kept: 512 x at most 1024 bytes = 512 KiB.
pub const LOG_LINES_MAX: usize = 512;

/// Bytes of a line that are kept; what is longer is cut.
const LINE_BYTES_KEPT: usize = 1024;

/// Lines that may wait for one follower; what finds the queue full is lost to it, and counted.
const FOLLOWER_LINES_MAX: usize = 1024;

/// Says which lines are written.
pub trait LogFilter: Send + Sync + std::fmt::Debug {
    /// Returns the filter as it would be typed.
    fn filter(&self) -> String;

    /// Sets another one.
    ///
    /// # Errors
    /// Says what is wrong with it.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}

/// What a control server knows of the log.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its last lines.
    pub book: Arc<LogBook>,
    /// What is written.
    pub filter: Arc<dyn LogFilter>,
}

/// The last lines of the log. Write whole lines to it.
#[derive(Debug, Default)]
pub struct LogBook {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<Arc<str>>,
    followers: Vec<Sender<Arc<str>>>,
}

impl LogBook {
    /// Returns the last lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Arc<str>> {
        self.lock().lines.iter().cloned().collect()
    }

    /// Hears of every line from here on, until the receiver is dropped.
    pub(crate) fn follow(&self) -> Receiver<Arc<str>> {
        let (tell, told) = bounded(FOLLOWER_LINES_MAX);
        self.lock().followers.push(tell);
        told
    }

    fn note(&self, line: &str) {
        let kept = line.char_indices().take_while(|(place, _)| *place < LINE_BYTES_KEPT).last();
        let kept = kept.map_or(0, |(place, last)| place + last.len_utf8());
        let line: Arc<str> = line.get(..kept).unwrap_or_default().into();
        let mut inner = self.lock();
        inner.followers.retain(|follower| match follower.try_send(Arc::clone(&line)) {
            Ok(()) | Err(TrySendError::Full(_)) => true,
            Err(TrySendError::Disconnected(_)) => false,
        });
        if inner.lines.len() == LOG_LINES_MAX {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &LogBook {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.note(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a line in one piece, as the log does.
    fn write(mut book: &LogBook, line: &str) {
        book.write_all(format!("{line}\n").as_bytes()).expect("memory takes it");
    }

    #[test]
    fn the_last_lines_are_kept_and_long_ones_are_cut() {
        let book = LogBook::default();
        for number in 0..LOG_LINES_MAX + 3 {
            write(&book, &format!("line {number}"));
        }
        write(&book, &"ä".repeat(LINE_BYTES_KEPT));

        let lines = book.lines();

        assert_eq!(lines.len(), LOG_LINES_MAX);
        assert_eq!(&*lines[0], "line 4");
        assert_eq!(lines.last().map(|line| line.len()), Some(LINE_BYTES_KEPT));
    }

    #[test]
    fn a_follower_hears_every_line_until_it_goes() {
        let book = LogBook::default();
        let told = book.follow();

        write(&book, "one");

        assert_eq!(told.try_iter().map(|line| line.to_string()).collect::<Vec<_>>(), ["one"]);
        drop(told);
        write(&book, "two");
        assert!(book.lock().followers.is_empty());
    }
}
