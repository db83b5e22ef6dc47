//! What benchmarks of ratios share: the processor time of their thread, for machines are shared; medians; and
//! how a ratio is said so that `bench/guard` can read it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time that the calling thread has had a processor, the kernel's work for it included.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("processor time is not negative");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
}

/// Returns whether ratios alone are asked for: `cargo bench .. -- --ratios`.
pub(crate) fn are_asked_for() -> bool {
    std::env::args().any(|argument| argument == "--ratios")
}

/// Returns the median of each column.
pub(crate) fn medians<const N: usize>(rows: &[[f64; N]]) -> [f64; N] {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// Says a ratio, in a line of JSON.
pub(crate) fn say(name: &str, value: f64) {
    println!("{{\"ratio\":\"{name}\",\"value\":{value:.4}}}");
}
