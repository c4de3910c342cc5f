//! The commands to the bus's server: Redis of version 6.2 and later, or Valkey.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, Value};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::entry::{BusEntry, EntryField, FoundEntry};
use super::read_limit::ReadBudget;
use crate::cluster::protocol::bus::{EntryId, Loss, StreamExtent};
use crate::revocation::NodeName;

/// What all nodes read; the number is the version of what stands in it.
const STREAM: &str = "doorward:gossip:1";

/// For how long the stream keeps an entry: a node that was away for longer compares sets.
pub(super) const KEPT_MS: u64 = 10 * 60 * 1_000;

/// For how long a mailbox keeps what its node does not fetch, in seconds.
const MAILBOX_KEPT_S: u64 = 60;

/// How long the server may take for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// For how long a question for new entries waits for some.
const WAITING: Duration = Duration::from_secs(1);

/// How many bytes an answer may have: more than a hundred entries of the usual size, and twenty of the greatest.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why the bus does not go on.
#[derive(Debug)]
pub(super) enum BusError {
    /// The server can't be reached, refuses us or does not answer.
    Failed(String),
    /// An answer is larger than any that nodes could have caused.
    TooLarge,
    /// Something was lost.
    Lost(Loss),
}

/// A connection to the server.
pub(super) struct BusServer {
    connection: MultiplexedConnection,
    room: ReadBudget,
    password: Option<String>,
    carrier: JoinHandle<()>,
    mailbox: String,
}

/// An entry that is to be added.
pub(super) struct NewEntry {
    /// The node whose mailbox it is for; `None`: all nodes read it.
    pub(super) mailbox: Option<NodeName>,
    pub(super) entry: BusEntry,
}

/// A question for new entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadRequest {
    /// After this one.
    pub(super) after: EntryId,
    /// The same of this node's mailbox. What was read there is deleted.
    pub(super) after_in_mailbox: EntryId,
    /// How many at the most, of either.
    pub(super) count: usize,
}

fn mailbox_of(node: &NodeName) -> String {
    format!("{STREAM}:{node}")
}

impl BusServer {
    /// A connection of this node, that this task carries.
    pub(super) fn over(
        connection: MultiplexedConnection,
        carrier: JoinHandle<()>,
        room: ReadBudget,
        password: Option<String>,
        node: &NodeName,
    ) -> Self {
        Self {
            connection,
            room,
            password,
            carrier,
            mailbox: mailbox_of(node),
        }
    }

    /// Which process it is.
    pub(super) async fn run_id(&mut self) -> Result<String, BusError> {
        let mut question = redis::cmd("INFO");
        question.arg("server");
        let told = self.ask(&question).await?;
        let text = bytes(&told).map(String::from_utf8_lossy);
        let id = text.as_ref().and_then(|text| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix("run_id:"))
        });
        let id = id.ok_or_else(|| senseless("INFO server"))?;
        Ok(id.trim().to_owned())
    }

    /// What it says of the stream; `None`: there is none.
    pub(super) async fn stream(&mut self) -> Result<Option<StreamExtent>, BusError> {
        let mut question = redis::cmd("XINFO");
        question.arg("STREAM").arg(STREAM);
        let told = match self.ask(&question).await {
            Ok(told) => told,
            Err(BusError::Failed(text)) if text.contains("no such key") => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let stretch = stretch_of(&told).ok_or_else(|| senseless("XINFO STREAM"))?;
        Ok(Some(stretch))
    }

    /// The entries that come next, those of the stream and those of this node's mailbox; it waits a second for some.
    pub(super) async fn read(
        &mut self,
        question: ReadRequest,
    ) -> Result<Vec<FoundEntry>, BusError> {
        let mut commands = redis::pipe();
        if question.after_in_mailbox > EntryId::ZERO {
            let done = commands.cmd("XTRIM").arg(&self.mailbox).arg("MINID");
            let next = question.after_in_mailbox.next().to_string();
            done.arg(next).ignore();
        }
        commands
            .cmd("XREAD")
            .arg("COUNT")
            .arg(question.count)
            .arg("BLOCK")
            .arg(u64::try_from(WAITING.as_millis()).unwrap_or(u64::MAX))
            .arg("STREAMS")
            .arg(STREAM)
            .arg(&self.mailbox)
            .arg(question.after.to_string())
            .arg(question.after_in_mailbox.to_string());
        let told = self.ask_all(&commands, WAITING + PATIENCE).await?;
        let found = told.first().and_then(|told| found_in(told, &self.mailbox));
        found.ok_or_else(|| senseless("XREAD"))
    }

    /// Throws away what lies in this node's mailbox.
    pub(super) async fn empty_mailbox(&mut self) -> Result<(), BusError> {
        let mut order = redis::cmd("XTRIM");
        order.arg(&self.mailbox).arg("MAXLEN").arg(0);
        self.ask(&order).await.map(drop)
    }

    /// Adds entries, in this order. What is too old is dropped on the way, as told by `last`, the newest entry that is
    /// known.
    pub(super) async fn add(
        &mut self,
        additions: &[NewEntry],
        last: EntryId,
    ) -> Result<Vec<EntryId>, BusError> {
        let mut orders = redis::pipe();
        for NewEntry { mailbox, entry } in additions {
            let order = orders.cmd("XADD");
            let kept_ms = match mailbox {
                None => KEPT_MS,
                Some(_) => MAILBOX_KEPT_S * 1_000,
            };
            let mailbox = mailbox.as_ref().map(mailbox_of);
            order.arg(mailbox.as_deref().unwrap_or(STREAM));
            if let Some(oldest_ms) = last.time_ms.checked_sub(kept_ms) {
                order.arg("MINID").arg("~").arg(oldest_ms);
            }
            order.arg("*");
            for (name, value) in entry.fields() {
                order.arg(name).arg(value);
            }
            if let Some(mailbox) = &mailbox {
                let order = orders.cmd("EXPIRE").arg(mailbox).arg(MAILBOX_KEPT_S);
                order.ignore();
            }
        }
        let told = self.ask_all(&orders, PATIENCE).await?;
        let ids = told.iter().map(|id| bytes(id).and_then(EntryId::parse));
        let ids: Option<Vec<_>> = ids.collect();
        ids.ok_or_else(|| senseless("XADD"))
    }

    async fn ask(&mut self, question: &Cmd) -> Result<Value, BusError> {
        self.room.reset(ANSWER_BYTES_MAX);
        let answer = question.query_async(&mut self.connection);
        let answer = timeout(PATIENCE, answer).await;
        answer.map_err(|_| late())?.map_err(|e| self.trouble(&e))
    }

    async fn ask_all(
        &mut self,
        questions: &Pipeline,
        patience: Duration,
    ) -> Result<Vec<Value>, BusError> {
        self.room.reset(ANSWER_BYTES_MAX);
        let answers = questions.query_async(&mut self.connection);
        let answers = timeout(patience, answers).await;
        answers.map_err(|_| late())?.map_err(|e| self.trouble(&e))
    }

    fn trouble(&self, error: &RedisError) -> BusError {
        if self.room.is_used_up() {
            return BusError::TooLarge;
        }
        BusError::Failed(told(error, self.password.as_deref()))
    }
}

impl Drop for BusServer {
    fn drop(&mut self) {
        self.carrier.abort(); // or a question that waits would keep the connection
    }
}

pub(super) fn late() -> BusError {
    BusError::Failed("it does not answer".to_owned())
}

fn senseless(question: &str) -> BusError {
    BusError::Failed(format!("its answer to {question} makes no sense"))
}

/// An error for the operator. A server may repeat what it was asked, the password included.
pub(super) fn told(error: &RedisError, password: Option<&str>) -> String {
    let text = error.to_string();
    let text = match password.filter(|password| !password.is_empty()) {
        Some(password) => text.replace(password, "..."),
        None => text,
    };
    if error.kind() == ErrorKind::AuthenticationFailed {
        format!("it refuses the user or the password of `bus` ({text})")
    } else {
        text
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value {
        Some(bytes)
    } else {
        None
    }
}

fn items(value: &Value) -> Option<&[Value]> {
    if let Value::Array(items) = value {
        Some(items)
    } else {
        None
    }
}

/// The answer to XINFO STREAM: names and values by turns.
fn stretch_of(told: &Value) -> Option<StreamExtent> {
    let pairs = items(told)?.chunks_exact(2);
    let of = |name: &str| {
        let mut pairs = pairs.clone();
        let pair = pairs.find(|pair| bytes(&pair[0]) == Some(name.as_bytes()))?;
        Some(&pair[1])
    };
    let first = items(of("first-entry")?).and_then(|entry| bytes(entry.first()?));
    let added = of("entries-added").and_then(|added| {
        if let Value::Int(added) = added {
            u64::try_from(*added).ok()
        } else {
            None
        }
    });
    Some(StreamExtent {
        first: first.and_then(EntryId::parse),
        last: EntryId::parse(bytes(of("last-generated-id")?)?)?,
        added,
    })
}

/// The answer to XREAD: for each stream that has something its name and its entries.
fn found_in(told: &Value, mailbox: &str) -> Option<Vec<FoundEntry>> {
    if *told == Value::Nil {
        return Some(Vec::new());
    }
    let mut all = Vec::new();
    for stream in items(told)? {
        let [name, entries] = items(stream)? else {
            return None;
        };
        let is_ours = bytes(name)? == mailbox.as_bytes();
        for entry in items(entries)? {
            let [id, fields] = items(entry)? else {
                return None;
            };
            all.push(FoundEntry {
                id: EntryId::parse(bytes(id)?)?,
                is_ours,
                fields: fields_of(fields),
            });
        }
    }
    Some(all)
}

fn fields_of(fields: &Value) -> Vec<EntryField> {
    let pairs = items(fields).unwrap_or_default().chunks_exact(2);
    let field = |pair: &[Value]| Some((bytes(&pair[0])?.to_vec(), bytes(&pair[1])?.to_vec()));
    pairs.filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn what_the_server_says_of_a_stream_is_read() {
        let entry = Value::Array(vec![text("1-0"), Value::Array(vec![text("a"), text("b")])]);
        let told = vec![
            text("length"),
            Value::Int(3),
            text("last-generated-id"),
            text("7-2"),
            text("entries-added"),
            Value::Int(12),
            text("first-entry"),
            entry,
        ];
        let id = |time_ms, serial| EntryId { time_ms, serial };
        let whole = StreamExtent {
            first: Some(id(1, 0)),
            last: id(7, 2),
            added: Some(12),
        };
        assert_eq!(stretch_of(&Value::Array(told)), Some(whole));
        let empty = vec![
            text("last-generated-id"),
            text("7-2"),
            text("first-entry"),
            Value::Nil,
        ];
        let older = StreamExtent {
            first: None,
            added: None,
            ..whole
        };
        assert_eq!(stretch_of(&Value::Array(empty)), Some(older));
        assert_eq!(stretch_of(&Value::Nil), None);
        assert_eq!(stretch_of(&Value::Array(vec![text("length")])), None);
    }

    #[test]
    fn entries_of_the_stream_and_of_the_mailbox_are_told_apart() {
        let entry = |id: &str| {
            let fields = vec![text("from"), text("a"), text("odd")];
            Value::Array(vec![text(id), Value::Array(fields)])
        };
        let of =
            |name: &str, id: &str| Value::Array(vec![text(name), Value::Array(vec![entry(id)])]);
        let told = Value::Array(vec![of(STREAM, "1-0"), of("mine", "2-1")]);
        let found = found_in(&told, "mine").unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.id.time_ms, one.is_ours))
            .collect();
        assert_eq!(told, [(1, false), (2, true)]);
        assert_eq!(found[0].fields, [(b"from".to_vec(), b"a".to_vec())]);
        assert_eq!(found_in(&Value::Nil, "mine"), Some(Vec::new()));
        assert_eq!(found_in(&Value::Okay, "mine"), None);
        let deleted = Value::Array(vec![text("1-0"), Value::Nil]);
        let told = Value::Array(vec![text(STREAM), Value::Array(vec![deleted])]);
        let found = found_in(&Value::Array(vec![told]), "mine").unwrap();
        assert!(found[0].fields.is_empty());
    }

    #[test]
    fn no_error_repeats_the_password() {
        let repeated = (
            ErrorKind::Extension,
            "unknown command 'AUTH'",
            "with args beginning with: 'me' 'hunter2'".to_owned(),
        );
        let text = told(&RedisError::from(repeated), Some("hunter2"));
        assert!(!text.contains("hunter2") && text.contains("AUTH"), "{text}");
    }
}
