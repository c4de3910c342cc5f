//! The support bundle tells what helps, and no secret.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use support::{Customer, Edge, Shop, eventually, request, shop_table, stateless_bagisto};

/// The texts of the files in an archive, as tar unpacks them.
fn unpack(archive: &[u8]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.tar.gz");
    fs::write(&file, archive).unwrap();
    let tar = Command::new("tar")
        .arg("-xzf")
        .arg(&file)
        .arg("-C")
        .arg(folder.path())
        .output();
    let tar = tar.unwrap();
    assert!(tar.status.success(), "{tar:?}");
    let entries = fs::read_dir(folder.path().join("doorward")).unwrap();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    });
    files.collect()
}

#[test]
fn a_bundle_holds_what_helps_and_none_of_the_planted_secrets() {
    let shop = stateless_bagisto();
    let planted = "planted-secret-of-a-header";
    let url = "planted-password-of-a-url";
    let edge = Edge::with(&format!(
        "# bus = \"redis://doorward:{url}@127.0.0.1\"\n{}[[shop.route]]\npaths = [\"/x/*\"]\n[shop.route.headers.request]\nset = {{ \"x-key\" = \"{planted}\" }}\n",
        shop_table(&shop)
    ));
    let alice = Customer::signed_in(&shop);
    let bob = Customer::named(&shop, "bob");
    assert_eq!(alice.visit(&edge, "/api/shop/customers/profile"), 200);
    assert_eq!(alice.log_out(&edge), 200);
    assert_eq!(alice.visit(&edge, "/api/shop/customers/profile"), 401);
    let query = format!("/?token={}", bob.token());
    let cookie = format!("session={}", bob.token());
    edge.raw(&request("GET", &query, &[("Cookie", &cookie)], b""));
    let file = edge.path("bundle.tar.gz");
    let write = || {
        let outcome = edge.command(&["support-bundle", file.to_str().unwrap()]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        unpack(&fs::read(&file).unwrap())
    };
    let mut files = write();
    let holds = |files: &[(String, String)], name: &str, words: &str| {
        files
            .iter()
            .any(|(file, text)| file == name && text.contains(words))
    };
    eventually(|| {
        files = write();
        holds(&files, "decisions.json", "\"revoked\"")
    });
    for (name, words) in [
        ("status.json", "\"state\": \"serving\""),
        (
            "metrics.txt",
            "doorward_logouts_total{shop=\"main\",outcome=\"revoked\"} 1",
        ),
        ("log.txt", "reason=revoked"),
        ("configuration.toml", "preset = \"bagisto\""),
        ("configuration.toml", "is not shown, for it may be a secret"),
        ("system.txt", "Max open files"),
        ("README.txt", "No token"),
    ] {
        assert!(
            holds(&files, name, words),
            "{name} lacks {words}: {files:?}"
        );
    }
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let signature = |customer: &Customer| customer.token().rsplit('.').next().unwrap().to_owned();
    let secrets = [
        planted.to_owned(),
        url.to_owned(),
        Shop::SECRET.to_owned(),
        signature(&alice),
        signature(&bob),
    ];
    for (name, text) in &files {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{name} holds {secret}");
        }
    }
    // They would be found: the file that the bundle was made of holds them.
    let config = fs::read_to_string(edge.path("doorward.toml")).unwrap();
    assert!(config.contains(planted) && config.contains(url));
    assert!(
        fs::read_to_string(edge.path("jwt.secret"))
            .unwrap()
            .contains(Shop::SECRET)
    );
}
