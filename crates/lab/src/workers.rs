//! Runs many independent jobs on several threads. A world owns the clock of its thread, so each
//! worker has a world of its own at a time, and nothing of a run is shared between two.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

/// Carries out every job on up to `workers` threads, in the order of the list, and hands each result
/// to `on_done` on the calling thread, in the order in which they come. When that breaks off, jobs
/// that have begun are finished and reported, and no more are begun.
pub fn run_all<Job: Sync, Done: Send>(
    jobs: &[Job],
    workers: usize,
    work: impl Fn(&Job) -> Done + Sync,
    mut on_done: impl FnMut(usize, Done) -> ControlFlow<()>,
) {
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let (tell, told) = channel();
    thread::scope(|scope| {
        for _ in 0..workers.clamp(1, jobs.len().max(1)) {
            let tell = tell.clone();
            let (next, stopped, work) = (&next, &stopped, &work);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    // Nobody listens any more only when the caller panicked.
                    let _ = tell.send((index, work(job)));
                }
            });
        }
        drop(tell);
        for (index, done) in told {
            if on_done(index, done).is_break() {
                stopped.store(true, Ordering::Relaxed);
            }
        }
    });
}

/// Returns how many workers the machine has room for.
#[must_use]
pub fn workers_of_this_machine() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_whatever_the_number_of_workers() {
        let jobs: Vec<u32> = (0..50).collect();

        for workers in [0, 1, 3, 100] {
            let mut squares = vec![None; jobs.len()];
            run_all(
                &jobs,
                workers,
                |job| job * job,
                |index, square| {
                    assert_eq!(squares[index].replace(square), None);
                    ControlFlow::Continue(())
                },
            );
            assert!(squares.iter().zip(&jobs).all(|(square, job)| *square == Some(job * job)));
        }
    }

    #[test]
    fn what_has_begun_is_finished_when_the_rest_is_called_off() {
        let jobs: Vec<u32> = (0..1000).collect();
        let begun = AtomicUsize::new(0);

        let mut reported = 0;
        run_all(
            &jobs,
            2,
            |_| begun.fetch_add(1, Ordering::SeqCst),
            |_, _| {
                reported += 1;
                ControlFlow::Break(())
            },
        );

        assert_eq!(reported, begun.load(Ordering::SeqCst));
    }

    #[test]
    fn no_jobs_are_no_trouble() {
        run_all(&[], 4, |(): &()| (), |_, ()| panic!("there is nothing to report"));
    }
}
