//! A gate without a server round it, so that the moment can be chosen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use doorward::config;
use doorward::request::Gate;
use doorward::revocation::{Journal, Revocations};
use tempfile::TempDir;

use super::Shop;

/// The gate of one shop without preset, and the directory that it lives in; `more` are further keys and tables of the
/// shop.
pub fn bare_gate(more: &str) -> (Gate, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("jwt.secret");
    fs::write(&secret, Shop::SECRET).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    Journal::init(&home.path().join("data")).unwrap();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\ndata_dir = \"data\"\n[[shop]]\nname = \"main\"\nupstream = [\"127.0.0.1:9\"]\n\
         token.algorithms = [\"HS256\"]\ntoken.secret_file = \"jwt.secret\"\n{more}"
    );
    let parsed = config::parse("doorward.toml", &text, home.path());
    let (config, _) = parsed.unwrap_or_else(|faults| panic!("{faults}"));
    let revocations = Arc::new(Revocations::open(&config.server.data_dir).unwrap());
    let shops = config.shops.into_iter().map(Arc::new).collect();
    (Gate::new(shops, revocations), home)
}
