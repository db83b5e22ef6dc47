//! The pictures of the book are drawn here, from what the code does, and must be the ones that lie in
//! `docs/book/src/pictures`. `PEERBOUND_DRAW=1 cargo test -p peerbound --test docs pictures` puts them there.

use std::fs;
use std::path::{Path, PathBuf};

use peerbound_dtls::{Discard, REPLAY_WINDOW_RECORDS, Record, ReplayWindow};
use peerbound_lab::run::{RunOptions, run};
use peerbound_lab::scenario::Scenario;
use peerbound_lab::trace::Trace;

use crate::page::{Page, all_pages, root};
use crate::sequence::sequence;
use crate::svg::{Anchor, Canvas, FAINT, INK, Place};

const FOLDER: &str = "docs/book/src/pictures";

const BLUE: &str = "#cfe3f7";
const GREEN: &str = "#cdeccd";
const ORANGE: &str = "#f9d9b0";
const GREY: &str = "#e3e6ea";
const VIOLET: &str = "#e2d6f3";

/// Compares a picture with the one in the folder, or puts it there.
pub(crate) fn assert_current(name: &str, svg: &str) {
    let path = root().join(FOLDER).join(name);
    if std::env::var_os("PEERBOUND_DRAW").is_some_and(|value| value == "1") {
        fs::create_dir_all(root().join(FOLDER)).expect("a folder");
        fs::write(&path, svg).expect("a picture");
    }
    let drawn = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        drawn == svg,
        "{FOLDER}/{name} is not what the code does: PEERBOUND_DRAW=1 cargo test -p peerbound --test docs pictures"
    );
}

#[test]
fn the_header_in_chapter_four_is_drawn_from_its_bytes() {
    let bytes = header_of_chapter_four();
    let datagram = [&bytes[..], &vec![0; usize::from(bytes[12])]].concat();
    let (record, rest) = Record::split(&datagram).expect("the header of the chapter is one");
    assert!(rest.is_empty());

    let header = record.header;
    let version = match header.version {
        0xfefd => "DTLS 1.2",
        0xfeff => "DTLS 1.0",
        other => panic!("the chapter shows version {other:x}"),
    };
    let fields = [
        (0..1, "type", header.content_type.number().to_string(), VIOLET),
        (1..3, "version", version.to_owned(), GREY),
        (3..5, "epoch", header.epoch.to_string(), ORANGE),
        (5..11, "sequence number", header.sequence.to_string(), BLUE),
        (11..13, "length", format!("{} bytes", header.length), GREEN),
    ];
    let mut canvas = Canvas::new(
        760,
        170,
        "The 13 bytes of a record header",
        "Type 1 byte, version 2 bytes, epoch 2 bytes, sequence number 6 bytes, length 2 bytes.",
    );
    let x_of = |byte: usize| 20 + 55 * u32::try_from(byte).expect("13 bytes");
    for (index, (range, name, value, fill)) in fields.into_iter().enumerate() {
        for byte in range.clone() {
            let place = Place { x: x_of(byte), y: 40, width: 55, height: 40 };
            canvas.rectangle(place, fill);
            let middle = (place.x + 27, 66);
            canvas.words(middle, Anchor::Middle, 18, INK, &format!("{:02x}", datagram[byte]));
            canvas.words((place.x + 27, 32), Anchor::Middle, 11, FAINT, &byte.to_string());
        }
        let middle = u32::midpoint(x_of(range.start), x_of(range.end));
        // Neighbours stand on two lines, so that their words have room.
        let y = if index % 2 == 0 { 104 } else { 136 };
        canvas.line((middle, 82), (middle, y - 12), FAINT, None);
        let anchor = if index == 0 { Anchor::Start } else { Anchor::Middle };
        let x = if index == 0 { 20 } else { middle };
        canvas.words((x, y), anchor, 13, INK, name);
        canvas.words((x, y + 17), anchor, 13, FAINT, &value);
    }
    assert_current("header.svg", &canvas.finish());
}

/// Reads the header out of the chapter, so that text and picture are about the same bytes.
fn header_of_chapter_four() -> [u8; 13] {
    let page = Page::read(Path::new("docs/book/src/04-thirteen-bytes.md"));
    let mut blocks = page.sections.iter().flat_map(|section| &section.blocks);
    let line = blocks.find_map(|block| block.lines.first()).expect("the chapter begins with a header");
    let bytes: Vec<_> = line
        .split(' ')
        .map(|byte| u8::from_str_radix(byte, 16).expect("the chapter writes bytes in hexadecimal"))
        .collect();
    bytes.try_into().expect("a header has 13 bytes")
}

#[test]
fn the_window_in_chapter_nine_is_drawn_from_the_window() {
    const NEWEST: u64 = 100;
    const LATE: u64 = 98;
    let mut window = ReplayWindow::default();
    (0..=NEWEST).filter(|number| *number != LATE).for_each(|number| window.mark(number));

    let mut canvas = Canvas::new(
        760,
        190,
        "A replay window of 64 records",
        "Records 37 to 100 lie in the window. 98 has not come yet and is accepted; what lies behind 37 is too old; \
         what lies before 100 is accepted if it verifies.",
    );
    let shown = (30..=40).chain(94..=105);
    for (column, number) in (0..).zip(shown) {
        let (fill, word) = match window.check(number) {
            Ok(()) => (GREEN, "?"),
            Err(Discard::Replay) => (ORANGE, "x"),
            Err(Discard::TooOld) => (GREY, "-"),
            Err(other) => panic!("a window does not say {other}"),
        };
        // A gap stands for the numbers between.
        let gap = if number > 40 { 30 } else { 0 };
        let place = Place { x: 15 + 30 * column + gap, y: 50, width: 30, height: 34 };
        canvas.rectangle(place, fill);
        canvas.words((place.x + 15, 72), Anchor::Middle, 14, INK, word);
        canvas.words((place.x + 15, 44), Anchor::Middle, 10, FAINT, &number.to_string());
        if number == 40 {
            canvas.words((place.x + 45, 72), Anchor::Middle, 14, FAINT, "...");
        }
        if number == NEWEST {
            canvas.words((place.x + 15, 22), Anchor::Middle, 12, INK, "newest");
            canvas.line((place.x + 15, 26), (place.x + 15, 34), INK, None);
        }
        if number == NEWEST + 1 - REPLAY_WINDOW_RECORDS {
            canvas.words((place.x + 15, 22), Anchor::Middle, 12, INK, "63 behind");
            canvas.line((place.x + 15, 26), (place.x + 15, 34), INK, None);
        }
    }
    let legend = [
        (GREEN, "?", "not seen: accepted if the tag verifies"),
        (ORANGE, "x", "seen: replay"),
        (GREY, "-", "behind the window: too old"),
    ];
    for (row, (fill, word, meaning)) in (0..).zip(legend) {
        let place = Place { x: 15, y: 104 + 26 * row, width: 30, height: 20 };
        canvas.rectangle(place, fill);
        canvas.words((30, place.y + 15), Anchor::Middle, 13, INK, word);
        canvas.words((56, place.y + 15), Anchor::Start, 13, INK, meaning);
    }
    assert_current("window.svg", &canvas.finish());
}

/// Which datagrams of a run are drawn.
enum Shown {
    /// Those that the scenario has a name for.
    Named,
    /// Those that carry something that the scenario has a name for, on every hop; not the pings by which
    /// a run finds out that a session is alive.
    Titled,
    /// Those that were sent between these milliseconds.
    Between(u64, u64),
}

/// The runs that the book shows.
#[test]
fn runs_are_drawn_as_they_went() {
    const RUNS: [(&str, Shown); 5] = [
        ("queued-before-connect", Shown::Named),
        ("rung-1-strict-demux", Shown::Titled),
        ("pass-through", Shown::Between(16, 21)),
        ("cid-rebinding", Shown::Named),
        ("cid-newest-record-stolen", Shown::Named),
    ];
    for (name, shown) in RUNS {
        let trace = run_of(name);

        let svg = sequence(
            &trace,
            |journey| match shown {
                Shown::Named => journey.label.is_some(),
                Shown::Titled => journey.title().is_some_and(|title| title != "ping"),
                Shown::Between(from, until) => (from..until).contains(&(journey.sent_at.0 / 1_000_000)),
            },
            &["peer-moved", "check-failed"],
        );

        assert_current(&format!("{name}.svg"), &svg);
    }
}

#[test]
fn the_flights_in_chapter_five_are_drawn_from_a_handshake() {
    // Six flights, and the first data of each side.
    let svg = beginning(&run_of("six-flights"), 8);

    assert_current("six-flights.svg", &svg);
}

#[test]
fn the_lost_flight_in_chapter_six_is_drawn_from_a_run_without_it() {
    // Three flights, the lost one, the hello and the five datagrams that repeat it, and two more flights.
    let svg = beginning(&run_with("loss-of-each-flight", &[("flight", "4")]), 12);

    assert_current("loss-of-flight-4.svg", &svg);
}

/// Draws the first datagrams of a run.
fn beginning(trace: &Trace, datagrams: usize) -> String {
    let shown: Vec<_> = trace.journeys().iter().take(datagrams).map(|journey| journey.entry).collect();
    sequence(trace, |journey| shown.contains(&journey.entry), &[])
}

fn run_of(name: &str) -> Trace {
    run_with(name, &[])
}

fn run_with(name: &str, parameters: &[(&str, &str)]) -> Trace {
    let file = root().join(format!("examples/scenarios/{name}.toml"));
    let overrides: Vec<_> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let scenario = Scenario::read(&file, &overrides).expect("a scenario of the library");
    run(&scenario, &RunOptions::with_seed(1)).expect("it can be run").trace
}

#[test]
fn every_picture_in_the_folder_is_shown_on_a_page() {
    let shown: Vec<PathBuf> = all_pages().iter().flat_map(|path| pictures_on(path)).collect();
    for entry in fs::read_dir(root().join(FOLDER)).expect("the folder of pictures") {
        let name = entry.expect("an entry").file_name();
        let path = Path::new(FOLDER).join(&name);
        assert!(shown.contains(&path), "no page shows {}", path.display());
    }
}

fn pictures_on(page: &Path) -> Vec<PathBuf> {
    let folder = page.parent().expect("a page lies in a folder").to_owned();
    let page = Page::read(page);
    let prose = page.sections.iter().flat_map(|section| &section.prose);
    let targets = prose.filter_map(|line| line.strip_prefix("![")?.split_once("](")?.1.strip_suffix(')'));
    targets.map(|target| folder.join(target)).collect()
}
