//! The challenges that an authority may verify at this moment.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rustls::ServerConfig;

use crate::request::Answer;

/// Where an authority asks (RFC 8555 section 8.3).
const HTTP_FOLDER: &str = "/.well-known/acme-challenge/";

/// The challenges that are pending: hardly ever any.
#[derive(Default)]
pub(crate) struct Challenges(ArcSwap<Vec<Arc<Challenge>>>);

/// What an authority asks for.
pub(super) enum Challenge {
    /// HTTP-01: this text, for this token.
    Http {
        /// The last segment of the path.
        token: String,
        /// The key authorization (RFC 8555 section 8.1).
        text: String,
    },
    /// TLS-ALPN-01: the certificate of this handshake, for this name.
    Tls {
        /// In lower case.
        host: String,
        /// It speaks `acme-tls/1` and nothing else.
        config: Arc<ServerConfig>,
    },
}

/// A challenge is pending until this is dropped.
pub(super) struct PendingChallenge {
    challenges: Arc<Challenges>,
    challenge: Arc<Challenge>,
}

impl Challenges {
    /// Answers a challenge from now on.
    pub(super) fn provide(self: &Arc<Self>, challenge: Challenge) -> PendingChallenge {
        let challenge = Arc::new(challenge);
        self.0.rcu(|all| {
            let mut all = Vec::clone(all);
            all.push(Arc::clone(&challenge));
            all
        });
        PendingChallenge {
            challenges: Arc::clone(self),
            challenge,
        }
    }

    /// The answer to a request for a pending token. Any other request is for a shop: it may have a client of its own.
    pub(crate) fn http_answer(&self, head: &Parts) -> Option<Answer> {
        let wanted = head.uri.path().strip_prefix(HTTP_FOLDER)?;
        if head.method != Method::GET && head.method != Method::HEAD {
            return None;
        }
        let all = self.0.load();
        let text = all.iter().find_map(|one| match &**one {
            Challenge::Http { token, text } if token == wanted => Some(text),
            Challenge::Http { .. } | Challenge::Tls { .. } => None,
        })?;
        let mut headers = HeaderMap::new();
        let octets = HeaderValue::from_static("application/octet-stream");
        headers.insert(CONTENT_TYPE, octets);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(Answer {
            status: StatusCode::OK,
            headers,
            body: Bytes::copy_from_slice(text.as_bytes()),
        })
    }

    /// Whether a handshake may be one of an authority.
    pub(super) fn has_tls(&self) -> bool {
        let all = self.0.load();
        all.iter().any(|one| matches!(**one, Challenge::Tls { .. }))
    }

    /// The handshake that an authority asks for under this name.
    pub(super) fn tls_config(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let all = self.0.load();
        all.iter().find_map(|one| match &**one {
            Challenge::Tls { host, config } if host.eq_ignore_ascii_case(name) => {
                Some(Arc::clone(config))
            }
            Challenge::Http { .. } | Challenge::Tls { .. } => None,
        })
    }
}

impl Drop for PendingChallenge {
    fn drop(&mut self) {
        self.challenges.0.rcu(|all| {
            let mut all = Vec::clone(all);
            all.retain(|one| !Arc::ptr_eq(one, &self.challenge));
            all
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: Method, target: &str) -> Parts {
        let request = http::Request::builder().method(method).uri(target);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_token_is_answered_while_it_is_pending_and_no_other_path_is() {
        let challenges = Arc::new(Challenges::default());
        let wanted = head(Method::GET, "/.well-known/acme-challenge/abc");
        assert!(challenges.http_answer(&wanted).is_none());
        let pending = challenges.provide(Challenge::Http {
            token: "abc".to_owned(),
            text: "abc.thumb".to_owned(),
        });
        let answer = challenges.http_answer(&wanted).unwrap();
        assert_eq!(answer.body, "abc.thumb");
        for (method, target) in [
            (Method::POST, "/.well-known/acme-challenge/abc"),
            (Method::GET, "/.well-known/acme-challenge/ab"),
            (Method::GET, "/.well-known/acme-challenge/abc/"),
            (Method::GET, "/.well-known/acme-challenge/"),
            (Method::GET, "/.well-known/acme-challenge/%61bc"),
            (Method::GET, "/x/.well-known/acme-challenge/abc"),
            (Method::GET, "/abc"),
        ] {
            let other = head(method, target);
            assert!(challenges.http_answer(&other).is_none(), "{target}");
        }
        drop(pending);
        assert!(challenges.http_answer(&wanted).is_none());
    }
}
