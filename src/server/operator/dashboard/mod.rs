//! The dashboard: one page on the operator listener, and the events that keep it up to date.

mod feed;
mod history;
mod page;
mod readers;
mod recent;

pub(crate) use feed::{DashboardFeed, HistorySampler};
pub(crate) use page::dashboard_page;
pub(crate) use readers::Reader;
