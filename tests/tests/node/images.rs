//! Images from a real registry (Debian's docker-registry on loopback): good ones, and every way in which they fail.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tests::gate::Gate;
use tests::http::Client;
use tests::image::{Image, Layer, Packing, busybox, digest};
use tests::network::Network;
use tests::node::{Node, Options};
use tests::registry::Registry;
use tests::wait;

/// The seed's apps as the article printed them.
pub fn seed(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seed").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn node_with(registry: &Registry) -> Node {
    Node::start_with(Options { agent_args: registry.as_docker_hub(), ..Options::default() })
}

fn app(id: &str, image: &str) -> Value {
    json!({
        "id": id, "cmd": "sleep 1000", "cpus": 0.05, "mem": 16, "backoffSeconds": 60,
        "container": { "type": "DOCKER", "docker": { "image": image } },
    })
}

/// How many things lie in a folder of the node's images.
fn kept(node: &Node, folder: &str) -> usize {
    fs::read_dir(node.dir().join("data/images").join(folder)).map(Iterator::count).unwrap_or_default()
}

#[test]
fn the_seeds_docker_apps_run_unchanged() {
    // Port 80 of all addresses: in a network of its own no other node of this machine can have it.
    let network = Network::new();
    let registry = Registry::start_at(network.outside());
    registry.push_seed();
    let node =
        Node::start_in(network, Options { agent_args: registry.as_docker_hub(), ..Options::default() });
    let own = node.network().address;
    for name in ["docker.json", "nginx.json", "python-app.json"] {
        node.post_app(&seed(name));
    }

    let ubuntu = node.wait_running("ubuntu", 1).remove(0);
    node.wait_output(&ubuntu, "stdout", |text| {
        text.lines().any(|line| line.len() == 8 && line.contains(':'))
    });

    // Debian's own nginx, in the node's network as the app asks.
    node.wait_running("nginx", 1);
    let nginx = Client::new(&format!("{own}:80"));
    let page = node.wait_for("nginx answers", || nginx.get("/").map_err(|error| error.to_string()));
    assert!(page.status == 200 && page.text().contains("Welcome to nginx!"), "{page}");
    assert!(page.header("Server").starts_with("nginx/"), "{:?}", page.headers);

    // Debian's own python3; two instances, each on a port of its own.
    let pythons = node.wait_running("python-app", 2);
    let tasks = node.app("python-app").unwrap()["tasks"].clone();
    for task in tasks.as_array().unwrap() {
        let python = Client::new(&format!("{own}:{}", task["ports"][0]));
        let page = node.wait_for("python3 answers", || python.get("/").map_err(|error| error.to_string()));
        assert!(page.status == 200 && page.header("Server").contains("Python/3"), "{page}");
    }
    let env = node.wait_output(&pythons[0], "stdout", |text| text.contains("MARATHON_APP_DOCKER_IMAGE="));
    assert!(
        env.contains("MARATHON_APP_DOCKER_IMAGE=python:3\n") && env.contains("PATH=/usr/bin:/bin\n"),
        "{env}"
    );

    // One lowest layer for all three, fetched once, however many waited for it.
    assert_eq!((kept(&node, "layers"), kept(&node, "names"), kept(&node, "work")), (3, 3, 0));
    assert_eq!(
        registry.requests(&format!("GET /v2/libmesos/ubuntu/blobs/{}", digest(&busybox().blob)))
            + registry.requests(&format!("GET /v2/library/nginx/blobs/{}", digest(&busybox().blob)))
            + registry.requests(&format!("GET /v2/library/python/blobs/{}", digest(&busybox().blob))),
        1,
        "{}",
        registry.log()
    );
}

#[test]
fn an_image_says_how_it_is_run() {
    let registry = Registry::start();
    let entry = "#!/bin/sh\necho \"entry $*\"; exec \"$@\"\n";
    let files = [
        ("entry", 0o755, entry.as_bytes()),
        ("etc/passwd", 0o644, &b"root:x:0:0::/:/bin/sh\nweb:x:77:78::/:/bin/sh\n"[..]),
        ("hidden", 0o644, &b"of the middle layer"[..]),
    ];
    let above: [(&str, u32, &[u8]); 1] = [(".wh.hidden", 0o644, b"")];
    let quit = "trap 'echo asked; exit 0' QUIT; echo up; while :; do sleep 0.1; done";
    let image = Image {
        layers: vec![
            busybox(),
            Layer::of_files(&files, Packing::Zstd),
            Layer::of_files(&above, Packing::Plain),
        ],
        config: json!({
            "Entrypoint": ["/entry"], "Cmd": ["sh", "-c", quit], "User": "web", "WorkingDir": "/new/work",
            "Env": ["FROM_IMAGE=1", "BOTH=image", "PATH=/bin"], "StopSignal": "SIGQUIT",
        }),
    };
    registry.push("team/tool", "v1", &image);
    let node = node_with(&registry);
    let with = |id: &str, fields: Value| {
        let mut app = app(id, "team/tool:v1");
        app.as_object_mut().unwrap().remove("cmd");
        app.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        node.post_app(&app);
        node.wait_running(id, 1).remove(0)
    };
    let shown = "id -u; id -g; pwd; echo $FROM_IMAGE $BOTH $PATH; ls /hidden; ls -d $MESOS_SANDBOX; echo done; sleep 1000";
    let shell = with("shell", json!({ "cmd": shown, "env": { "BOTH": "app" } }));
    let text = node.wait_output(&shell, "stdout", |text| text.contains("done"));
    assert_eq!(text, "77\n78\n/new/work\n1 app /bin\n/mnt/mesos/sandbox\ndone\n");
    let args = with("args", json!({ "args": ["sleep", "1000"] }));
    node.wait_output(&args, "stdout", |text| text == "entry sleep 1000\n");
    let neither = with("neither", json!({ "taskKillGracePeriodSeconds": 60 }));
    node.wait_output(&neither, "stdout", |text| text.ends_with("up\n"));
    // It ends by the signal that its image prefers, long before its grace is over.
    node.wait_settled("neither");
    node.http.put("/v2/apps/neither", json!({ "instances": 0 }).to_string()).unwrap().expect(200);
    node.wait_output(&neither, "stdout", |text| text.ends_with("up\nasked\n"));
}

#[test]
fn what_is_here_is_used_without_asking_unless_the_app_wants_it_fresh() {
    let registry = Registry::start();
    let of = |word: &str| Image {
        layers: vec![busybox(), Layer::of_files(&[("word", 0o644, word.as_bytes())], Packing::Gzip)],
        config: json!({ "Cmd": ["sh", "-c", "cat /word; sleep 1000"] }),
    };
    let first = registry.push("team/word", "v1", &of("first"));
    let node = node_with(&registry);
    let mut lazy = app("lazy", "team/word:v1");
    lazy["cmd"] = json!("cat /word; sleep 1000");
    let mut fresh = lazy.clone();
    fresh["id"] = json!("fresh");
    fresh["container"]["docker"]["forcePullImage"] = json!(true);
    let next_word = |id: &str| {
        let old = node.running(id).unwrap();
        node.wait_settled(id);
        node.http.post(&format!("/v2/apps/{id}/restart"), "").unwrap().expect(200);
        let task = node.wait_for("another task runs", || {
            let now = node.running(id)?;
            match now.into_iter().find(|task| !old.contains(task)) {
                Some(task) => Ok(task),
                None => Err("not yet".to_owned()),
            }
        });
        node.wait_output(&task, "stdout", |text| !text.is_empty())
    };
    for app in [&lazy, &fresh] {
        node.post_app(app);
        let task = node.wait_running(app["id"].as_str().unwrap(), 1).remove(0);
        node.wait_output(&task, "stdout", |text| text == "first");
    }

    let before = registry.requests("/v2/team/word/");
    assert_eq!(next_word("lazy"), "first");
    assert_eq!(registry.requests("/v2/team/word/"), before, "{}", registry.log());
    // Looked at anew, and nothing is fetched where nothing has changed.
    assert_eq!(next_word("fresh"), "first");
    assert_eq!(registry.requests("/v2/team/word/"), before + 1, "{}", registry.log());

    registry.push("team/word", "v1", &of("second"));
    assert_eq!(next_word("fresh"), "second");
    // A digest means what it says, also when the tag has moved on.
    let mut pinned = lazy.clone();
    pinned["id"] = json!("pinned");
    pinned["container"]["docker"]["image"] = json!(format!("team/word@{first}"));
    node.post_app(&pinned);
    let task = node.wait_running("pinned", 1).remove(0);
    node.wait_output(&task, "stdout", |text| text == "first");
    // The registry is gone; what is here still starts, what is to be fresh does not.
    drop(registry);
    assert_eq!(next_word("lazy"), "second");
    node.wait_settled("fresh");
    node.http.post("/v2/apps/fresh/restart", "").unwrap().expect(200);
    let failure = node.wait_failure("fresh", "");
    assert!(failure["message"].as_str().unwrap().contains("no connection"), "{failure:#}");
}

#[test]
fn an_index_leads_to_the_image_for_this_machine() {
    let registry = Registry::start();
    let image = Image { layers: vec![busybox()], config: json!({}) };
    let manifest = registry.push("team/multi", "amd64", &image);
    let entry = |digest: &str, size: usize, architecture: &str| {
        json!({
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": size,
            "platform": { "os": "linux", "architecture": architecture },
        })
    };
    let push = |tag: &str, entries: Value| {
        let kind = "application/vnd.docker.distribution.manifest.list.v2+json";
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": entries });
        registry.push_manifest("team/multi", tag, kind, index.to_string().as_bytes());
    };
    let size = image.manifest().len();
    push("all", json!([entry(&manifest, size, "arm64"), entry(&manifest, size, "amd64")]));
    push("arm", json!([entry(&manifest, size, "arm64")]));
    let node = node_with(&registry);
    node.post_app(&app("all", "team/multi:all"));
    node.wait_running("all", 1);
    node.post_app(&app("arm", "team/multi:arm"));
    let failure = node.wait_failure("arm", "");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("nothing for linux/amd64") && message.contains("linux/arm64"), "{failure:#}");
}

/// Posts an app of that image; the words in which its task failed.
fn failure_of(node: &Node, id: &str, image: &str) -> String {
    node.post_app(&app(id, image));
    let failure = node.wait_failure(id, "");
    assert_eq!(failure["state"], "TASK_ERROR", "{failure:#}");
    let message = failure["message"].as_str().unwrap().to_owned();
    assert!(message.contains("never started") && message.contains(image), "{message}");
    // It is not tried again at once.
    let queue = node.http.get("/v2/queue").unwrap().expect(200).json();
    let waits = queue["queue"].as_array().unwrap().iter().any(|item| {
        item["app"]["id"] == format!("/{id}")
            && item["delay"]["timeLeftSeconds"].as_u64().is_some_and(|s| s > 0)
    });
    assert!(waits, "{queue:#}");
    message
}

#[test]
fn what_cannot_be_had_fails_clearly_and_leaves_nothing() {
    let registry = Registry::start();
    let of = |layer: Layer| Image { layers: vec![layer], config: json!({}) };
    let plain = |content: &[u8]| Layer::of_files(&[("file", 0o644, content)], Packing::Plain);
    // The registry's disk is damaged: the right size, another byte.
    let bad = plain(b"flipped");
    registry.push("bad/digest", "latest", &of(bad.clone()));
    let path = registry.blob_path(&digest(&bad.blob));
    let mut blob = fs::read(&path).unwrap();
    blob[512] ^= 1;
    fs::write(&path, &blob).unwrap();
    // The configuration promises another content than the layer has.
    let mut other = plain(b"other");
    other.diff_id = digest(b"never");
    registry.push("bad/content", "latest", &of(other));
    registry.push(
        "bad/archive",
        "latest",
        &of(Layer::new(b"not an archive, but longer than nothing", Packing::Gzip)),
    );
    let way_out = |name: &str| {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_size(4);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(b"evil");
        bytes.resize(2048, 0);
        Layer::new(&bytes, Packing::Gzip)
    };
    registry.push("bad/dots", "latest", &of(way_out("../../../../../../../../tmp/meseta-was-here")));
    registry.push("bad/absolute", "latest", &of(way_out("/tmp/meseta-was-here")));

    let node = node_with(&registry);
    let registry_named = format!("docker.io (asked at {})", registry.address());
    for (id, image, words) in [
        ("missing", "no/such", &[registry_named.as_str(), "no such image"][..]),
        ("missing-tag", "bad/digest:9", &[registry_named.as_str(), "no such image"]),
        ("name", "No/Such", &["no name of an image", "lower-case"]),
        ("digest", "bad/digest", &[registry_named.as_str(), "digest", "was announced"]),
        ("content", "bad/content", &["layer sha256:", "digest", "was announced"]),
        ("archive", "bad/archive", &["layer sha256:", "ends too early"]),
        ("dots", "bad/dots", &["layer sha256:", "leads out of the layer by `..`"]),
        ("absolute", "bad/absolute", &["layer sha256:", "begins with a slash"]),
        ("nowhere", "127.0.0.1:1/app", &["the registry 127.0.0.1:1", "no connection to 127.0.0.1:1"]),
        // A registry that speaks no TLS where the operator has not allowed to do without.
        ("tls", &format!("{}/app", registry.address()), &["TLS"]),
    ] {
        let message = failure_of(&node, id, image);
        for word in words {
            assert!(message.contains(word), "no `{word}` in: {message}");
        }
    }
    assert_eq!((kept(&node, "layers"), kept(&node, "names"), kept(&node, "work")), (0, 0, 0));
    assert!(!PathBuf::from("/tmp/meseta-was-here").exists());
}

#[test]
fn a_full_disk_fails_the_pull_and_nothing_else() {
    let registry = Registry::start();
    // Hard to pack, so that it is as large on the way as it is unpacked.
    let mut noise = vec![0_u8; 24 * 1024 * 1024];
    let mut seed = 1_u64;
    for byte in &mut noise {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (seed >> 56) as u8;
    }
    let large = Image {
        layers: vec![busybox(), Layer::of_files(&[("noise", 0o644, &noise)], Packing::Plain)],
        config: json!({}),
    };
    registry.push("too/large", "latest", &large);
    registry.push("library/small", "latest", &Image { layers: vec![busybox()], config: json!({}) });
    let options = Options { data_mib: Some(24), agent_args: registry.as_docker_hub(), ..Options::default() };
    let node = Node::start_with(options);
    let message = failure_of(&node, "large", "too/large");
    assert!(message.to_lowercase().contains("no space left"), "{message}");
    node.wait_for("nothing is left half done", || match (kept(&node, "work"), kept(&node, "names")) {
        (0, 0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    node.post_app(&app("small", "small"));
    node.wait_running("small", 1);
}

#[test]
fn a_slow_pull_holds_up_nobody_and_a_broken_one_goes_on() {
    let registry = Registry::start();
    let noise: Vec<u8> =
        (0..6_u32 * 1024 * 1024).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let image = Image {
        layers: vec![busybox(), Layer::of_files(&[("noise", 0o644, &noise)], Packing::Plain)],
        config: json!({}),
    };
    registry.push("slow/one", "latest", &image);
    let gate = Gate::before(registry.address());
    let mirror = vec!["--registry-mirror".to_owned(), format!("docker.io=http://{}", gate.address())];
    let node = Node::start_with(Options { agent_args: mirror, ..Options::default() });
    let mut slow = app("slow", "slow/one");
    slow["instances"] = json!(2);
    node.post_app(&slow);
    let starting = || {
        let app = node.app("slow")?;
        let tasks = app["tasks"].as_array().cloned().unwrap_or_default();
        let count = tasks.iter().filter(|task| task["state"] == "TASK_STARTING").count();
        if count == 2 { Ok(()) } else { Err(format!("{app:#}")) }
    };
    node.wait_for("both tasks wait for their image", starting);
    node.post_app(&json!({ "id": "quick", "cmd": "sleep 1000", "cpus": 0.05, "mem": 16 }));
    node.wait_running("quick", 1);

    // Half of it, then every connection breaks, again and again; what has come is not fetched twice.
    gate.allow(3 * 1024 * 1024);
    node.wait_for("half of the image has come", || match gate.passed() {
        3_145_728 => Ok(()),
        other => Err(other.to_string()),
    });
    gate.cut();
    gate.allow(64 * 1024);
    node.wait_for("the pull goes on", || match gate.passed() {
        3_211_264 => Ok(()),
        other => Err(other.to_string()),
    });
    gate.cut();
    gate.allow(u64::MAX);
    node.wait_running("slow", 2);
    let whole = image.layers.iter().map(|layer| layer.blob.len() as u64).sum::<u64>();
    assert!(gate.passed() < whole + 2 * 1024 * 1024, "{} bytes passed for {whole}", gate.passed());
    assert_eq!(kept(&node, "work"), 0);
}

#[test]
fn a_pull_that_nobody_waits_for_ends_and_a_killed_agent_leaves_nothing_half() {
    let registry = Registry::start();
    registry.push("slow/one", "latest", &Image { layers: vec![busybox()], config: json!({}) });
    let gate = Gate::before(registry.address());
    let mirror = vec!["--registry-mirror".to_owned(), format!("docker.io=http://{}", gate.address())];
    let node = Node::start_with(Options { agent_args: mirror, ..Options::default() });
    let amid_a_layer = |bytes: u64| {
        gate.allow(bytes);
        node.wait_for("a layer is on its way", || match kept(&node, "work") {
            0 => Err("nothing is".to_owned()),
            _ => Ok(()),
        });
    };
    node.post_app(&app("given-up", "slow/one"));
    amid_a_layer(64 * 1024);
    node.delete_app("given-up");
    node.wait_for("the pull has ended", || match kept(&node, "work") {
        0 => Ok(()),
        n => Err(format!("{n} unfinished")),
    });
    gate.cut();

    node.post_app(&app("kept", "slow/one"));
    amid_a_layer(64 * 1024);
    node.kill_role("agent");
    gate.allow(u64::MAX);
    node.wait_running("kept", 1);
    assert_eq!((kept(&node, "layers"), kept(&node, "names"), kept(&node, "work")), (1, 1, 0));
}

#[test]
fn unused_images_go_and_used_ones_stay() {
    let registry = Registry::start();
    let of = |word: &str| Image {
        layers: vec![busybox(), Layer::of_files(&[("word", 0o644, word.as_bytes())], Packing::Gzip)],
        config: json!({}),
    };
    registry.push("team/used", "latest", &of("used"));
    registry.push("team/unused", "latest", &of("unused"));
    let mut args = registry.as_docker_hub();
    args.extend(["--images-keep".to_owned(), "1".to_owned()]);
    let node = Node::start_with(Options { agent_args: args, ..Options::default() });
    node.post_app(&app("used", "team/used"));
    node.post_app(&app("unused", "team/unused"));
    let task = node.wait_running("used", 1).remove(0);
    node.wait_running("unused", 1);
    assert_eq!((kept(&node, "layers"), kept(&node, "names")), (3, 2));
    node.delete_app("unused");
    wait::until(
        "the unused image is gone",
        wait::DEADLINE,
        || match (kept(&node, "layers"), kept(&node, "names")) {
            (2, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        },
        || node.log_tail(),
    );
    // The other one still has its root.
    assert!(node.running("used").unwrap().contains(&task));
    assert_eq!(registry.requests("GET /v2/team/used/manifests/"), 1);
}
