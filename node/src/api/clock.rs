//! The front door's own clock. Nothing here ends up in the replicated state; cluster time is the backend's to tell.

use std::sync::LazyLock;
use std::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since this process first asked; for expiry of caches and limits.
pub fn monotonic_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}
