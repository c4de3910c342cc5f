//! What the routes of a shop demand of a request.

use std::sync::Arc;

use super::demand::Demand;
use super::route::Route;
use super::table::RouteTable;
use crate::request::calls::{BodyNeed, Fit, RequestView};

impl RouteTable {
    /// What a request must meet, where its shop demands this.
    ///
    /// For each reading of its path, the first route counts that it fits as written, and every earlier route that it fits
    /// leniently. The strictest of all these is used: so a laxer route applies only where no other can be meant, and a stricter
    /// one wherever it may be meant.
    pub(in crate::request) fn demand(&self, view: &RequestView<'_>, of_shop: Demand) -> Demand {
        if !self.is_demanding() {
            return of_shop;
        }
        let unresolved = view.path.unresolved();
        let readings = view
            .path
            .readings()
            .chain(unresolved.iter().map(String::as_str));
        let demands = readings.map(|reading| self.demand_under(reading, view, of_shop));
        demands.reduce(Demand::strictest).unwrap_or(of_shop)
    }

    /// Whether a route that demands something could mean one of the readings of a request's path.
    pub(in crate::request) fn could_demand(&self, view: &RequestView<'_>) -> bool {
        let mut readings = view.path.readings();
        self.is_demanding()
            && readings.any(|reading| {
                let mut routes = self.at_path(reading);
                routes.any(|route| route.demand.is_some() && route.conditions.are_at(reading, view))
            })
    }

    /// Whether the body of a request decides which route it takes.
    pub(in crate::request) fn body_need(&self, view: &RequestView<'_>) -> BodyNeed {
        let mut routes = self.reading_body();
        let is_meant = |route: &Arc<Route>| {
            let mut readings = view.path.readings();
            readings.any(|reading| route.conditions.are_at(reading, view))
        };
        if routes.any(is_meant) {
            BodyNeed::Whole
        } else {
            BodyNeed::None
        }
    }

    fn demand_under(&self, reading: &str, view: &RequestView<'_>, of_shop: Demand) -> Demand {
        let mut earlier: Option<Demand> = None;
        let strictest = |earlier: Option<Demand>, demand: Demand| {
            earlier.map_or(demand, |earlier| earlier.strictest(demand))
        };
        for route in self.candidates(reading, view) {
            let demand = route.demand.over(of_shop);
            match route.conditions.fit(reading, view) {
                Fit::No => {}
                Fit::Leniently => earlier = Some(strictest(earlier, demand)),
                Fit::AsWritten => return strictest(earlier, demand),
            }
        }
        strictest(earlier, of_shop)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::Method;
    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::super::{
        Enforce, Handling, HeaderRules, PathRewrite, Route, RouteConditions, RouteDemand,
        RouteTarget,
    };
    use super::*;
    use crate::clients::{AccessList, Peers};
    use crate::request::calls::{
        Base, Condition, ConditionPlace, ConditionValue, Folder, Path, PathPattern, PathStyle,
        Request,
    };
    use crate::request::cookie::DeadCookiePolicy;

    const OF_SHOP: [Demand; 2] = [
        Demand {
            enforce: Enforce::Revoked,
            dead_cookie: DeadCookiePolicy::Remove,
            is_observed: false,
        },
        Demand {
            enforce: Enforce::Revoked,
            dead_cookie: DeadCookiePolicy::Refuse,
            is_observed: true,
        },
    ];

    fn pattern() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            Just("a"),
            Just("b"),
            Just("B"),
            Just("*"),
            Just("a*"),
            Just("ab*c"),
            Just("{token}"),
            Just("x.json"),
        ];
        let end = prop_oneof![Just(""), Just("/"), Just("/*")];
        (prop::collection::vec(segment, 0..4), end).prop_map(|(segments, end)| {
            let mut path: String = segments
                .iter()
                .fold(String::new(), |path, one| path + "/" + one);
            let (first, rest) = path.split_once("{token}").unwrap_or((&path, ""));
            path = format!(
                "{first}{}{}",
                if path.contains("{token}") {
                    "{token}"
                } else {
                    ""
                },
                rest.replace("{token}", "*")
            );
            let path = path + end;
            if path.is_empty() {
                "/".to_owned()
            } else {
                path
            }
        })
    }

    fn base() -> impl Strategy<Value = Base> {
        prop_oneof![
            4 => Just(Base::default()),
            1 => Just(Base::any()),
            1 => Just(Base::from_folders([Folder::parse("/a").unwrap()]).and_root()),
            1 => Just(Base::from_folders([Folder::parse("/b/*").unwrap()])),
        ]
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let place = prop_oneof![
            4 => Just(0),
            1 => Just(1),
            1 => Just(2),
            1 => Just(3),
            1 => Just(4),
        ];
        let value = prop_oneof![Just("t0"), Just("T0"), Just("t1"), Just("t2"), Just("*")];
        (place, prop::collection::vec(value, 1..3)).prop_map(|(place, values)| {
            let values = values.into_iter().map(|value| match value {
                "*" => ConditionValue::Anything,
                text => ConditionValue::Text(text.to_owned()),
            });
            Condition {
                at: match place {
                    0 => ConditionPlace::Header("x-t".parse().unwrap()),
                    1 => ConditionPlace::Parameter("t".to_owned()),
                    2 => ConditionPlace::Header("x_u".parse().unwrap()),
                    3 => ConditionPlace::Cookie("u".to_owned()),
                    _ => ConditionPlace::Cookie("t".to_owned()),
                },
                values: values.collect(),
            }
        })
    }

    fn network() -> impl Strategy<Value = IpNet> {
        let texts = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3/32",
            "0.0.0.0/0",
            "::/0",
            "fd00::/8",
        ];
        prop::sample::select(texts.map(|text| text.parse().unwrap()).to_vec())
    }

    fn client() -> impl Strategy<Value = IpAddr> {
        let texts = [
            "10.0.0.1",
            "10.1.0.1",
            "10.1.2.3",
            "192.0.2.1",
            "fd00::1",
            "2001:db8::1",
        ];
        prop::sample::select(texts.map(|text| text.parse().unwrap()).to_vec())
    }

    prop_compose! {
        fn flat_conditions()(
            paths in prop::collection::vec((pattern(), base()), 0..3),
            methods in prop::collection::vec(prop_oneof![Just(Method::GET), Just(Method::DELETE)], 0..2),
            values in prop::collection::vec(condition(), 0..2),
            from in prop::collection::vec(network(), 0..2),
        ) -> RouteConditions {
            let paths = paths.into_iter();
            let paths = paths.map(|(path, base)| PathPattern::parse(&path).unwrap().below(&base));
            RouteConditions { paths: paths.collect(), methods, values, from: Peers { networks: from, unix: false }, ..RouteConditions::default() }
        }
    }

    prop_compose! {
        fn route()(
            conditions in flat_conditions(),
            not in prop::collection::vec(flat_conditions(), 0..2),
            enforce in prop::option::of(prop_oneof![
                Just(Enforce::Off), Just(Enforce::Revoked), Just(Enforce::Valid), Just(Enforce::Required),
            ]),
            dead_cookie in prop::option::of(prop_oneof![
                Just(DeadCookiePolicy::Remove), Just(DeadCookiePolicy::Refuse),
            ]),
            is_observed in prop::option::of(any::<bool>()),
        ) -> Route {
            Route {
                name: String::new(),
                conditions: RouteConditions { not, ..conditions },
                access: AccessList::default(),
                limit: None,
                demand: RouteDemand { enforce, dead_cookie, is_observed },
                target: RouteTarget::Shop,
                handling: Handling::default(),
                rewrite: PathRewrite::None,
                request_headers: HeaderRules::default(),
                response_headers: HeaderRules::default(),
            }
        }
    }

    fn sent_path() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            Just("a"),
            Just("A"),
            Just("b"),
            Just("abc"),
            Just("x"),
            Just("x.json"),
            Just("a.JSON"),
            Just("b,a"),
            Just("x,a.xml,b"),
            Just("index.php"),
            Just("a%20"),
            Just(""),
            Just(".."),
            Just("a%2Fb"),
            Just("%252e%252e"),
            Just("a;b"),
        ];
        let end = prop_oneof![Just(""), Just("/"), Just("%20/"), Just("/%20")];
        (prop::collection::vec(segment, 0..5), end)
            .prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")))
    }

    prop_compose! {
        fn request()(
            path in sent_path(),
            method in prop_oneof![Just("GET"), Just("HEAD"), Just("POST"), Just("DELETE")],
            query in prop_oneof![Just(""), Just("?t=t0"), Just("?t=t1&t=t2"), Just("?_method=DELETE"), Just("?t[]=T0;t=t1")],
            header in prop_oneof![
                Just(("x-t", "t0")), Just(("x-t", "T1")), Just(("x_t", "t2")), Just(("x-t", "t1, t2")),
                Just(("cookie", "a=b; t=t0")), Just(("cookie", "u=t1")), Just(("x-u", "t1")), Just(("x-http-method-override", "DELETE")), Just(("a", "b")),
            ],
        ) -> http::request::Parts {
            let request = http::Request::builder().method(method).uri(format!("{path}{query}"));
            request.header(header.0, header.1).body(()).unwrap().into_parts().0
        }
    }

    /// By the rule, without the tree: every route is tried for every reading.
    fn expected(table: &RouteTable, view: &RequestView<'_>, of_shop: Demand) -> Demand {
        let unresolved = view.path.unresolved();
        let readings = view.path.readings().map(str::to_owned).chain(unresolved);
        let mut demands = Vec::new();
        for reading in readings {
            let fit = |route: &Route| route.conditions.fit(&reading, view);
            let routes = table.routes().iter();
            let first = routes
                .clone()
                .position(|route| fit(route) == Fit::AsWritten);
            let own = first.map_or(of_shop, |at| table.routes()[at].demand.over(of_shop));
            let earlier = routes.take(first.unwrap_or(usize::MAX));
            let earlier = earlier.filter(|route| fit(route) == Fit::Leniently);
            demands.extend(earlier.map(|route| route.demand.over(of_shop)).chain([own]));
        }
        Demand {
            enforce: demands.iter().map(|one| one.enforce).max().unwrap(),
            dead_cookie: demands.iter().map(|one| one.dead_cookie).max().unwrap(),
            is_observed: demands.iter().all(|one| one.is_observed),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_strictest_route_that_could_be_meant_counts_under_all_readings(
            routes in prop::collection::vec(route(), 1..30),
            head in request(),
            of_shop in prop_oneof![Just(OF_SHOP[0]), Just(OF_SHOP[1])],
            ignore_case in any::<bool>(),
            exact_slash in any::<bool>(),
            client in client(),
        ) {
            let style = PathStyle { ignore_case, exact_slash, get_override: true };
            let table = RouteTable::new(routes, style);
            let path = Path::parse(head.uri.path());
            let view = RequestView::new(Request::new(&head, None).of_client(client), path, style);
            if table.is_demanding() {
                prop_assert_eq!(table.demand(&view, of_shop), expected(&table, &view, of_shop));
            }
            let by_hand = |reading: &str| {
                let mut routes = table.routes().iter();
                routes.position(|route| route.conditions.hold(reading, &view))
            };
            let dotted = view.path.with_dots_as_names();
            let readings = view.path.readings().chain(dotted.iter().map(String::as_str));
            let taken: Vec<_> = readings.map(by_hand).collect();
            let is_one = taken.iter().all(|one| *one == taken[0]);
            let chosen = table.choose(&view);
            prop_assert_eq!(chosen.is_ok(), is_one);
            if let Ok(chosen) = chosen {
                let is_it = |at: usize| chosen.is_some_and(|one| std::ptr::eq(one, &raw const table.routes()[at]));
                prop_assert!(taken[0].map_or(chosen.is_none(), is_it));
            }
            let could = view.path.readings().any(|reading| {
                let mut routes = table.routes().iter();
                routes.any(|route| route.demand.is_some() && route.conditions.are_at(reading, &view))
            });
            prop_assert_eq!(table.could_demand(&view), could);
        }
    }
}
