//! Measures one subject once: generators at A and C, and the clocks of what runs at B.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::chain::Chain;
use crate::figures::{Figure, Figures};
use crate::program::{Generator, Program};
use crate::search::{LOSS_MAX, RateSearch, Trial};
use crate::subject::Open;
use crate::words::{RoundTrips, Said};

/// Ports at C.
const TCP_PORT: u16 = 5001;
const UDP_PORT: u16 = 5002;

/// Streams of the loaded measurements.
const STREAMS: usize = 4;

/// How long TCP finds its rate before it counts.
const WARM_UP: f64 = 0.7;

/// Payload of datagrams: what QUIC sends at least, and what a voice or a game sends.
const DATAGRAM_BYTES: usize = 1200;
const SMALL_BYTES: usize = 64;

/// How long a trial of a rate takes, and how long what is still on its way may take.
const TRIAL_SECONDS: f64 = 0.4;
const DRAIN: Duration = Duration::from_millis(150);

/// How much less is tried, and how often, when the rate that went well does not go well for longer.
const LESS: f64 = 0.9;
const ATTEMPTS: usize = 10;

/// Probes are 2 ms apart, as many as there is time for; without load at least so long that a percentile means something. The
/// first one on a way may take half a second.
const PROBE_INTERVAL_US: u64 = 2000;
const PROBE_SECONDS_MIN: f64 = 1.0;
const PROBE_PATIENCE_SECONDS: f64 = 0.5;

/// How long the way may take to carry its first packet.
const PATIENCE: Duration = Duration::from_secs(15);

/// How thoroughly is measured.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Extent {
    /// What each part takes.
    pub(crate) seconds: f64,
    /// Datagrams that the sender gives the kernel at once.
    pub(crate) segments: usize,
}

/// A subject that is measured.
pub(crate) struct Measurement<'a> {
    chain: &'a Chain,
    folder: &'a Path,
    open: &'a mut Open,
    extent: Extent,
    figures: Figures,
}

impl<'a> Measurement<'a> {
    /// Prepares one.
    pub(crate) fn new(chain: &'a Chain, folder: &'a Path, open: &'a mut Open, extent: Extent) -> Self {
        Self { chain, folder, open, extent, figures: Figures::new() }
    }

    /// Measures everything.
    pub(crate) fn run(mut self) -> anyhow::Result<Figures> {
        self.wait_until_open()?;
        self.memory(Figure::MemoryAtRest)?;
        let idle = self.probe(self.extent.seconds.max(PROBE_SECONDS_MIN))?.wait()?;
        self.put_round_trips([Figure::PingIdleP50, Figure::PingIdleP99], idle);
        let large = self.datagrams(DATAGRAM_BYTES)?;
        self.figures.insert(Figure::Udp, large.per_second * DATAGRAM_BYTES as f64 * 8.0);
        self.put_processor(Figure::ProcessorUdp, large.processor_seconds_per_byte);
        let small = self.datagrams(SMALL_BYTES)?;
        self.figures.insert(Figure::SmallDatagrams, small.per_second);
        self.figures.insert(Figure::SmallFlooded, small.per_second_flooded);
        self.streams(1, [Figure::TcpOne, Figure::ProcessorTcpOne])?;
        // The probes begin when TCP has found its rate, and end before it does.
        let probe = self.streams(STREAMS, [Figure::TcpFour, Figure::ProcessorTcpFour])?;
        self.put_round_trips([Figure::PingLoadedP50, Figure::PingLoadedP99], probe);
        self.memory(Figure::MemoryAtLoad)?;
        Ok(self.figures)
    }

    fn far(&self, port: u16) -> String {
        SocketAddr::from((self.open.far, port)).to_string()
    }

    /// Waits until the first probe comes back.
    fn wait_until_open(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let trips = self.probe_once()?.wait();
            if trips.is_ok_and(|trips| trips.answered == 1) {
                return Ok(());
            }
            self.check()?;
            ensure!(Instant::now() < deadline, "nothing gets through within {PATIENCE:?}");
        }
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.open.relay.iter_mut().chain(&mut self.open.ends).try_for_each(Program::check)
    }

    /// Sends probes for so long.
    fn probe(&self, seconds: f64) -> anyhow::Result<Probing> {
        self.start_probe(seconds, &[])
    }

    /// Sends a probe, and waits as long for it.
    fn probe_once(&self) -> anyhow::Result<Probing> {
        self.start_probe(PROBE_PATIENCE_SECONDS, &["--count", "1"])
    }

    fn start_probe(&self, seconds: f64, more: &[&str]) -> anyhow::Result<Probing> {
        let (to, seconds_text) = (self.open.far.to_string(), seconds.to_string());
        let interval = PROBE_INTERVAL_US.to_string();
        let words = ["probe", "--to", &to, "--seconds", &seconds_text, "--interval-us", &interval];
        let generator = Generator::start(&self.chain.a, ("probe", self.folder), &[&words, more].concat())?;
        Ok(Probing { generator, takes: Duration::from_secs_f64(seconds) })
    }

    fn put_round_trips(&mut self, [p50, p99]: [Figure; 2], trips: RoundTrips) {
        self.figures.extend(trips.p50_us.map(|value| (p50, value)));
        self.figures.extend(trips.p99_us.map(|value| (p99, value)));
    }

    /// Runs TCP streams, with probes beside them.
    fn streams(&mut self, count: usize, [rate, processor]: [Figure; 2]) -> anyhow::Result<RoundTrips> {
        let (address, streams) = (self.far(TCP_PORT), count.to_string());
        let (warm_up, seconds) = (WARM_UP.to_string(), self.extent.seconds.to_string());
        let words = ["tcp-sink", "--listen", &address, "--streams", &streams];
        let words = [&words[..], &["--warm-up", &warm_up, "--seconds", &seconds]].concat();
        let mut sink = Generator::start(&self.chain.c, ("tcp-sink", self.folder), &words)?;
        sink.wait_until_ready()?;
        let words = ["tcp-source", "--to", &address, "--streams", &streams];
        let _source = Generator::start(&self.chain.a, ("tcp-source", self.folder), &words)?;
        let said = sink.hear(Duration::from_secs_f64(WARM_UP))?;
        ensure!(said == Said::Begin, "the sink says {said:?}");
        let before = self.processor_seconds()?;
        // One stream is measured for itself.
        let probe = if count > 1 { Some(self.probe(self.extent.seconds * 0.9)?) } else { None };
        let said = sink.hear(Duration::from_secs_f64(self.extent.seconds))?;
        let after = self.processor_seconds()?;
        let Said::End { bytes, seconds } = said else { bail!("the sink says {said:?}") };
        self.check()?;
        self.figures.insert(rate, bytes as f64 * 8.0 / seconds);
        self.put_processor(
            processor,
            after.zip(before).map(|(after, before)| (after - before) / bytes as f64),
        );
        match probe {
            Some(probe) => probe.wait(),
            None => Ok(RoundTrips { sent: 0, answered: 0, p50_us: None, p99_us: None }),
        }
    }

    /// Finds the highest rate for datagrams of this size, and measures at it.
    fn datagrams(&mut self, bytes: usize) -> anyhow::Result<Carried> {
        let listen = self.far(UDP_PORT);
        let words = ["udp-sink", "--listen", &listen];
        let mut sink = Generator::start(&self.chain.c, ("udp-sink", self.folder), &words)?;
        sink.wait_until_ready()?;
        let unpaced = self.send(&mut sink, bytes, None, TRIAL_SECONDS)?;
        let mut search = RateSearch::new(unpaced);
        while let Some(rate) = search.next() {
            let trial = self.send(&mut sink, bytes, Some(rate), TRIAL_SECONDS)?;
            search.on_trial(trial);
        }
        let mut rate = search.best();
        for _ in 0..ATTEMPTS {
            if rate < 1.0 {
                break;
            }
            let before = self.processor_seconds()?;
            let trial = self.send(&mut sink, bytes, Some(rate), self.extent.seconds)?;
            let after = self.processor_seconds()?;
            if trial.loss() < LOSS_MAX {
                let sent = trial.delivered * self.extent.seconds * bytes as f64;
                let processor = after.zip(before).map(|(after, before)| (after - before) / sent);
                let per_second_flooded = unpaced.delivered;
                return Ok(Carried {
                    per_second: trial.delivered,
                    per_second_flooded,
                    processor_seconds_per_byte: processor,
                });
            }
            rate *= LESS;
        }
        let per_second_flooded = unpaced.delivered;
        Ok(Carried { per_second: 0.0, per_second_flooded, processor_seconds_per_byte: None })
    }

    fn send(
        &mut self,
        sink: &mut Generator,
        bytes: usize,
        rate: Option<f64>,
        seconds: f64,
    ) -> anyhow::Result<Trial> {
        let (to, bytes, seconds_text) = (self.far(UDP_PORT), bytes.to_string(), seconds.to_string());
        let segments = self.extent.segments.to_string();
        let mut words = vec!["udp-source", "--to", &to, "--bytes", &bytes, "--segments", &segments];
        words.extend(["--seconds", &seconds_text]);
        let rate = rate.map(|rate| rate.to_string());
        if let Some(rate) = &rate {
            words.extend(["--rate", rate]);
        }
        let mut source = Generator::start(&self.chain.a, ("udp-source", self.folder), &words)?;
        let said = source.hear(Duration::from_secs_f64(seconds))?;
        let Said::Sent { datagrams: sent, seconds } = said else { bail!("the source says {said:?}") };
        thread::sleep(DRAIN);
        self.check()?;
        let said = sink.ask()?;
        let Said::Received { datagrams } = said else { bail!("the sink says {said:?}") };
        Ok(Trial { offered: sent as f64 / seconds, delivered: datagrams as f64 / seconds })
    }

    /// Returns the processor time of all that runs at B, if anything does.
    fn processor_seconds(&self) -> anyhow::Result<Option<f64>> {
        let seconds: anyhow::Result<Vec<_>> =
            self.open.relay.iter().map(Program::processor_seconds).collect();
        let seconds = seconds?;
        Ok((!seconds.is_empty()).then(|| seconds.iter().sum()))
    }

    fn put_processor(&mut self, figure: Figure, per_byte: Option<f64>) {
        self.figures.extend(per_byte.filter(|value| value.is_finite()).map(|value| (figure, value * 1e9)));
    }

    fn memory(&mut self, figure: Figure) -> anyhow::Result<()> {
        let bytes: anyhow::Result<Vec<_>> = self.open.relay.iter().map(Program::resident_bytes).collect();
        let bytes = bytes.context("the memory of what runs at B")?;
        if !bytes.is_empty() {
            self.figures.insert(figure, bytes.iter().sum::<u64>() as f64);
        }
        Ok(())
    }
}

/// Datagrams at the highest rate with little loss, and what arrives of as many as can be sent.
struct Carried {
    per_second: f64,
    per_second_flooded: f64,
    processor_seconds_per_byte: Option<f64>,
}

/// Probes that are on their way.
struct Probing {
    generator: Generator,
    takes: Duration,
}

impl Probing {
    fn wait(mut self) -> anyhow::Result<RoundTrips> {
        match self.generator.hear(self.takes)? {
            Said::RoundTrips(trips) => Ok(trips),
            said => bail!("the probe says {said:?}"),
        }
    }
}
