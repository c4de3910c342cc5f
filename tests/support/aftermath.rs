//! The aftermath of a logout: a token that is dead and one that lives, at the same edge.

use std::ops::Deref;

use super::places::OWN_LOGOUT;
use super::{Customer, Scene, request};

/// A scene whose edge answers logouts itself, after the first one.
pub struct Aftermath {
    scene: Scene,
    /// Of a customer who logged out.
    pub dead: String,
    /// Of one who did not.
    pub live: String,
}

impl Aftermath {
    /// The Bagisto preset; `more` are further keys and tables of the shop.
    #[track_caller]
    pub fn with(more: &str) -> Self {
        let scene = Scene::with(&format!("answer = \"local\"\n{more}"));
        let dead = Customer::named(&scene.shop, "alice");
        assert_eq!(dead.log_out(&scene.edge), 200);
        Self {
            dead: dead.token().to_owned(),
            live: scene.shop.sign_in("bob"),
            scene,
        }
    }

    /// A request ends at the edge, with 400 or 401.
    #[track_caller]
    pub fn refuses(&self, bytes: &[u8]) {
        let answer = self.ends(bytes);
        let (status, told) = (answer.status, super::told(bytes));
        let is_refused = matches!(status, 400 | 401);
        assert!(is_refused, "{told}\n{status} {}", answer.text());
    }

    /// A cookie's owner logs out by Doorward's own call.
    #[track_caller]
    pub fn log_out_cookie(&self, cookie: &str) {
        let headers = [("Cookie", cookie), ("Sec-Fetch-Site", "same-origin")];
        let answer = self.edge.raw(&request("POST", OWN_LOGOUT, &headers, b""));
        assert_eq!(answer, 200, "{cookie}");
    }
}

impl Deref for Aftermath {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}
