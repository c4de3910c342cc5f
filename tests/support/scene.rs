//! A shop and an edge in front of it, and what gets past the edge.

use serde_json::Value;

use super::places::PAGE;
use super::{Answer, Customer, Edge, Seen, Shop, shop_table, stateless_bagisto};

/// A shop, an edge, and the page that holders of a token visit.
pub struct Scene {
    pub shop: Shop,
    pub edge: Edge,
    page: &'static str,
}

impl Scene {
    /// A Bagisto shop whose own logout means nothing, with its preset; `more` are further keys and tables of the shop.
    #[track_caller]
    pub fn with(more: &str) -> Self {
        Self::of(stateless_bagisto(), more)
    }

    /// As `with`, for this shop.
    #[track_caller]
    pub fn of(shop: Shop, more: &str) -> Self {
        let config_toml = format!("{}{more}", shop_table(&shop));
        Self::configured(shop, &config_toml)
    }

    /// This shop, and an edge of which everything is said.
    #[track_caller]
    pub fn configured(shop: Shop, config_toml: &str) -> Self {
        let edge = Edge::with(config_toml);
        Self {
            shop,
            edge,
            page: PAGE,
        }
    }

    /// The same, where those who hold a token ask for this page.
    pub fn visiting(self, page: &'static str) -> Self {
        Self { page, ..self }
    }

    /// What is answered, and how many requests the shop saw meanwhile.
    pub fn watch(&self, act: impl FnOnce(&Edge) -> Answer) -> (Answer, usize) {
        let visits = self.shop.visits();
        let answer = act(&self.edge);
        (answer, self.shop.visits() - visits)
    }

    /// A request ends at the edge; its answer.
    #[track_caller]
    pub fn ends(&self, bytes: &[u8]) -> Answer {
        let (answer, seen) = self.watch(|edge| edge.raw(bytes));
        assert_eq!(seen, 0, "it reached the shop: {}", exchange(bytes, &answer));
        answer
    }

    /// A request ends at the edge with this status.
    #[track_caller]
    pub fn stops(&self, status: u16, bytes: &[u8]) -> Answer {
        let answer = self.ends(bytes);
        assert_eq!(answer.status, status, "{}", exchange(bytes, &answer));
        answer
    }

    /// A request reaches the shop, once; what the shop saw.
    #[track_caller]
    pub fn passes(&self, bytes: &[u8]) -> Seen {
        let (answer, seen) = self.watch(|edge| edge.raw(bytes));
        let told = || exchange(bytes, &answer);
        assert_eq!(seen, 1, "it never reached the shop: {}", told());
        self.shop.seen().pop().unwrap()
    }

    /// A visit with this token.
    #[track_caller]
    pub fn visit(&self, token: &str) -> Answer {
        Customer::holding(&self.shop, token.to_owned()).visit(&self.edge, self.page)
    }

    /// A logout with this token.
    #[track_caller]
    pub fn log_out(&self, token: &str) -> Answer {
        Customer::holding(&self.shop, token.to_owned()).log_out(&self.edge)
    }

    /// A visit with this token gets as far as the shop, whatever that thinks of it.
    #[track_caller]
    pub fn admits(&self, what: &str, token: &str) -> Answer {
        let (answer, seen) = self.watch(|_| self.visit(token));
        let told = || format!("{} {}", answer.status, answer.text());
        assert_eq!(seen, 1, "{what}: it never reached the shop: {}", told());
        answer
    }

    /// A visit with this token ends at the edge, whatever the reason.
    #[track_caller]
    pub fn turns_away(&self, what: &str, token: &str) -> Answer {
        let (answer, seen) = self.watch(|_| self.visit(token));
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(seen, 0, "{what}: it reached the shop");
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(
            challenge.starts_with("Bearer realm=\"main\"")
                && challenge.contains("error=\"invalid_token\""),
            "{what}: {challenge}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        answer
    }

    /// What `doorward inspect` tells of the edge.
    #[track_caller]
    pub fn inspect(&self) -> Value {
        serde_json::from_str(&self.edge.command(&["inspect"]).stdout).unwrap()
    }

    /// How many tokens and cutoffs are in force.
    #[track_caller]
    pub fn stored(&self) -> u64 {
        let revocations = &self.inspect()["revocations"];
        let kinds = ["tokens", "undated_tokens", "cutoffs"];
        kinds
            .iter()
            .map(|kind| revocations[kind].as_u64().unwrap())
            .sum()
    }
}

/// A request for people to read.
pub fn told(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(2000)];
    shown.escape_ascii().to_string().replace("\\r\\n", "\n")
}

/// As `told`, and what was answered.
fn exchange(bytes: &[u8], answer: &Answer) -> String {
    format!("{}\n{} {}", told(bytes), answer.status, answer.text())
}
