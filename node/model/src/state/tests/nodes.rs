//! What nodes say, and what becomes of their tasks.

use super::{app, app_id, events_since, spec};
use crate::command::{Command, Outcome, Reject};
use crate::event::EventId;
use crate::task::{EndState, Exit, TaskChange, TaskState, TaskUpdate};
use crate::testing::{self, Lab, START};
use crate::{NodeId, TaskId, limits};

#[test]
fn a_reboot_ends_the_tasks_of_that_node_only() {
    let mut lab = Lab::new();
    lab.must(Command::RegisterNode { node: testing::node(2) });
    lab.put(spec(4, "a"));
    lab.settle();
    let deployment = lab.deployment();
    let doomed = lab.tasks().into_iter().find(|task| task.node == NodeId(1)).expect("two there").id;
    lab.must(Command::KillTasks { tasks: vec![doomed.clone()], scale: false, deployment, force: false });
    let index = lab.state.index;
    lab.must(Command::RegisterNode { node: testing::node(1) });
    assert_eq!(events_since(&lab, index), [""; 0], "nothing new");
    lab.wait(1_000);
    let mut node = testing::node(1);
    node.boot_id = "boot-2".to_owned();
    lab.must(Command::RegisterNode { node });
    assert!(lab.tasks().iter().all(|task| task.node == NodeId(2)));
    let ends: Vec<_> = app(&lab).history.iter().map(|ended| (ended.task.id == doomed, ended.state)).collect();
    assert_eq!(ends.len(), 2);
    assert!(ends.contains(&(true, EndState::Killed)) && ends.contains(&(false, EndState::Lost)));
    let lost = app(&lab).last_failure.as_ref().expect("one");
    assert_eq!(lost.message, "lost: nobody saw its end: the node restarted");
    assert_eq!(app(&lab).backoff.delay_ms, 0, "not the app's fault");
    assert_eq!(events_since(&lab, index)[0], "NodeRegistered");
    assert_eq!(lab.state.nodes.get(&NodeId(1)).map(|node| node.joined_at), Some(START));
}

#[test]
fn a_node_cannot_offer_less_than_its_tasks_hold() {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let mut node = testing::node(1);
    node.resources.mem_mib = 20;
    lab.must(Command::RegisterNode { node: node.clone() });
    assert_eq!(lab.state.nodes.get(&NodeId(1)).map(|node| node.resources.mem_mib), Some(32));
    node.boot_id = "boot-2".to_owned();
    lab.must(Command::RegisterNode { node });
    assert_eq!(lab.state.nodes.get(&NodeId(1)).map(|node| node.resources.mem_mib), Some(20));
}

#[test]
fn nodes_that_make_no_sense_are_refused() {
    let mut lab = Lab::new();
    let mut refuse = |change: fn(&mut crate::node::Node)| {
        let mut node = testing::node(2);
        change(&mut node);
        let result = lab.run(Command::RegisterNode { node });
        assert!(matches!(result, Err(Reject::Invalid { .. } | Reject::Limit { .. })), "{result:?}");
    };
    refuse(|node| node.host_ports = (0, 100));
    refuse(|node| node.host_ports = (32_000, 31_000));
    refuse(|node| node.name = "n".repeat(256));
    refuse(|node| node.attributes = (0..300).map(|at| (at.to_string(), String::new())).collect());
    refuse(|node| node.addresses = vec![node.addresses[0]; 65]);
}

/// Applies `changes` to one staging task and compares its state and the events.
#[track_caller]
fn check_report(changes: &[TaskChange], state: Option<TaskState>, events: &[&str]) {
    let mut lab = Lab::with_app(1);
    lab.lead();
    let index = lab.state.index;
    let task = lab.tasks()[0].id.clone();
    for change in changes {
        lab.report(&task, change.clone());
    }
    assert_eq!(lab.tasks().first().map(|task| task.state), state, "{changes:?}");
    let seen: Vec<String> =
        events_since(&lab, index).into_iter().filter(|name| name != "DeploymentSucceeded").collect();
    assert_eq!(seen, events, "{changes:?}");
}

#[test]
fn reports_may_repeat_and_overtake_each_other() {
    let running = || TaskChange::Running { addresses: Vec::new() };
    let ended = || TaskChange::Ended { exit: Exit::Code(0) };
    check_report(&[TaskChange::Starting, running()], Some(TaskState::Running), &["Starting", "Running"]);
    check_report(&[running(), TaskChange::Starting], Some(TaskState::Running), &["Running"]);
    check_report(&[running(), running()], Some(TaskState::Running), &["Running"]);
    check_report(&[TaskChange::Killing, running()], Some(TaskState::Killing), &["Killing"]);
    check_report(&[ended(), running(), ended()], None, &["Finished"]);
}

#[test]
fn reports_of_strangers_are_skipped() {
    let mut lab = Lab::with_app(1);
    lab.must(Command::RegisterNode { node: testing::node(2) });
    lab.lead();
    let task = lab.tasks()[0].clone();
    let other = NodeId(3 - task.node.0);
    let update = |task: &TaskId| TaskUpdate {
        task: task.clone(),
        change: TaskChange::Ended { exit: Exit::Code(1) },
        message: String::new(),
    };
    let stranger = testing::task("/x", 1).id;
    lab.must(Command::Report { node: other, updates: vec![update(&task.id), update(&stranger)] });
    assert_eq!(lab.tasks(), std::slice::from_ref(&task));
    let unknown = lab.run(Command::Report { node: NodeId(9), updates: Vec::new() });
    assert_eq!(unknown, Err(Reject::NodeUnknown { node: NodeId(9) }));
    let updates = vec![update(&task.id); limits::REPORT_UPDATES_MAX + 1];
    assert!(matches!(lab.run(Command::Report { node: task.node, updates }), Err(Reject::Limit { .. })));
}

#[test]
fn an_end_is_kept_with_its_reason_in_a_bounded_history() {
    let mut lab = Lab::with_app(1);
    for round in 0..limits::HISTORY_PER_APP_MAX + 5 {
        lab.lead();
        let task = lab.tasks()[0].id.clone();
        let update = TaskUpdate {
            task,
            change: TaskChange::Ended {
                exit: if round % 2 == 0 { Exit::OutOfMemory } else { Exit::NeverRan },
            },
            message: "ä".repeat(limits::MESSAGE_BYTES_MAX),
        };
        lab.must(Command::Report { node: NodeId(1), updates: vec![update] });
        lab.wait(1_000_000);
    }
    let app = app(&lab);
    assert_eq!(app.history.len(), limits::HISTORY_PER_APP_MAX);
    let newest = app.history.front().expect("many");
    assert_eq!(newest.state, EndState::Error);
    assert!(newest.message.starts_with("never started: ää"), "{}", newest.message);
    assert!(newest.message.len() <= limits::MESSAGE_BYTES_MAX);
    let before = app.history.get(1).expect("many");
    assert_eq!(before.state, EndState::Failed);
    assert!(before.message.starts_with("out of memory: used more than its 16 MiB"));
    assert_eq!(app.last_failure.as_ref(), Some(newest));
    assert_eq!(lab.state.invariants(), Ok(()));
}

#[test]
fn kill_and_scale_takes_the_killed_from_the_instances() {
    let mut lab = Lab::with_app(3);
    lab.put(testing::spec("/b"));
    lab.settle();
    let ids: Vec<TaskId> = lab.tasks().into_iter().map(|task| task.id).collect();
    let kill = |lab: &mut Lab, tasks: Vec<TaskId>| {
        let deployment = lab.deployment();
        (deployment, lab.run(Command::KillTasks { tasks, scale: true, deployment, force: false }))
    };
    let (_, mixed) = kill(&mut lab, ids.clone());
    assert!(matches!(mixed, Err(Reject::Invalid { .. })));
    assert!(lab.tasks().iter().all(|task| task.is_wanted()), "nothing of it was applied");
    let twice = vec![ids[0].clone(), ids[0].clone(), testing::task("/x", 1).id];
    let (deployment, outcome) = kill(&mut lab, twice);
    let killed = Outcome::Killed { tasks: vec![ids[0].clone()], deployment: Some(deployment) };
    assert_eq!(outcome, Ok(killed));
    assert_eq!(app(&lab).spec.instances, 2);
    lab.settle();
    assert_eq!(lab.tasks().iter().map(|task| &task.id).collect::<Vec<_>>(), [&ids[1], &ids[2], &ids[3]]);
    let (_, nobody) = kill(&mut lab, vec![ids[0].clone()]);
    assert_eq!(nobody, Ok(Outcome::Killed { tasks: Vec::new(), deployment: None }));
}

#[test]
fn events_are_numbered_by_log_index_and_bounded() {
    let mut lab = Lab::with_app(2);
    lab.settle();
    let ids: Vec<EventId> = lab.state.events_after(None).map(|event| event.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    let after: Vec<EventId> = lab.state.events_after(Some(ids[2])).map(|event| event.id).collect();
    assert_eq!(after, ids[3..]);
    // An id between two kept ones resumes at the next.
    let between = EventId { index: ids[2].index, n: ids[2].n + 1_000 };
    assert!(lab.state.events_after(Some(between)).all(|event| event.id.index > between.index));
    assert_eq!(EventId::parse(&ids[2].to_string()), Some(ids[2]));
    for _ in 0..limits::EVENTS_KEPT_MAX {
        let deployment = lab.deployment();
        lab.must(Command::RestartApp { app: app_id("/a"), deployment, force: true });
        lab.settle();
    }
    assert_eq!(lab.state.events.len(), limits::EVENTS_KEPT_MAX);
}
