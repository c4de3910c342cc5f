//! `WordPress`' own login: a form, a session in a cookie, a page behind it, and the link that logs out.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::site::{COOKIE_HASH, LOGOUT_NONCE};
use crate::demo::shop::api::ShopState;
use crate::demo::shop::customers::{Customer, LoginOutcome};
use crate::demo::shop::ledger::Mood;
use crate::demo::shop::mint::{HEXADECIMAL, LETTERS_AND_DIGITS, Mint};
use crate::demo::shop::wire::{SeenRequest, ShopAnswer};

/// The form, and with `action=logout` the link.
pub(super) const LOGIN: &str = "/wp-login.php";
/// A page for logged-in customers.
pub(super) const PROFILE: &str = "/wp-admin/profile.php";

const TWO_DAYS_S: i64 = 2 * 24 * 3600;

/// The sessions that the cookies `wordpress_logged_in_…` name.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Customer>>);

impl Sessions {
    /// A new session, by the value of its cookie: name, end, token and signature, as in `WordPress`.
    pub(super) fn begin(&self, mint: &Mint, customer: &Customer) -> String {
        let (name, end) = (customer.username(), mint.clock.now() + TWO_DAYS_S);
        let token = mint.random_text(LETTERS_AND_DIGITS, 43);
        let signature = mint.random_text(HEXADECIMAL, 64);
        let cookie = format!("{name}%7C{end}%7C{token}%7C{signature}");
        self.0.lock().insert(cookie.clone(), customer.clone());
        cookie
    }

    /// Whose session the cookie names.
    pub(super) fn customer(&self, request: &SeenRequest) -> Option<Customer> {
        self.0.lock().get(&cookie_of(request)?).cloned()
    }

    /// Ends the session that the cookie names.
    pub(super) fn end(&self, request: &SeenRequest, mood: Mood) {
        let named = cookie_of(request);
        match mood {
            Mood::Honest => drop(named.and_then(|cookie| self.0.lock().remove(&cookie))),
            Mood::Stateless => {}
        }
    }

    /// Answers the form.
    pub(super) fn log_in(&self, request: &SeenRequest, state: &ShopState) -> ShopAnswer {
        let (name, password) = (request.form("log"), request.form("pwd"));
        match state.customers.log_in(&name, &password) {
            LoginOutcome::Welcome(customer) => {
                let cookie = self.begin(&state.mint, &customer);
                redirect(PROFILE).with(
                    "Set-Cookie",
                    format!("wordpress_logged_in_{COOKIE_HASH}={cookie}; path=/; HttpOnly"),
                )
            }
            LoginOutcome::WrongPassword | LoginOutcome::Suspended => ShopAnswer::html(
                "<!doctype html><title>Log In</title><p>Error: The password is incorrect.",
            ),
        }
    }

    /// The profile; without a session it redirects to the login.
    pub(super) fn profile(&self, request: &SeenRequest) -> ShopAnswer {
        match self.customer(request) {
            Some(customer) => ShopAnswer::html(&format!(
                "<!doctype html><title>Profile</title><h1>{}</h1>",
                customer.username()
            )),
            None => redirect(&format!("{LOGIN}?redirect_to={PROFILE}&reauth=1")),
        }
    }
}

pub(super) fn is_logout(request: &SeenRequest) -> bool {
    request.path() == LOGIN && request.query("action").as_deref() == Some("logout")
}

/// Whether the link carries the nonce that proves it is no foreign page's.
pub(super) fn is_meant(request: &SeenRequest) -> bool {
    request.query("_wpnonce").as_deref() == Some(LOGOUT_NONCE)
}

/// Redirects after a logout: to `redirect_to`, if it is a path of this site.
pub(super) fn goodbye(request: &SeenRequest) -> ShopAnswer {
    let asked = request.query("redirect_to");
    let is_local = |path: &String| {
        let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain && path.starts_with('/') && !path.starts_with("//")
    };
    let local = asked.filter(is_local);
    redirect(local.as_deref().unwrap_or("/wp-login.php?loggedout=true"))
}

/// What `WordPress` says to a link without the nonce: a page with the link that has it.
pub(super) fn are_you_sure() -> ShopAnswer {
    let page = format!(
        "<!doctype html><title>Something went wrong.</title><p>Do you really want to \
         <a href=\"{LOGIN}?action=logout&amp;_wpnonce={LOGOUT_NONCE}\">log out</a>?"
    );
    ShopAnswer::html(&page).with_status(403)
}

fn redirect(place: &str) -> ShopAnswer {
    ShopAnswer::html("")
        .with_status(302)
        .with("Location", place)
}

fn cookie_of(request: &SeenRequest) -> Option<String> {
    request.cookie(&format!("wordpress_logged_in_{COOKIE_HASH}"))
}
