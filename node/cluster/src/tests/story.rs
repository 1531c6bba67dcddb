//! A cluster's life in one go, told to a log by this build: what [`super::written`] keeps of each build.
//!
//! It uses what has been the same since the first feature level; what came later goes in as JSON, from its level on. So
//! this file can be laid into the tree of an older commit and tells the same story there, as far as that build knows it.

use model::app::AppSpec;
use model::auth::Actor;
use model::command::{FEATURE_LEVEL, PutMode};
use model::health::CheckHealth;
use model::ids::{IdSource, RequestId};
use model::task::{Exit, Task, TaskChange, TaskState, TaskUpdate};
use model::{AppId, ClusterId, Command, DeploymentId, NodeId, Origin, TaskId, schedule};
use serde_json::{Value, json};

use super::{NODE, numbered};
use crate::{Cluster, Proposal};

const SECOND: NodeId = NodeId(8);
const THIRD: NodeId = NodeId(9);

const WEB: &str = r#"{"id": "/site/web", "cmd": "exec httpd -p $PORT0", "instances": 2, "cpus": 0.3, "mem": 64,
    "env": {"MODE": "first"}, "labels": {"HAPROXY_GROUP": "external"},
    "container": {"type": "DOCKER", "docker": {"image": "nginx:1", "network": "BRIDGE", "portMappings": [
        {"containerPort": 80, "hostPort": 0, "servicePort": 10080, "protocol": "tcp"}]}},
    "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "gracePeriodSeconds": 5}],
    "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.5}}"#;
const WORKER: &str = r#"{"id": "/worker", "cmd": "work", "instances": 2, "cpus": 0.1, "mem": 16,
    "backoffSeconds": 1, "backoffFactor": 2, "constraints": [["hostname", "MAX_PER", "4"]]}"#;
const SINGLE: &str = r#"{"id": "/store/single", "cmd": "keep", "cpus": 0.1, "mem": 16,
    "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "requirePorts": true,
    "portDefinitions": [{"port": 31500, "protocol": "udp", "name": "feed"}],
    "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}"#;
const NOWHERE: &str = r#"{"id": "/nowhere", "cmd": "true", "cpus": 0.1, "mem": 16,
    "constraints": [["hostname", "CLUSTER", "no-such-node"]]}"#;
const GOES: &str = r#"{"id": "/goes", "cmd": "true", "cpus": 0.1, "mem": 16, "instances": 3}"#;

/// Up to the snapshot.
pub async fn beginning(cluster: &Cluster) {
    let mut story = Story { cluster, ids: IdSource::new(1), requests: 0 };
    story.is_set_up().await;
    story.takes_in_others().await;
    for app in [WEB, WORKER, SINGLE, NOWHERE, GOES] {
        story.put(app).await;
        story.settle().await;
    }
    let again = story.put_command(GOES, PutMode::Create);
    assert!(!story.ask(again).await, "it exists");
    story.fails("/worker").await;
    story.rolls_out_half(&WEB.replace("first", "second")).await;
}

/// What a reader of the snapshot must do again.
pub async fn rest(cluster: &Cluster) {
    let mut story = Story { cluster, ids: IdSource::new(2), requests: 1_000 };
    story.settle().await;
    story.is_worked_on().await;
    story.loses_a_node().await;
    story.is_managed().await;
    // In the midst of things: something is starting, something is to end, something waits.
    story.put(&WORKER.replace("\"instances\": 2", "\"instances\": 5")).await;
    story.rolls_out_half(&WEB.replace("first", "third")).await;
}

struct Story<'a> {
    cluster: &'a Cluster,
    ids: IdSource,
    /// Ids of requests are counted from here.
    requests: u128,
}

impl Story<'_> {
    async fn is_set_up(&mut self) {
        self.registers(NODE, "boot-1").await;
        self.must(Command::RaiseFeatureLevel { level: FEATURE_LEVEL }).await;
        let admin = json!({"name": "admin", "password_hash": "$argon2id$", "role": "administrator", "created_at": zero()});
        let (cluster, session_key) = (ClusterId(5), "0".repeat(64));
        let claim = json!({"do": "claim", "cluster": cluster, "admin": admin, "session_key": session_key});
        self.from(1, claim).await;
        self.from(1, json!({"do": "set_password", "user": "admin", "password_hash": "$argon2id$2"})).await;
        for (name, sha256) in [("ci", "c"), ("old", "d")] {
            let token = json!({"name": name, "token_sha256": sha256.repeat(64), "role": "administrator",
                "created_at": zero(), "expires_at": null});
            self.from(1, json!({"do": "put_token", "token": token})).await;
        }
        self.from(1, json!({"do": "delete_token", "name": "old"})).await;
        self.from(1, json!({"do": "rotate_session_key", "session_key": "1".repeat(64)})).await;
    }

    async fn takes_in_others(&mut self) {
        let authority = json!({"certificate": "a certificate", "key": "its key"});
        self.from(2, json!({"do": "found", "authority": authority, "first": applicant(NODE)})).await;
        for (name, sha256) in [("rack", "a"), ("spare", "b")] {
            let token = json!({"name": name, "secret_sha256": sha256.repeat(64), "uses_left": 2,
                "created_at": zero(), "expires_at": self.cluster.now().plus_ms(3_600_000)});
            self.from(2, json!({"do": "put_join_token", "token": token})).await;
        }
        self.from(2, json!({"do": "delete_join_token", "name": "spare"})).await;
        for node in [SECOND, THIRD] {
            let secret = "a".repeat(64);
            let admit = json!({"do": "admit_node", "applicant": applicant(node), "secret_sha256": secret});
            if self.from(2, admit).await {
                self.registers(node, "boot-1").await;
            }
        }
    }

    /// Ends of all kinds, a restart of the node, a delay that is forgotten.
    async fn is_worked_on(&mut self) {
        let victim = self.tasks("/goes")[0].clone();
        let (tasks, deployment) = (vec![victim.id], self.deployment());
        self.must(Command::KillTasks { tasks, scale: true, deployment, force: true }).await;
        self.fails("/goes").await;
        self.must(Command::ResetDelay { app: app("/goes") }).await;
        self.settle().await;
        let task = self.tasks("/site/web")[0].clone();
        self.health(&task, 3).await;
        self.settle().await;
        let deployment = self.deployment();
        self.must(Command::RestartApp { app: app("/worker"), deployment, force: true }).await;
        self.settle().await;
        let deployment = self.deployment();
        self.must(Command::DeleteApp { app: app("/goes"), deployment, force: true }).await;
        self.settle().await;
        self.registers(NODE, "boot-2").await;
        self.settle().await;
    }

    async fn loses_a_node(&mut self) {
        for node in [SECOND, THIRD] {
            self.from(2, json!({"do": "set_lost", "node": node, "lost": true})).await;
            let Some(since) = self.lost_since(node) else { return };
            self.plan().await;
            let answered =
                json!({"do": "hook_answered", "node": node, "lost_since": since, "error": "no answer"});
            self.from(4, answered).await;
            self.from(4, json!({"do": "fence", "node": node, "lost_since": since})).await;
            self.settle().await;
            match node {
                SECOND => self.from(2, json!({"do": "set_lost", "node": node, "lost": false})).await,
                _ => self.from(2, json!({"do": "remove_node", "node": node})).await,
            };
            self.settle().await;
        }
    }

    async fn is_managed(&mut self) {
        let attributes = json!({"rack": "b", "gone": null});
        let change = json!({"availability": null, "name": "second", "attributes": attributes});
        self.from(3, json!({"do": "change_node", "node": SECOND, "change": change})).await;
        let moved: Vec<TaskId> = self.tasks("/worker").iter().map(|task| task.id.clone()).take(1).collect();
        self.from(3, json!({"do": "move_tasks", "tasks": moved, "cancel": false})).await;
        self.settle().await;
        // What was exclusive is so no more, while a task of the old definition runs.
        let often = SINGLE.replace("\"true\"", "\"false\"").replace("\"requirePorts\": true,", "");
        self.put(&often.replace("Capacity\": 0", "Capacity\": 1")).await;
        self.settle().await;
        let change = json!({"availability": "cordoned", "name": null, "attributes": {}});
        self.from(3, json!({"do": "change_node", "node": SECOND, "change": change})).await;
        let change = json!({"rebalance": "automatic", "fence_hook": "http://192.0.2.1/off"});
        self.from(4, json!({"do": "change_settings", "change": change})).await;
        let schedule = json!({"every_hours": 24, "keep": 7, "passphrase": "correct horse"});
        self.from(4, json!({"do": "set_backup_schedule", "schedule": schedule})).await;
        let note = json!({"at": zero(), "index": 9, "bytes": 900, "secrets": true, "scheduled": true});
        self.from(4, json!({"do": "note_backup", "note": note})).await;
        let bucket = json!({
            "endpoint": "https://s3.example.com", "name": "kept", "prefix": "a/", "region": "us-east-1",
            "access_key": "key", "secret_key": "secret", "path_style": true,
        });
        let locking = json!({"key": {"salt": vec![7; 16], "bytes": vec![8; 32]}});
        let plan = json!({"every_hours": 6, "keep": 3, "locking": locking, "bucket": bucket});
        self.from(5, json!({"do": "plan_backups", "plan": plan})).await;
        self.from(5, json!({"do": "back_up_now"})).await;
        self.from(6, json!({"do": "renew_keys", "nodes": [NODE, SECOND]})).await;
        let since = self.cluster.now();
        let key =
            json!({"do": "register_key", "node": SECOND, "fingerprint": "e".repeat(64), "since": since});
        self.from(6, key).await;
        self.changes_its_authority().await;
    }

    /// As far as one member has a certificate of the new one, and others have not.
    async fn changes_its_authority(&mut self) {
        let next = json!({"certificate": "another certificate", "key": "its key"});
        self.from(7, json!({"do": "replace_authority", "next": next})).await;
        for node in [NODE, SECOND] {
            self.from(7, json!({"do": "trust_authority", "node": node, "number": 1})).await;
        }
        let since = self.cluster.now().plus_ms(1);
        let key = json!({"do": "register_key", "node": SECOND, "fingerprint": "f".repeat(64), "since": since,
            "authority": 1});
        self.from(7, key).await;
    }

    /// One task of the app ends by itself, badly.
    async fn fails(&mut self, id: &str) {
        let task = self.tasks(id)[0].clone();
        self.report(&task, TaskChange::Ended { exit: Exit::Code(3) }, "no more work").await;
    }

    /// A new version, and the first step to it.
    async fn rolls_out_half(&mut self, definition: &str) {
        self.put(definition).await;
        self.plan().await;
        self.obey_once().await;
    }

    /// Leader and nodes take turns until nothing is left to do at once.
    async fn settle(&mut self) {
        for _ in 0..50 {
            let planned = self.plan().await;
            if !self.obey_once().await && !planned {
                return;
            }
        }
        panic!("the story does not settle");
    }

    async fn plan(&mut self) -> bool {
        let state = self.cluster.state();
        let plan = schedule::plan(&state, self.cluster.now(), &mut self.ids);
        let has_any = !plan.actions.is_empty();
        if has_any {
            self.must(Command::ApplyPlan { based_on: state.index, actions: plan.actions }).await;
        }
        has_any
    }

    /// Every node does one step for each of its tasks.
    async fn obey_once(&mut self) -> bool {
        let state = self.cluster.state();
        let all = state.apps.values().flat_map(|app| app.tasks.values().map(move |task| (app, task)));
        let heard: Vec<_> = all.filter(|(_, task)| self.lost_since(task.node).is_none()).collect();
        let mut acted = false;
        for (app, task) in heard {
            match (task.is_wanted(), task.state) {
                (false, TaskState::Killing) => {
                    self.report(task, TaskChange::Ended { exit: Exit::Signal(15) }, "").await;
                }
                (false, _) => self.report(task, TaskChange::Killing, "").await,
                (true, TaskState::Staging) => self.report(task, TaskChange::Starting, "pulling").await,
                (true, TaskState::Starting) => {
                    let addresses = vec!["172.17.0.2".parse().expect("an address")];
                    self.report(task, TaskChange::Running { addresses }, "").await;
                }
                (true, TaskState::Running) if !app.serves(task) => self.health(task, 0).await,
                _ => continue,
            }
            acted = true;
        }
        acted
    }

    async fn health(&mut self, task: &Task, failures: u32) {
        let now = self.cluster.now();
        let check = CheckHealth {
            alive: Some(failures == 0),
            consecutive_failures: failures,
            first_success: Some(now),
            last_failure: (failures > 0).then_some(now),
            last_failure_cause: if failures == 0 { String::new() } else { "connection refused".to_owned() },
            ..CheckHealth::default()
        };
        self.report(task, TaskChange::Health { checks: vec![check] }, "").await;
    }

    async fn report(&mut self, task: &Task, change: TaskChange, message: &str) {
        let update = TaskUpdate { task: task.id.clone(), change, message: message.to_owned() };
        self.must(Command::Report { node: task.node, updates: vec![update] }).await;
    }

    async fn registers(&mut self, node: NodeId, boot: &str) {
        let Command::RegisterNode { node: mut described } = numbered(node.0).command else {
            panic!("it registers");
        };
        (described.id, described.boot_id) = (node, boot.to_owned());
        self.must(Command::RegisterNode { node: described }).await;
    }

    async fn put(&mut self, definition: &str) {
        let command = self.put_command(definition, PutMode::Upsert);
        assert!(self.ask(command).await, "{definition}");
    }

    fn put_command(&mut self, definition: &str, mode: PutMode) -> Command {
        let app = AppSpec::parse(definition).unwrap_or_else(|faults| panic!("{:#}", faults.to_body()));
        let deployment = self.deployment();
        Command::PutApp { app: Box::new(app), mode, deployment, force: true }
    }

    /// A command that is known from `level` on; false if this build does not know it.
    async fn from(&mut self, level: u32, command: Value) -> bool {
        if level > FEATURE_LEVEL {
            return false;
        }
        let parsed = serde_json::from_value(command.clone());
        self.must(parsed.unwrap_or_else(|error| panic!("{command}: {error}"))).await;
        true
    }

    async fn must(&mut self, command: Command) {
        let told = format!("{command:?}");
        assert!(self.propose(None, Actor::System, command).await, "{told}");
    }

    /// As a person's client does, with a request that could be repeated.
    async fn ask(&mut self, command: Command) -> bool {
        self.requests += 1;
        let actor = json!({"user": {"name": "admin", "role": "administrator"}});
        let actor = serde_json::from_value(actor).expect("an actor");
        self.propose(Some(RequestId(self.requests)), actor, command).await
    }

    /// True unless it was rejected.
    async fn propose(&mut self, request_id: Option<RequestId>, actor: Actor, command: Command) -> bool {
        let origin = Origin { client_ip: "192.0.2.9".to_owned(), uri: "/v2/apps".to_owned() };
        let proposal = Proposal { actor, origin, request_id, expected_version: None, command };
        let applied = self.cluster.propose(proposal).await.expect("applied");
        if let Err(reject) = &applied.result {
            println!("rejected: {reject}");
        }
        applied.result.is_ok()
    }

    fn tasks(&self, id: &str) -> Vec<Task> {
        let state = self.cluster.state();
        state.apps[&app(id)].tasks.values().map(|task| (**task).clone()).collect()
    }

    /// Asked in JSON, for the first builds know nothing of losses.
    fn lost_since(&self, node: NodeId) -> Option<Value> {
        let state = serde_json::to_value(&*self.cluster.state()).expect("a state");
        let since = &state["members"][node.0.to_string()]["lost_since"];
        (!since.is_null()).then(|| since.clone())
    }

    fn deployment(&mut self) -> DeploymentId {
        DeploymentId(self.ids.draw_u128())
    }
}

fn app(id: &str) -> AppId {
    AppId::parse(id).expect("an app id")
}

fn zero() -> Value {
    json!(model::Timestamp(0))
}

fn applicant(node: NodeId) -> Value {
    let address = format!("192.0.2.{}", node.0);
    json!({"node": node, "fingerprint": format!("{:064x}", node.0), "addresses": [address], "port": 7300})
}
