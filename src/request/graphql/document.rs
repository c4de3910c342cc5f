//! A GraphQL document (GraphQL specification, September 2025, section 2), read as far as it matters here:
//! which root fields its operations have, and what stands in its arguments.

use std::collections::{HashMap, HashSet};

use apollo_parser::cst::{self, CstNode};
use apollo_parser::{Lexer, Parser, TokenKind};

use super::unread::Unread;

/// How deep selections, values and types may be nested. Shops allow some 15, introspection has 10.
const DEPTH_MAX: usize = 100;

/// How many tokens a document may have, spaces and comments among them.
const TOKENS_MAX: usize = 20_000;

/// How many selections are visited for the root fields of all operations together: every operation may spread the same long
/// fragment.
const SELECTIONS_MAX: usize = 10_000;

/// What matters of a document.
pub(super) struct QueryDocument {
    /// Its operations.
    pub(super) operations: Vec<QueryOperation>,
    /// The values of its arguments and input fields, at any depth.
    given: Vec<(String, ArgumentValue)>,
    /// The defaults of its variables.
    defaults: Vec<(String, ArgumentValue)>,
}

/// An operation of a document.
pub(super) struct QueryOperation {
    /// Its name, if it has one.
    pub(super) name: Option<String>,
    /// Whether it may change something.
    pub(super) is_mutation: bool,
    /// Its root fields, those of fragments among them.
    pub(super) roots: Vec<Root>,
}

/// A root field of an operation.
#[derive(Clone)]
pub(super) struct Root {
    /// What the answer calls it: its alias, or its name.
    pub(super) key: String,
    /// What the schema calls it.
    pub(super) name: String,
}

/// The value of an argument.
pub(super) enum ArgumentValue {
    /// A string, or a number as it stands.
    Text(String),
    /// The value of this variable.
    Variable(String),
}

/// The fragments of a document by name. A repeated name is invalid GraphQL; both fragments count.
type Fragments = HashMap<String, Vec<cst::SelectionSet>>;

impl QueryDocument {
    /// Reads a document.
    pub(super) fn parse(text: &str) -> Result<Self, Unread> {
        let tree = Parser::new(&plain(text)?)
            .recursion_limit(DEPTH_MAX)
            .token_limit(2 * TOKENS_MAX)
            .parse();
        if tree.errors().any(apollo_parser::Error::is_limit) {
            return Err(Unread::TooMuch);
        }
        if tree.errors().next().is_some() {
            return Err(Unread::NoDocument);
        }
        Self::from_tree(&tree.document())
    }

    fn from_tree(document: &cst::Document) -> Result<Self, Unread> {
        let mut fragments = Fragments::new();
        let mut operations = Vec::new();
        for definition in document.definitions() {
            if let cst::Definition::FragmentDefinition(fragment) = &definition {
                let name = fragment.fragment_name().and_then(|name| name.name());
                if let (Some(name), Some(selections)) = (name, fragment.selection_set()) {
                    fragments
                        .entry(text_of(&name))
                        .or_default()
                        .push(selections);
                }
            } else if let cst::Definition::OperationDefinition(operation) = definition {
                operations.push(operation);
            }
        }
        let mut left = SELECTIONS_MAX;
        let operations = operations.iter();
        let operations =
            operations.map(|one| QueryOperation::from_tree(one, &fragments, &mut left));
        let mut read = Self {
            operations: operations.collect::<Result<_, _>>()?,
            given: Vec::new(),
            defaults: Vec::new(),
        };
        read.add_arguments(document);
        Ok(read)
    }

    /// Takes what stands in arguments, input fields and defaults, at any depth.
    fn add_arguments(&mut self, document: &cst::Document) {
        for node in document.syntax().descendants() {
            if let Some(argument) = cst::Argument::cast(node.clone()) {
                add_argument(argument.name(), argument.value(), &mut self.given);
            } else if let Some(field) = cst::ObjectField::cast(node.clone()) {
                add_argument(field.name(), field.value(), &mut self.given);
            } else if let Some(variable) = cst::VariableDefinition::cast(node) {
                let name = variable.variable().and_then(|variable| variable.name());
                let value = variable.default_value().and_then(|default| default.value());
                add_argument(name, value, &mut self.defaults);
            }
        }
    }

    /// What is given to arguments and input fields of that name.
    pub(super) fn given_to<'d>(&'d self, name: &'d str) -> impl Iterator<Item = &'d ArgumentValue> {
        named(&self.given, name)
    }

    /// The defaults of the variable of that name.
    pub(super) fn defaults_of<'d>(&'d self, variable: &'d str) -> impl Iterator<Item = &'d str> {
        named(&self.defaults, variable).filter_map(|given| match given {
            ArgumentValue::Text(text) => Some(text.as_str()),
            ArgumentValue::Variable(_) => None, // a default has none
        })
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        const EACH: usize = 64;
        let roots = |one: &QueryOperation| EACH * (1 + one.roots.len());
        let operations: usize = self.operations.iter().map(roots).sum();
        let given = self.given.iter().chain(&self.defaults);
        let given = given.map(|(name, given)| match given {
            ArgumentValue::Text(text) | ArgumentValue::Variable(text) => {
                EACH + name.len() + text.len()
            }
        });
        operations + given.sum::<usize>()
    }
}

fn named<'d>(
    given: &'d [(String, ArgumentValue)],
    name: &'d str,
) -> impl Iterator<Item = &'d ArgumentValue> {
    let named = given.iter().filter(move |(known, _)| known == name);
    named.map(|(_, given)| given)
}

impl QueryOperation {
    fn from_tree(
        operation: &cst::OperationDefinition,
        fragments: &Fragments,
        left: &mut usize,
    ) -> Result<Self, Unread> {
        let kind = operation.operation_type();
        let mut roots = Roots {
            fragments,
            left,
            spread: HashSet::new(),
            found: Vec::new(),
        };
        if let Some(selections) = operation.selection_set() {
            roots.add_selections(selections)?;
        }
        Ok(Self {
            name: operation.name().as_ref().map(text_of),
            is_mutation: kind.is_some_and(|kind| kind.mutation_token().is_some()),
            roots: roots.found,
        })
    }
}

/// The root fields of one operation, as they are found.
struct Roots<'d> {
    fragments: &'d Fragments,
    /// How many selections may still be looked at.
    left: &'d mut usize,
    /// The fragments that were visited: each is visited once, so that cycles end.
    spread: HashSet<String>,
    found: Vec<Root>,
}

impl Roots<'_> {
    /// Adds the fields of selections. `@skip` and `@include` are ignored: what may be executed counts.
    fn add_selections(&mut self, selections: cst::SelectionSet) -> Result<(), Unread> {
        // No recursion: a chain of fragments is as long as its text.
        let mut waiting = vec![selections];
        while let Some(selections) = waiting.pop() {
            for selection in selections.selections() {
                *self.left = self.left.checked_sub(1).ok_or(Unread::TooMuch)?;
                match selection {
                    cst::Selection::Field(field) => self.add_field(&field),
                    cst::Selection::InlineFragment(fragment) => {
                        waiting.extend(fragment.selection_set());
                    }
                    cst::Selection::FragmentSpread(spread) => {
                        waiting.extend(self.spread(&spread));
                    }
                }
            }
        }
        Ok(())
    }

    fn spread(&mut self, spread: &cst::FragmentSpread) -> Vec<cst::SelectionSet> {
        let name = spread.fragment_name().and_then(|name| name.name());
        let Some(name) = name.as_ref().map(text_of) else {
            return Vec::new();
        };
        let fragment = self.fragments.get(&name).cloned().unwrap_or_default();
        if self.spread.insert(name) {
            fragment
        } else {
            Vec::new()
        }
    }

    fn add_field(&mut self, field: &cst::Field) {
        let Some(name) = field.name().as_ref().map(text_of) else {
            return;
        };
        let alias = field.alias().and_then(|alias| alias.name());
        let key = alias.as_ref().map_or_else(|| name.clone(), text_of);
        self.found.push(Root { key, name });
    }
}

/// The document without what the parser does not accept: spaces, comments and commas between an alias and its colon, and
/// descriptions of operations and variables.
fn plain(text: &str) -> Result<String, Unread> {
    let mut plain = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut before = TokenKind::Eof;
    for token in Lexer::new(text).with_limit(TOKENS_MAX) {
        let token = token.map_err(|error| {
            if error.is_limit() {
                Unread::TooMuch
            } else {
                Unread::NoDocument
            }
        })?;
        let kind = token.kind();
        if matches!(
            kind,
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma
        ) {
            continue;
        }
        if matches!(kind, TokenKind::LCurly | TokenKind::LBracket) {
            depth += 1;
        } else if matches!(kind, TokenKind::RCurly | TokenKind::RBracket) {
            depth = depth.saturating_sub(1);
        }
        let is_value = depth > 0 || matches!(before, TokenKind::Colon | TokenKind::Eq);
        if kind != TokenKind::StringValue || is_value {
            plain.push_str(token.data());
            plain.push(' ');
        }
        before = kind;
    }
    Ok(plain)
}

fn text_of(name: &cst::Name) -> String {
    name.text().as_str().to_owned()
}

fn add_argument(
    name: Option<cst::Name>,
    value: Option<cst::Value>,
    into: &mut Vec<(String, ArgumentValue)>,
) {
    let (Some(name), Some(value)) = (name, value) else {
        return;
    };
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        let given = match value {
            cst::Value::StringValue(text) => ArgumentValue::Text(text.into()),
            // What the schema says is an ID may be a number.
            cst::Value::IntValue(number) => {
                ArgumentValue::Text(number.source_string().trim().to_owned())
            }
            cst::Value::Variable(variable) => match variable.name() {
                Some(name) => ArgumentValue::Variable(text_of(&name)),
                None => continue,
            },
            cst::Value::ListValue(list) => {
                waiting.extend(list.values());
                continue;
            }
            // What stands in an object has names of its own.
            cst::Value::ObjectValue(_)
            | cst::Value::FloatValue(_)
            | cst::Value::BooleanValue(_)
            | cst::Value::NullValue(_)
            | cst::Value::EnumValue(_) => continue,
        };
        into.push((text_of(&name), given));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root fields of every operation, as `key:name`.
    fn roots(text: &str) -> Vec<Vec<String>> {
        let document = QueryDocument::parse(text).unwrap();
        let keys = |one: &QueryOperation| {
            let roots = one.roots.iter();
            let mut keys: Vec<_> = roots
                .map(|root| format!("{}:{}", root.key, root.name))
                .collect();
            keys.sort();
            keys
        };
        document.operations.iter().map(keys).collect()
    }

    #[test]
    fn aliases_and_fragments_are_resolved_and_cycles_end() {
        assert_eq!(roots("{ a x: b { c } }"), [["a:a", "x:b"]]);
        assert_eq!(
            roots("{ ...F } fragment F on Q { ...G a } fragment G on Q { ...F b }"),
            [["a:a", "b:b"]]
        );
        assert_eq!(roots("{ ... { ... on Q @x { a } } ...F ...F }"), [["a:a"]]);
        assert_eq!(
            roots("query A { ...F } mutation B { ...F } fragment F on Q { a }"),
            [["a:a"], ["a:a"]]
        );
        assert_eq!(roots("fragment F on Q { a }"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_means_nothing_is_read_over() {
        assert_eq!(roots("\u{feff}{,x,:,a,}#b\r"), [["x:a"]]);
        assert_eq!(
            roots("\"Why\" query A(\"\"\"What\"\"\" $a: T = \"b\") { a(b: \"c\") }"),
            [["a:a"]]
        );
    }

    fn given(text: &str) -> Vec<String> {
        let document = QueryDocument::parse(text).unwrap();
        let given = document.given_to("t").map(|given| match given {
            ArgumentValue::Text(text) => text.clone(),
            ArgumentValue::Variable(name) => format!("${name}"),
        });
        let mut given: Vec<_> = given.collect();
        given.sort();
        given
    }

    #[test]
    fn what_is_given_is_found_at_any_depth_and_unescaped() {
        assert_eq!(given(r#"{ a(t: "x") { b @c(t: 1) } }"#), ["1", "x"]);
        assert_eq!(given(r"{ a(u: {t: [$v, $w]}) }"), ["$v", "$w"]);
        assert_eq!(given(r#"{ a(t: "\u0061\u{62}\"") }"#), ["ab\""]);
        assert_eq!(given("{ a(t: \"\"\"\n  a\n  b\n\"\"\") }"), ["a\nb"]);
        assert_eq!(given(r#"fragment F on Q { a(t: "x") }"#), ["x"]);
        assert_eq!(
            given(r#"{ a(T: "x", tt: "y", t: {u: "z"}, u: "t") t(u: true) }"#),
            Vec::<String>::new()
        );
        let document = QueryDocument::parse(r#"query($v: String = "x") { a }"#).unwrap();
        assert_eq!(document.defaults_of("v").collect::<Vec<_>>(), ["x"]);
        assert!(document.weight() > 0);
    }

    #[test]
    fn what_is_no_document_is_told_from_what_is_too_much() {
        for text in [
            "",
            "a",
            "{",
            "{ a(b: ) }",
            "{ a } }",
            "{ \"a\" }",
            "{ a ? }",
            "{ a(b: \"\\u{110000}\") }",
        ] {
            assert_eq!(
                QueryDocument::parse(text).err(),
                Some(Unread::NoDocument),
                "{text}"
            );
        }
        let nested = |depth: usize| format!("{}a{}", "{ a ".repeat(depth), "}".repeat(depth));
        assert!(QueryDocument::parse(&nested(90)).is_ok());
        let bombs = [
            nested(101),
            nested(15_000),
            "{ a".repeat(16_000),
            format!("{{ a(b: {}", "[".repeat(60_000)),
            format!("{{ a(b: {}", "{c:".repeat(20_000)),
            format!("query($a: {}", "[".repeat(60_000)),
            "{ ... ".repeat(10_000),
            "a ".repeat(30_000),
            " #\n".repeat(20_000),
            "{".repeat(65_536),
            "\"".repeat(65_535),
        ];
        for bomb in bombs {
            assert!(QueryDocument::parse(&bomb).is_err(), "{}", &bomb[..20]);
        }
        assert_eq!(
            QueryDocument::parse(&nested(101)).err(),
            Some(Unread::TooMuch)
        );
        let spreads = "query { ...F }".repeat(200);
        let spreads = format!("{spreads} fragment F on Q {{ {} }}", "a ".repeat(100));
        assert_eq!(QueryDocument::parse(&spreads).err(), Some(Unread::TooMuch));
    }
}
