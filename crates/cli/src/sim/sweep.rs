//! `peerbound sim sweep`: many runs on all processors, in parts on many machines if need be. What is
//! done is in the file of results at once, so nothing is lost when it is interrupted.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use crossbeam_channel::Receiver;
use peerbound_dtls::{Suite, openssl_version};
use peerbound_lab::experiment::{Experiment, swept};
use peerbound_lab::run::{Backend, RunError};
use peerbound_lab::scenario::{Parameters, Scenario};
use peerbound_lab::sweep::{
    RUNS_MAX, SWEEP_SCHEMA, Seeds, Shard, Summary, SweepFile, SweepPlan, SweptRun, scenario_hash, write_line,
};
use peerbound_lab::{run_all, workers_of_this_machine};

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::{Output, complain};
use crate::pki::about;
use crate::progress::Progress;
use crate::running;
use crate::sim::run::not_run;
use crate::sim::summary;
use crate::source::{self, Source, parameter};
use crate::words::{backend, suite};

#[derive(Args)]
pub(crate) struct SweepArguments {
    /// A scenario of the library, or a file.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Seeds: 100 for the first hundred, 5..105, or 1,2,5; those of the scenario without it.
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<Seeds>,
    /// A parameter with the values to sweep over, as loss=0.1,0.2; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUES", value_parser = parameter)]
    set: Vec<(String, String)>,
    /// Where to run: sim, loopback, or netns (as root).
    #[arg(long, value_name = "BACKEND", default_value = "sim", value_parser = backend())]
    on: Backend,
    /// The cipher suite for all nodes whose scenario leaves it open.
    #[arg(long, value_name = "SUITE", value_parser = suite)]
    suite: Option<Suite>,
    /// Run only this part, as 2/5; array jobs of Slurm and Kubernetes say it by themselves.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// How many parts there are, where the scheduler does not say it.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    shards: Option<u64>,
    /// Write a line of JSON for each run to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Go on with a file that is there already: run what it lacks.
    #[arg(long, requires = "out")]
    resume: bool,
    /// How many to run at once; the number of processors on sim, one on loopback and netns.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

pub(crate) fn sweep(arguments: &SweepArguments, output: &Output) -> CommandResult {
    let source = source::one(&arguments.scenario)?;
    let points = points(&source, arguments)?;
    let plan = plan(&source, &points, arguments)?;
    if plan.shard.of > 1 && arguments.out.is_none() {
        return Err(Failure::Request(anyhow!(
            "shard {} is for merging: say with --out FILE where its results go",
            plan.shard
        )));
    }
    let experiments = experiments(&source, points, arguments)?;
    let mut results = Results::open(plan, arguments)?;
    let left = results.left();
    let interrupted = running::signals()?;
    let progress = Progress::of(left.len() as u64, "runs", output.is_json());
    let ended = carry_out(&experiments, &left, &mut results, arguments, &interrupted, &progress);
    progress.finish();
    results.finish()?;
    ended.map_err(|error| not_run(&source, error))??;
    let file = results.file;
    let summary = Summary::of(&file);
    let printed = output.result(&summary, || summary::tell(&summary));
    if !file.is_complete() {
        complain(interruption(arguments, &summary));
        return Ok(Outcome::DidNotHold);
    }
    // Of a shard it is asked that its runs are done; what they come to, the merge says.
    if !summary.failing.is_empty() && file.plan.shard == Shard::WHOLE {
        return Ok(Outcome::DidNotHold);
    }
    printed?;
    Ok(Outcome::Held)
}

/// Every choice of parameters, each as a scenario of its own.
fn points(source: &Source, arguments: &SweepArguments) -> Result<Vec<Scenario>, Failure> {
    let mut sweep = source.parse(&[])?.sweep;
    for (name, values) in &arguments.set {
        let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
        let first = values.first().cloned().unwrap_or_default();
        // A parameter that the scenario does not have is refused in its own words.
        source.parse(&[(name.clone(), first)])?;
        sweep.parameters.insert(name.clone(), values);
    }
    let choices = sweep.choices().into_iter();
    choices.map(|choice: Parameters| source.parse(&choice.into_iter().collect::<Vec<_>>())).collect()
}

fn plan(source: &Source, points: &[Scenario], arguments: &SweepArguments) -> Result<SweepPlan, Failure> {
    let of_file = || points.first().map_or_else(|| Seeds::first(1), |first| Seeds::of(&first.sweep.seeds));
    let shard = match arguments.shard {
        Some(shard) => Some(shard),
        None => Shard::of_array_job(|name| std::env::var(name).ok(), arguments.shards)
            .map_err(Failure::request)?,
    };
    if shard.is_none() && arguments.shards.is_some() {
        return Err(Failure::Request(anyhow!(
            "--shards says how many parts there are, and nothing says which this is: add --shard I/N instead"
        )));
    }
    let plan = SweepPlan {
        sweep_schema: SWEEP_SCHEMA,
        peerbound: env!("CARGO_PKG_VERSION").to_owned(),
        openssl: openssl_version().to_owned(),
        scenario: source.name.clone(),
        scenario_hash: scenario_hash(&source.text),
        backend: arguments.on.to_string(),
        suite: arguments.suite.map(|suite| suite.name.to_owned()),
        points: points.iter().map(|scenario| scenario.parameters.clone()).collect(),
        seeds: arguments.seeds.clone().unwrap_or_else(of_file),
        shard: shard.unwrap_or(Shard::WHOLE),
    };
    match plan.runs_in_all() {
        1..=RUNS_MAX => Ok(plan),
        runs => Err(Failure::Request(anyhow!(
            "{runs} runs are too many for one sweep: take seeds or values out until there are {RUNS_MAX}"
        ))),
    }
}

/// One experiment for each point; the seed is put in for each run.
fn experiments(
    source: &Source,
    points: Vec<Scenario>,
    arguments: &SweepArguments,
) -> Result<Vec<Experiment>, Failure> {
    let made = points.into_iter().map(|scenario| {
        let experiment = Experiment::new(&source.name, scenario, 0, arguments.on);
        match arguments.suite {
            None => Ok(experiment),
            Some(suite) => experiment
                .with_suite(suite)
                .map_err(|error| Failure::Request(anyhow!("{}: {error}: leave --suite out", source.file))),
        }
    });
    made.collect()
}

/// Runs what is left. The inner result is about the file of results, the outer one about a backend
/// that cannot do what the scenario asks: then no run can be done.
fn carry_out(
    experiments: &[Experiment],
    left: &[(u64, usize, u64)],
    results: &mut Results,
    arguments: &SweepArguments,
    interrupted: &Receiver<()>,
    progress: &Progress,
) -> Result<Result<(), Failure>, RunError> {
    // Real time does not bear company: what runs beside a run makes its timers late.
    let workers = arguments.jobs.map_or_else(
        || if arguments.on == Backend::Sim { workers_of_this_machine() } else { 1 },
        usize::from,
    );
    let mut failing = 0_u64;
    let (mut impossible, mut unwritten) = (None, None);
    run_all(
        left,
        workers,
        |(run, point, seed)| {
            let experiment = &experiments[*point];
            let report = Experiment { seed: *seed, ..experiment.clone() }.run();
            report.map(|report| swept(&experiment.scenario, &report, *run, *point))
        },
        |_, done| {
            let written = match done {
                Ok(run) => {
                    failing += u64::from(!run.failures.is_empty());
                    results.add(run)
                }
                Err(error) => {
                    impossible.get_or_insert(error);
                    return ControlFlow::Break(());
                }
            };
            if let Err(failure) = written {
                unwritten.get_or_insert(failure);
                return ControlFlow::Break(());
            }
            progress.advance(&format!("{failing} not as expected"));
            if interrupted.try_recv().is_ok() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    match (impossible, unwritten) {
        (Some(error), _) => Err(error),
        (None, Some(failure)) => Ok(Err(failure)),
        (None, None) => Ok(Ok(())),
    }
}

/// The runs that are done, in memory and, if asked for, in a file.
struct Results {
    file: SweepFile,
    written: Option<(PathBuf, File)>,
}

impl Results {
    /// Begins a file of results, or goes on with one.
    fn open(plan: SweepPlan, arguments: &SweepArguments) -> Result<Self, Failure> {
        let Some(path) = &arguments.out else {
            return Ok(Self { file: SweepFile::begin(plan), written: None });
        };
        if path.exists() && arguments.resume {
            return Self::go_on(plan, path);
        }
        let made = OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
            write_line(&mut file, &plan)?;
            Ok(file)
        });
        let problem = if path.exists() && made.is_err() {
            "is there already: go on with it by --resume, or name another file"
        } else {
            "cannot be written"
        };
        let written = made.map_err(|error| about(path, problem, error))?;
        Ok(Self { file: SweepFile::begin(plan), written: Some((path.clone(), written)) })
    }

    fn go_on(plan: SweepPlan, path: &Path) -> Result<Self, Failure> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let mut opened = opened.map_err(|error| about(path, "cannot be opened", error))?;
        let file = SweepFile::read(BufReader::new(&opened))
            .map_err(|error| Failure::Request(anyhow!("{}: {error}", path.display())))?;
        let differs = plan.difference(&file.plan).or_else(|| {
            let (here, there) = (plan.shard, file.plan.shard);
            (here != there).then(|| format!("this is shard {here} and that one {there}"))
        });
        if let Some(difference) = differs {
            return Err(Failure::Request(anyhow!(
                "{}: is of another sweep ({difference}): name another file",
                path.display()
            )));
        }
        // What the machine was writing when it stopped is written again.
        opened
            .set_len(file.whole_bytes)
            .and_then(|()| opened.seek(SeekFrom::End(0)))
            .map_err(|error| about(path, "cannot be written", error))?;
        Ok(Self { file, written: Some((path.to_owned(), opened)) })
    }

    /// Lists the runs that are not done: number, point, seed.
    fn left(&self) -> Vec<(u64, usize, u64)> {
        self.file.plan.runs().filter(|(run, ..)| !self.file.runs.contains_key(run)).collect()
    }

    fn add(&mut self, run: SweptRun) -> Result<(), Failure> {
        if let Some((path, file)) = &mut self.written {
            write_line(file, &run).map_err(|error| about(path, "cannot be written", error))?;
        }
        self.file.runs.insert(run.run, run);
        Ok(())
    }

    /// Puts the lines of a sweep that is done in order, so that the same sweep leaves the same bytes
    /// whatever came out first.
    fn finish(&mut self) -> Result<(), Failure> {
        let Some((path, _)) = &self.written else { return Ok(()) };
        if !self.file.is_complete() {
            return Ok(());
        }
        let mut beside = path.clone().into_os_string();
        beside.push(".sorting");
        let beside = PathBuf::from(beside);
        let put = || {
            let mut sorted = std::io::BufWriter::new(File::create(&beside)?);
            self.file.write(&mut sorted)?;
            sorted.flush()?;
            std::fs::rename(&beside, path)
        };
        put().map_err(|error| about(path, "cannot be put in order", error))
    }
}

fn interruption(arguments: &SweepArguments, summary: &Summary) -> String {
    let how = match &arguments.out {
        Some(_) => "go on by the same command with --resume",
        None => "with --out FILE it could be gone on with",
    };
    format!("interrupted after {} runs: {how}", summary.runs)
}
