//! Cookies whose tokens are dead: browsers send them by themselves, so they lock nobody out.

use std::fmt;

use super::credential::Credential;
use super::refusal::Refusal;
use super::shop::{DeadCookiePolicy, Shop};

/// A cookie that is taken out of a request, because its token is dead or can't be verified.
pub struct DeadCookie {
    /// Its name, as it came.
    pub name: String,
    /// What stands between two semicolons of a `Cookie` line, the cookie in it, byte for byte.
    pub segment: Vec<u8>,
}

impl fmt::Debug for DeadCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeadCookie({}=..)", self.name)
    }
}

/// The cookies of one request that are dead, as far as the shop lets them be taken out.
pub(super) struct SetAside {
    policy: DeadCookiePolicy,
    /// These are.
    pub(super) cookies: Vec<DeadCookie>,
    /// Why the first of them is.
    pub(super) refusal: Option<Refusal>,
}

impl SetAside {
    /// Nothing yet.
    pub(super) fn of(shop: &Shop) -> Self {
        Self {
            policy: shop.dead_cookie,
            cookies: Vec::new(),
            refusal: None,
        }
    }

    /// Sets a credential aside, if it is a cookie and the fault is its own; else the request is refused.
    pub(super) fn take(
        &mut self,
        credential: &Credential<'_>,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        let is_kept = self.policy == DeadCookiePolicy::Refuse || refusal.is_passing();
        if is_kept || !credential.is_ambient() {
            return Err(refusal);
        }
        self.refusal.get_or_insert(refusal);
        for segment in &credential.segments {
            if self.cookies.iter().any(|known| known.segment == *segment) {
                continue;
            }
            let name = segment.split(|byte| *byte == b'=').next();
            let name = String::from_utf8_lossy(name.unwrap_or_default());
            self.cookies.push(DeadCookie {
                name: name.trim().to_owned(),
                segment: segment.to_vec(),
            });
        }
        Ok(())
    }
}
