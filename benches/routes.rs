//! What a thousand routes cost a request, against one.

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use doorward::clock;
use doorward::request::Gate;
use doorward::revocation::Revocations;
use http::request::Parts;

use support::crowd;
use support::mint::Mint;
use support::storefront::{gate_with_routes, guest, passes};

/// A table of routes, and the requests that take one of them or none.
struct Table {
    name: &'static str,
    /// The route with this number.
    route: fn(usize) -> String,
    /// A request that takes it.
    request: fn(usize) -> Parts,
    /// Further keys of the shop.
    keys: &'static str,
}

const ROUTES: usize = 1000;

const TABLES: [Table; 8] = [
    Table {
        name: "a folder each",
        route: |at| format!("paths = [\"/folder-{at}/*\"]\nenforce = \"revoked\""),
        request: |at| guest(&format!("/folder-{at}/products/1?page=2"), &[]),
        keys: "",
    },
    Table {
        name: "a folder each, ignore_case",
        route: |at| format!("paths = [\"/Folder-{at}/*\"]\nenforce = \"revoked\""),
        request: |at| guest(&format!("/folder-{at}/Products/1?page=2"), &[]),
        keys: "path_style.ignore_case = true\n",
    },
    Table {
        name: "any folder, then a name each",
        route: |at| format!("paths = [\"/*/page-{at}\"]\nenforce = \"revoked\""),
        request: |at| guest(&format!("/shop/page-{at}"), &[]),
        keys: "",
    },
    Table {
        name: "a beginning each",
        route: |at| format!("paths = [\"/item-{at}-*\"]\nenforce = \"revoked\""),
        request: |at| guest(&format!("/item-{at}-blue"), &[]),
        keys: "",
    },
    Table {
        name: "one path, a value of a header each",
        route: |at| {
            format!(
                "paths = [\"/api/*\"]\nheaders = {{ x-tenant = \"t{at}\" }}\nenforce = \"revoked\""
            )
        },
        request: |at| guest("/api/products", &[("x-tenant", &format!("t{at}"))]),
        keys: "",
    },
    Table {
        name: "one path, a value of a parameter each",
        route: |at| {
            format!("paths = [\"/api/*\"]\nquery = {{ tenant = \"t{at}\" }}\nenforce = \"revoked\"")
        },
        request: |at| guest(&format!("/api/products?a=b&tenant=t{at}"), &[]),
        keys: "",
    },
    Table {
        name: "one path, a header of its own each",
        route: |at| {
            format!("paths = [\"/api/*\"]\nheaders = {{ x-{at} = \"*\" }}\nenforce = \"revoked\"")
        },
        request: |at| guest("/api/products", &[(&format!("x-{at}"), "1")]),
        keys: "",
    },
    Table {
        name: "one path, a network each",
        route: |at| {
            let (high, low) = (at / 250, at % 250);
            format!(
                "paths = [\"/api/*\"]\nfrom = [\"10.{high}.{low}.0/24\"]\nenforce = \"revoked\""
            )
        },
        request: |_| guest("/api/products", &[]),
        keys: "",
    },
];

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    let now = clock::now();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().join("empty");
    crowd::write_journal(&folder, std::iter::empty());
    let revocations = Revocations::open(&folder).expect("what was written is read");
    let revocations = Arc::new(revocations);
    let mint = Mint::new("HS256");
    for table in &TABLES {
        let mut group = criterion.benchmark_group(format!("routes/{}", table.name));
        let of = |routes: usize| {
            let tables = (0..routes).map(|at| format!("[[shop.route]]\n{}\n", (table.route)(at)));
            let tables = tables.collect::<Vec<_>>().concat();
            gate_with_routes(&mint, &revocations, table.keys, &tables)
        };
        let (one, many): (Gate, Gate) = (of(1), of(ROUTES));
        let (first, last) = ((table.request)(0), (table.request)(ROUTES - 1));
        let none = guest("/elsewhere/products/1?page=2", &[]);
        for (name, gate, head) in [
            ("one, taken", &one, &first),
            ("one, not taken", &one, &none),
            ("1,000, the first", &many, &first),
            ("1,000, the last", &many, &last),
            ("1,000, none", &many, &none),
        ] {
            assert!(passes(gate, head, now), "a guest");
            group.bench_function(name, |bencher| {
                bencher.iter(|| black_box(passes(gate, black_box(head), now)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
