//! Cookies whose tokens are revoked or invalid. Browsers keep sending them, so they must not lock a customer out.

use std::fmt;

use crate::request::answers::Refusal;
use crate::request::credential::Credential;

/// What happens to a cookie whose token is revoked or can't be verified; later variants are stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadCookiePolicy {
    /// It is removed from the request: browsers send it by themselves, and the customer must be able to log in.
    #[default]
    Remove,
    /// The request is refused.
    Refuse,
}

/// A cookie that is removed from a request, because its token is revoked or can't be verified.
pub struct DeadCookie {
    /// Its name.
    pub name: String,
    /// The segment of the `Cookie` line that holds it, byte for byte.
    pub segment: Vec<u8>,
    /// Whether the browser keeps it: the shop may still exchange an expired token, and one that is not yet valid.
    pub is_kept: bool,
    /// Whether it may be the cookie of another shop on this host: not even a logout deletes it.
    pub may_be_foreign: bool,
}

impl fmt::Debug for DeadCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeadCookie({}=..)", self.name)
    }
}

/// The cookies to remove from one request.
pub(in crate::request) struct DeadCookies {
    policy: DeadCookiePolicy,
    /// Whether another shop has paths of the same host. A cookie that can't be verified may be its: it is kept, and no
    /// reason to refuse the request.
    shares_hosts: bool,
    /// These cookies.
    pub(in crate::request) cookies: Vec<DeadCookie>,
    /// Why the first of them is removed.
    pub(in crate::request) refusal: Option<Refusal>,
    /// Where the credential stands for which the request is refused, or would be.
    pub(in crate::request) place: Option<String>,
}

impl DeadCookies {
    /// No cookies yet.
    pub(in crate::request) fn new(policy: DeadCookiePolicy, shares_hosts: bool) -> Self {
        Self {
            policy,
            shares_hosts,
            cookies: Vec::new(),
            refusal: None,
            place: None,
        }
    }

    /// Removes the cookies of a credential at fault; refuses the request if it is no cookie, or if the shop wants it refused.
    pub(in crate::request) fn refuse_or_set_aside(
        &mut self,
        credential: &Credential<'_>,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        self.set_aside(credential, refusal);
        let is_refused = self.policy == DeadCookiePolicy::Refuse && !self.may_be_foreign(refusal)
            || refusal.is_passing();
        if is_refused || !credential.is_ambient() {
            self.place = Some(credential.place.label());
            return Err(refusal);
        }
        if self.refusal.is_none() {
            self.refusal = Some(refusal);
            self.place = Some(credential.place.label());
        }
        Ok(())
    }

    /// Keeps the cookies that share their name with a valid one, because a deletion only names a cookie.
    pub(in crate::request) fn keep_names_of<'s>(&mut self, living: impl Iterator<Item = &'s [u8]>) {
        if self.cookies.is_empty() {
            return;
        }
        let is_dead = |segment: &&[u8]| self.cookies.iter().any(|one| one.segment == **segment);
        let names: Vec<String> = living.filter(|one| !is_dead(one)).map(name_in).collect();
        for cookie in &mut self.cookies {
            cookie.is_kept |= names.contains(&cookie.name);
        }
    }

    /// Notes the cookies of a credential at fault: the answer deletes them in any case.
    pub(in crate::request) fn set_aside(&mut self, credential: &Credential<'_>, refusal: Refusal) {
        if refusal.is_passing() {
            return;
        }
        for segment in &credential.segments {
            if self.cookies.iter().any(|known| known.segment == *segment) {
                continue;
            }
            self.cookies.push(DeadCookie {
                name: name_in(segment),
                segment: segment.to_vec(),
                is_kept: matches!(refusal, Refusal::Expired | Refusal::NotYetValid)
                    || self.may_be_foreign(refusal),
                may_be_foreign: self.may_be_foreign(refusal),
            });
        }
    }

    /// Notes where the first credential at fault stands.
    pub(in crate::request) fn note_place(&mut self, credential: &Credential<'_>) {
        self.place.get_or_insert_with(|| credential.place.label());
    }

    /// Whether a cookie at fault may be that of another shop on the same host.
    fn may_be_foreign(&self, refusal: Refusal) -> bool {
        self.shares_hosts && matches!(refusal, Refusal::Unverifiable(_))
    }
}

/// The name of the cookie in a segment of a `Cookie` line.
pub(in crate::request) fn name_in(segment: &[u8]) -> String {
    let name = segment.split(|byte| *byte == b'=').next();
    let name = String::from_utf8_lossy(name.unwrap_or_default());
    name.trim().to_owned()
}

impl DeadCookie {
    /// A `Cookie` line without these cookies, its other bytes unchanged. `None`: no cookie is left.
    pub fn without(dead: &[Self], line: &[u8]) -> Option<Vec<u8>> {
        let is_dead = |segment: &&[u8]| dead.iter().any(|one| one.segment == **segment);
        let segments = || line.split(|byte| *byte == b';');
        if !segments().any(|segment| is_dead(&segment)) {
            return Some(line.to_vec());
        }
        let left: Vec<&[u8]> = segments().filter(|segment| !is_dead(segment)).collect();
        let left = left.join(&b';');
        let is_empty = left
            .iter()
            .all(|byte| *byte == b';' || byte.is_ascii_whitespace());
        (!is_empty).then(|| left.trim_ascii().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_cookie_leaves_the_line_field_f5() {
        let dead = |segments: &[&str]| -> Vec<DeadCookie> {
            let segments = segments.iter().map(|segment| segment.as_bytes().to_vec());
            segments
                .map(|segment| DeadCookie {
                    name: name_in(&segment),
                    segment,
                    is_kept: false,
                    may_be_foreign: false,
                })
                .collect()
        };
        for (line, segments, left) in [
            ("sid=a", vec!["sid=a"], None),
            ("sid=a;", vec!["sid=a"], None),
            (" ; sid=a ; ", vec![" sid=a "], None),
            ("sid=a; x=1", vec!["sid=a"], Some("x=1")),
            ("x=1; sid=a", vec![" sid=a"], Some("x=1")),
            (
                "x=1; sid=a; y=\"2;3\"",
                vec![" sid=a"],
                Some("x=1; y=\"2;3\""),
            ),
            ("x=1;sid=a;y=2", vec!["sid=a"], Some("x=1;y=2")),
            ("sid=a; sid=b", vec!["sid=a"], Some("sid=b")),
            (
                "sid=a; x=1;;  y = %20;z",
                vec!["sid=a"],
                Some("x=1;;  y = %20;z"),
            ),
            ("sid=b;  x=1; ", vec!["sid=a"], Some("sid=b;  x=1; ")),
            (
                "sid.0=a; sid.1=b; x",
                vec!["sid.0=a", " sid.1=b"],
                Some("x"),
            ),
        ] {
            let without = DeadCookie::without(&dead(&segments), line.as_bytes());
            assert_eq!(without.as_deref(), left.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn no_value_is_shown() {
        let cookie = DeadCookie {
            name: "sid".to_owned(),
            segment: b"sid=secret".to_vec(),
            is_kept: false,
            may_be_foreign: false,
        };
        assert_eq!(format!("{cookie:?}"), "DeadCookie(sid=..)");
    }
}
