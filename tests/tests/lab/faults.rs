//! Five nodes under every fault the lab can make, while clients write and read through all of them: what they saw must
//! be explainable as one sequence, and in the end every node says the same.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::lab::signal;
use tests::linear::{self, Step, What};

use crate::Lab;

const NODES: usize = 5;
const REGISTERS: usize = 3;
/// A client that hears nothing for this long asks another question; what became of the first is then unknown.
const PATIENCE: Duration = Duration::from_secs(12);

/// Apps whose environment holds one number.
struct Registers {
    steps: [Mutex<Vec<Step>>; REGISTERS],
    next: AtomicU64,
    began: Instant,
    is_over: AtomicBool,
}

impl Registers {
    fn now(&self) -> u64 {
        // Zero is before the first question.
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX) + 1
    }

    fn note(&self, register: usize, step: Step) {
        self.steps[register].lock().expect("no client panics").push(step);
    }

    fn count(&self) -> usize {
        let of = |steps: &Mutex<Vec<Step>>| {
            steps.lock().expect("no client panics").iter().filter(|step| step.answered.is_some()).count()
        };
        self.steps.iter().map(of).sum()
    }

    /// Through node `n`, until it is over: now a write, now a read.
    fn use_through(&self, lab: &Lab, n: usize) {
        let client = lab.node(n).within(PATIENCE);
        let mut turn = n;
        while !self.is_over.load(Ordering::Relaxed) {
            turn += 1;
            let register = turn % REGISTERS;
            let path = format!("/v2/apps/register-{register}");
            let asked = self.now();
            if turn.is_multiple_of(2) {
                let value = self.next.fetch_add(1, Ordering::Relaxed);
                let answer = client.put(&format!("{path}?force=true"), definition(value));
                if let Err(ureq::Error::Io(error)) = &answer
                    && error.kind() == std::io::ErrorKind::ConnectionRefused
                {
                    // Its node is down, and was told nothing.
                    tests::wait::pause();
                    continue;
                }
                // Whatever else is not a clear yes may have been done, and may yet be.
                let is_done = answer.is_ok_and(|answer| answer.status < 300);
                let answered = is_done.then(|| self.now());
                self.note(register, Step { what: What::Write(value), asked, answered });
            } else if let Some(value) = client.get(&path).ok().and_then(|answer| value_of(&answer)) {
                let answered = Some(self.now());
                self.note(register, Step { what: What::Read(value), asked, answered });
            }
        }
    }
}

fn definition(value: u64) -> String {
    format!(r#"{{"cmd":"true","instances":0,"env":{{"VALUE":"{value}"}}}}"#)
}

fn value_of(answer: &tests::http::Answer) -> Option<u64> {
    let text = (answer.status == 200).then(|| answer.json()["app"]["env"]["VALUE"].clone())?;
    text.as_str()?.parse().ok()
}

/// One fault after the other; between them clients get a number of answers, so each is met by questions.
fn torment(lab: &Lab, registers: &Registers) {
    let some_answers = |more: usize| {
        let enough = registers.count() + more;
        lab.until("clients are answered", || {
            let count = registers.count();
            if count >= enough { Ok(()) } else { Err(format!("{count} of {enough}")) }
        });
    };
    let node = |n: usize| format!("n{n}");
    some_answers(60);
    for round in 0..2 {
        let leader = lab.leader();
        signal(&[lab.agent(leader)], Signal::SIGKILL);
        some_answers(60);

        let leader = lab.leader();
        lab.run(&["pause", &node(leader)]);
        some_answers(60);
        lab.run(&["resume", &node(leader)]);
        some_answers(60);

        let leader = lab.leader();
        let direction = ["in", "out"][round];
        lab.run(&["cut", &node(leader), &node(leader % NODES + 1), direction]);
        lab.run(&["cut", &node(leader), &node((leader + 1) % NODES + 1), direction]);
        some_answers(40);
        lab.run(&["cut", &node(leader)]);
        some_answers(40);
        lab.run(&["heal"]);
        some_answers(40);

        lab.run(&["loss", &node(lab.leader()), "20"]);
        lab.run(&["loss", &node(lab.leader() % NODES + 1), "20"]);
        some_answers(40);
        lab.run(&["heal"]);

        let full = lab.leader();
        lab.run(&["fill-disk", &node(full)]);
        some_answers(20);
        lab.run(&["heal"]);
        some_answers(40);
    }
    for n in 1..=NODES {
        lab.run(&["kill", &node(n)]);
    }
    for n in 1..=NODES {
        lab.run(&["start", &node(n)]);
    }
    some_answers(60);
}

#[test]
fn what_clients_saw_is_one_sequence() {
    let lab = Lab::up(NODES);
    lab.until("all vote", || {
        let roles = lab.roles();
        let voters = roles.iter().filter(|[_, role, _]| role == "voter" || role == "leader").count();
        if voters == NODES { Ok(()) } else { Err(format!("{roles:?}")) }
    });
    for register in 0..REGISTERS {
        lab.node(1)
            .put(&format!("/v2/apps/register-{register}"), definition(0))
            .expect("an answer")
            .expect(201);
    }
    let registers = Registers {
        steps: Default::default(),
        next: AtomicU64::new(1),
        began: Instant::now(),
        is_over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for n in 1..=NODES {
            let (lab, registers) = (&lab, &registers);
            scope.spawn(move || registers.use_through(lab, n));
        }
        let tormented = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| torment(&lab, &registers)));
        registers.is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = tormented {
            std::panic::resume_unwind(panic);
        }
    });
    // Faults are over: every node answers, and reads what all the others read.
    for register in 0..REGISTERS {
        for n in 1..=NODES {
            let asked = registers.now();
            let value = lab.until("every node answers", || {
                let answer = lab.node(n).get(&format!("/v2/apps/register-{register}"));
                answer
                    .map_err(|error| error.to_string())
                    .and_then(|answer| value_of(&answer).ok_or_else(|| answer.to_string()))
            });
            let answered = Some(registers.now());
            registers.note(register, Step { what: What::Read(value), asked, answered });
        }
        let steps = registers.steps[register].lock().expect("no client panics");
        let unknown = steps.iter().filter(|step| step.answered.is_none()).count();
        println!("register {register}: {} steps, {unknown} writes of unknown outcome", steps.len());
        if let Err(contradiction) = linear::check(&steps, 0) {
            panic!("register {register}: {contradiction}");
        }
    }
    lab.until("all have applied the same", || {
        let hashes: Vec<String> =
            (1..=NODES).map(|n| lab.json(n, "/meseta/v1/state-hash").to_string()).collect();
        if hashes.iter().all(|hash| *hash == hashes[0]) { Ok(()) } else { Err(format!("{hashes:?}")) }
    });
}
