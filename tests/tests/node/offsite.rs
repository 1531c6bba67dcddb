//! Backups by schedule to storage that speaks the S3 protocol and checks every signature.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tests::node::{Node, Options, PASSWORD, binary};
use tests::s3::{ACCESS_KEY, BUCKET, SECRET_KEY, Storage};

use crate::restore::{SLEEPER, restored};

const AT: &str = "/meseta/v1/backup/schedule";
const PASSPHRASE: &str = "four words of passphrase";

fn plan(storage: &Storage, keep: u32, secret_key: Option<&str>) -> Value {
    let mut plan = json!({
        "every_hours": 24,
        "keep": keep,
        "passphrase": PASSPHRASE,
        "s3": {
            "endpoint": storage.endpoint(),
            "bucket": BUCKET,
            "prefix": "meseta/",
            "access_key": ACCESS_KEY,
        },
    });
    if let Some(secret_key) = secret_key {
        plan["s3"]["secret_key"] = secret_key.into();
    }
    plan
}

/// Once all members know of buckets, which takes a new node a moment.
fn set(node: &Node, plan: &Value) {
    let answer = node.wait_for("the schedule is taken", || {
        let answer = node.http.put(AT, plan.to_string()).unwrap();
        if answer.status == 200 { Ok(answer) } else { Err(answer.to_string()) }
    });
    for secret in [PASSPHRASE, SECRET_KEY] {
        assert!(!answer.text().contains(secret), "{answer}");
    }
}

fn said(node: &Node) -> Value {
    node.http.get(AT).unwrap().expect(200).json()
}

/// Until the schedule was followed and the answer is as wanted.
fn wait(node: &Node, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    node.wait_for(what, || {
        let said = said(node);
        if is_it(&said) { Ok(said) } else { Err(said.to_string()) }
    })
}

/// Asks for one more; answers its key.
fn made_again(node: &Node, storage: &Storage) -> String {
    let before = said(node)["last"]["object"].clone();
    node.http.post(&format!("{AT}/run"), "").unwrap().expect(200);
    let said = wait(node, "another is made", |said| {
        said["last"]["error"].is_null()
            && said["last"]["object"].is_string()
            && said["last"]["object"] != before
    });
    assert!(said["last"]["left"].is_null(), "{said}\n{}", storage.log());
    said["last"]["object"].as_str().unwrap().to_owned()
}

#[test]
fn backups_go_into_a_bucket_are_restored_from_there_and_only_the_newest_stay() {
    let storage = Storage::start();
    let old = Node::start();
    old.http.post("/v2/apps", SLEEPER).unwrap().expect(201);
    // Of others: another cluster with the same prefix, and a person.
    let foreign = ["meseta-00000000000000aa-20200101T000000000Z.backup", "notes.txt"];
    fs::create_dir_all(storage.bucket().join("meseta")).unwrap();
    for name in foreign {
        fs::write(storage.bucket().join("meseta").join(name), "not ours").unwrap();
    }
    let wrong = json!({ "every_hours": 0, "keep": 2, "s3": {
        "endpoint": "nowhere", "bucket": "B", "access_key": "a" } });
    let refused = old.http.put(AT, wrong.to_string()).unwrap().expect(422).text();
    for path in ["/every_hours", "/s3/endpoint", "/s3/bucket", "/s3/secret_key"] {
        assert!(refused.contains(&format!("\"{path}\"")), "{path}: {refused}");
    }

    set(&old, &plan(&storage, 2, Some(SECRET_KEY)));
    let first = wait(&old, "the first is made at once", |said| said["last"]["object"].is_string());
    assert_eq!((&first["failures"], &first["schedule"]["locked"]), (&json!(0), &json!(true)), "{first}");
    assert!(first["next"].as_str() > first["last_good_at"].as_str(), "{first}");
    let first = first["last"]["object"].as_str().unwrap().to_owned();
    let (second, third) = (made_again(&old, &storage), made_again(&old, &storage));
    let ours: Vec<String> =
        [&second, &third].map(|key| key.strip_prefix("meseta/").unwrap().to_owned()).to_vec();
    let mut wanted: Vec<String> = foreign.map(str::to_owned).into_iter().chain(ours).collect();
    wanted.sort();
    assert_eq!(storage.objects("meseta"), wanted, "{first} is gone, and nothing else");

    let file = fs::read(storage.bucket().join(&third)).unwrap();
    let new = Node::start_with(Options { unclaimed: true, ..Options::default() });
    restored(&new, &[("code", &new.claim_code()), ("passphrase", PASSPHRASE)], &file);
    new.wait_running("kept/sleeper", 1);
    // It goes on with the schedule and its keys, beside what the old cluster put there.
    let own = wait(&new, "the schedule goes on", |said| said["last"]["object"].is_string());
    assert_eq!(own["schedule"]["s3"]["bucket"], BUCKET);
    assert!(own["last"]["error"].is_null(), "{own}");
    assert_eq!(storage.objects("meseta").len(), wanted.len() + 1);
    let file = fs::read(storage.bucket().join(own["last"]["object"].as_str().unwrap())).unwrap();
    let next = Node::start_with(Options { unclaimed: true, ..Options::default() });
    restored(&next, &[("code", &next.claim_code()), ("passphrase", PASSPHRASE)], &file);

    for secret in [PASSPHRASE, SECRET_KEY] {
        for place in ["/meseta/v1/node", "/meseta/v1/node/services/agent/log", AT] {
            assert!(!old.http.get(place).unwrap().text().contains(secret), "{place}");
        }
        assert!(!old.log_tail().contains(secret));
    }
}

#[test]
fn a_wrong_key_and_a_server_that_is_down_are_told_and_tried_again() {
    let mut storage = Storage::start();
    let node = Node::start();
    set(&node, &plan(&storage, 3, Some("another-secret")));
    let failed = wait(&node, "the wrong key is told", |said| said["failures"].as_u64() > Some(0));
    let error = failed["last"]["error"].as_str().unwrap();
    assert!(error.contains("403") && error.contains("SignatureDoesNotMatch"), "{error}\n{}", storage.log());
    assert!(error.contains(BUCKET) && error.contains(&storage.endpoint()), "{error}");
    let events = node.http.get("/meseta/v1/node").unwrap().expect(200);
    assert!(!events.text().contains("another-secret"));
    assert!(storage.objects("meseta").is_empty());

    // Nobody has to say it again: once the server is there, the next try succeeds.
    storage.stop();
    set(&node, &plan(&storage, 3, Some(SECRET_KEY)));
    let down = wait(&node, "nobody answers", |said| said["failures"].as_u64() > Some(0));
    assert!(down["last"]["error"].as_str().unwrap().contains("no connection to 127.0.0.1"), "{down}");
    assert!(down["next"].as_str() > down["last"]["at"].as_str(), "{down}");
    storage.launch();
    let good = wait(&node, "it is tried again", |said| said["last"]["object"].is_string());
    assert_eq!((&good["failures"], storage.objects("meseta").len()), (&json!(0), 1), "{good}");

    // A key that nobody has is told in the server's own words; then what is left out is as before.
    let mut stranger = plan(&storage, 3, Some(SECRET_KEY));
    stranger["s3"]["access_key"] = "NOBODY".into();
    set(&node, &stranger);
    let refused = wait(&node, "nobody has such a key", |said| said["failures"].as_u64() > Some(0));
    let error = refused["last"]["error"].as_str().unwrap();
    assert!(error.contains("403 Forbidden: NotSignedUp: Your account is not signed up"), "{error}");
    let silent = plan(&storage, 3, None);
    let answer = node.http.put(AT, silent.to_string()).unwrap().expect(422).text();
    assert!(answer.contains("/s3/secret_key"), "it is not of that access key: {answer}");
    set(&node, &plan(&storage, 3, Some(SECRET_KEY)));
    set(&node, &silent);
    wait(&node, "the secret key is the one before", |said| said["last"]["object"].is_string());
}

#[test]
fn the_client_sets_shows_follows_and_ends_a_schedule() {
    let storage = Storage::start();
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("{text}\n")).unwrap();
        path.to_string_lossy().into_owned()
    };
    let (phrase, secret) = (file("phrase", PASSPHRASE), file("secret", SECRET_KEY));
    let ctl = |args: &[&str]| {
        let url = format!("http://{}", node.address());
        let mut command = Command::new(binary());
        command.args(["ctl", "--url", &url, "backup", "schedule"]).args(args);
        let output = command.env("MESETA_PASSWORD", PASSWORD).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), text.concat())
    };
    assert_eq!(ctl(&["show"]), (true, "no backups by themselves\n".to_owned()));
    node.wait_for("there is nothing to run", || match ctl(&["run"]) {
        (false, text) if text.contains("there are no backups by themselves") => Ok(()),
        (_, text) => Err(text),
    });
    let endpoint = storage.endpoint();
    let s3 = ["--s3-endpoint", &endpoint, "--s3-bucket", BUCKET, "--s3-access-key", ACCESS_KEY];
    let (good, text) = ctl(&[&["set", "--every-hours", "0"], s3.as_slice()].concat());
    assert!(!good && text.contains("/every_hours") && text.contains("/s3/secret_key"), "{text}");
    let secrets = ["--passphrase-file", &phrase, "--s3-secret-key-file", &secret];
    let (good, text) = ctl(&[&["set", "--every-hours", "12"], s3.as_slice(), &secrets].concat());
    assert!(good && text.contains("every_hours: 12\nkeep: 7\nlocked: true\n"), "{text}");
    node.wait_for("the client shows it", || match ctl(&["show"]) {
        (true, text) if text.contains(" bytes, meseta-") => Ok(()),
        (_, text) => Err(text),
    });
    let (good, text) = ctl(&["run"]);
    assert!(good, "{text}");
    node.wait_for("another is made", || match storage.objects("").len() {
        2 => Ok(()),
        count => Err(format!("{count}\n{}", storage.log())),
    });
    let (good, text) = ctl(&["off"]);
    assert!(good && text == "no backups by themselves\n", "{text}");
    assert_eq!(storage.objects("").len(), 2, "what was made stays");
}
