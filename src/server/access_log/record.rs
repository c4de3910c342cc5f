//! What is remembered of a request that is over.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use super::field::AccessField;
use crate::request::Refusal;
use crate::revocation::Id;

/// The longest text of a client in a line.
const TEXT_BYTES_MAX: usize = 2_048;

/// The longest path in a record that is kept.
const KEPT_BYTES_MAX: usize = 256;

/// What is remembered of a request that is over. It holds no credential: paths are redacted before they come here.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestRecord {
    /// When its header block had arrived, in milliseconds since the epoch.
    pub(crate) at_ms: u64,
    /// Its id.
    pub(crate) request: String,
    /// The node.
    pub(crate) node: Option<String>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: Cow<'static, str>,
    pub(crate) scheme: &'static str,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) protocol: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) bytes: Option<usize>,
    pub(crate) took: Duration,
    pub(crate) shop: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) verdict: RecordedVerdict,
    /// Why it was refused.
    pub(crate) refusal: Option<Refusal>,
    /// Where the credential stood for which it was refused.
    pub(crate) place: Option<String>,
    /// The short name of the token for which it was refused.
    pub(crate) token: Option<String>,
    /// Why it would be refused.
    pub(crate) would: Option<Refusal>,
    /// How the exchange failed.
    pub(crate) error: Option<String>,
    pub(crate) upstream: Option<String>,
    pub(crate) referer: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) trace: Option<String>,
    pub(crate) span: Option<String>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecordedVerdict {
    /// Nothing was decided: the client left before.
    #[default]
    Ended,
    /// It went to the shop.
    Forwarded,
    /// It was refused.
    Refused,
    /// A logout, which is in force.
    Logout,
    /// A logout that the shop declined.
    LogoutDeclined,
    /// It was redirected.
    Redirected,
    /// Doorward answered it by itself.
    Answered,
    /// It was ended because one of its tokens was revoked.
    CutOff,
}

impl RecordedVerdict {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Forwarded => "forwarded",
            Self::Refused => "refused",
            Self::Logout => "logout",
            Self::LogoutDeclined => "logout_declined",
            Self::Redirected => "redirected",
            Self::Answered => "answered",
            Self::CutOff => "cut_off",
        }
    }
}

/// The value of a field.
pub(super) enum FieldValue<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    /// In milliseconds, with three digits after the point.
    Milliseconds(Duration),
}

impl RequestRecord {
    /// The token for which it was refused, or was ended.
    pub(crate) fn revoked_token(&self) -> Option<Id> {
        match self.refusal.or(self.would) {
            Some(Refusal::Revoked { token, .. }) => Some(token),
            Some(_) | None => None,
        }
    }

    /// What is kept of it in memory.
    pub(crate) fn into_kept(mut self) -> Self {
        for text in [&mut self.path, &mut self.host].into_iter().flatten() {
            if text.len() > KEPT_BYTES_MAX {
                text.truncate(text.floor_char_boundary(KEPT_BYTES_MAX));
                text.shrink_to_fit();
            }
        }
        self.referer = None;
        self.user_agent = None;
        self
    }

    /// Whether it is an ordinary request, of which a sample suffices: forwarded, and nothing was wrong.
    pub(super) fn is_ordinary(&self) -> bool {
        self.verdict == RecordedVerdict::Forwarded
            && self.would.is_none()
            && self.status.is_some_and(|status| status < 500)
    }

    /// The value of a field; `None`: it has none.
    pub(super) fn value(&self, field: AccessField) -> Option<FieldValue<'_>> {
        fn text(text: Option<&str>) -> Option<FieldValue<'_>> {
            let text = text.filter(|text| !text.is_empty());
            text.map(|text| FieldValue::Text(Cow::Borrowed(text)))
        }
        let own = |text: String| Some(FieldValue::Text(Cow::Owned(text)));
        match field {
            AccessField::Time => own(self.time()),
            AccessField::Request => text(Some(&self.request)),
            AccessField::Node => text(self.node.as_deref()),
            AccessField::Client => own(self.client?.to_string()),
            AccessField::Method => text(Some(&self.method)),
            AccessField::Scheme => text(Some(self.scheme)),
            AccessField::Host => text(self.host.as_deref()),
            AccessField::Path => text(self.path.as_deref()),
            AccessField::Protocol => text(Some(self.protocol)),
            AccessField::Status => Some(FieldValue::Number(self.status?.into())),
            AccessField::Bytes => {
                let bytes = u64::try_from(self.bytes?).unwrap_or(u64::MAX);
                Some(FieldValue::Number(bytes))
            }
            AccessField::Duration => Some(FieldValue::Milliseconds(self.took)),
            AccessField::Shop => text(self.shop.as_deref()),
            AccessField::Route => text(self.route.as_deref()),
            AccessField::Verdict => text(Some(self.verdict.name())),
            AccessField::Reason => text(self.refusal.map(Refusal::name)),
            AccessField::Detail => text(self.refusal.and_then(Refusal::detail)),
            AccessField::Place => text(self.place.as_deref()),
            AccessField::Token => text(self.token.as_deref()),
            AccessField::Would => text(self.would.map(Refusal::name)),
            AccessField::Error => text(self.error.as_deref()),
            AccessField::Upstream => text(self.upstream.as_deref()),
            AccessField::Referer => text(self.referer.as_deref()),
            AccessField::UserAgent => text(self.user_agent.as_deref()),
            AccessField::Trace => text(self.trace.as_deref()),
            AccessField::Span => text(self.span.as_deref()),
        }
    }

    fn time(&self) -> String {
        let moment = UNIX_EPOCH.checked_add(Duration::from_millis(self.at_ms));
        let moment = moment.unwrap_or(UNIX_EPOCH);
        humantime::format_rfc3339_millis(moment).to_string()
    }
}

/// A text that a client wrote, cut off where it is longer than a line should be.
pub(crate) fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text[..end].to_owned()
}
