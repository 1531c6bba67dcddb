//! Another certificate authority, while the cluster works: who has the key of the one before is a stranger then.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};

use crate::Lab;
use crate::keys::{SLEEPERS, listed, show, steal};
use crate::strangers::forget;

/// The authority's key, as it lies on the disk of node `n`.
fn authority_key(n: usize) -> String {
    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const END: &str = "-----END PRIVATE KEY-----";
    let state = Path::new("/run/meseta-lab").join(n.to_string()).join("state");
    let found = ["raft.db", "raft.db-wal"].iter().find_map(|file| {
        let text = String::from_utf8_lossy(&fs::read(state.join(file)).ok()?).into_owned();
        let begin = text.find(BEGIN)?;
        let end = begin + text[begin..].find(END)? + END.len();
        Some(text[begin..end].replace("\\r", "").replace("\\n", "\n"))
    });
    found.expect("every server has it")
}

/// What a thief makes of it: a certificate of another node for a key of the thief's, newer than any of that node.
fn forge(authority_key: &str, node: &str, dir: &Path) {
    let mut authority = CertificateParams::default();
    authority.distinguished_name = DistinguishedName::new();
    authority.distinguished_name.push(DnType::CommonName, "Meseta cluster");
    let issuer = Issuer::new(authority, KeyPair::from_pem(authority_key).expect("a key"));
    let names = vec![format!("{node}.node.meseta"), "fffffffffffffff0.since.meseta".to_owned()];
    let mut params = CertificateParams::new(names).expect("names");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("signed");
    fs::write(dir.join("certificate"), certificate.pem()).expect("written");
    fs::write(dir.join("key"), key.serialize_pem()).expect("written");
}

fn id(lab: &Lab, asked: usize, n: usize) -> String {
    listed(lab, asked, n).expect("it is a member")["id"].as_str().expect("an id").to_owned()
}

#[test]
fn another_authority_takes_over_while_all_work_and_a_thief_of_the_first_is_a_stranger() {
    let lab = Lab::up(4);
    lab.node(1).post("/v2/apps", SLEEPERS).expect("an answer").expect(201);
    lab.until("three sleepers run", || lab.runs(1, "sleepers", 3));
    let thief = tempfile::tempdir().expect("a folder");
    steal(4, thief.path());
    lab.run(&["kill", "n4"]);
    forge(&authority_key(4), &id(&lab, 1, 1), thief.path());
    let gone = id(&lab, 1, 4);
    lab.node(1).delete(&format!("/meseta/v1/nodes/{gone}")).expect("an answer").expect(200);
    lab.until("three sleepers run without it", || lab.runs(1, "sleepers", 3));
    let heard = show(thief.path(), 2);
    assert!(heard.ends_with(" 200"), "who has the authority's key poses as a member: {heard}");
    let token = lab.node(1).post("/meseta/v1/join-tokens", r#"{"name":"old"}"#).expect("an answer");
    token.expect(201);

    lab.run(&["kill", "n3"]);
    let away = id(&lab, 1, 3);
    let begun = lab.node(1).post("/meseta/v1/authority", "").expect("an answer").expect(202).json();
    let again = lab.node(2).post("/meseta/v1/authority", "").expect("an answer").expect(422).text();
    assert!(again.contains("is being replaced already"), "{again}");
    lab.until("it waits for the node that is away", || {
        let now = lab.json(2, "/meseta/v1/authority");
        let pending = now["pending"].as_array().map(Vec::len);
        if pending == Some(1) && now["pending"][0]["id"] == away.as_str() {
            Ok(())
        } else {
            Err(now.to_string())
        }
    });
    assert_eq!(lab.json(2, "/meseta/v1/authority")["step"], "trust");
    lab.run(&["start", "n3"]);
    for n in 1..=3 {
        lab.until("it is over", || {
            let answer = lab.node(n).get("/meseta/v1/authority").map_err(|error| error.to_string())?;
            let now = if answer.status == 200 { answer.json() } else { return Err(answer.to_string()) };
            if now["number"] == 1 && now["step"].is_null() { Ok(()) } else { Err(now.to_string()) }
        });
    }
    assert_ne!(lab.json(1, "/meseta/v1/authority")["fingerprint"], begun["fingerprint"]);
    assert_eq!(lab.json(1, "/meseta/v1/join-tokens")["tokens"].as_array().map(Vec::len), Some(0));
    for n in 1..=3 {
        let member = tempfile::tempdir().expect("a folder");
        steal(n % 3 + 1, member.path());
        let heard = show(member.path(), n);
        assert!(heard.ends_with(" 200"), "a member's certificate counts: {heard}");
        fs::copy(member.path().join("authority"), thief.path().join("authority")).expect("copied");
        let heard = show(thief.path(), n);
        assert!(heard.contains(" 000"), "the forged one ends the connection before any answer: {heard}");
    }

    // All goes on: writes by each node, a restart of all, and a node that comes in.
    forget(4);
    let token = lab.node(2).post("/meseta/v1/join-tokens", r#"{"name":"new"}"#).expect("an answer");
    let token = token.expect(201).json()["token"].as_str().expect("a token").to_owned();
    fs::write("/run/meseta-lab/4/args", format!("--join\n{token}\n")).expect("the lab's node 4");
    for n in 1..=3 {
        lab.run(&["kill", &format!("n{n}")]);
    }
    for n in 1..=4 {
        lab.run(&["start", &format!("n{n}")]);
    }
    lab.all_up(1, 4);
    let app = r#"{"id":"after","cmd":"exec sleep 1000","cpus":0.1,"mem":16,"instances":4}"#;
    lab.node(4).post("/v2/apps", app).expect("an answer").expect(201);
    lab.until("all work", || lab.runs(2, "after", 4));
}
