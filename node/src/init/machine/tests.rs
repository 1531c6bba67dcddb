//! The machine against a simulated node: helpers, processes and cgroups that behave as badly as they may.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const TASKS: usize = 3;
const AGENT: ConnectionId = 1;

fn id(n: usize) -> TaskId {
    TaskId::parse(&format!("task-{n}")).expect("a task id")
}

/// What may happen next. Numbers choose among what is there; where nothing is, nothing happens.
#[derive(Debug, Clone)]
enum Event {
    Create(usize),
    Stop(usize, u64),
    Exclusive(usize, Option<u64>),
    Acknowledge(usize),
    HelperRegisters(usize),
    HelperFinishes(usize),
    HelperDies(usize),
    ProcessExits(usize),
    Deliver(usize),
    Advance(u64),
    NewAgent,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let task = 0..TASKS;
    let event = prop_oneof![
        3 => task.clone().prop_map(Event::Create),
        1 => (task.clone(), 0_u64..5_000).prop_map(|(t, grace)| Event::Stop(t, grace)),
        1 => (task.clone(), proptest::option::of(0_u64..5_000)).prop_map(|(t, ms)| Event::Exclusive(t, ms)),
        2 => task.clone().prop_map(Event::Acknowledge),
        4 => task.clone().prop_map(Event::HelperRegisters),
        4 => task.clone().prop_map(Event::HelperFinishes),
        1 => task.clone().prop_map(Event::HelperDies),
        2 => task.prop_map(Event::ProcessExits),
        5 => (0_usize..8).prop_map(Event::Deliver),
        2 => (0_u64..70_000).prop_map(Event::Advance),
        1 => Just(Event::NewAgent),
    ];
    proptest::collection::vec(event, 1..120)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Helper {
    Making,
    Registered(i32),
    /// Heard the word to go on: the task runs.
    Started(i32),
}

struct Simulation {
    machine: Machine,
    now: Millis,
    helpers: BTreeMap<TaskId, Helper>,
    /// Processes that init has not been told of the end of; false once they are dead.
    processes: BTreeMap<i32, (TaskId, bool)>,
    /// Tries it takes until a cgroup is empty.
    cgroups: BTreeMap<TaskId, u32>,
    journalled: BTreeSet<TaskId>,
    pending: Vec<Input>,
    next_pid: i32,
    told: Vec<FromInit>,
}

impl Simulation {
    fn new() -> Self {
        let mut simulation = Self {
            machine: Machine::new(&[]),
            now: 1_000,
            helpers: BTreeMap::new(),
            processes: BTreeMap::new(),
            cgroups: BTreeMap::new(),
            journalled: BTreeSet::new(),
            pending: Vec::new(),
            next_pid: 100,
            told: Vec::new(),
        };
        simulation.say(ToInit::Hello { role: "agent".to_owned() });
        simulation
    }

    fn say(&mut self, message: ToInit) {
        self.step(Input::Message { from: AGENT, message });
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.machine.step(self.now, input) {
                inputs.extend(self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::SpawnHelper { task, .. } => {
                assert!(!self.helpers.contains_key(&task), "two helpers for {task}");
                assert!(!self.cgroups.contains_key(&task), "{task} is created over something left behind");
                self.helpers.insert(task.clone(), Helper::Making);
                self.cgroups.insert(task, 2);
            }
            Action::KillHelper { task } => self.helper_dies(&task),
            Action::Acknowledge { task } => {
                let Some(Helper::Registered(pid)) = self.helpers.get(&task).copied() else { return None };
                self.helpers.insert(task, Helper::Started(pid));
            }
            Action::Terminate { task, pid } => {
                let owner = self.processes.get(&pid).map(|(owner, _)| owner);
                assert_eq!(owner, Some(&task), "SIGTERM to a stranger, pid {pid}");
            }
            Action::KillCgroup { task } => self.kill_all(&task),
            Action::Clean { task } => {
                self.kill_all(&task);
                let done = match self.cgroups.get_mut(&task) {
                    Some(tries) if *tries > 0 => {
                        *tries -= 1;
                        false
                    }
                    Some(_) => {
                        self.cgroups.remove(&task);
                        true
                    }
                    None => true,
                };
                return Some(Input::Cleaned { task, done });
            }
            Action::Journal(Record::Exited(record)) => {
                self.journalled.insert(record.task);
            }
            Action::Journal(Record::Forgotten { task }) => {
                self.journalled.remove(&task);
            }
            Action::Send { message, .. } => self.hear(message),
            _ => {}
        }
        None
    }

    fn hear(&mut self, message: FromInit) {
        if let FromInit::Exited(ExitRecord { task, .. }) = &message {
            assert!(!self.cgroups.contains_key(task), "an end was told while something of {task} still runs");
            assert!(self.journalled.contains(task), "an end was told that is not in the journal");
        }
        if let FromInit::CreateFailed { task, .. } = &message {
            assert!(!self.cgroups.contains_key(task), "a failure was told while something of {task} is left");
        }
        self.told.push(message);
    }

    fn kill_all(&mut self, task: &TaskId) {
        let alive: Vec<i32> = self
            .processes
            .iter()
            .filter(|(_, (owner, live))| owner == task && *live)
            .map(|(pid, _)| *pid)
            .collect();
        alive.into_iter().for_each(|pid| self.process_ends(pid, Exit::Signal(9)));
    }

    fn process_ends(&mut self, pid: i32, exit: Exit) {
        if let Some((_, live)) = self.processes.get_mut(&pid)
            && *live
        {
            *live = false;
            self.pending.push(Input::TaskEnded { pid, start_time: 1, exit });
        }
    }

    fn helper_dies(&mut self, task: &TaskId) {
        if self.helpers.remove(task).is_some() {
            let result = Err("it was killed".to_owned());
            self.pending.push(Input::HelperEnded { task: task.clone(), result });
        }
    }

    fn deliver(&mut self, n: usize) {
        if self.pending.is_empty() {
            return;
        }
        let input = self.pending.remove(n % self.pending.len());
        if let Input::TaskEnded { pid, .. } = &input {
            self.step(input.clone());
            // Reaped: from here on the number may be anybody's.
            self.processes.remove(pid);
        } else {
            self.step(input);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Create(n) => {
                self.say(ToInit::Create { task: id(n), bundle: "/bundle".into(), exclusive_until: None })
            }
            Event::Stop(n, grace_ms) => self.say(ToInit::Stop { task: id(n), grace_ms }),
            Event::Exclusive(n, ms) => {
                let at_boottime_ms = ms.map(|ms| self.now + ms);
                self.say(ToInit::Deadline { task: id(n), at_boottime_ms });
            }
            Event::Acknowledge(n) => self.say(ToInit::Acknowledge { task: id(n) }),
            Event::HelperRegisters(n) => {
                if self.helpers.get(&id(n)) == Some(&Helper::Making) {
                    let pid = self.next_pid;
                    self.next_pid += 1;
                    self.helpers.insert(id(n), Helper::Registered(pid));
                    self.processes.insert(pid, (id(n), true));
                    let registration = Registration { pid, start_time: 1, uid: 0, gid: 0, grace_ms: 1_000 };
                    self.step(Input::Registered { task: id(n), registration });
                }
            }
            Event::HelperFinishes(n) => {
                if let Some(Helper::Started(_)) = self.helpers.get(&id(n)) {
                    self.helpers.remove(&id(n));
                    self.pending.push(Input::HelperEnded { task: id(n), result: Ok(()) });
                }
            }
            Event::HelperDies(n) => self.helper_dies(&id(n)),
            Event::ProcessExits(n) => {
                let of_task = |(_, (owner, live)): &(&i32, &(TaskId, bool))| *owner == id(n) && *live;
                if let Some(pid) = self.processes.iter().find(of_task).map(|(pid, _)| *pid) {
                    self.process_ends(pid, Exit::Code(0));
                }
            }
            Event::Deliver(n) => self.deliver(n),
            Event::Advance(ms) => self.advance_to(self.now + ms),
            Event::NewAgent => self.say(ToInit::Hello { role: "agent".to_owned() }),
        }
    }

    /// Time passes; every deadline on the way is kept.
    fn advance_to(&mut self, target: Millis) {
        while let Some(due) = self.machine.next_deadline().filter(|due| *due <= target) {
            self.now = self.now.max(due);
            self.step(Input::Tick);
            if self.machine.next_deadline() == Some(due) {
                self.now += 1;
            }
        }
        self.now = self.now.max(target);
    }

    /// Everything that is under way comes to its end, and all tasks are stopped and acknowledged.
    fn settle(&mut self) {
        for _ in 0..100 {
            (0..TASKS).for_each(|n| {
                self.happen(Event::HelperDies(n));
                self.happen(Event::Stop(n, 0));
                self.happen(Event::Acknowledge(n));
            });
            while !self.pending.is_empty() {
                self.deliver(0);
            }
            self.advance_to(self.now + 2_000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_happens_nothing_is_lost_or_left(events in events()) {
        let mut simulation = Simulation::new();
        events.into_iter().for_each(|event| simulation.happen(event));
        simulation.settle();
        prop_assert!(simulation.machine.tasks.is_empty(), "{:?}", simulation.machine.tasks);
        prop_assert!(simulation.helpers.is_empty() && simulation.processes.is_empty());
        prop_assert!(simulation.cgroups.is_empty() && simulation.journalled.is_empty());
        prop_assert_eq!(simulation.machine.next_deadline().filter(|due| *due < simulation.now), None);
    }

    #[test]
    fn every_created_task_has_an_end_and_every_failed_one_has_none(events in events()) {
        let mut simulation = Simulation::new();
        events.into_iter().for_each(|event| simulation.happen(event));
        simulation.settle();
        for n in 0..TASKS {
            let mut running = false;
            for message in &simulation.told {
                match message {
                    FromInit::Created { task, .. } if *task == id(n) => running = true,
                    FromInit::Exited(record) if record.task == id(n) => {
                        prop_assert!(running, "an end without a beginning");
                        running = false;
                    }
                    FromInit::CreateFailed { task, .. } if *task == id(n) => {
                        prop_assert!(!running, "a failure of a task that runs");
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A machine whose task 0 runs as pid 100.
fn running() -> Simulation {
    let mut simulation = Simulation::new();
    simulation.happen(Event::Create(0));
    simulation.advance_to(simulation.now + 100);
    simulation.happen(Event::HelperRegisters(0));
    simulation.happen(Event::HelperFinishes(0));
    simulation.deliver(0);
    assert_eq!(simulation.told.last(), Some(&FromInit::Created { task: id(0), pid: 100 }));
    simulation
}

#[test]
fn the_kill_comes_at_the_end_of_the_grace_and_is_never_put_off() {
    let mut simulation = running();
    let start = simulation.now;
    simulation.happen(Event::Stop(0, 3_000));
    simulation.happen(Event::Stop(0, 60_000));
    simulation.advance_to(start + 2_999);
    assert!(simulation.pending.is_empty(), "killed too early");
    simulation.advance_to(start + 3_000);
    let killed = Input::TaskEnded { pid: 100, start_time: 1, exit: Exit::Signal(9) };
    assert_eq!(simulation.pending, [killed]);
}

#[test]
fn the_exclusive_deadline_can_be_pushed_on_and_lifted() {
    let mut simulation = running();
    let start = simulation.now;
    simulation.happen(Event::Exclusive(0, Some(1_000)));
    simulation.happen(Event::Exclusive(0, Some(5_000)));
    simulation.advance_to(start + 4_000);
    simulation.happen(Event::Exclusive(0, None));
    simulation.advance_to(start + 60_000);
    assert!(simulation.pending.is_empty(), "it was lifted");
    simulation.happen(Event::Exclusive(0, Some(10)));
    simulation.advance_to(simulation.now + 10);
    assert_eq!(simulation.pending.len(), 1);
}

#[test]
fn an_end_that_is_seen_before_the_helper_ends_is_told_after_the_create() {
    let mut simulation = Simulation::new();
    simulation.happen(Event::Create(0));
    simulation.advance_to(simulation.now + 100);
    simulation.happen(Event::HelperRegisters(0));
    simulation.happen(Event::ProcessExits(0));
    simulation.deliver(0);
    simulation.happen(Event::HelperFinishes(0));
    simulation.deliver(0);
    simulation.advance_to(simulation.now + 1_000);
    let kinds: Vec<&str> = simulation
        .told
        .iter()
        .map(|message| match message {
            FromInit::Created { .. } => "created",
            FromInit::Exited(_) => "exited",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["created", "exited"]);
}

#[test]
fn a_registration_that_comes_after_the_end_finds_it() {
    let mut machine = Machine::new(&[]);
    let create = ToInit::Create { task: id(0), bundle: "/bundle".into(), exclusive_until: None };
    machine.step(0, Input::Message { from: AGENT, message: create });
    machine.step(0, Input::Cleaned { task: id(0), done: true });
    // The same number in another life is somebody else.
    machine.step(1, Input::TaskEnded { pid: 7, start_time: 9, exit: Exit::Code(0) });
    machine.step(1, Input::TaskEnded { pid: 7, start_time: 1, exit: Exit::Signal(9) });
    let registration = Registration { pid: 7, start_time: 1, uid: 0, gid: 0, grace_ms: 0 };
    machine.step(2, Input::Registered { task: id(0), registration });
    machine.step(3, Input::HelperEnded { task: id(0), result: Ok(()) });
    machine.step(4, Input::Cleaned { task: id(0), done: true });
    let exits: Vec<&ExitRecord> = machine.tasks.values().filter_map(Task::record).collect();
    assert_eq!(exits.iter().map(|record| &record.exit).collect::<Vec<_>>(), [&Exit::Signal(9)]);
}

#[test]
fn an_ended_role_is_started_again_with_growing_delay() {
    let mut machine = Machine::new(&[RoleName::Agent]);
    let mut now = 0;
    for delay in [100, 200, 400] {
        let spawn = machine.step(now, Input::Tick);
        assert_eq!(spawn, [Action::SpawnRole { role: RoleName::Agent }]);
        machine.step(now, Input::RoleStarted { role: RoleName::Agent, pid: 9 });
        assert_eq!(machine.role_of(9), Some(RoleName::Agent));
        machine.step(now, Input::RoleEnded { role: RoleName::Agent, how: "ended".to_owned() });
        assert_eq!(machine.next_deadline(), Some(now + delay));
        now += delay;
    }
    assert_eq!(machine.services()[0].restarts, 3);
}

#[test]
fn the_way_down_stops_tasks_then_roles_then_the_logger() {
    let roles = [RoleName::Log, RoleName::Agent];
    let mut simulation = running();
    simulation.machine.roles = roles.iter().map(|name| Role::new(*name)).collect();
    let now = simulation.now;
    simulation.machine.step(now, Input::Tick);
    for (role, pid) in [(RoleName::Log, 10), (RoleName::Agent, 11)] {
        simulation.machine.step(now, Input::RoleStarted { role, pid });
    }
    let term = |role, pid| Action::SignalRole { role, pid, kill: false };
    let down = simulation.machine.step(now, Input::PowerRequested(PowerKind::Reboot));
    // The agent hears of it before anything ends.
    let told = Action::Send { to: 1, message: FromInit::GoingDown };
    assert_eq!(down, [told, Action::Terminate { task: id(0), pid: 100 }]);
    // The registration's grace of one second passes.
    simulation.advance_to(now + 1_000);
    simulation.deliver(0);
    let actions = simulation.machine.step(now + 1_000, Input::Cleaned { task: id(0), done: true });
    assert!(actions.contains(&term(RoleName::Agent, 11)), "{actions:?}");
    let ended = |role| Input::RoleEnded { role, how: String::new() };
    let actions = simulation.machine.step(now + 1_001, ended(RoleName::Agent));
    assert!(actions.contains(&term(RoleName::Log, 10)), "{actions:?}");
    let actions = simulation.machine.step(now + 1_002, ended(RoleName::Log));
    assert_eq!(actions.last(), Some(&Action::Finish(PowerKind::Reboot)));
}

#[test]
fn a_node_that_is_not_ready_in_time_is_started_anew() {
    for ready in [false, true] {
        let mut machine = Machine::new(&[]);
        machine.expect_ready(Some(5_000));
        assert_eq!(machine.next_deadline(), Some(5_000));
        assert_eq!(machine.step(4_999, Input::Tick), []);
        if ready {
            machine.step(4_999, Input::Message { from: AGENT, message: ToInit::Ready });
            assert_eq!(machine.next_deadline(), None);
        }
        let actions = machine.step(5_000, Input::Tick);
        let expected = [Action::GiveUp(GiveUp::NotReady), Action::Finish(PowerKind::Reboot)];
        assert_eq!(actions, if ready { &[][..] } else { &expected[..] });
    }
}

#[test]
fn an_agent_that_says_nothing_is_ended_unless_init_itself_was_frozen() {
    let mut machine = Machine::new(&[RoleName::Agent]);
    let say = |message| Input::Message { from: AGENT, message };
    machine.step(0, Input::Tick);
    machine.step(0, Input::RoleStarted { role: RoleName::Agent, pid: 7 });
    assert_eq!(machine.next_deadline(), None, "it may take its time to begin");
    machine.step(1_000, say(ToInit::Hello { role: "agent".to_owned() }));
    machine.step(20_000, say(ToInit::Alive));
    assert_eq!(machine.step(31_000, Input::Tick), []);
    let kill = Action::SignalRole { role: RoleName::Agent, pid: 7, kill: true };
    assert_eq!(machine.next_deadline(), Some(50_000));
    assert_eq!(machine.step(50_100, Input::Tick), [kill]);
    assert_eq!(machine.step(90_000, Input::Tick), [], "the look came late: everybody was frozen");
}
