//! A terminal that is drawn on, and given back as it was.

use std::io::{self, Read, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use crate::columns::{WIDTH, short};

/// What a terminal has that does not say.
const HEIGHT: usize = 24;

/// What stands for no key at all among those that are signals (_POSIX_VDISABLE).
const NO_KEY: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// It is to end.
    Quit,
    /// Any other.
    Other,
}

/// A terminal. Dropping it gives it back.
pub(super) struct Screen {
    before: Termios,
}

impl Screen {
    /// Takes the terminal: the alternate screen (xterm's 1049), no cursor, keys without Enter and unseen.
    /// Ctrl-C stays a signal; Ctrl-Z is none, for it would leave the shell on our screen.
    pub(super) fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut during = before.clone();
        during.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        during.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        tcsetattr(io::stdin(), OptionalActions::Now, &during)?;
        let screen = Self { before };
        write!(io::stdout(), "\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    /// Returns columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((WIDTH, HEIGHT), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// Draws lines from the top, over what was there.
    pub(super) fn show(&mut self, lines: &[String], (width, height): (usize, usize)) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        write!(stdout, "\x1b[H")?;
        for (place, line) in lines.iter().take(height).enumerate() {
            let end = if place == 0 { "" } else { "\r\n" };
            // Cleared behind each line and not before all: nothing flickers.
            write!(stdout, "{end}{}\x1b[K", short(line, width))?;
        }
        write!(stdout, "\x1b[J")
    }

    /// Waits for a key; a signal ends the wait, too.
    pub(super) fn key_within(&self, time: Duration) -> io::Result<Option<Key>> {
        let stdin = io::stdin();
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut ready, Some(&time)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 16];
        let count = stdin.lock().read(&mut bytes)?;
        let quits = |byte: &u8| matches!(byte, b'q' | b'Q');
        // A terminal that has gone reads as an end.
        let is_over = count == 0 || bytes.iter().take(count).any(quits);
        Ok(Some(if is_over { Key::Quit } else { Key::Other }))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut stdout = io::stdout();
        let _ = write!(stdout, "\x1b[?25h\x1b[?1049l");
        let _ = stdout.flush();
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
