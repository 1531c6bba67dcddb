//! The article's nginx steps against the image, by `curl` and `dig` through the ports of `scripts/run`, with the seed's
//! JSON as it stands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tests::dig::dig;
use tests::registry::Registry;
use tests::vm::Vm;

/// The node reaches this machine under this address, see the help of `scripts/run`.
const THIS_MACHINE: &str = "10.0.2.2";
const INTERNAL: u16 = 10_001;
const EXTERNAL: u16 = 10_000;
/// What QEMU gives its only guest.
const NODE: &str = "10.0.2.15";

fn curl(args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("curl");
    command.args(["-s", "-S", "-i", "--max-time", "20", "--noproxy", "*"]).args(args);
    let output = command.output().map_err(|error| error.to_string())?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn wait_welcome(vm: &Vm, at: SocketAddr, args: &[&str]) {
    let url = format!("http://{at}/");
    vm.wait_for(&format!("nginx welcomes at {url} {args:?}"), || {
        let page = curl(&[args, &[&url]].concat())?;
        let is_nginx = page.starts_with("HTTP/1.1 200") && page.contains("Welcome to nginx!");
        if is_nginx { Ok(()) } else { Err(page) }
    });
}

#[test]
fn the_articles_nginx_steps_by_curl_and_dig() {
    let registry = Registry::start();
    registry.push_seed();
    let port = registry.address().rsplit_once(':').unwrap().1;
    let mirror = format!("docker.io=http://{THIS_MACHINE}:{port}");
    let vm = Vm::boot_with_flags(&["--registry-mirror", &mirror], INTERNAL);
    let dns = vm.forward(53);
    let apps = format!("http://{}/v2/apps", vm.forward(8080));
    let login = format!("admin:{}", tests::vm::PASSWORD);

    for name in ["nginx-internal", "nginx-external"] {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("seed/{name}.json"));
        let data = format!("@{}", file.display());
        let created =
            curl(&["-u", &login, "-H", "Content-Type: application/json", "-d", &data, &apps]).unwrap();
        assert!(created.starts_with("HTTP/1.1 201") && created.contains("Location: "), "{created}");
    }
    for (name, at) in [("nginx-internal", vm.own_forward()), ("nginx-external", vm.forward(EXTERNAL))] {
        wait_welcome(&vm, at, &[]);
        let task = vm.http.get(&format!("/v2/apps/{name}")).unwrap().json()["app"]["tasks"][0].clone();
        let (inside, port) = (task["ipAddresses"][0]["ipAddress"].as_str().unwrap(), &task["ports"][0]);
        for (zone, address, port) in
            [("marathon.mesos", inside, "80".to_owned()), ("marathon.slave.mesos", NODE, port.to_string())]
        {
            let dug = dig(dns, &[&format!("{name}.{zone}"), "A"]);
            assert_eq!(dug.answer, [format!("A {address}")], "{}", dug.text);
            let dug = dig(dns, &[&format!("_{name}._tcp.{zone}"), "SRV", "+tcp"]);
            assert!(
                dug.answer.len() == 1 && dug.answer[0].contains(&format!(" {port} {name}-")),
                "{}",
                dug.text
            );
            // QEMU gives its guest an IPv6 address, too.
            assert_eq!(dug.additional.first(), Some(&format!("A {address}")), "{}", dug.text);
        }
    }
    wait_welcome(&vm, vm.forward(80), &["-H", "Host: nginx.external.com"]);
    let other = curl(&["-H", "Host: nginx.internal.com", &format!("http://{}/", vm.forward(80))]).unwrap();
    assert!(other.starts_with("HTTP/1.1 503"), "{other}");

    let host = vm.http.get("/meseta/v1/node").unwrap().json()["host"].clone();
    assert_eq!(host["registry_mirrors"], serde_json::json!([mirror]), "{host:#}");
}
