//! Keeps the agent small: what is freed goes back to the kernel.

/// Blocks of at least this size are mapped on their own and unmapped when freed.
const MAPPED_BYTES_MIN: i32 = 256 * 1024;
/// Heaps that threads share; more only keep more free memory.
const HEAPS_MAX: i32 = 2;

/// Called once, before any thread starts. Left to itself, glibc moves the threshold up to the largest block ever freed
/// (a password check takes 19 MiB), and from then on keeps such blocks for ever.
pub fn keep_small() {
    for (setting, value) in [(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN), (libc::M_ARENA_MAX, HEAPS_MAX)] {
        // SAFETY: mallopt takes any integers; no other thread allocates yet.
        let taken = unsafe { libc::mallopt(setting, value) };
        if taken == 0 {
            tracing::debug!(setting, "the allocator did not take a setting");
        }
    }
}
