//! Waiting for a condition of the outside world: never a sleep in its place, always a deadline, always a last word.

use std::time::{Duration, Instant};

/// How long a condition may take on a machine that builds and boots other things at the same time.
pub const DEADLINE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks until `probe` yields a value, or panics with what it saw last. `explain` adds logs to that message.
#[track_caller]
pub fn until<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
    explain: impl Fn() -> String,
) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(seen) if start.elapsed() >= deadline => {
                panic!("not within {} s: {what}\nlast seen: {seen}\n{}", deadline.as_secs(), explain())
            }
            Err(_) => pause(),
        }
    }
}

/// The gap between two looks.
pub fn pause() {
    std::thread::sleep(BETWEEN_LOOKS);
}
