//! The digests of what an operator names: tokens, sessions and customers, by their names.

use std::sync::Arc;

use super::issuer::{Issuer, OperatorName};
use super::known_token::Verified;
use super::verifier::Verifier;
use crate::revocation::Id;

impl Verifier {
    /// The digests that refuse the tokens that an operator names, also under former meanings, which tokens of that time have.
    pub(in crate::request) fn operator_digests(&self, named: OperatorName<'_>) -> Vec<Id> {
        let formers = self.formers();
        let own = self.issuers_for(named.issuer);
        let own = own.flat_map(|one| one.operator_digests(named));
        each_once(own.chain(formers.operator_digests(named)))
    }

    /// The digests under which a logout would revoke the same: those of each pinned issuer, or of none.
    pub(in crate::request) fn logout_digests(&self, named: OperatorName<'_>) -> Vec<Id> {
        let OperatorName { kind, issuer, name } = named;
        each_once(self.issuers_for(issuer).flat_map(|one| {
            let pinned = one.settings().issuers.iter().map(String::as_str);
            let pinned: Vec<_> = match issuer {
                Some(issuer) => vec![issuer],
                None if one.settings().issuers.is_empty() => vec![""],
                None => pinned.collect(),
            };
            pinned
                .into_iter()
                .map(|issuer| one.digest(kind, issuer, name))
                .collect::<Vec<_>>()
        }))
    }

    /// The issuers that accept this `iss`; all, if it is `None`.
    fn issuers_for<'v>(&'v self, issuer: Option<&'v str>) -> impl Iterator<Item = &'v Issuer> {
        let fits = move |one: &&Issuer| issuer.is_none_or(|issuer| one.may_be_of(issuer));
        self.issuers().iter().filter(fits)
    }

    /// Whether an issuer accepts this `iss`, or did under a former meaning.
    pub(in crate::request) fn may_be_of(&self, issuer: &str) -> bool {
        let mut issuers = self.issuers().iter();
        issuers.any(|one| one.may_be_of(issuer)) || self.formers().may_be_of(issuer)
    }

    /// The pinned issuers, for the operator.
    pub(in crate::request) fn pinned_issuers(&self) -> Vec<String> {
        let issuers = self.issuers().iter();
        let pinned = issuers.flat_map(|one| one.settings().issuers.clone());
        pinned.collect()
    }

    /// The verified tokens in the cache.
    pub(in crate::request) fn remembered_tokens(&self) -> Vec<Arc<Verified>> {
        let issuers = self.issuers().iter();
        let remembered = issuers.flat_map(|one| one.ring().held().tokens());
        remembered.collect()
    }

    /// The digests of all customers, one for each token domain. Tokens that are opaque now are found under former meanings
    /// only.
    pub(in crate::request) fn all_customers(&self) -> Vec<Id> {
        let formers = self.formers();
        let former = (!self.can_verify()).then(|| formers.all_customers());
        let own = self.issuers().iter().map(Issuer::all_customers);
        each_once(own.chain(former.into_iter().flatten()))
    }

    /// Whether tokens that name their customer are accepted, or were under a former meaning.
    pub(in crate::request) fn name_customers(&self) -> bool {
        let is_asked = self.settings().introspection.is_some();
        self.can_verify() || is_asked || self.formers().name_customers()
    }
}

fn each_once(ids: impl Iterator<Item = Id>) -> Vec<Id> {
    let mut ids: Vec<Id> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
