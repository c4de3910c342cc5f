//! The customer in the tokens of a request, if its route asks for that.

use super::arrived::Arrived;
use super::presented_token::Presented;
use super::routes::Enforce;
use super::token::Subject;
use crate::clock::UnixTime;

/// The customers in the tokens of one request, as far as its route asks for one.
pub(super) struct NamedSubjects {
    is_wanted: bool,
    found: Option<Subject>,
    /// Whether two tokens name different customers.
    is_contradicted: bool,
}

impl NamedSubjects {
    /// Adds the customer of a token that is not revoked. One that has expired counts for no customer: the shop would refuse it.
    pub(super) fn note(&mut self, presented: &Presented<'_>, now: UnixTime) {
        let token = &presented.token;
        if !self.is_wanted || Enforce::Valid.refuse_untimely(token, now).is_err() {
            return;
        }
        let Some(name) = token.customer_name(&presented.credential.text) else {
            return;
        };
        let name = Subject::from(name);
        self.is_contradicted |= self.found.as_ref().is_some_and(|found| *found != name);
        self.found = Some(name);
    }

    /// The only one.
    pub(super) fn only(self) -> Option<Subject> {
        self.found.filter(|_| !self.is_contradicted)
    }
}

impl Arrived<'_, '_> {
    /// None yet.
    pub(super) fn named_subjects(&self) -> NamedSubjects {
        NamedSubjects {
            is_wanted: self.route().is_some_and(|route| route.names_subject()),
            found: None,
            is_contradicted: false,
        }
    }
}
