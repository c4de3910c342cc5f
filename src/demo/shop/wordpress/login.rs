//! `WordPress`' own login: a form, a session in a cookie, a page behind it, and the link that logs out.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{COOKIE_HASH, LOGOUT_NONCE};
use crate::demo::shop::api::Backroom;
use crate::demo::shop::customers::{Attempt, Customer};
use crate::demo::shop::ledger::Mood;
use crate::demo::shop::mint::{HEXADECIMAL, LETTERS_AND_DIGITS, Mint};
use crate::demo::shop::wire::{Answer, Seen};

/// The form, and with `action=logout` the link.
pub(super) const LOGIN: &str = "/wp-login.php";
/// A page for whoever is logged in.
pub(super) const PROFILE: &str = "/wp-admin/profile.php";

const TWO_DAYS_S: i64 = 2 * 24 * 3600;

/// The sessions that the cookies `wordpress_logged_in_…` name.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Customer>>);

impl Sessions {
    /// A new session, by the value of its cookie: name, end, token and signature, as in `WordPress`.
    pub(super) fn begin(&self, mint: &Mint, customer: &Customer) -> String {
        let (name, end) = (customer.username(), mint.clock.now() + TWO_DAYS_S);
        let token = mint.word(LETTERS_AND_DIGITS, 43);
        let signature = mint.word(HEXADECIMAL, 64);
        let cookie = format!("{name}%7C{end}%7C{token}%7C{signature}");
        self.0.lock().insert(cookie.clone(), customer.clone());
        cookie
    }

    /// Whose session the cookie names.
    pub(super) fn customer(&self, request: &Seen) -> Option<Customer> {
        self.0.lock().get(&cookie_of(request)?).cloned()
    }

    /// Ends the session that the cookie names.
    pub(super) fn end(&self, request: &Seen, mood: Mood) {
        let named = cookie_of(request);
        match mood {
            Mood::Honest => drop(named.and_then(|cookie| self.0.lock().remove(&cookie))),
            Mood::Stateless => {}
        }
    }

    /// Answers the form.
    pub(super) fn log_in(&self, request: &Seen, backroom: &Backroom) -> Answer {
        let (name, password) = (request.form("log"), request.form("pwd"));
        match backroom.customers.log_in(&name, &password) {
            Attempt::Welcome(customer) => {
                let cookie = self.begin(&backroom.mint, &customer);
                redirect(PROFILE).with(
                    "Set-Cookie",
                    format!("wordpress_logged_in_{COOKIE_HASH}={cookie}; path=/; HttpOnly"),
                )
            }
            Attempt::WrongPassword | Attempt::Suspended => Answer::html(
                "<!doctype html><title>Log In</title><p>Error: The password is incorrect.",
            ),
        }
    }

    /// Asks who has no session to log in first.
    pub(super) fn profile(&self, request: &Seen) -> Answer {
        match self.customer(request) {
            Some(customer) => Answer::html(&format!(
                "<!doctype html><title>Profile</title><h1>{}</h1>",
                customer.username()
            )),
            None => redirect(&format!("{LOGIN}?redirect_to={PROFILE}&reauth=1")),
        }
    }
}

pub(super) fn is_logout(request: &Seen) -> bool {
    request.path() == LOGIN && request.query("action").as_deref() == Some("logout")
}

/// Whether the link carries the nonce that proves it is no foreign page's.
pub(super) fn is_meant(request: &Seen) -> bool {
    request.query("_wpnonce").as_deref() == Some(LOGOUT_NONCE)
}

/// Where whoever logged out goes: `redirect_to`, if it is a path of this site.
pub(super) fn goodbye(request: &Seen) -> Answer {
    let asked = request.query("redirect_to");
    let is_local = |path: &String| {
        let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain && path.starts_with('/') && !path.starts_with("//")
    };
    let local = asked.filter(is_local);
    redirect(local.as_deref().unwrap_or("/wp-login.php?loggedout=true"))
}

/// What `WordPress` says to a link without the nonce: a page with the link that has it.
pub(super) fn are_you_sure() -> Answer {
    let page = format!(
        "<!doctype html><title>Something went wrong.</title><p>Do you really want to \
         <a href=\"{LOGIN}?action=logout&amp;_wpnonce={LOGOUT_NONCE}\">log out</a>?"
    );
    Answer::html(&page).with_status(403)
}

fn redirect(place: &str) -> Answer {
    Answer::html("").with_status(302).with("Location", place)
}

fn cookie_of(request: &Seen) -> Option<String> {
    request.cookie(&format!("wordpress_logged_in_{COOKIE_HASH}"))
}
