//! A request as an operator gives it: by options, as a `curl` command, or from a HAR file.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::sample_error::SampleError;
use super::{curl, har};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::operator::read_token;
use crate::server::SampleRequest;

/// The request.
#[derive(Args)]
pub(super) struct RequestArguments {
    /// The URL of a request: it is judged here, and not sent
    #[arg(long, group = "what")]
    url: Option<String>,
    /// A `curl` command, as browsers copy it; `-` reads it from standard input, where other users do not see its tokens
    #[arg(long, value_name = "COMMAND", group = "what")]
    curl: Option<String>,
    /// A HAR file, as browsers save it
    #[arg(long, value_name = "FILE", group = "what")]
    har: Option<PathBuf>,
    /// Which request of the HAR file, counted from 1
    #[arg(
        long,
        value_name = "N",
        requires = "har",
        default_value_t = 1,
        hide_default_value = true
    )]
    entry: usize,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD", requires = "what")]
    method: Option<String>,
    /// A header, as `Name: value`
    #[arg(short = 'H', long = "header", value_name = "HEADER", requires = "what")]
    headers: Vec<String>,
    /// The body
    #[arg(long, requires = "what")]
    data: Option<String>,
    /// The bearer token, from a file; `-` reads it from standard input
    #[arg(long, value_name = "FILE", requires = "what")]
    token: Option<PathBuf>,
    /// The address that the request comes from
    #[arg(long, value_name = "IP", requires = "what")]
    client: Option<IpAddr>,
}

impl RequestArguments {
    /// The request; `None`: none is given.
    pub(super) fn sample(&self) -> Result<Option<SampleRequest>, CommandError> {
        let Some(read) = self.read() else {
            return Ok(None);
        };
        let usage = |why: SampleError| CommandError::new(Exit::Usage, why);
        let mut sample = read.map_err(usage)?;
        if let Some(data) = &self.data {
            sample.body = data.clone().into_bytes();
            if self.url.is_some() {
                "POST".clone_into(&mut sample.method);
            }
        }
        if let Some(method) = &self.method {
            sample.method.clone_from(method);
        }
        for header in &self.headers {
            sample.headers.push(parse_header(header).map_err(usage)?);
        }
        if let Some(file) = &self.token {
            let bearer = format!("Bearer {}", read_token(file)?.trim());
            sample
                .headers
                .push(("Authorization".to_owned(), bearer.into_bytes()));
        }
        if let Some(client) = self.client {
            sample.client = client;
        }
        Ok(Some(sample))
    }

    fn read(&self) -> Option<Result<SampleRequest, SampleError>> {
        if let Some(url) = &self.url {
            return Some(SampleRequest::get(url).map_err(SampleError::from));
        }
        if let Some(command) = &self.curl {
            return Some(line_of(command).and_then(|line| curl::parse(&line)));
        }
        let file = self.har.as_ref()?;
        Some(har::entry_of(file, self.entry).and_then(har::HarEntry::into_sample))
    }
}

/// The longest command that is read from standard input.
const COMMAND_BYTES_MAX: u64 = 1 << 20;

fn line_of(command: &str) -> Result<String, SampleError> {
    if command != "-" {
        return Ok(command.to_owned());
    }
    let mut line = String::new();
    let read = io::stdin()
        .take(COMMAND_BYTES_MAX)
        .read_to_string(&mut line);
    read.map_err(|error| SampleError::new(error.to_string()))?;
    Ok(line)
}

/// `Name: value`.
pub(super) fn parse_header(line: &str) -> Result<(String, Vec<u8>), SampleError> {
    let pair = line
        .split_once(':')
        .filter(|(name, _)| !name.trim().is_empty());
    let (name, value) =
        pair.ok_or_else(|| SampleError::new("a header has no name: expected `Name: value`"))?;
    Ok((name.trim().to_owned(), value.trim().as_bytes().to_vec()))
}
