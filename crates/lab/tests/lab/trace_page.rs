//! The page of a trace in a browser, with every end that a datagram can have. Without chromedriver
//! these tests say so and pass, unless `PEERBOUND_REQUIRE_PEERS=1`. Their pictures stay in `target/tmp`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use peerbound_lab::trace::{ExpectationLine, RunFacts, Trace};

use crate::browser::{Browser, Scheme};
use crate::story;

const HOME: &str = "\u{e011}";
const END: &str = "\u{e010}";
const UP: &str = "\u{e013}";
const DOWN: &str = "\u{e015}";
const ENTER: &str = "\u{e007}";

/// Every end, by the name of its class on the page.
const ENDS: [&str; 12] = [
    "accepted",
    "read",
    "challenged",
    "kernel",
    "demux",
    "gate",
    "replay",
    "record-auth",
    "identity",
    "killed",
    "lost",
    "on-its-way",
];

#[test]
fn every_end_has_its_own_colour_and_its_own_shape() -> Result<()> {
    let page = page_of(&story::triangle()?, "ends")?;
    let Some(browser) = Browser::open(1280, 900, Scheme::Light)? else { return Ok(()) };
    browser.visit(&page)?;

    for end in ENDS {
        let arrows = browser.evaluate(&format!("document.querySelectorAll('g.row.{end} .wire').length"))?;
        ensure!(arrows.as_u64().is_some_and(|arrows| arrows > 0), "no arrow ends as {end}");
    }
    let shapes = browser.evaluate(
        "[...document.querySelectorAll('#legend svg')].map((svg) => svg.innerHTML.replace(/class=\"[^\"]*\"/g, ''))",
    )?;
    let shapes = shapes.as_array().context("a legend")?;
    ensure!(shapes.len() == ENDS.len(), "{} ends are explained", shapes.len());
    for (index, shape) in shapes.iter().enumerate() {
        ensure!(!shapes[..index].contains(shape), "two ends are drawn alike: {shape}");
    }
    nothing_went_wrong(&browser, &page, "ends.png")
}

#[test]
fn a_click_takes_the_header_apart_byte_by_byte() -> Result<()> {
    let page = page_of(&story::triangle()?, "click")?;
    let Some(browser) = Browser::open(1280, 900, Scheme::Dark)? else { return Ok(()) };
    browser.visit(&page)?;

    browser.click("g.row.demux .hit")?;

    let panel = browser.text("#panel")?;
    // The bytes are the datagram's own: C sealed it as record 5 of its epoch 1, 12 bytes of text.
    for expected in [
        "demux (no-session)",
        "session B–C, direction C→B",
        "RFC 6347, 4.1.1",
        "23: application data",
        "fe fd",
        "DTLS 1.2",
        "1: sealed with the session's keys",
        "00 00 00 00 00 05",
        "5: 48 bits, counted by the sender",
        "00 24",
        "36 bytes follow",
        "explicit nonce",
        "tag",
        "10.0.0.3:4433 (C)",
    ] {
        ensure!(panel.contains(expected), "no \"{expected}\" in: {panel}");
    }
    let offsets =
        browser.evaluate("[...document.querySelectorAll('#panel td.at')].map((cell) => cell.textContent)")?;
    ensure!(offsets == serde_json::json!(["0", "1", "3", "5", "11", "13", "21", "33"]), "{offsets}");
    nothing_went_wrong(&browser, &page, "panel.png")
}

#[test]
fn keys_step_through_the_rows_and_the_drawing_follows() -> Result<()> {
    let page = page_of(&story::triangle()?, "keys")?;
    let Some(browser) = Browser::open(1280, 700, Scheme::Light)? else { return Ok(()) };
    browser.visit(&page)?;
    let selected = || browser.evaluate("document.querySelector('g.row.selected')?.dataset.place ?? null");

    for (keys, expected) in [("j", "0"), ("jj", "2"), ("k", "1"), (DOWN, "2"), (UP, "1"), (HOME, "0")] {
        browser.press(keys)?;
        ensure!(selected()? == expected, "after {keys:?} row {} is selected", selected()?);
    }
    browser.press(END)?;
    let last = browser.evaluate("String(document.querySelectorAll('g.row').length - 1)")?;
    ensure!(selected()? == last, "the end is {last}, selected is {}", selected()?);
    let in_sight = browser.evaluate(
        "(() => { const box = document.querySelector('g.row.selected').getBoundingClientRect(); \
         return box.top > 0 && box.bottom < innerHeight; })()",
    )?;
    ensure!(in_sight == true, "the selected row is out of sight");
    let told = browser.evaluate(
        "document.getElementById(document.getElementById('drawing').getAttribute('aria-activedescendant')).getAttribute('aria-label')",
    )?;
    ensure!(told.as_str().is_some_and(|told| told.contains("on its way")), "a screen reader hears {told}");
    browser.press("\u{e00c}")?;
    ensure!(browser.evaluate("document.getElementById('panel').hidden")? == true, "the panel stays open");
    nothing_went_wrong(&browser, &page, "keys.png")
}

#[test]
fn filters_by_end_host_text_and_liveness_leave_what_they_say() -> Result<()> {
    let page = page_of(&story::triangle()?, "filters")?;
    let Some(browser) = Browser::open(1280, 900, Scheme::Light)? else { return Ok(()) };
    browser.visit(&page)?;
    let count = |selector: &str| -> Result<u64> {
        let counted = browser.evaluate(&format!("document.querySelectorAll('{selector}').length"))?;
        counted.as_u64().context("a number")
    };
    let all = count("g.row")?;

    browser.press("h")?;
    ensure!(
        count("g.row")? == all + 12,
        "the nodes said hello 12 times, {} rows more",
        count("g.row")? - all
    );
    browser.press("h")?;
    browser.click("#legend li.demux button")?;
    ensure!(count("g.row.demux")? == 1 && count("g.row")? == 1, "{} rows", count("g.row")?);
    browser.click("#legend li.demux button")?;
    let choose = |id: &str, value: &str| {
        let script = format!(
            "(() => {{ const box = document.getElementById('{id}'); box.value = '{value}'; box.dispatchEvent(new Event('change')); }})()"
        );
        browser.evaluate(&script)
    };
    choose("by-host", "3")?;
    ensure!(count("g.row.datagram, g.row .wire")? == 7, "the attacker sent seven: {}", count("g.row .wire")?);
    choose("by-host", "")?;
    browser.press("/")?;
    browser.press("direct reply")?;
    browser.press(ENTER)?;
    let texts = browser
        .evaluate("[...document.querySelectorAll('g.row')].map((row) => row.getAttribute('aria-label'))")?;
    let texts = texts.as_array().context("texts")?;
    ensure!(texts.len() == 4, "three datagrams and a step: {texts:?}");
    ensure!(
        texts.iter().all(|text| text.as_str().is_some_and(|text| text.contains("direct reply"))),
        "{texts:?}"
    );
    nothing_went_wrong(&browser, &page, "filters.png")
}

#[test]
fn without_a_script_the_table_says_everything_that_is_drawn() -> Result<()> {
    let page = page_of(&story::triangle()?, "table")?;
    let Some(browser) = Browser::open(390, 844, Scheme::Light)? else { return Ok(()) };
    browser.allow_scripts(false)?;
    browser.visit(&page)?;

    let table = browser.text("#fallback")?;

    for expected in [
        "demux (no-session)",
        "record-auth (bad-mac)",
        "replay (replay)",
        "gate (short-body)",
        "kernel (ICMP port unreachable goes back)",
        "lost (chance)",
        "on its way",
        "alert <in the clear>",
        "its socket is told: ECONNREFUSED",
        "session B–C, direction C→B",
    ] {
        ensure!(table.contains(expected), "no \"{expected}\" in: {table}");
    }
    nothing_went_wrong(&browser, &page, "table.png")
}

#[test]
fn a_narrow_window_holds_all_lanes_side_by_side() -> Result<()> {
    let page = page_of(&story::triangle()?, "narrow")?;
    let Some(browser) = Browser::open(390, 844, Scheme::Dark)? else { return Ok(()) };
    browser.visit(&page)?;
    browser.click("g.row.record-auth .hit")?;

    for wide in ["document.documentElement", "document.getElementById('drawing')"] {
        let wider = browser.evaluate(&format!("{wide}.scrollWidth - {wide}.clientWidth"))?;
        ensure!(wider.as_i64().is_some_and(|wider| wider <= 0), "{wide} is {wider} pixels too wide");
    }
    nothing_went_wrong(&browser, &page, "narrow.png")
}

#[test]
fn a_page_of_five_thousand_rows_draws_those_in_sight() -> Result<()> {
    let trace = story::long(1100)?;
    ensure!(trace.journeys().len() > 4_500, "{} datagrams", trace.journeys().len());
    let page = page_of(&trace, "long")?;
    let Some(browser) = Browser::open(1280, 900, Scheme::Light)? else { return Ok(()) };
    browser.visit(&page)?;

    browser.press("h")?;
    browser.press(END)?;

    let drawn = browser.evaluate("document.querySelectorAll('g.row').length")?;
    ensure!(drawn.as_u64().is_some_and(|drawn| (10..300).contains(&drawn)), "{drawn} rows are drawn");
    let last = browser.evaluate("Number(document.querySelector('g.row.selected').dataset.place)")?;
    ensure!(last.as_u64().is_some_and(|last| last > 4_500), "the last row is {last}");
    nothing_went_wrong(&browser, &page, "long.png")
}

fn page_of(trace: &Trace, name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace-page").join(name);
    let line = |expected: &str, observed: &str, holds| ExpectationLine {
        expected: expected.to_owned(),
        observed: observed.to_owned(),
        holds,
    };
    let facts = RunFacts {
        replay: "peerbound sim replay story --seed 1".to_owned(),
        expectations: vec![
            line("“direct reply” ends at A: demux", "demux, no-session", true),
            line("session A–B is alive", "it ended", false),
        ],
        ..RunFacts::default()
    };
    trace.write_to(&folder, &trace.summarise(facts))?;
    Ok(folder.join("run.html"))
}

/// The page did not complain and asked for nothing but itself; leaves a picture of how it looks.
fn nothing_went_wrong(browser: &Browser, page: &Path, picture: &str) -> Result<()> {
    let picture = page.with_file_name(picture);
    browser.screenshot(&picture)?;
    ensure!(picture.metadata()?.len() > 10_000, "an empty picture");
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the page complains: {complaints:?}");
    let requests = browser.requests()?;
    ensure!(requests.is_empty(), "the page asks for {requests:?}");
    Ok(())
}
