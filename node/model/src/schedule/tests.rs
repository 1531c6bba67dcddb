//! The planner with a state beneath it; placing, killing and waiting as people see them.

use crate::testing::{self, Lab};

#[test]
fn a_new_app_is_launched_and_its_deployment_finished() {
    let mut lab = Lab::with_app(3);
    assert_eq!(lab.state.deployments.len(), 1);
    let plan = lab.lead();
    assert_eq!(plan.actions.len(), 3, "{:?}", plan.actions);
    assert_eq!(lab.plan().actions, []);
    lab.settle();
    assert_eq!(lab.tasks().len(), 3);
    assert!(lab.state.deployments.is_empty());
    assert_eq!(lab.state.invariants(), Ok(()));
    let _ = testing::START;
}
