//! The image's own kernel and packet filter: a task on the bridge, reached from outside the machine.

use serde_json::json;
use tests::http::Client;
use tests::vm::Vm;

const HOST_PORT: u16 = 10_000;

#[test]
fn a_host_port_of_the_machine_leads_to_a_healthy_task() {
    let vm = Vm::boot();
    let app = json!({
        "id": "web", "cpus": 0.1, "mem": 32, "networks": [{"mode": "container/bridge"}],
        "cmd": "mkdir www; printf %s \"$MESOS_TASK_ID\" > www/index.html; exec httpd -f -p 8080 -h www",
        "container": {"type": "MESOS", "portMappings": [{"containerPort": 8080, "hostPort": HOST_PORT}]},
        "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "intervalSeconds": 1}],
    });
    let created = vm.http.post("/v2/apps", app.to_string()).unwrap();
    assert_eq!(created.status, 201, "{created}");
    let task = vm.wait_task("web", "");
    let outside = Client::new(&vm.forward(HOST_PORT).to_string());
    vm.wait_for("the task answers", || match outside.get("/") {
        Ok(answer) if answer.status == 200 && answer.text() == task => Ok(()),
        other => Err(format!("{other:?}")),
    });
    vm.wait_for("the task is healthy", || {
        let app = vm.http.get("/v2/apps/web").map_err(|error| error.to_string())?.json();
        if app["app"]["tasksHealthy"] == 1 { Ok(()) } else { Err(format!("{app:#}")) }
    });
}
