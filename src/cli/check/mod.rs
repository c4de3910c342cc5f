//! `doorward check`: what it asks for, what it reports, and in which form.

mod command;
mod github;
mod permissions;
mod report;
mod service_user;

pub(super) use command::{CheckArguments, check};
