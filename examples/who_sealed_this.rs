//! Two sessions in memory, A–B and B–C, and one record in the wrong hands: what A says about it, and
//! what only the key oracle can say.
//!
//! Run it with `cargo run --example who_sealed_this`.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Instant;

use peerbound_dtls::{
    Authority, Context, ContextConfig, Doorman, KeyOracle, Plaintexts, Record, Screening, Session,
    SessionOptions, Validity,
};

fn main() -> Result<(), Box<dyn Error>> {
    let validity = Validity::days(peerbound_daemon::unix_seconds(), 1);
    let authority = Authority::generate("example CA", validity)?;
    let context = |name: &str| -> Result<Context, Box<dyn Error>> {
        let identity = authority.issue(name, validity)?;
        Ok(Context::new(ContextConfig::new(identity, vec![authority.to_root()]))?)
    };
    let (a, b, c) = (context("A")?, context("B")?, context("C")?);
    let (mut a_to_b, _b_to_a) = shake_hands(&a, &b)?;
    let (mut c_to_b, mut b_to_c) = shake_hands(&c, &b)?;

    c_to_b.send(b"Yes, A: directly.")?;
    let datagram = c_to_b.poll_transmit().ok_or("C sealed a record")?.to_vec();
    let at_a = a_to_b.handle_datagram(&datagram, &mut Plaintexts::new(), Instant::now());
    let mut plaintexts = Plaintexts::new();
    let at_b = b_to_c.handle_datagram(&datagram, &mut plaintexts, Instant::now());

    let mut oracle = KeyOracle::default();
    for (label, session) in [("A–B", &a_to_b), ("C–B", &c_to_b)] {
        oracle.learn(label, session.secrets().ok_or("the session is established")?)?;
    }
    let (record, _) = Record::split(&datagram)?;
    let sealed = oracle.identify(&record).ok_or("the oracle knows the session")?;

    println!("A's session with B says: {at_a:?}");
    println!(
        "B's session with C says: {at_b:?}, {:?}",
        plaintexts.iter().map(String::from_utf8_lossy).next()
    );
    println!("The oracle says: sealed by session {}, {:?}", sealed.session, sealed.direction);
    Ok(())
}

/// Carries a handshake between a client and a server that nobody disturbs.
fn shake_hands(client: &Context, server: &Context) -> Result<(Session, Session), Box<dyn Error>> {
    let now = Instant::now();
    let address = SocketAddr::from(([192, 0, 2, 1], 4433));
    let doorman = Doorman::new([0; 32], now);
    let mut client = Session::connect(client, &SessionOptions::default(), now)?;
    let verified = loop {
        let hello = client.poll_transmit().ok_or("a client begins with a hello")?.to_vec();
        match doorman.screen(&hello, address, now)? {
            Screening::Challenge(challenge) => {
                client.handle_datagram(&challenge, &mut Plaintexts::new(), now)
            }
            Screening::Verified(hello) => break hello,
            Screening::Refused => return Err("the hello was refused".into()),
        };
    };
    let mut server = Session::accept(server, &SessionOptions::default(), &verified, now)?;
    while !(client.is_established() && server.is_established()) {
        while let Some(datagram) = server.poll_transmit() {
            client.handle_datagram(datagram, &mut Plaintexts::new(), now);
        }
        while let Some(datagram) = client.poll_transmit() {
            server.handle_datagram(datagram, &mut Plaintexts::new(), now);
        }
    }
    Ok((client, server))
}
