//! Plans that come too late, or are too long.

use super::app_id;
use crate::app::AppSpec;
use crate::command::{Action, Command, Reject};
use crate::task::Exit;
use crate::testing::{self, Lab};
use crate::{NodeId, TaskId, limits};

#[test]
fn a_plan_is_bounded_and_says_that_there_is_more() {
    let mut lab = Lab::new();
    let mut node = testing::node(1);
    node.resources.cpu_milli = 1_000_000;
    node.resources.mem_mib = 1_000_000;
    lab.must(Command::RegisterNode { node });
    let instances = u32::try_from(limits::PLAN_ACTIONS_MAX + 10).expect("small");
    lab.put(AppSpec { instances, ..testing::spec("/a") });
    let plan = lab.lead();
    assert_eq!(plan.actions.len(), limits::PLAN_ACTIONS_MAX);
    assert_eq!(plan.wake_at, Some(lab.now));
    let plan = lab.lead();
    assert_eq!((plan.actions.len(), plan.wake_at), (10, None));
}

#[test]
fn a_stale_plan_is_refused_as_a_whole() {
    let mut lab = Lab::with_app(2);
    lab.put(AppSpec { instances: 1, ..testing::spec("/b") });
    let plan = lab.plan();
    let scaled = lab.put_command(
        AppSpec { instances: 1, ..testing::spec("/a") },
        crate::command::PutMode::Upsert,
        true,
    );
    lab.must(scaled);
    let based_on = lab.state.index - 1;
    let result = lab.run(Command::ApplyPlan { based_on, actions: plan.actions });
    assert_eq!(result, Err(Reject::StalePlan { based_on, what: "the version of /a".to_owned() }));
    assert!(lab.tasks().is_empty(), "not even /b was launched");
}

/// Runs one action on a settled `/a` of two instances and compares the beginning of what is named as changed.
#[track_caller]
fn check_stale(action: impl FnOnce(&mut Lab) -> Action, what: &str) {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let action = action(&mut lab);
    let text = format!("{action:?}");
    match lab.run(Command::ApplyPlan { based_on: 0, actions: vec![action] }) {
        Err(Reject::StalePlan { what: got, .. }) => assert!(got.starts_with(what), "{got} for {text}"),
        other => panic!("{other:?} for {text}"),
    }
}

#[test]
fn each_action_is_checked_against_what_is() {
    use crate::task::KillReason::{Replaced, Requested, ScaledDown};
    fn launch(lab: &mut Lab, change: impl FnOnce(&mut Lab, &mut AppSpec)) -> Action {
        let mut spec = AppSpec { instances: 3, ..testing::spec("/a") };
        change(lab, &mut spec);
        lab.put(spec);
        lab.plan()
            .actions
            .into_iter()
            .find(|action| matches!(action, Action::Launch { .. }))
            .expect("one more")
    }
    fn alter(action: Action, change: impl FnOnce(&mut TaskId, &mut NodeId, &mut Vec<u16>)) -> Action {
        let Action::Launch { app, version, mut task, mut node, mut ports } = action else {
            panic!("{action:?}")
        };
        change(&mut task, &mut node, &mut ports);
        Action::Launch { app, version, task, node, ports }
    }
    let kill = |lab: &Lab, reason| Action::Kill { task: lab.tasks()[0].id.clone(), reason };
    let first = {
        let mut lab = Lab::with_app(2);
        lab.settle();
        format!("task {}", lab.tasks()[0].id)
    };
    for reason in [Replaced, Requested, ScaledDown] {
        check_stale(|lab| kill(lab, reason), &first);
    }
    check_stale(
        |_| Action::Kill { task: testing::task("/x", 1).id, reason: Replaced },
        &format!("task {}", testing::task("/x", 1).id),
    );
    check_stale(|_| Action::Waiting { app: app_id("/x"), reason: String::new() }, "app /x");
    check_stale(
        |lab| {
            let action = launch(lab, |_, _| {});
            lab.must(Command::ApplyPlan { based_on: 0, actions: vec![action.clone()] });
            action
        },
        "the number of instances of /a",
    );
    check_stale(
        |lab| {
            let action = launch(lab, |_, _| {});
            let task = lab.tasks()[0].id.clone();
            lab.ended(&task, Exit::Code(1));
            action
        },
        "the launch delay of /a",
    );
    check_stale(
        |lab| alter(launch(lab, |_, _| {}), |_, node, _| *node = NodeId(9)),
        &format!("node {}, which is unknown", NodeId(9)),
    );
    check_stale(
        |lab| alter(launch(lab, |_, _| {}), |_, _, ports| ports.push(31_000)),
        "the free host ports of node node1",
    );
    check_stale(
        |lab| {
            let used = lab.tasks()[0].id.clone();
            alter(launch(lab, |_, _| {}), |task, _, _| *task = used)
        },
        &format!("{first}, which exists"),
    );
    check_stale(
        |lab| {
            let action = launch(lab, |_, _| {});
            let mut node = testing::node(1);
            node.resources.mem_mib = 40;
            lab.must(Command::RegisterNode { node });
            action
        },
        "the free resources of node node1",
    );
    check_stale(
        |lab| {
            let deployment = lab.deployment();
            lab.must(Command::RestartApp { app: app_id("/a"), deployment, force: false });
            Action::FinishDeployment { deployment }
        },
        "the goal of deployment ",
    );
    let mut lab = Lab::new();
    let actions =
        vec![Action::Waiting { app: app_id("/a"), reason: String::new() }; limits::PLAN_ACTIONS_MAX + 1];
    assert!(matches!(lab.run(Command::ApplyPlan { based_on: 0, actions }), Err(Reject::Limit { .. })));
}
