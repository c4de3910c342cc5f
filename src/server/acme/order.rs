//! One order, from the account to the certificate.

use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder,
    Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::authority::AuthorityClient;
use super::challenges::{Challenge, PendingChallenge};
use super::failure::{FailureReason, OrderFailure};
use super::folder::{AcmeFolder, StoredAccount};
use super::settings::{AcmeChallenge, AcmeSettings};
use super::state::AcmeState;
use super::tls_alpn;
use crate::clock::UnixTime;
use crate::server::connection::certificate::Certificate;

/// How long an authority may take to verify, and to issue.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_mins(3));

/// A certificate that was issued, and its parts in PEM for the disk.
pub(super) struct IssuedCertificate {
    pub(super) certificate: Certificate,
    pub(super) key: String,
    pub(super) chain: String,
}

/// The account at the authority: the stored one, else a new one, which is stored before it is used.
pub(super) async fn open_account(
    client: AuthorityClient,
    settings: &AcmeSettings,
    folder: &AcmeFolder,
) -> Result<Account, OrderFailure> {
    let builder = Account::builder_with_http(Box::new(client));
    let Some(stored) = folder.account() else {
        return create_account(builder, settings, folder).await;
    };
    let credentials = serde_json::to_value(&stored.credentials)
        .and_then(serde_json::from_value)
        .map_err(|error| OrderFailure::new(FailureReason::NotStored, &error))?;
    let account = builder.from_credentials(credentials).await?;
    if stored.email != settings.email {
        let contact = contact(settings);
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        account.update_contacts(&contact).await?;
        let email = settings.email.clone();
        keep(folder, &StoredAccount { email, ..stored })?;
    }
    Ok(account)
}

async fn create_account(
    builder: AccountBuilder,
    settings: &AcmeSettings,
    folder: &AcmeFolder,
) -> Result<Account, OrderFailure> {
    let contact = contact(settings);
    let contact: Vec<_> = contact.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true, // no settings are read without it
        only_return_existing: false,
    };
    let created = builder.create(&wanted, settings.directory_url(), None);
    let (account, credentials) = created.await?;
    let email = settings.email.clone();
    keep(folder, &StoredAccount { email, credentials })?;
    Ok(account)
}

fn contact(settings: &AcmeSettings) -> Option<String> {
    settings
        .email
        .as_ref()
        .map(|email| format!("mailto:{email}"))
}

fn keep(folder: &AcmeFolder, account: &StoredAccount) -> Result<(), OrderFailure> {
    let kept = folder.keep_account(account);
    kept.map_err(|error| OrderFailure::new(FailureReason::NotStored, &error))
}

/// Orders a certificate for one host.
pub(super) async fn order(
    account: &Account,
    host: &str,
    kind: AcmeChallenge,
    state: &AcmeState,
) -> Result<IssuedCertificate, OrderFailure> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let pending = answer_challenges(&mut order, host, kind, state).await?;
    let polled = order.poll_ready(&PATIENCE).await;
    if polled.map_err(OrderFailure::while_verifying)? != OrderStatus::Ready {
        return Err(why_invalid(&mut order).await);
    }
    drop(pending);
    let (key, request) = request_for(host)
        .map_err(|error| OrderFailure::new(FailureReason::UnfitCertificate, &error))?;
    order.finalize_csr(&request).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    let unfit = |why: &dyn std::fmt::Display| {
        OrderFailure::new(FailureReason::UnfitCertificate, &why.to_string())
    };
    let certificate = Certificate::parse(host, chain.as_bytes(), key.as_bytes());
    Ok(IssuedCertificate {
        certificate: certificate.map_err(|why| unfit(&why))?,
        key,
        chain,
    })
}

/// Answers every challenge of an order until what it returns is dropped.
async fn answer_challenges(
    order: &mut Order,
    host: &str,
    kind: AcmeChallenge,
    state: &AcmeState,
) -> Result<Vec<PendingChallenge>, OrderFailure> {
    let mut pending = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue; // the authority remembers it
        }
        let wanted = match kind {
            AcmeChallenge::Http01 => ChallengeType::Http01,
            AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let Some(mut challenge) = authorization.challenge(wanted) else {
            return Err(OrderFailure::new(FailureReason::NoChallenge, &kind.name()));
        };
        let key_authorization = challenge.key_authorization();
        let answer = match kind {
            AcmeChallenge::Http01 => Challenge::Http {
                token: challenge.token.clone(),
                text: key_authorization.as_str().to_owned(),
            },
            AcmeChallenge::TlsAlpn01 => {
                tls_alpn::challenge(host, key_authorization.digest().as_ref())
                    .map_err(|error| OrderFailure::new(FailureReason::NoChallenge, &error))?
            }
        };
        pending.push(state.challenges.provide(answer));
        challenge.set_ready().await?;
    }
    Ok(pending)
}

/// What the authority says of the challenge that it could not verify.
async fn why_invalid(order: &mut Order) -> OrderFailure {
    let mut said = String::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await {
            let mut problems = state.challenges.iter().filter_map(|one| one.error.as_ref());
            said.extend(problems.next().map(ToString::to_string));
        }
    }
    OrderFailure::new(FailureReason::NotValidated, &said)
}

/// A fresh private key in PEM, and a request for a certificate of it. Its extensions name the host and nothing else:
/// no OCSP stapling is demanded, because none is done.
fn request_for(host: &str) -> Result<(String, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

/// Why a certificate is not to be served; `None`: it is.
pub(super) fn fault_of(certificate: &Certificate, host: &str, now: UnixTime) -> Option<String> {
    let (from, until) = (certificate.not_before, certificate.not_after);
    if !certificate.is_for_name(host) {
        Some("it is for another name".to_owned())
    } else if until <= now {
        Some(format!("it ended at {until}"))
    } else if from > now {
        Some(format!(
            "it begins at {from}; is the clock of this machine right?"
        ))
    } else if certificate.must_staple {
        Some("it demands OCSP stapling (must-staple), which is not done".to_owned())
    } else {
        None
    }
}
