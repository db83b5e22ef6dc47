//! What a handshake and a record cost, next to the raw AEAD of the same library in the same run:
//! the difference is OpenSSL's record layer and ours.
#![expect(clippy::disallowed_methods, reason = "a benchmark is no part of the pure crate and asks the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to measure")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use peerbound_dtls::{
    Authority, Context, ContextConfig, Doorman, Plaintexts, Screening, Session, SessionOptions, Validity,
    VerifiedHello,
};

use ratios::{are_asked_for, medians, processor_time, say};

#[path = "../../../bench/support/ratios.rs"]
mod ratios;

/// A keystroke's worth, half a datagram's worth of voice, and what fills an Ethernet path.
const PAYLOAD_BYTES: [usize; 3] = [64, 512, 1400];
const MTU: u16 = 1500;
const TAG_BYTES: usize = 16;

/// Records in one sample of opening: few enough that all stay in the cache.
const BATCH: u32 = 64;

struct Ends {
    client: Context,
    server: Context,
    options: SessionOptions,
    source: SocketAddr,
}

impl Ends {
    fn new() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let validity = Validity::days(unix, 1);
        let authority = Authority::generate("bench root", validity).unwrap();
        let context = |name| {
            let identity = authority.issue(name, validity).unwrap();
            Context::new(ContextConfig::new(identity, vec![authority.to_root()])).unwrap()
        };
        Self {
            client: context("client"),
            server: context("server"),
            options: SessionOptions { mtu: MTU, ..SessionOptions::default() },
            source: SocketAddr::from(([192, 0, 2, 1], 4433)),
        }
    }

    fn establish(&self) -> (Session, Session) {
        let now = Instant::now();
        let doorman = Doorman::new([1; 32], now);
        let mut client = Session::connect(&self.client, &self.options, now).unwrap();
        let hello = self.verified_hello(&mut client, &doorman, now);
        let mut server = Session::accept(&self.server, &self.options, &hello, now).unwrap();
        while !(client.is_established() && server.is_established()) {
            carry(&mut server, &mut client, now);
            carry(&mut client, &mut server, now);
        }
        (client, server)
    }

    fn verified_hello(&self, client: &mut Session, doorman: &Doorman, now: Instant) -> VerifiedHello {
        loop {
            let hello = client.poll_transmit().unwrap().to_vec();
            match doorman.screen(&hello, self.source, now).unwrap() {
                Screening::Challenge(challenge) => {
                    client.handle_datagram(&challenge, &mut Plaintexts::new(), now);
                }
                Screening::Verified(hello) => return hello,
                Screening::Refused => unreachable!("our hello is in order"),
            }
        }
    }
}

fn carry(from: &mut Session, to: &mut Session, now: Instant) {
    let mut plaintexts = Plaintexts::new();
    while let Some(datagram) = from.poll_transmit() {
        to.handle_datagram(datagram, &mut plaintexts, now);
    }
}

/// AES-128-GCM as the record layer uses it: one context, an IV and 13 bytes of AAD per record.
struct RawAead {
    sealing: CipherCtx,
    opening: CipherCtx,
    iv: [u8; 12],
}

impl RawAead {
    const AAD: [u8; 13] = [7; 13];

    fn new() -> Self {
        let (mut sealing, mut opening) = (CipherCtx::new().unwrap(), CipherCtx::new().unwrap());
        sealing.encrypt_init(Some(Cipher::aes_128_gcm()), Some(&[3; 16]), None).unwrap();
        opening.decrypt_init(Some(Cipher::aes_128_gcm()), Some(&[3; 16]), None).unwrap();
        Self { sealing, opening, iv: [0; 12] }
    }

    fn seal(&mut self, payload: &[u8], out: &mut [u8]) {
        let (body, tag) = out.split_at_mut(payload.len());
        self.sealing.encrypt_init(None, None, Some(&self.iv)).unwrap();
        self.sealing.cipher_update(&Self::AAD, None).unwrap();
        self.sealing.cipher_update(payload, Some(body)).unwrap();
        self.sealing.cipher_final(&mut []).unwrap();
        self.sealing.tag(tag).unwrap();
    }

    fn open(&mut self, sealed: &[u8], out: &mut [u8]) {
        let (body, tag) = sealed.split_at(sealed.len() - TAG_BYTES);
        self.opening.decrypt_init(None, None, Some(&self.iv)).unwrap();
        self.opening.set_tag(tag).unwrap();
        self.opening.cipher_update(&Self::AAD, None).unwrap();
        self.opening.cipher_update(body, Some(out)).unwrap();
        self.opening.cipher_final(&mut []).unwrap();
    }
}

fn handshakes(criterion: &mut Criterion) {
    let ends = Ends::new();
    criterion
        .bench_function("handshake/full/both ends", |bencher| bencher.iter(|| black_box(ends.establish())));
}

fn sealing(criterion: &mut Criterion) {
    let (mut client, _server) = Ends::new().establish();
    let mut aead = RawAead::new();
    let mut group = criterion.benchmark_group("seal");
    for length in PAYLOAD_BYTES {
        let payload = vec![0x5a; length];
        let mut sealed = vec![0; length + TAG_BYTES];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::new("session", length), |bencher| {
            bencher.iter(|| {
                client.send(black_box(&payload)).unwrap();
                black_box(client.poll_transmit());
            });
        });
        group.bench_function(BenchmarkId::new("raw AEAD", length), |bencher| {
            bencher.iter(|| {
                aead.seal(black_box(&payload), &mut sealed);
                black_box(&sealed);
            });
        });
    }
    group.finish();
}

fn opening(criterion: &mut Criterion) {
    let (mut client, mut server) = Ends::new().establish();
    let mut aead = RawAead::new();
    let now = Instant::now();
    let mut group = criterion.benchmark_group("open");
    for length in PAYLOAD_BYTES {
        let payload = vec![0x5a; length];
        let mut sealed = vec![0; length + TAG_BYTES];
        aead.seal(&payload, &mut sealed);
        let mut opened = vec![0; length + TAG_BYTES];
        let mut plaintexts = Plaintexts::new();
        group.throughput(Throughput::Bytes(length as u64));
        // Each record can be opened once, so they are sealed outside the measured part.
        group.bench_function(BenchmarkId::new("session", length), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut spent = Duration::ZERO;
                for _ in 0..iterations.div_ceil(u64::from(BATCH)) {
                    let datagrams = seal_batch(&mut client, &payload);
                    let start = Instant::now();
                    for datagram in &datagrams {
                        plaintexts.clear();
                        black_box(server.handle_datagram(datagram, &mut plaintexts, now));
                    }
                    spent += start.elapsed();
                }
                let opened = iterations.div_ceil(u64::from(BATCH)) * u64::from(BATCH);
                spent.mul_f64(iterations as f64 / opened as f64)
            });
        });
        group.bench_function(BenchmarkId::new("raw AEAD", length), |bencher| {
            bencher.iter(|| {
                aead.open(black_box(&sealed), &mut opened);
                black_box(&opened);
            });
        });
    }
    group.finish();
}

fn seal_batch(client: &mut Session, payload: &[u8]) -> Vec<Vec<u8>> {
    (0..BATCH)
        .map(|_| {
            client.send(payload).unwrap();
            client.poll_transmit().unwrap().to_vec()
        })
        .collect()
}

criterion_group! {
    name = records;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = handshakes, sealing, opening
}

fn main() {
    if are_asked_for() {
        return say_ratios();
    }
    records();
    Criterion::default().configure_from_args().final_summary();
}

/// Measures sessions and raw AEAD in turn, for datagrams that fill a path.
fn say_ratios() {
    const ROUNDS: usize = 400;
    let (mut client, mut server) = Ends::new().establish();
    let mut aead = RawAead::new();
    let payload = vec![0x5a; PAYLOAD_BYTES[2]];
    let (mut sealed, mut opened) = (vec![0; payload.len() + TAG_BYTES], vec![0; payload.len() + TAG_BYTES]);
    let mut plaintexts = Plaintexts::new();
    let now = Instant::now();
    let timed = |act: &mut dyn FnMut()| {
        let begun = processor_time();
        act();
        (processor_time() - begun).as_secs_f64()
    };
    let round = |_| {
        let raw_seal = timed(&mut || (0..BATCH).for_each(|_| aead.seal(black_box(&payload), &mut sealed)));
        let seal = timed(&mut || {
            for _ in 0..BATCH {
                client.send(black_box(&payload)).unwrap();
                black_box(client.poll_transmit());
            }
        });
        let datagrams = seal_batch(&mut client, &payload);
        let raw_open = timed(&mut || (0..BATCH).for_each(|_| aead.open(black_box(&sealed), &mut opened)));
        let open = timed(&mut || {
            for datagram in &datagrams {
                plaintexts.clear();
                black_box(server.handle_datagram(datagram, &mut plaintexts, now));
            }
        });
        assert_eq!(plaintexts.iter().count(), 1, "records open");
        [seal / raw_seal, open / raw_open]
    };
    let [seal, open] = medians(&(0..ROUNDS).map(round).collect::<Vec<_>>());
    say("seal-1400", seal);
    say("open-1400", open);
}
