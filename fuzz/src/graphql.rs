//! GraphQL: a logout is what an executed mutation has among its root fields, and nothing else; a dead token in an
//! argument is found, and nothing else is taken for one.
//!
//! An input is a document, and beside that a row of choices by which another one is made whose meaning is known.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use doorward::clock::UnixTime;
use doorward::request::{Gate, Refusal, Request, Verdict};
use http::request::Parts;
use serde_json::{Value, json};

use super::bare_gate::bare_gate;

/// Bodies are not swept: what is found here is found in GraphQL.
const RULES: &str = r#"
examine_bodies = "rules"
[[shop.credential]]
header = "authorization"
schemes = ["Bearer"]
kind = "opaque"
[[shop.credential]]
graphql = "accessToken"
kind = "opaque"
[[shop.logout]]
paths = ["/graphql"]
graphql = ["logout"]
"#;

const NOW: UnixTime = UnixTime::from_seconds(1_790_000_100);

const DEAD: &str = "17-kW3vQ9xLr0Zb7YtNc5MdAe2HsUf8GjPiTo4lXqBw6f1c0d9e";
const LIVE: &str = "18-aW3vQ9xLr0Zb7YtNc5MdAe2HsUf8GjPiTo4lXqBw6f1c0d9e";

/// The gate of a shop where one token was logged out.
static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let (gate, _home) = bare_gate(RULES);
    let head = head("/graphql?query=mutation%7Blogout%7D", "", Some(DEAD));
    let Ok(Verdict::LogOut(logout)) = gate.judge(&Request::new(&head, None), NOW) else {
        panic!("a good token logs out");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let written = runtime
        .unwrap()
        .block_on(gate.revocations().revoke(logout.revocations));
    assert!(written.is_ok(), "the disk takes a row");
    gate
});

/// What becomes of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Forwarded,
    LoggedOut,
    Dead,
    Refused,
}

/// What executes no logout is none, and what is made as one is one.
pub fn graphql(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        nothing_comes_from_nothing(text);
    }
    what_is_made_is_found(&mut Choices {
        left: bytes,
        has_tokens: bytes.len().is_multiple_of(2),
    });
}

/// A name has one spelling only: where it does not stand, nothing is logged out, and no token is dead.
fn nothing_comes_from_nothing(text: &str) {
    let json = json!({ "query": text }).to_string();
    for (kind, body) in [
        ("application/json", json.as_str()),
        ("application/graphql", text),
        ("application/json", text),
        ("application/x-www-form-urlencoded", text),
    ] {
        let outcome = judge("/graphql", kind, body);
        if !text.to_ascii_lowercase().contains("logout") && !text.contains(['%', '\\']) {
            assert_ne!(outcome, Outcome::LoggedOut, "{kind}: {body}");
        }
        assert_ne!(outcome, Outcome::Dead, "{kind}: {body}");
    }
}

fn what_is_made_is_found(choices: &mut Choices<'_>) {
    let document = Document::made_by(choices);
    let text = document.written(choices);
    let (target, kind, body) = document.sent(&text, choices);
    let expected = if document.has_dead_token() {
        Outcome::Dead
    } else if document.executes_logout() {
        Outcome::LoggedOut
    } else {
        Outcome::Forwarded
    };
    let outcome = judge(&target, kind, &body);
    if expected == Outcome::Dead && document.executes_logout() && outcome == Outcome::LoggedOut {
        return; // what is alive beside the dead one ends
    }
    assert_eq!(outcome, expected, "{target}\n{kind}\n{body}\n{text}");
}

fn head(target: &str, kind: &str, bearer: Option<&str>) -> Parts {
    let method = if kind.is_empty() { "GET" } else { "POST" };
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "shop.example.com")
        .header("content-type", kind);
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    request.body(()).unwrap().into_parts().0
}

fn judge(target: &str, kind: &str, body: &str) -> Outcome {
    let head = head(target, kind, None);
    let body = (!body.is_empty()).then_some(body.as_bytes());
    match GATE.judge(&Request::new(&head, body), NOW) {
        Ok(Verdict::LogOut(_)) => Outcome::LoggedOut,
        Ok(
            Verdict::Forward { .. }
            | Verdict::Introspect(_, _)
            | Verdict::Preflight
            | Verdict::Script,
        ) => Outcome::Forwarded,
        Err(refused) if matches!(refused.refusal, Refusal::Revoked { .. }) => Outcome::Dead,
        Err(_) => Outcome::Refused,
    }
}

/// The input, taken for answers to questions; when it is over, every answer is the first one.
struct Choices<'a> {
    left: &'a [u8],
    /// Whether tokens stand in the document, dead ones among them: most logouts have none.
    has_tokens: bool,
}

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.left.split_first() else {
            return 0;
        };
        self.left = rest;
        usize::from(*first) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// A document whose meaning is known.
struct Document {
    operations: Vec<Operation>,
    fragments: Vec<Vec<Selection>>,
    /// Which operation is to be executed, if that is said.
    named: Option<&'static str>,
}

struct Operation {
    kind: &'static str,
    name: Option<&'static str>,
    selections: Vec<Selection>,
}

enum Selection {
    Field {
        alias: Option<&'static str>,
        name: &'static str,
        arguments: Vec<(&'static str, Given)>,
        inner: Vec<Selection>,
    },
    Inline(Vec<Selection>),
    Spread(usize),
}

enum Given {
    Text(&'static str),
    /// The same, spelled in escapes.
    Escaped(&'static str),
    /// The same, as a block.
    Block(&'static str),
    Variable(&'static str),
    List(Vec<Given>),
    Object(Vec<(&'static str, Given)>),
    Word(&'static str),
}

const FIELDS: [&str; 7] = [
    "cart", "logout", "logouts", "logout", "Logout", "mutation", "on",
];
const TEXTS: [&str; 6] = [LIVE, DEAD, "", "} mutation { logout }", "#", "accessToken"];
const NAMES: [&str; 3] = ["A", "B", "logout"];

/// The variables: what each of them is.
const VARIABLES: [(&str, &str); 3] = [("live", LIVE), ("dead", DEAD), ("other", "x")];

impl Document {
    fn made_by(choices: &mut Choices<'_>) -> Self {
        let named = choices.one_of(&[None, None, Some("A"), Some("B"), Some("C")]);
        let count = choices.below(3);
        let operations = (0..=count).map(|_| Operation {
            kind: choices.one_of(&[
                "mutation",
                "",
                "mutation",
                "query",
                "mutation",
                "subscription",
            ]),
            name: choices.one_of(&[None, Some(NAMES[0]), Some(NAMES[1]), Some(NAMES[2])]),
            selections: selections(choices, 3),
        });
        let operations = operations.collect();
        let fragments = (0..3).map(|_| selections(choices, 2)).collect();
        Self {
            operations,
            fragments,
            named,
        }
    }

    fn executes_logout(&self) -> bool {
        let executed = self.operations.iter().filter(|one| {
            let is_named = one.name.is_some() && one.name == self.named && !one.kind.is_empty();
            one.kind == "mutation" && (self.named.is_none() || is_named)
        });
        let mut executed = executed.map(|one| &one.selections);
        executed.any(|selections| self.has_logout(selections, &mut BTreeSet::new()))
    }

    fn has_logout(&self, selections: &[Selection], spread: &mut BTreeSet<usize>) -> bool {
        selections.iter().any(|selection| match selection {
            Selection::Field { name, .. } => *name == "logout",
            Selection::Inline(inner) => self.has_logout(inner, spread),
            Selection::Spread(at) => {
                spread.insert(*at) && self.has_logout(&self.fragments[*at], spread)
            }
        })
    }

    fn has_dead_token(&self) -> bool {
        let operations = self.operations.iter().map(|one| &one.selections);
        let mut all = operations.chain(&self.fragments);
        all.any(|selections| is_dead(selections))
    }

    fn written(&self, choices: &mut Choices<'_>) -> String {
        let mut text = Text {
            choices,
            written: String::new(),
        };
        for operation in &self.operations {
            if !operation.kind.is_empty() {
                text.word(operation.kind);
                operation.name.into_iter().for_each(|name| text.word(name));
                text.word("($live:String$dead:[ID!]=[]$other:X={a:1})@a");
            }
            text.set(&operation.selections);
        }
        for (at, fragment) in self.fragments.iter().enumerate() {
            text.word("fragment");
            text.word(&format!("F{at}"));
            text.word("on");
            text.word("Mutation");
            text.set(fragment);
        }
        text.written
    }

    /// Where it travels: target, type and body.
    fn sent(&self, text: &str, choices: &mut Choices<'_>) -> (String, &'static str, String) {
        let variables: serde_json::Map<_, _> = VARIABLES
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        let variables = Value::Object(variables);
        let mut message = json!({ "query": text, "variables": variables });
        let mut pairs = vec![("variables", variables.to_string())];
        if let Some(name) = self.named {
            message["operationName"] = json!(name);
            pairs.push(("operationName", name.to_owned()));
        }
        let encoded = |pairs: &[(&str, String)]| {
            let encode = |text: &str| -> String {
                text.bytes().fold(String::new(), |mut encoded, byte| {
                    let _ = write!(encoded, "%{byte:02x}");
                    encoded
                })
            };
            let pairs = pairs
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)));
            pairs.collect::<Vec<_>>().join("&")
        };
        let target = |pairs: &[_]| format!("/graphql?{}", encoded(pairs));
        let bare = "/graphql".to_owned();
        match choices.below(6) {
            0 => (bare, "application/json", message.to_string()),
            1 => (bare, "text/plain", message.to_string()),
            2 => {
                let other = json!({ "query": "{ cart }" });
                (
                    bare,
                    "application/json",
                    json!([other, message]).to_string(),
                )
            }
            3 => (target(&pairs), "application/graphql", text.to_owned()),
            4 => {
                pairs.push(("query", text.to_owned()));
                (bare, "application/x-www-form-urlencoded", encoded(&pairs))
            }
            _ => {
                pairs.push(("query", text.to_owned()));
                (target(&pairs), "", String::new())
            }
        }
    }
}

fn selections(choices: &mut Choices<'_>, depth: usize) -> Vec<Selection> {
    let count = choices.below(3);
    let mut all = Vec::new();
    for _ in 0..=count {
        all.push(match choices.below(if depth == 0 { 4 } else { 6 }) {
            0..=2 => Selection::Field {
                alias: choices.one_of(&[None, None, Some("logout"), Some("x")]),
                name: choices.one_of(&FIELDS),
                arguments: arguments(choices, depth),
                inner: if depth > 0 && choices.below(2) == 1 {
                    selections(choices, depth - 1)
                } else {
                    Vec::new()
                },
            },
            3 => Selection::Spread(choices.below(3)),
            _ => Selection::Inline(selections(choices, depth - 1)),
        });
    }
    all
}

fn arguments(choices: &mut Choices<'_>, depth: usize) -> Vec<(&'static str, Given)> {
    let count = choices.below(3);
    let mut all = Vec::new();
    for _ in 0..count {
        let names = ["id", "accesstoken", "logout", "accessToken"];
        let name = choices.one_of(&names[..if choices.has_tokens { 4 } else { 3 }]);
        all.push((name, given(choices, depth)));
    }
    all
}

fn given(choices: &mut Choices<'_>, depth: usize) -> Given {
    match choices.below(if depth == 0 { 5 } else { 7 }) {
        0 => Given::Text(choices.one_of(&TEXTS)),
        1 => Given::Escaped(choices.one_of(&TEXTS)),
        2 => Given::Block(choices.one_of(&TEXTS)),
        3 => Given::Variable(choices.one_of(&VARIABLES).0),
        4 => Given::Word(choices.one_of(&["1", "-1.5e3", "true", "null", "LOGOUT", "logout"])),
        5 => Given::List(vec![given(choices, depth - 1), given(choices, depth - 1)]),
        _ => Given::Object(arguments(choices, depth - 1)),
    }
}

fn is_dead(selections: &[Selection]) -> bool {
    selections.iter().any(|selection| match selection {
        Selection::Field {
            arguments, inner, ..
        } => has_dead(arguments) || is_dead(inner),
        Selection::Inline(inner) => is_dead(inner),
        Selection::Spread(_) => false,
    })
}

fn has_dead(arguments: &[(&'static str, Given)]) -> bool {
    let mut arguments = arguments.iter();
    arguments.any(|(name, given)| (*name == "accessToken" && given.is_dead()) || given.hides_dead())
}

impl Given {
    /// The dead token itself, or a list with it.
    fn is_dead(&self) -> bool {
        match self {
            Self::Text(text) | Self::Escaped(text) | Self::Block(text) => *text == DEAD,
            Self::Variable(name) => *name == "dead",
            Self::List(items) => items.iter().any(Self::is_dead),
            Self::Object(_) | Self::Word(_) => false,
        }
    }

    /// Something in it has the name.
    fn hides_dead(&self) -> bool {
        match self {
            Self::List(items) => items.iter().any(Self::hides_dead),
            Self::Object(fields) => has_dead(fields),
            Self::Text(_)
            | Self::Escaped(_)
            | Self::Block(_)
            | Self::Variable(_)
            | Self::Word(_) => false,
        }
    }
}

/// A document as it is written, with what means nothing between its words.
struct Text<'c, 'a> {
    choices: &'c mut Choices<'a>,
    written: String,
}

impl Text<'_, '_> {
    fn word(&mut self, word: &str) {
        let nothing = [
            " ",
            "\n",
            ",",
            " ,\t,",
            "\u{feff}",
            "# } mutation { logout\n",
            "#\r",
            "\r\n",
        ];
        let nothing = self.choices.one_of(&nothing);
        let _ = write!(self.written, "{nothing}{word}");
    }

    fn set(&mut self, selections: &[Selection]) {
        self.word("{");
        for selection in selections {
            match selection {
                Selection::Field {
                    alias,
                    name,
                    arguments,
                    inner,
                } => {
                    if let Some(alias) = alias {
                        self.word(alias);
                        self.word(":");
                    }
                    self.word(name);
                    if !arguments.is_empty() {
                        self.word("(");
                        self.pairs(arguments);
                        self.word(")");
                    }
                    if !inner.is_empty() {
                        self.set(inner);
                    }
                }
                Selection::Inline(inner) => {
                    self.word("...");
                    let condition =
                        self.choices
                            .one_of(&["on Mutation", "", "@include(if: false)"]);
                    self.word(condition);
                    self.set(inner);
                }
                Selection::Spread(at) => {
                    self.word("...");
                    self.word(&format!("F{at}"));
                }
            }
        }
        self.word("}");
    }

    fn pairs(&mut self, pairs: &[(&str, Given)]) {
        for (name, given) in pairs {
            self.word(name);
            self.word(":");
            self.given(given);
        }
    }

    fn given(&mut self, given: &Given) {
        match given {
            Given::Text(text) => self.word(&format!("\"{text}\"")),
            Given::Escaped(text) => {
                let spelled = text.bytes().enumerate().map(|(at, byte)| match at % 2 {
                    0 => format!("\\u{byte:04x}"),
                    _ => format!("\\u{{{byte:X}}}"),
                });
                let spelled: String = spelled.collect();
                self.word(&format!("\"{spelled}\""));
            }
            Given::Block(text) => self.word(&format!("\"\"\"\n  {text}\n  \"\"\"")),
            Given::Variable(name) => {
                self.word("$");
                self.word(name);
            }
            Given::List(items) => {
                self.word("[");
                for item in items {
                    self.given(item);
                }
                self.word("]");
            }
            Given::Object(fields) => {
                self.word("{");
                self.pairs(fields);
                self.word("}");
            }
            Given::Word(word) => self.word(word),
        }
    }
}
