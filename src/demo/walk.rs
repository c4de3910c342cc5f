//! The walk: login, a page, logout, the same token again, a new login, a page.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};

use super::failed_step::FailedStep;
use super::script::{Script, WalkRequest};
use super::shop::PretendShop;
use crate::server::exchange;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the steps share.
pub(super) struct Walk<'a> {
    pub(super) script: &'a Script,
    pub(super) shop: &'a PretendShop,
    pub(super) edge: SocketAddr,
    pub(super) out: &'a mut dyn Write,
}

impl Walk<'_> {
    pub(super) fn go(&mut self) -> Result<(), FailedStep> {
        self.introduce()?;
        let Script {
            beforehand,
            page,
            logout,
            ..
        } = self.script;
        let token = self.log_in("1/6 login")?;
        if let Some((what, call)) = beforehand {
            self.show(what, call, &token, StatusCode::OK)?;
        }
        self.show("2/6 a page of the customer", page, &token, StatusCode::OK)?;
        self.show("3/6 logout", logout, &token, StatusCode::OK)?;
        self.check_cart("3/6 logout")?;
        let again = "4/6 the same token again";
        let visits = self.shop.visits();
        self.show(again, page, &token, StatusCode::UNAUTHORIZED)?;
        self.check_visits(again, visits)?;
        let token = self.log_in("5/6 a new login")?;
        self.show(
            "6/6 a page with the new token",
            page,
            &token,
            StatusCode::OK,
        )
    }

    fn introduce(&mut self) -> Result<(), FailedStep> {
        let (shop, edge) = (self.shop.address(), self.edge);
        let mut variables = format!("URL=http://{edge}");
        for (name, value) in self.script.variables {
            let _ = write!(variables, "  {name}={value}"); // a String takes everything
        }
        self.print(&format!(
            "pretend shop  http://{shop}   {}\ndoorward      http://{edge}   in front of it\n\n  {variables}\n",
            self.script.nature
        ))
    }

    fn log_in(&mut self, step: &'static str) -> Result<String, FailedStep> {
        let login = &self.script.login;
        let answer = self.send(step, login, None)?;
        let (before, end) = self.script.token_between;
        let Some(token) = texts(&answer).find_map(|text| between(&text, before, end)) else {
            let why = format!("no token came with the answer {}", answer.status());
            return Err(FailedStep { step, why });
        };
        let sed = format!("sed -n 's/.*{before}\\([^{end}]*\\).*/\\1/p'");
        self.print(&format!(
            "{step}: {}, a token\n  TOKEN=$(curl -si {} | {sed})\n",
            answer.status(),
            self.arguments(login, false)
        ))?;
        Ok(token)
    }

    /// Sends a request as the customer, and checks the status.
    fn show(
        &mut self,
        step: &'static str,
        call: &WalkRequest,
        token: &str,
        wanted: StatusCode,
    ) -> Result<(), FailedStep> {
        let answer = self.send(step, call, Some(token))?;
        let status = answer.status();
        let body = String::from_utf8_lossy(answer.body());
        if status != wanted {
            let why = format!("the answer was {status}, not {wanted}: {body}");
            return Err(FailedStep { step, why });
        }
        let arguments = self.arguments(call, true);
        self.print(&format!("{step}: {status} {body}\n  curl -i {arguments}\n"))
    }

    fn check_cart(&mut self, step: &'static str) -> Result<(), FailedStep> {
        if self.shop.cart_deleted() {
            let why = "the shop has destroyed the customer's cart".to_owned();
            return Err(FailedStep { step, why });
        }
        if self.script.after_logout.is_empty() {
            return Ok(());
        }
        self.print(self.script.after_logout)
    }

    fn check_visits(&mut self, step: &'static str, visits: usize) -> Result<(), FailedStep> {
        let now = self.shop.visits();
        if now != visits {
            let why = format!("{} requests reached the shop", now - visits);
            return Err(FailedStep { step, why });
        }
        self.print(&format!(
            "  the shop saw nothing of it: its counter still stands at {visits}\n"
        ))
    }

    fn print(&mut self, text: &str) -> Result<(), FailedStep> {
        writeln!(self.out, "{text}")
            .and_then(|()| self.out.flush())
            .map_err(|error| FailedStep {
                step: "the output",
                why: error.to_string(),
            })
    }

    fn headers(&self, call: &WalkRequest, as_customer: bool) -> Vec<(&'static str, &'static str)> {
        let pass = as_customer.then_some(self.script.pass);
        let given = [self.script.headers, call.headers].concat();
        given.into_iter().chain(pass).collect()
    }

    /// The arguments of curl; the shell expands the variables.
    fn arguments(&self, call: &WalkRequest, as_customer: bool) -> String {
        let mut arguments = format!("-X {} \"$URL{}\"", call.method, call.path);
        for (name, value) in self.headers(call, as_customer) {
            let _ = write!(arguments, " -H \"{name}: {value}\"");
        }
        if !call.body.is_empty() {
            let _ = write!(arguments, " -d '{}'", call.body);
        }
        arguments
    }

    fn send(
        &self,
        step: &'static str,
        call: &WalkRequest,
        token: Option<&str>,
    ) -> Result<Response<Vec<u8>>, FailedStep> {
        let failed = |error: io::Error| FailedStep {
            step,
            why: error.to_string(),
        };
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            call.method, call.path, self.edge
        );
        for (name, value) in self.headers(call, token.is_some()) {
            let value = self.filled_in(value, token.unwrap_or_default());
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let stream = TcpStream::connect(self.edge).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        exchange(stream, &head, call.body.as_bytes()).map_err(failed)
    }

    /// With the variables expanded, as the shell does.
    fn filled_in(&self, value: &str, token: &str) -> String {
        let variables = self.script.variables.iter();
        let known = variables.copied().chain([("TOKEN", token)]);
        known.fold(value.to_owned(), |value, (name, text)| {
            value.replace(&format!("${name}"), text)
        })
    }
}

/// The values of the headers, and the body.
fn texts(answer: &Response<Vec<u8>>) -> impl Iterator<Item = String> {
    let headers = answer.headers().values().map(HeaderValue::as_bytes);
    let all = headers.chain([answer.body().as_slice()]);
    all.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn between(text: &str, before: &str, end: char) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (token, _) = rest.split_once(end)?;
    Some(token.to_owned())
}
