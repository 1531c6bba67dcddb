//! The rolling replacement of an app's tasks (spec/marathon.md §3.2), and plain scaling as its simplest case.
//!
//! There is no script of a deployment that could get lost: each call looks at what lives now and says what may be
//! done next. Called by the scheduler, and by `apply` to check what a scheduler decided earlier.

use crate::app::{AppSpec, Millionths, UpgradeStrategy};
use crate::state::App;
use crate::task::Reach;

/// An app's live tasks, counted. *Old* ones run another configuration than the app wants now, or are to move.
/// *Running* are those
/// that serve: where the app has health checks, only tasks that passed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub target: u32,
    pub old_running: u32,
    /// Old, and not (or not any more) running: they never served.
    pub old_other: u32,
    pub new_running: u32,
    pub new_other: u32,
    /// Sentenced: they hold their place until they ended.
    pub old_dying: u32,
    pub new_dying: u32,
}

/// How many tasks may be killed and launched now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Next {
    /// Old running tasks that are not needed for the minimum health.
    pub kill_old_running: u32,
    /// Old tasks that do not run: all of them, since nobody is served by them.
    pub kill_old_other: u32,
    /// Current tasks beyond the wanted instances.
    pub kill_surplus: u32,
    /// How many of those may be running ones, after the old ones went; there are always enough others.
    pub kill_surplus_running: u32,
    pub start: u32,
}

/// Between which numbers of tasks a replacement moves, for people to know before they ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Running tasks are never fewer, if as many run at the beginning.
    pub running_min: u32,
    /// Live tasks are never more.
    pub live_max: u32,
}

pub fn bounds(spec: &AppSpec) -> Bounds {
    let upgrade = strategy(spec, spec.is_exclusive());
    let running_min = minimum_running(spec.instances, upgrade.minimum_health);
    Bounds { running_min, live_max: capacity(spec.instances, running_min, &upgrade) }
}

/// Two of an exclusive task at once would do harm, whatever its author wrote.
fn strategy(spec: &AppSpec, is_exclusive: bool) -> UpgradeStrategy {
    match is_exclusive {
        true => UpgradeStrategy { minimum_health: Millionths(0), maximum_over: Millionths(0) },
        false => spec.upgrade,
    }
}

/// What the live tasks of `app` allow now; `is_exclusive` as [`crate::State::is_exclusive`] says. A deleted app wants nothing
/// and starts nothing.
pub fn next(app: &App, is_exclusive: bool) -> Next {
    next_of(&strategy(&app.spec, is_exclusive), &counts(app))
}

/// True if exactly the wanted instances live, all current and running.
pub fn is_reached(app: &App) -> bool {
    let counts = counts(app);
    let others = counts.old_running + counts.old_other + counts.new_other;
    let others = others + counts.old_dying + counts.new_dying;
    others == 0 && counts.new_running == counts.target
}

pub fn counts(app: &App) -> Counts {
    let mut counts = Counts { target: if app.deleted { 0 } else { app.spec.instances }, ..Counts::default() };
    for task in app.tasks.values().filter(|task| task.reach != Reach::Inactive) {
        let runs = app.serves(task);
        let count = match (task.is_wanted(), app.stays(task)) {
            (false, true) => &mut counts.new_dying,
            (false, false) => &mut counts.old_dying,
            (true, true) if runs => &mut counts.new_running,
            (true, true) => &mut counts.new_other,
            (true, false) if runs => &mut counts.old_running,
            (true, false) => &mut counts.old_other,
        };
        *count += 1;
    }
    counts
}

fn next_of(upgrade: &UpgradeStrategy, c: &Counts) -> Next {
    let new = c.new_running + c.new_other;
    let old = c.old_running + c.old_other + c.old_dying;
    let alive = old + new + c.new_dying;
    let minimum = minimum_running(c.target, upgrade.minimum_health);
    // Only an outdated task in the way lets an app exceed its instances.
    let capacity = if old > 0 { capacity(c.target, minimum, upgrade) } else { c.target };
    let kill_surplus = new.saturating_sub(c.target);
    let to_spare = (c.old_running + c.new_running).saturating_sub(minimum);
    let kill_old_running = to_spare.min(c.old_running);
    Next {
        kill_old_running,
        kill_old_other: c.old_other,
        kill_surplus,
        kill_surplus_running: kill_surplus.min(to_spare - kill_old_running),
        start: c.target.saturating_sub(new).min(capacity.saturating_sub(alive)),
    }
}

/// The smallest number of running tasks during a replacement: `ceil(target · minimum_health)`.
fn minimum_running(target: u32, minimum_health: Millionths) -> u32 {
    let scaled = u64::from(target) * minimum_health.0.min(Millionths::ONE.0);
    u32::try_from(scaled.div_ceil(Millionths::ONE.0)).unwrap_or(target)
}

/// The largest number of live tasks during a replacement: `floor(target · (1 + maximum_over))`, and one more where
/// that leaves no room to move (1.0 / 0.0): somebody has to begin.
fn capacity(target: u32, minimum: u32, upgrade: &UpgradeStrategy) -> u32 {
    let over = u64::from(target) * upgrade.maximum_over.0.min(Millionths::ONE.0) / Millionths::ONE.0;
    let capacity = target.saturating_add(u32::try_from(over).unwrap_or(u32::MAX));
    if capacity == minimum { capacity.saturating_add(1) } else { capacity }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `counts` are target, old running, old other, new running, new other, old dying, new dying;
    /// `expect` is kill old running, kill old other, kill surplus, start.
    fn check(health: u64, over: u64, counts: [u32; 7], expect: [u32; 4]) {
        let upgrade = UpgradeStrategy {
            minimum_health: Millionths(health * 10_000),
            maximum_over: Millionths(over * 10_000),
        };
        let [target, old_running, old_other, new_running, new_other, old_dying, new_dying] = counts;
        let next = next_of(
            &upgrade,
            &Counts { target, old_running, old_other, new_running, new_other, old_dying, new_dying },
        );
        let got = [next.kill_old_running, next.kill_old_other, next.kill_surplus, next.start];
        assert_eq!(got, expect, "health {health} %, over {over} %, {counts:?}");
    }

    #[test]
    fn bounds_of_a_replacement() {
        for (instances, health, over, expect) in [
            (4, 100, 100, (4, 8)),
            (4, 50, 0, (2, 4)),
            (3, 100, 0, (3, 4)),
            (1, 0, 0, (0, 1)),
            (0, 100, 100, (0, 1)),
        ] {
            let upgrade = UpgradeStrategy {
                minimum_health: Millionths(health * 10_000),
                maximum_over: Millionths(over * 10_000),
            };
            let spec = AppSpec { instances, upgrade, ..crate::testing::spec("/a") };
            let bounds = bounds(&spec);
            assert_eq!(
                (bounds.running_min, bounds.live_max),
                expect,
                "{instances} at {health} % and {over} %"
            );
        }
    }

    #[test]
    fn scaling_without_old_tasks_never_exceeds_the_target() {
        check(100, 100, [5, 0, 0, 0, 0, 0, 0], [0, 0, 0, 5]);
        check(100, 100, [5, 0, 0, 2, 1, 0, 0], [0, 0, 0, 2]);
        check(100, 100, [5, 0, 0, 2, 1, 0, 2], [0, 0, 0, 0]);
        check(100, 100, [2, 0, 0, 4, 1, 0, 0], [0, 0, 3, 0]);
        check(100, 100, [0, 0, 0, 3, 0, 0, 0], [0, 0, 3, 0]);
    }

    #[test]
    fn running_tasks_go_last_when_scaling_down() {
        let spare = |counts: Counts| {
            let whole = UpgradeStrategy { minimum_health: Millionths::ONE, maximum_over: Millionths::ONE };
            let next = next_of(&whole, &counts);
            (next.kill_surplus, next.kill_surplus_running)
        };
        let none = Counts::default();
        assert_eq!(spare(Counts { target: 1, new_running: 1, new_other: 3, ..none }), (3, 0));
        assert_eq!(spare(Counts { target: 1, new_running: 3, new_other: 1, ..none }), (3, 2));
        assert_eq!(spare(Counts { target: 0, new_running: 2, ..none }), (2, 2));
        assert_eq!(spare(Counts { target: 2, old_running: 1, new_running: 3, ..none }), (1, 1));
        assert_eq!(spare(Counts { target: 2, old_running: 4, new_running: 1, new_other: 3, ..none }), (2, 0));
    }

    #[test]
    fn defaults_start_all_new_ones_beside_the_old() {
        check(100, 100, [4, 4, 0, 0, 0, 0, 0], [0, 0, 0, 4]);
        check(100, 100, [4, 4, 0, 1, 3, 0, 0], [1, 0, 0, 0]);
        check(100, 100, [4, 3, 0, 1, 3, 1, 0], [0, 0, 0, 0]);
        check(100, 100, [4, 3, 0, 4, 0, 0, 0], [3, 0, 0, 0]);
        check(100, 100, [4, 0, 0, 4, 0, 3, 0], [0, 0, 0, 0]);
    }

    #[test]
    fn half_health_without_over_capacity_goes_in_two_halves() {
        check(50, 0, [4, 4, 0, 0, 0, 0, 0], [2, 0, 0, 0]);
        check(50, 0, [4, 2, 0, 0, 0, 2, 0], [0, 0, 0, 0]);
        check(50, 0, [4, 2, 0, 0, 0, 0, 0], [0, 0, 0, 2]);
        check(50, 0, [4, 2, 0, 1, 1, 0, 0], [1, 0, 0, 0]);
        check(50, 0, [4, 0, 0, 2, 0, 2, 0], [0, 0, 0, 0]);
        check(50, 0, [4, 0, 0, 2, 0, 1, 0], [0, 0, 0, 1]);
    }

    #[test]
    fn a_corner_without_room_gets_one_extra() {
        check(100, 0, [3, 3, 0, 0, 0, 0, 0], [0, 0, 0, 1]);
        check(100, 0, [3, 3, 0, 1, 0, 0, 0], [1, 0, 0, 0]);
        check(100, 0, [3, 2, 0, 1, 0, 1, 0], [0, 0, 0, 0]);
        check(100, 0, [3, 2, 0, 1, 0, 0, 0], [0, 0, 0, 1]);
        check(100, 0, [1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1]);
        // ceil(3 · 0.9) is 3: the same corner by rounding.
        check(90, 10, [3, 3, 0, 0, 0, 0, 0], [0, 0, 0, 1]);
    }

    #[test]
    fn zero_health_kills_first() {
        check(0, 0, [1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0]);
        check(0, 0, [1, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0]);
        check(0, 0, [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1]);
        check(0, 100, [3, 0, 0, 0, 0, 3, 0], [0, 0, 0, 3]);
    }

    #[test]
    fn old_tasks_that_never_served_go_at_once() {
        // Otherwise 1.0 / 0.0 with a version that cannot start would wait for it for ever.
        check(100, 0, [3, 0, 3, 0, 0, 0, 0], [0, 3, 0, 1]);
        check(100, 100, [3, 2, 1, 0, 0, 0, 0], [0, 1, 0, 3]);
    }

    #[test]
    fn scaling_down_while_replacing() {
        check(100, 100, [2, 5, 0, 0, 0, 0, 0], [3, 0, 0, 0]);
        check(100, 100, [2, 2, 0, 0, 0, 0, 0], [0, 0, 0, 2]);
        check(100, 100, [0, 5, 0, 0, 0, 0, 0], [5, 0, 0, 0]);
    }
}
