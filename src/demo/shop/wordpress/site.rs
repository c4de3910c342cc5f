//! What a `WordPress` site says whichever plugin answers: errors, cookies, CORS.

use std::time::Duration;

use serde_json::{Value, json};

use crate::demo::shop::mint::PretendClock;
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

/// What the names of this site's cookies end in: `WordPress` takes the MD5 of its address.
pub(in crate::demo::shop) const COOKIE_HASH: &str = "9f86d081884c7d659a2feaa0c55ad015";
/// What the link "log out" carries. The real one depends on the session and on the hour.
pub(in crate::demo::shop) const LOGOUT_NONCE: &str = "3fd2c1b0a9";

const YEAR: Duration = Duration::from_hours(365 * 24);
const SITE: &str = "/";
const ADMIN: &str = "/wp-admin";
const PLUGINS: &str = "/wp-content/plugins";

/// The deletions of a logout: one for each path the cookie may have been set on, or the browser keeps it.
const DELETED: [(&str, &[&str]); 8] = [
    ("wordpress_", &[ADMIN, PLUGINS, SITE]),
    ("wordpress_sec_", &[ADMIN, PLUGINS, SITE]),
    ("wordpress_logged_in_", &[SITE]),
    ("wordpressuser_", &[SITE]),
    ("wordpresspass_", &[SITE]),
    ("wp-postpass_", &[SITE]),
    ("wp_cocart_session_", &[SITE]),
    ("wp_woocommerce_session_", &[SITE]),
];

/// The shape of every `WordPress` REST error.
pub(super) fn error(status: u16, code: &str, message: &str) -> ShopAnswer {
    rest(
        status,
        &json!({"code": code, "message": message, "data": {"status": status}}),
    )
}

/// A REST answer, which `WordPress` never lets a cache keep.
pub(super) fn rest(status: u16, body: &Value) -> ShopAnswer {
    ShopAnswer::json(status, body)
        .with("Content-Type", "application/json; charset=UTF-8")
        .with("X-Robots-Tag", "noindex")
        .with("Expires", "Wed, 11 Jan 1984 05:00:00 GMT")
        .with(
            "Cache-Control",
            "no-cache, must-revalidate, max-age=0, no-store, private",
        )
}

/// A browser hides an answer that does not allow its origin.
pub(super) fn allow_origin(request: &SeenRequest, answer: ShopAnswer) -> ShopAnswer {
    let Some(origin) = request.header("origin") else {
        return answer;
    };
    answer
        .with("Access-Control-Allow-Origin", origin)
        .with(
            "Access-Control-Allow-Methods",
            "OPTIONS, GET, POST, PUT, PATCH, DELETE",
        )
        .with("Access-Control-Allow-Credentials", "true")
        .with(
            "Access-Control-Allow-Headers",
            "Authorization, X-WP-Nonce, Content-Disposition, Content-MD5, Content-Type",
        )
        .with("Vary", "Origin")
}

/// Ends the browser's session. A user's settings are named by the user's number, 0 for a guest.
pub(super) fn delete_cookies(answer: ShopAnswer, user: u64, clock: &PretendClock) -> ShopAnswer {
    let expires = clock.date_before(YEAR);
    let of_session = DELETED.iter().flat_map(|(name, paths)| {
        let named = format!("{name}{COOKIE_HASH}");
        paths.iter().map(move |path| (named.clone(), *path))
    });
    let of_settings =
        ["wp-settings-", "wp-settings-time-"].map(|name| (format!("{name}{user}"), SITE));
    of_session
        .chain(of_settings)
        .fold(answer, |answer, (name, path)| {
            let extra = if name.starts_with("wp_cocart_session_") {
                "; secure; SameSite=None"
            } else {
                ""
            };
            answer.with(
                "Set-Cookie",
                format!("{name}=%20; expires={expires}; Max-Age=0; path={path}{extra}"),
            )
        })
}
