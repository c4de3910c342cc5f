//! Everything at once: logins, logouts, customers cut off, tokens handed out again, shops that are renamed and read
//! otherwise, processes that end, disks and links that are lost, clocks of shops that jump. After every step both sentences
//! hold: no logout that was answered is forgotten, and no innocent token is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::fmt::Write;

use doorward::clock;
use serde_json::json;
use support::{
    Answer, Chance, Cluster, Name, Shop, asked_shop_table, eventually, request, said,
    stateless_bagisto,
};

const NODES: [Name; 3] = ["a", "b", "c"];
const STEPS: usize = 40;
const CUSTOMERS: usize = 3;

const PAGE: &str = "/page";
const ASK: &str = "/who";
const LOGIN: &str = "/login";
const LEAVE: &str = "/leave";
const LEAVE_EVERYWHERE: &str = "/leave/everywhere";

/// How much older the tokens are that customers bring along, in seconds.
const BROUGHT_ALONG_S: u64 = 600;

/// What says when a token was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Nothing; the shop says whose it is.
    Opaque,
    /// Nothing; a JWT without `iat`.
    Undated,
    /// Its own `iat`.
    Dated,
}

/// What a token's holder may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Alive,
    Dead,
}

#[derive(Debug)]
struct Held {
    text: String,
    sort: Sort,
    customer: usize,
    /// Issued before everything that this test does.
    is_old: bool,
    fate: Fate,
    /// The step that decided it last.
    since: usize,
    story: String,
}

/// What the configuration says of the two shops.
#[derive(Clone, Debug, Default)]
struct Reading {
    opaque_name: usize,
    opaque_subject: usize,
    jwt_name: usize,
    id: usize,
    subject: usize,
    is_pinned: bool,
    has_domain: bool,
}

struct World {
    chance: Chance,
    cluster: Cluster,
    opaque: Shop,
    jwt: Shop,
    reading: Reading,
    held: Vec<Held>,
    issued: usize,
    /// Customers whose tokens say when they were issued are others after every logout.
    dated_customer: usize,
    step: usize,
}

impl Reading {
    /// One of its words is another one.
    fn change(&mut self, chance: &mut Chance) {
        match chance.below(7) {
            0 => self.opaque_name = 1 - self.opaque_name,
            1 => self.opaque_subject = 1 - self.opaque_subject,
            2 => self.jwt_name = 1 - self.jwt_name,
            3 => self.id = 1 - self.id,
            4 => self.subject = 1 - self.subject,
            5 => self.is_pinned = !self.is_pinned,
            _ => self.has_domain = !self.has_domain,
        }
    }

    fn tables(&self, opaque: &Shop, jwt: &Shop) -> String {
        let subject = ["/id", "/uid"][self.opaque_subject];
        let ask = format!(
            "path = \"{ASK}\"\nactive = {{ json = {{ \"/good\" = true }} }}\nsubject = \"{subject}\"\n"
        );
        let name = ["main", "renamed"][self.opaque_name];
        let head =
            format!("name = \"{name}\"\nhosts = [\"opaque.test\"]\non_reissue = \"revive\"\n");
        let of_token = "opaque_pattern = '[a-z0-9-]{20,}'";
        let mut tables = asked_shop_table(opaque.address(), of_token, &ask)
            .replace("name     = \"main\"\n", &head)
            + &rules();
        let name = ["store", "boutique"][self.jwt_name];
        let (id, subject) = (["/jti", "/tid"][self.id], ["/sub", "/uid"][self.subject]);
        write!(
            tables,
            "[[shop]]\nname = \"{name}\"\nhosts = [\"jwt.test\"]\nupstream = [\"{}\"]\n\
             token.algorithms = [\"HS256\"]\ntoken.secret_file = \"{{secret_file}}\"\n\
             token.claims.id = \"{id}\"\ntoken.claims.subject = \"{subject}\"\n{}{}{}",
            jwt.address(),
            if self.is_pinned {
                "token.issuer = \"https://id.test\"\n"
            } else {
                ""
            },
            if self.has_domain {
                "token.token_domain = \"all\"\n"
            } else {
                ""
            },
            rules(),
        )
        .unwrap();
        tables
    }
}

/// The calls of both shops.
fn rules() -> String {
    format!(
        "[[shop.token_endpoint]]\npaths = [\"{LOGIN}\"]\ntoken = {{ json = [\"/token\"] }}\n\
         [[shop.logout]]\npaths = [\"{LEAVE}\"]\nrevoke = \"token\"\nanswer = \"local\"\n\
         [[shop.logout]]\npaths = [\"{LEAVE_EVERYWHERE}\"]\nrevoke = \"subject\"\nanswer = \"local\"\n"
    )
}

impl World {
    fn new(seed: u64) -> Self {
        let [opaque, jwt] = [stateless_bagisto(), stateless_bagisto()];
        for shop in [&opaque, &jwt] {
            shop.recite(PAGE, said(200, "{}"));
        }
        let reading = Reading::default();
        let cluster = Cluster::of(&NODES)
            .serving(reading.tables(&opaque, &jwt))
            .start();
        Self {
            chance: Chance(seed),
            cluster,
            opaque,
            jwt,
            reading,
            held: Vec::new(),
            issued: 0,
            dated_customer: 100,
            step: 0,
        }
    }

    fn some_node(&mut self) -> Name {
        self.chance.one_of(&NODES).unwrap()
    }

    /// A token that no customer has had before.
    fn issue(&mut self, sort: Sort, is_old: bool) -> Held {
        self.issued += 1;
        let number = self.issued;
        let customer = match sort {
            Sort::Dated => self.dated_customer,
            Sort::Opaque | Sort::Undated => self.chance.below(CUSTOMERS),
        };
        let now = clock::now().seconds();
        let mut claims = json!({
            "iss": "https://id.test", "sub": customer, "uid": customer + 1000,
            "jti": format!("j-{number}"), "tid": format!("t-{number}"), "exp": now + 86_400,
        });
        if sort == Sort::Dated {
            claims["iat"] = json!(if is_old { now - BROUGHT_ALONG_S } else { now });
        }
        let text = match sort {
            Sort::Opaque => format!("opaque-token-number-{number:06}"),
            Sort::Undated | Sort::Dated => self.jwt.sign(&claims),
        };
        Held {
            text,
            sort,
            customer,
            is_old,
            fate: Fate::Alive,
            since: self.step,
            story: format!("{sort:?} token {number} of customer {customer}"),
        }
    }

    /// Sends a request with a token; the shop, should it be asked, knows whose it is.
    #[track_caller]
    fn send(&self, node: Name, held: &Held, (method, path): (&str, &str)) -> Answer {
        let host = match held.sort {
            Sort::Opaque => "opaque.test",
            Sort::Undated | Sort::Dated => "jwt.test",
        };
        let who = json!({"good": true, "id": held.customer, "uid": held.customer + 1000});
        self.opaque.recite(ASK, said(200, &who.to_string()));
        let bearer = format!("Bearer {}", held.text);
        let headers = [("Host", host), ("Authorization", bearer.as_str())];
        self.cluster[node].raw(&request(method, path, &headers, b""))
    }

    /// The shop hands out this token by way of a node.
    #[track_caller]
    fn log_in(&self, node: Name, held: &Held) {
        let (shop, host) = match held.sort {
            Sort::Opaque => (&self.opaque, "opaque.test"),
            Sort::Undated | Sort::Dated => (&self.jwt, "jwt.test"),
        };
        let answer = json!({ "token": held.text }).to_string();
        shop.recite(LOGIN, said(200, &answer));
        let login = request("POST", LOGIN, &[("Host", host)], b"");
        let handed_out = self.cluster[node].raw(&login);
        assert_eq!((handed_out.status, handed_out.text()), (200, answer));
    }

    /// Which tokens are alive, of what may log out.
    fn living(&self, everywhere: bool) -> Vec<usize> {
        let all = self.held.iter().enumerate();
        let may = |held: &Held| {
            let can_be_told_from_later = held.sort != Sort::Dated || held.is_old;
            held.fate == Fate::Alive && (can_be_told_from_later || !everywhere)
        };
        all.filter(|(_, held)| may(held))
            .map(|(index, _)| index)
            .collect()
    }

    fn dies(&mut self, index: usize) {
        let step = self.step;
        let held = &mut self.held[index];
        (held.fate, held.since) = (Fate::Dead, step);
    }

    /// All that a customer has ends.
    fn ends(&mut self, index: usize) {
        let (sort, customer) = (self.held[index].sort, self.held[index].customer);
        let is_jwt = sort != Sort::Opaque;
        for other in self.living(false) {
            let held = &self.held[other];
            if held.customer == customer && (held.sort != Sort::Opaque) == is_jwt {
                self.dies(other);
            }
        }
        if sort == Sort::Dated {
            let login = self.issue(Sort::Dated, false); // of the same customer, later
            self.dated_customer += 1;
            self.held.push(login);
        }
    }

    #[track_caller]
    fn log_out(&mut self, node: Name, everywhere: bool) -> String {
        let Some(index) = self.chance.one_of(&self.living(everywhere)) else {
            return "nothing".to_owned();
        };
        let path = if everywhere { LEAVE_EVERYWHERE } else { LEAVE };
        let held = &self.held[index];
        let story = format!("{} goes to {path} at {node}", held.story);
        let answer = self.send(node, held, ("POST", path));
        assert_eq!(answer, 200, "{story}: {}", answer.text());
        if everywhere {
            self.ends(index);
        } else {
            self.dies(index);
        }
        story
    }

    #[track_caller]
    fn cut_off_by_the_operator(&mut self, node: Name) -> String {
        let Some(index) = self.chance.one_of(&self.living(true)) else {
            return "nothing".to_owned();
        };
        let Held { sort, customer, .. } = self.held[index];
        let (shop, subject) = match sort {
            Sort::Opaque => (
                ["main", "renamed"][self.reading.opaque_name],
                customer + 1000 * self.reading.opaque_subject,
            ),
            Sort::Undated | Sort::Dated => (
                ["store", "boutique"][self.reading.jwt_name],
                customer + 1000 * self.reading.subject,
            ),
        };
        let subject = subject.to_string();
        let order = ["revoke", "--shop", shop, "--subject", subject.as_str()];
        let outcome = self.cluster[node].command(&order);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        self.ends(index);
        format!("customer {customer} of {shop} is cut off at {node}")
    }

    /// Another meaning of names, at all nodes or, for this step, at some only.
    #[track_caller]
    fn read_otherwise(&mut self) -> String {
        self.reading.change(&mut self.chance);
        self.cluster
            .serves(self.reading.tables(&self.opaque, &self.jwt));
        let later = self.chance.one_of(&NODES);
        let later = later.filter(|_| self.chance.below(2) == 0);
        for name in NODES {
            self.cluster.configure(name, &[]);
            if Some(name) != later {
                let outcome = self.cluster[name].command(&["reload"]);
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
            }
        }
        let told = format!("{:?}, later at {later:?}", self.reading);
        if let Some(name) = later {
            let others: Vec<_> = NODES.into_iter().filter(|node| *node != name).collect();
            let node = self.chance.one_of(&others).unwrap();
            let logout = self.log_out(node, true);
            self.check(&format!("{told}; {logout}"));
            let outcome = self.cluster[name].command(&["reload"]);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
        }
        told
    }

    /// A node alone, and the others without it, answer logouts.
    #[track_caller]
    fn part(&mut self) -> String {
        let alone = self.some_node();
        let others: Vec<_> = NODES.into_iter().filter(|name| *name != alone).collect();
        self.cluster.partition(&[alone], &others);
        let stories = [self.log_out(alone, true), self.log_out(others[0], false)];
        self.cluster.heal();
        self.cluster.form(&NODES);
        format!("{alone} is alone: {stories:?}")
    }

    #[track_caller]
    fn something_happens(&mut self) -> String {
        let node = self.some_node();
        match self.chance.below(16) {
            0..=3 => {
                let sort = self
                    .chance
                    .one_of(&[Sort::Opaque, Sort::Undated, Sort::Dated]);
                let held = self.issue(sort.unwrap(), sort == Some(Sort::Dated));
                self.log_in(node, &held);
                let story = format!("{} is handed out at {node}", held.story);
                self.held.push(held);
                story
            }
            4 | 5 => self.log_out(node, false),
            6 | 7 => self.log_out(node, true),
            8 => self.cut_off_by_the_operator(node),
            9 => self.hand_out_again(node),
            10 | 11 => self.read_otherwise(),
            12 => {
                let off_s = self.chance.one_of(&[-86_400, -3_600, 0, 3_600]).unwrap();
                self.opaque.set_date_offset(off_s);
                self.jwt.set_date_offset(off_s);
                format!("the shops are {off_s} s off")
            }
            13 => self.part(),
            how => {
                if how == 14 {
                    self.cluster.stop(node);
                } else {
                    self.cluster.kill(node);
                }
                let is_lost = self.chance.below(2) == 0;
                if is_lost {
                    self.cluster.lose_journal(node);
                }
                self.cluster.start(&[node]);
                self.cluster.form(&NODES);
                format!("{node} starts again, journal lost: {is_lost}")
            }
        }
    }

    /// The shop answers a login with a token that is dead: an opaque one lives again, the others do not.
    #[track_caller]
    fn hand_out_again(&mut self, node: Name) -> String {
        let dead = |(index, held): (usize, &Held)| (held.fate == Fate::Dead).then_some(index);
        let dead: Vec<_> = self.held.iter().enumerate().filter_map(dead).collect();
        let Some(index) = self.chance.one_of(&dead) else {
            return "nothing".to_owned();
        };
        self.log_in(node, &self.held[index]);
        if self.held[index].sort == Sort::Opaque {
            let step = self.step;
            let held = &mut self.held[index];
            (held.fate, held.since) = (Fate::Alive, step);
        }
        format!("{} is handed out again at {node}", self.held[index].story)
    }

    /// Both sentences, at every node.
    #[track_caller]
    fn check(&self, what: &str) {
        for node in NODES {
            for held in &self.held {
                let status = || self.send(node, held, ("GET", PAGE)).status;
                let wanted = match held.fate {
                    Fate::Alive => 200,
                    Fate::Dead => 401,
                };
                if held.since == self.step {
                    eventually(|| status() == wanted); // as far as it was told by another node
                }
                let got = status();
                assert_eq!(
                    got, wanted,
                    "step {}: {what}; then at {node}: {}, {:?} since step {}",
                    self.step, held.story, held.fate, held.since
                );
            }
        }
    }
}

#[test]
fn whatever_happens_no_logout_is_forgotten_and_no_innocent_refused() {
    let given = std::env::args().find_map(|word| word.strip_prefix("seed:")?.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs());
    eprintln!("again: cargo test --test all_at_once -- whatever_happens seed:{seed}");
    let mut world = World::new(seed);
    for step in 0..STEPS {
        world.step = step;
        let what = world.something_happens();
        eprintln!("{step}: {what}");
        world.check(&what);
    }
    let dead = world.held.iter().filter(|held| held.fate == Fate::Dead);
    eprintln!("{} tokens, {} of them dead", world.held.len(), dead.count());
}
