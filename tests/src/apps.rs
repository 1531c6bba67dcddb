//! What tests do with apps on a [`Node`]: post them, wait for their tasks, read their output.

use serde_json::Value;

use crate::http::Answer;
use crate::node::Node;

impl Node {
    /// POSTs an app and returns the answer's body; panics unless it is 201.
    #[track_caller]
    pub fn post_app(&self, app: &Value) -> Value {
        self.http.post("/v2/apps", app.to_string()).expect("an answer").expect(201).json()
    }

    /// The app as `GET /v2/apps/{id}` shows it.
    pub fn app(&self, id: &str) -> Result<Value, String> {
        let answer: Answer = self.http.get(&format!("/v2/apps/{id}")).map_err(|e| e.to_string())?;
        if answer.status != 200 {
            return Err(answer.to_string());
        }
        Ok(answer.json()["app"].clone())
    }

    /// Ids of the app's live tasks that run.
    pub fn running(&self, id: &str) -> Result<Vec<String>, String> {
        let app = self.app(id)?;
        let tasks = app["tasks"].as_array().cloned().unwrap_or_default();
        let running = tasks.iter().filter(|t| t["state"] == "TASK_RUNNING");
        Ok(running.filter_map(|t| t["id"].as_str()).map(str::to_owned).collect())
    }

    /// Waits until exactly `count` tasks of the app run, and returns their ids.
    #[track_caller]
    pub fn wait_running(&self, id: &str, count: usize) -> Vec<String> {
        self.wait_for(&format!("{count} tasks of {id} run"), || {
            let tasks = self.running(id)?;
            if tasks.len() == count { Ok(tasks) } else { Err(format!("{:#}", self.app(id)?)) }
        })
    }

    /// Everything still kept of a task's stream from `offset` on: the bytes, and the offset they begin at.
    pub fn output(&self, task: &str, stream: &str, offset: u64) -> Result<(u64, Vec<u8>), String> {
        let (mut begin, mut next, mut bytes) = (None, offset, Vec::new());
        loop {
            let path = format!("/meseta/v1/tasks/{task}/logs/{stream}?offset={next}");
            let answer = self.http.get(&path).map_err(|e| e.to_string())?;
            if answer.status != 200 {
                return Err(answer.to_string());
            }
            let at: u64 =
                answer.header("X-Meseta-Offset").parse().map_err(|_| format!("no offset in {path}"))?;
            begin.get_or_insert(at);
            bytes.extend_from_slice(&answer.body);
            next = at + answer.body.len() as u64;
            if answer.body.is_empty() {
                return Ok((begin.unwrap_or(offset), bytes));
            }
        }
    }

    /// Waits until no deployment of the app runs any more: until then it is locked against changes.
    #[track_caller]
    pub fn wait_settled(&self, id: &str) {
        self.wait_for(&format!("the deployments of {id} are done"), || {
            let app = self.app(id)?;
            if app["deployments"] == serde_json::json!([]) { Ok(()) } else { Err(format!("{app:#}")) }
        });
    }

    /// Waits until the app's last ended task is another one than `before`, and returns `lastTaskFailure`.
    #[track_caller]
    pub fn wait_failure(&self, id: &str, before: &str) -> Value {
        self.wait_for(&format!("a task of {id} has ended"), || {
            let app = self.app(id)?;
            match app["lastTaskFailure"]["taskId"].as_str() {
                Some(task) if task != before => Ok(app["lastTaskFailure"].clone()),
                _ => Err(format!("{app:#}")),
            }
        })
    }

    /// DELETEs the app and waits until it and its tasks are gone.
    #[track_caller]
    pub fn delete_app(&self, id: &str) {
        self.http.delete(&format!("/v2/apps/{id}")).expect("an answer").expect(200);
        self.wait_for(&format!("{id} is gone"), || match self.http.get(&format!("/v2/apps/{id}")) {
            Ok(answer) if answer.status == 404 => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Waits until a task's stream satisfies `enough`, and returns it whole.
    #[track_caller]
    pub fn wait_output(&self, task: &str, stream: &str, enough: impl Fn(&str) -> bool) -> String {
        self.wait_for(&format!("{stream} of {task}"), || {
            let text = String::from_utf8_lossy(&self.output(task, stream, 0)?.1).into_owned();
            if enough(&text) { Ok(text) } else { Err(text.chars().take(2_000).collect()) }
        })
    }
}
