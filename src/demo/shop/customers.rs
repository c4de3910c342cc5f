//! The people who have an account at the pretend shop.

use parking_lot::Mutex;
use serde_json::{Value, json};

/// The password of every customer, so that no test has to look one up.
pub(super) const PASSWORD: &str = "secret";

/// One account.
#[derive(Clone)]
pub(super) struct Customer {
    pub(super) id: u64,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) email: String,
    password: String,
    suspended: bool,
}

impl Customer {
    /// The name before the `@`, which is what `WordPress` asks for.
    pub(super) fn username(&self) -> &str {
        self.email.split('@').next().unwrap_or_default()
    }

    /// A number for half of the customers and text for the others: real shops issue both.
    pub(super) fn subject(&self) -> Value {
        if self.id % 2 == 1 {
            json!(self.id)
        } else {
            json!(self.id.to_string())
        }
    }

    fn answers_to(&self, name: &str) -> bool {
        self.email.eq_ignore_ascii_case(name) || self.username() == name
    }
}

/// How an attempt to log in ends.
pub(super) enum LoginOutcome {
    Welcome(Customer),
    WrongPassword,
    Suspended,
}

/// All accounts, in the order of their ids.
pub(super) struct Customers(Mutex<Vec<Customer>>);

impl Customers {
    /// The accounts a fresh shop has. Mallory's is suspended.
    pub(super) fn regulars() -> Self {
        let customers = Self(Mutex::new(Vec::new()));
        for (first_name, last_name) in [
            ("John", "Doe"),
            ("Jane", "Doe"),
            ("Alice", "Ames"),
            ("Bob", "Birk"),
        ] {
            customers.register(first_name, last_name, &address_of(first_name), PASSWORD);
        }
        let mallory = customers.register("Mallory", "Marsh", &address_of("mallory"), PASSWORD);
        customers
            .0
            .lock()
            .iter_mut()
            .filter(|known| known.id == mallory.id)
            .for_each(|known| known.suspended = true);
        customers
    }

    pub(super) fn register(
        &self,
        first_name: &str,
        last_name: &str,
        email: &str,
        password: &str,
    ) -> Customer {
        let mut all = self.0.lock();
        let customer = Customer {
            id: all.last().map_or(1, |newest| newest.id + 1),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            email: email.to_owned(),
            password: password.to_owned(),
            suspended: false,
        };
        all.push(customer.clone());
        customer
    }

    /// The customer with this user name or e-mail address; an unknown one gets an account.
    pub(super) fn named(&self, name: &str) -> Customer {
        self.find(|customer| customer.answers_to(name))
            .unwrap_or_else(|| {
                let email = if name.contains('@') {
                    name.to_owned()
                } else {
                    address_of(name)
                };
                self.register(name, "Newcomer", &email, PASSWORD)
            })
    }

    pub(super) fn known(&self, name: &str) -> bool {
        self.find(|customer| customer.answers_to(name)).is_some()
    }

    /// The customer of a token's subject: the id, as a number or as text.
    pub(super) fn with_subject(&self, subject: &str) -> Option<Customer> {
        self.find(|customer| customer.id.to_string() == subject)
    }

    pub(super) fn log_in(&self, name: &str, password: &str) -> LoginOutcome {
        match self.find(|customer| customer.answers_to(name) && customer.password == password) {
            Some(customer) if customer.suspended => LoginOutcome::Suspended,
            Some(customer) => LoginOutcome::Welcome(customer),
            None => LoginOutcome::WrongPassword,
        }
    }

    fn find(&self, fits: impl Fn(&Customer) -> bool) -> Option<Customer> {
        self.0
            .lock()
            .iter()
            .find(|customer| fits(customer))
            .cloned()
    }
}

fn address_of(name: &str) -> String {
    format!("{}@example.com", name.to_ascii_lowercase())
}
