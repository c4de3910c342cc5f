//! A shop of several upstreams, and what each of them was sent.

use super::backend::Backend;
use super::edge::Edge;
use super::patience::eventually;
use super::wire::{Answer, request};

/// A front end, an API and an admin, each a server of its own.
pub struct House {
    pub front: Backend,
    pub api: Backend,
    pub admin: Backend,
    pub edge: Edge,
}

impl House {
    /// A shop of opaque tokens in front of the front end, with these routes.
    pub fn with(routes: &str) -> Self {
        let [front, api, admin] = ["front", "api", "admin"].map(Backend::saying);
        let edge = Edge::with(&Self::table(&front, &api, &admin, routes));
        Self {
            front,
            api,
            admin,
            edge,
        }
    }

    pub fn table(front: &Backend, api: &Backend, admin: &Backend, routes: &str) -> String {
        let upstream = |name: &str, server: &Backend| {
            format!(
                "[[upstream]]\nname = \"{name}\"\nservers = [\"{}\"]\n",
                server.address()
            )
        };
        format!(
            "h2c = true\n{}{}{}[[shop]]\nname = \"main\"\nupstream = \"front\"\ntoken.kind = \"opaque\"\n{routes}\n",
            upstream("front", front),
            upstream("api", api),
            upstream("admin", admin),
        )
    }

    /// A configuration with this route does not load, and the fault says why.
    #[track_caller]
    pub fn refuses(route: &str, words: &str) {
        let [front, api, admin] = ["front", "api", "admin"].map(Backend::saying);
        let table = Self::table(&front, &api, &admin, &format!("[[shop.route]]\n{route}"));
        let outcome = Edge::try_start(&table).err().expect(route);
        let told = outcome.stderr;
        assert!(told.contains(words), "{route}\n{told}");
    }

    /// The servers under another configuration of the routes, which is in force when this returns.
    pub fn reload(&self, routes: &str) {
        let reloads = self.reloads();
        let table = Self::table(&self.front, &self.api, &self.admin, routes);
        self.edge.configure(&table);
        self.edge.signal("HUP");
        eventually(|| self.reloads() > reloads);
    }

    fn reloads(&self) -> usize {
        let lines = self.edge.log_lines();
        lines
            .iter()
            .filter(|line| line.contains("reloaded"))
            .count()
    }

    /// How many requests each server was sent: the front end, the API and the admin.
    pub fn counts(&self) -> [usize; 3] {
        [&self.front, &self.api, &self.admin].map(|server| server.heard().len())
    }

    /// Whether a line of the metrics is so.
    pub fn counted(&self, line: &str) -> bool {
        self.edge.metrics().lines().any(|one| one == line)
    }

    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.edge.raw(&request(method, target, headers, b""))
    }

    /// Who answers.
    pub fn answerer(&self, target: &str) -> String {
        self.ask("GET", target, &[]).text()
    }

    /// The last request that a server was sent.
    pub fn last(server: &Backend) -> String {
        server.heard().pop().unwrap().head
    }

    /// The target of the last request that a server was sent.
    pub fn target(server: &Backend) -> String {
        server.heard().pop().unwrap().path().to_owned()
    }
}
