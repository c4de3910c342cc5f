//! What a route changes: the path and the headers of a request, and the headers of its answer.

use crate::config::fault::Fault;
use crate::config::reading::TomlTable;
use crate::request::{
    HeaderRules, PathPrefix, PathReplacement, PathRewrite, RedirectAddress, Template, UnfitHeader,
};

/// Sets or adds a header.
type Write = fn(&mut HeaderRules, &str, Template) -> Result<(), UnfitHeader>;

/// Reads `strip_prefix` or `rewrite`. `None`: it was faulty.
pub(super) fn read_rewrite(table: &mut TomlTable<'_>) -> Option<PathRewrite> {
    let prefix = table.string("strip_prefix");
    let rewrite = table.table("rewrite");
    if prefix.is_some() && rewrite.is_some() {
        let fault = Fault::error("`strip_prefix` beside `rewrite`: a route changes the path once");
        table.report_at("strip_prefix", fault);
    }
    if let Some(mut rewrite) = rewrite {
        let pattern = rewrite.required_string("pattern", "a pattern such as ^/shop/(.*)$");
        let to = rewrite.required_string("to", "a path such as /store/$1");
        rewrite.finish();
        let (pattern, to) = (pattern?, to?);
        let parse = |text| PathReplacement::parse(text, to.as_str());
        return pattern.parse(parse).map(PathRewrite::Pattern);
    }
    match prefix {
        Some(prefix) => prefix
            .parse(PathPrefix::parse)
            .map(PathRewrite::StripPrefix),
        None => Some(PathRewrite::None),
    }
}

/// Reads what a table of headers says of those of the request or the answer.
pub(super) fn read_headers(headers: &mut TomlTable<'_>, of: &str) -> HeaderRules {
    let mut rules = HeaderRules::default();
    let Some(mut table) = headers.table(of) else {
        return rules;
    };
    for name in table.string_or_strings("remove").unwrap_or_default() {
        if let Err(unfit) = rules.remove(name.as_str()) {
            name.report(Fault::error(unfit.to_string())); // which quotes nothing
        }
    }
    let kinds: [(&str, Write); 2] = [("set", HeaderRules::set), ("add", HeaderRules::add)];
    for (kind, write) in kinds {
        let Some(mut lines) = table.table(kind) else {
            continue;
        };
        for name in lines.keys() {
            let is_address = of == "response" && name.eq_ignore_ascii_case("location");
            let value = lines.string_as(name, |text| {
                if is_address {
                    RedirectAddress::parse(text)?; // as that of a redirect
                }
                Template::parse(text)
            });
            let spot = lines.spot_of(name);
            let (Some(value), Some(spot)) = (value, spot) else {
                continue;
            };
            let names_client = value.names_subject() || value.names_certificate();
            if (of, kind) == ("request", "add") && names_client {
                lines.report(forgeable().at(&spot));
            }
            if let Err(unfit) = write(&mut rules, name, value) {
                lines.report(Fault::error(unfit.to_string()).at(&spot));
            }
        }
        lines.finish();
    }
    table.finish();
    rules
}

fn forgeable() -> Fault {
    Fault::error("a client could send this header, too, with another name")
        .help("write it in `set`, which leaves no line of the client's")
}
