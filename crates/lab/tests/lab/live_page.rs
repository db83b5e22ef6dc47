//! The page of a running node in a browser: it shows who is there, and what is dropped while one looks.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use peerbound_daemon::{Daemon, DaemonConfig, MetricsServer};
use peerbound_dtls::{Authority, Context, ContextConfig, Identity, Validity};
use peerbound_node::{NeighbourConfig, NodeConfig, node_id};

use crate::browser::{Browser, Scheme};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_page_shows_neighbours_and_a_direct_reply_that_is_dropped_while_one_looks() -> Result<()> {
    let Some(browser) = Browser::open(1100, 1000, Scheme::Light)? else { return Ok(()) };
    let validity = Validity::days(peerbound_daemon::unix_seconds(), 1);
    let authority = Authority::generate("test root", validity)?;
    let [a, b, c] = ["A", "B", "C"].map(|name| authority.issue(name, validity));
    let (a, b, c) = (a?, b?, c?);
    let neighbour = |of: &Identity, address: Option<SocketAddr>| NeighbourConfig {
        id: node_id(&of.key_hash()),
        name: of.name(),
        addresses: address.into_iter().collect(),
    };
    let start = |us: &Identity, neighbours| -> Result<Daemon> {
        let context = Context::new(ContextConfig::new(us.clone(), vec![authority.to_root()]))?;
        let node = NodeConfig { neighbours, measure_round_trips: true, ..NodeConfig::new(context) };
        Ok(Daemon::start(DaemonConfig::new(node, ANY))?)
    };
    let relay = start(&b, vec![neighbour(&a, None), neighbour(&c, None)])?;
    let _end = start(&a, vec![neighbour(&b, Some(relay.address()))])?;
    let server = MetricsServer::start(&relay, ANY, PathBuf::from("b.toml"))?;

    browser.visit_address(&format!("http://{}/", server.address()))?;
    wait_until(
        &browser,
        "A is up and C is not",
        "document.querySelector('#neighbours tbody')?.rows.length === 2 && document.querySelectorAll('#neighbours .up').length === 1",
    )?;
    wait_until(
        &browser,
        "the round trip to A is shown",
        r"/\d ms/.test(document.querySelector('#neighbours .up').closest('tr').innerText)",
    )?;
    ensure!(browser.text("#queues")?.contains("Nothing had to wait."), "nothing waits");
    let stranger = UdpSocket::bind(ANY)?;
    stranger.send_to(&[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 7], relay.address())?;
    wait_until(
        &browser,
        "the drop is shown",
        "document.querySelector('#drops').innerText.includes('no-session')",
    )?;

    let warnings = browser.text("#warnings")?;
    ensure!(warnings.contains("neighbour C is down"), "{warnings}");
    ensure!(
        browser.evaluate("document.querySelectorAll('#mesh circle').length")? == 3,
        "three nodes are drawn"
    );
    drop(server);
    wait_until(&browser, "the page says that it is old", "document.body.dataset.state === 'stale'")
}

fn wait_until(browser: &Browser, what: &str, expression: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while browser.evaluate(expression)?.as_bool() != Some(true) {
        let page = browser.text("body").context("the page has a text")?;
        ensure!(Instant::now() < end, "within {PATIENCE:?}: {what}; the page says {page}");
    }
    Ok(())
}
