//! The file of a sweep: a line of JSON that says what is swept, then one for each run that is done.
//! Lines are only ever added, so a sweep that was interrupted has lost nothing but what was running.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hexadecimal::hex;
use crate::sweep::{Seeds, Shard};

/// The version of the file's shape.
pub const SWEEP_SCHEMA: u32 = 1;

/// The longest line that is read: a run that failed in a hundred ways has 20 kB.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// The most runs that a whole sweep may have.
pub const RUNS_MAX: u64 = 100_000_000; // counted in a u64, and in files of 10 GB for all shards

/// What is swept. Two files belong to one sweep when all of this is the same but the shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepPlan {
    /// The version of the file's shape.
    pub sweep_schema: u32,
    /// The program's version.
    pub peerbound: String,
    /// The OpenSSL in use: another one may behave otherwise.
    pub openssl: String,
    /// The scenario's name.
    pub scenario: String,
    /// SHA-256 of the scenario's text, in hexadecimal.
    pub scenario_hash: String,
    /// Where it runs.
    pub backend: String,
    /// The suite that all nodes were told to use, if they were.
    pub suite: Option<String>,
    /// The parameters of each point, as TOML literals.
    pub points: Vec<BTreeMap<String, String>>,
    /// The seeds that are tried at each point.
    pub seeds: Seeds,
    /// Which part of it all.
    pub shard: Shard,
}

/// One run that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweptRun {
    /// Its number in the whole sweep: `point x seeds + place of the seed`.
    pub run: u64,
    /// Its point, by place.
    pub point: usize,
    /// Its seed.
    pub seed: u64,
    /// In which ways it did not hold; none when it held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<SweptFailure>,
    /// The hash of its trace, which a replay must give again.
    pub trace_hash: String,
    /// Moments, in nanoseconds of the run's own time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub times: BTreeMap<String, u64>,
    /// Numbers of things.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

/// One way in which a run did not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweptFailure {
    /// What did not hold, the same in all runs that fail alike.
    pub what: String,
    /// How it was in this run.
    pub how: String,
}

/// A file of results, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepFile {
    /// What is swept.
    pub plan: SweepPlan,
    /// The runs that are done, by number.
    pub runs: BTreeMap<u64, SweptRun>,
    /// Where the last whole line ends: what is behind was being written when the sweep was killed.
    pub whole_bytes: u64,
}

/// Why a file is no file of results.
#[derive(Debug, thiserror::Error)]
pub enum SweepFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is empty, or begins with something else.
    #[error("is no file of a sweep ({0}): `peerbound sim sweep --out FILE` writes one")]
    NoPlan(String),
    /// Another version of the program wrote it.
    #[error("its schema is {found}, and this program reads {SWEEP_SCHEMA}: sweep again with this one")]
    Schema {
        /// What it says.
        found: u64,
    },
    /// A line makes no sense.
    #[error("line {line}: {problem}: the file was changed since it was written; sweep again")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl SweepPlan {
    /// How many runs the whole sweep has, with all its shards.
    #[must_use]
    pub fn runs_in_all(&self) -> u64 {
        self.seeds.count().saturating_mul(self.points.len() as u64)
    }

    /// Lists the runs of this shard: number, point, seed.
    pub fn runs(&self) -> impl Iterator<Item = (u64, usize, u64)> {
        (0..self.runs_in_all())
            .filter(|run| self.shard.has(*run))
            .filter_map(|run| self.place(run).map(|(point, seed)| (run, point, seed)))
    }

    /// Returns the same plan for another shard.
    #[must_use]
    pub fn with_shard(&self, shard: Shard) -> Self {
        Self { shard, ..self.clone() }
    }

    /// Says the first thing in which two plans differ so that they are not parts of one sweep.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let texts = [
            ("scenario", &self.scenario, &other.scenario),
            ("scenario hash", &self.scenario_hash, &other.scenario_hash),
            ("backend", &self.backend, &other.backend),
            ("version of peerbound", &self.peerbound, &other.peerbound),
            ("OpenSSL", &self.openssl, &other.openssl),
        ];
        if let Some((what, one, two)) = texts.into_iter().find(|(_, one, two)| one != two) {
            return Some(format!("the {what} is {one} here and {two} there"));
        }
        if self.suite != other.suite {
            return Some("the suites are others".to_owned());
        }
        if self.points != other.points {
            return Some("the parameters are others".to_owned());
        }
        if self.seeds != other.seeds {
            return Some(format!("the seeds are {} here and {} there", self.seeds, other.seeds));
        }
        if self.shard.of != other.shard.of {
            return Some(format!("one is of {} shards and one of {}", self.shard.of, other.shard.of));
        }
        None
    }

    fn place(&self, run: u64) -> Option<(usize, u64)> {
        let seeds = self.seeds.count().max(1);
        let point = usize::try_from(run / seeds).ok().filter(|point| *point < self.points.len())?;
        Some((point, self.seeds.at(run % seeds)?))
    }

    fn check(&self, run: &SweptRun) -> Result<(), String> {
        if self.place(run.run) != Some((run.point, run.seed)) {
            return Err(format!("run {} is not point {} with seed {}", run.run, run.point, run.seed));
        }
        if !self.shard.has(run.run) {
            return Err(format!("run {} is not of shard {}", run.run, self.shard));
        }
        Ok(())
    }
}

impl SweepFile {
    /// Begins one without any runs.
    #[must_use]
    pub fn begin(plan: SweepPlan) -> Self {
        Self { plan, runs: BTreeMap::new(), whole_bytes: 0 }
    }

    /// Reads a file. A last line without an end is left out: a machine stopped while writing it.
    ///
    /// # Errors
    /// [`SweepFileError`], in words that follow the name of the file.
    pub fn read(mut reader: impl BufRead) -> Result<Self, SweepFileError> {
        let no_plan = |problem: &str| SweepFileError::NoPlan(problem.to_owned());
        let first = read_line(&mut reader, 1)?.ok_or_else(|| no_plan("it has no whole line"))?;
        let plan = parse_plan(&first)?;
        let mut file = Self { plan, runs: BTreeMap::new(), whole_bytes: first.len() as u64 };
        for number in 2.. {
            let Some(line) = read_line(&mut reader, number)? else { break };
            let wrong = |problem: String| SweepFileError::Line { line: number, problem };
            let run: SweptRun = serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?;
            file.plan.check(&run).map_err(wrong)?;
            file.whole_bytes += line.len() as u64;
            if let Some(twice) = file.runs.insert(run.run, run) {
                return Err(wrong(format!("run {} is there twice", twice.run)));
            }
        }
        Ok(file)
    }

    /// Writes it all, in the order of the runs: the same sweep gives the same bytes, on any number
    /// of processors.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write(&self, mut writer: impl Write) -> io::Result<()> {
        write_line(&mut writer, &self.plan)?;
        self.runs.values().try_for_each(|run| write_line(&mut writer, run))
    }

    /// Whether every run of this shard is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.plan.runs().all(|(run, ..)| self.runs.contains_key(&run))
    }
}

/// Returns what a plan calls a scenario's text by: its SHA-256 in hexadecimal.
#[must_use]
pub fn scenario_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Writes one line of a file of results.
///
/// # Errors
/// When the writer fails.
pub fn write_line(mut writer: impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
    bytes.push(b'\n');
    // In one piece, so that a reader finds whole lines or the beginning of one.
    writer.write_all(&bytes)
}

/// Reads a line with its end; `None` at the end of the file, or where a line has none.
fn read_line(reader: &mut impl BufRead, number: usize) -> Result<Option<Vec<u8>>, SweepFileError> {
    let mut line = Vec::new();
    reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.len() as u64 == LINE_BYTES_MAX {
        let problem = format!("it is longer than {LINE_BYTES_MAX} bytes");
        return Err(match number {
            1 => SweepFileError::NoPlan(problem),
            _ => SweepFileError::Line { line: number, problem },
        });
    }
    Ok(if line.ends_with(b"\n") { Some(line) } else { None })
}

fn parse_plan(line: &[u8]) -> Result<SweepPlan, SweepFileError> {
    #[derive(Deserialize)]
    struct Schema {
        sweep_schema: u64,
    }
    let Schema { sweep_schema } =
        serde_json::from_slice(line).map_err(|error| SweepFileError::NoPlan(error.to_string()))?;
    if sweep_schema != u64::from(SWEEP_SCHEMA) {
        return Err(SweepFileError::Schema { found: sweep_schema });
    }
    let plan: SweepPlan =
        serde_json::from_slice(line).map_err(|error| SweepFileError::NoPlan(error.to_string()))?;
    Shard::new(plan.shard.index, plan.shard.of).map_err(|error| SweepFileError::NoPlan(error.to_string()))?;
    let runs = plan.runs_in_all();
    if runs == 0 || runs > RUNS_MAX {
        return Err(SweepFileError::NoPlan(format!("it claims {runs} runs")));
    }
    let known: Vec<BTreeSet<_>> = plan.points.iter().map(|point| point.keys().collect()).collect();
    if known.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(SweepFileError::NoPlan("its points have different parameters".to_owned()));
    }
    Ok(plan)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(losses: &[&str], seeds: Seeds) -> SweepPlan {
        let point = |loss: &&str| BTreeMap::from([("loss".to_owned(), (*loss).to_owned())]);
        SweepPlan {
            sweep_schema: SWEEP_SCHEMA,
            peerbound: "0.1.0".to_owned(),
            openssl: "OpenSSL 3.0".to_owned(),
            scenario: "loss".to_owned(),
            scenario_hash: "00".to_owned(),
            backend: "sim".to_owned(),
            suite: None,
            points: losses.iter().map(point).collect(),
            seeds,
            shard: Shard::WHOLE,
        }
    }

    /// Carries out the runs of a plan: what comes out follows from point and seed.
    pub(crate) fn carried_out(plan: SweepPlan) -> SweepFile {
        let runs = plan.runs().map(|(run, point, seed)| {
            let hash = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(u32::try_from(point).unwrap());
            let failure =
                |what: &str| SweptFailure { what: what.to_owned(), how: format!("{what} at {hash}") };
            let failures = match hash % 5 {
                0 => vec![failure("request undelivered")],
                1 => vec![failure("request undelivered"), failure("A-B dead")],
                _ => vec![],
            };
            let times = if failures.is_empty() {
                BTreeMap::from([("up".to_owned(), hash % 1000)])
            } else {
                BTreeMap::new()
            };
            let counts = BTreeMap::from([("datagrams".to_owned(), hash % 100)]);
            SweptRun { run, point, seed, failures, trace_hash: format!("{hash:x}"), times, counts }
        });
        let runs = runs.map(|run| (run.run, run)).collect();
        SweepFile { plan, runs, whole_bytes: 0 }
    }

    pub(crate) fn written(file: &SweepFile) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_written_is_read_again() {
        let file = carried_out(plan(&["0.0", "0.1"], Seeds::first(20)));
        let bytes = written(&file);

        let read = SweepFile::read(&*bytes).unwrap();

        assert!(read.is_complete());
        assert_eq!(read, SweepFile { whole_bytes: bytes.len() as u64, ..file });
    }

    #[test]
    fn a_line_that_was_being_written_is_left_out_and_can_be_written_again() {
        let file = carried_out(plan(&["0.0"], Seeds::first(20)));
        let bytes = written(&file);

        let read = SweepFile::read(&bytes[..bytes.len() - 5]).unwrap();

        assert_eq!(read.runs.len(), 19);
        assert!(!read.is_complete());
        let whole = usize::try_from(read.whole_bytes).unwrap();
        assert!(bytes[..whole].ends_with(b"\n") && bytes[whole..].starts_with(b"{\"run\":19"));
    }

    #[test]
    fn files_of_something_else_are_refused() {
        let other_schema = written(&carried_out(plan(&["0"], Seeds::first(1))));
        let other_schema = String::from_utf8(other_schema).unwrap().replacen(":1", ":7", 1);
        let no_shard = other_schema.replacen(":7", ":1", 1).replacen("\"index\":1", "\"index\":0", 1);

        for (bytes, part) in [
            (&b""[..], "it has no whole line"),
            (b"schema = 1\n", "is no file of a sweep"),
            (b"{}\n", "is no file of a sweep"),
            (b"\xff\xfe\n", "is no file of a sweep"),
            (other_schema.as_bytes(), "its schema is 7"),
            (no_shard.as_bytes(), "no shard 0 of 1"),
            (&vec![b'x'; 2_000_000], "longer than"),
        ] {
            let error = SweepFile::read(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn lines_that_are_not_of_this_sweep_are_named() {
        let file = carried_out(plan(&["0"], Seeds::first(3)));
        let text = String::from_utf8(written(&file)).unwrap();
        let twice = text.clone() + text.lines().last().unwrap() + "\n";

        for (text, part) in [
            (text.replacen("\"seed\":2", "\"seed\":9", 1), "line 3: run 1 is not point 0 with seed 9"),
            (text.replacen("\"run\":2", "\"run\":77", 1), "line 4: run 77 is not"),
            (text.replacen("\"seed\":3", "\"sead\":3", 1), "line 4: unknown field `sead`"),
            (twice, "line 5: run 2 is there twice"),
        ] {
            let error = SweepFile::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
