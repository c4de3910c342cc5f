//! `doorward status`: everything about the running process.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::format::{Format, Paint, TextFormat, harmless, plain, print_value};
use super::order::expect_done;
use super::process::{ProcessArguments, no_answer, socket_of};
use crate::cli::exit::CommandError;
use crate::cli::output::print;
use crate::server;

/// Which process, and how to print.
#[derive(Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    process: ProcessArguments,
    #[command(flatten)]
    format: TextFormat,
}

/// Prints the status of the running process.
pub(in crate::cli) fn status(arguments: &Status) -> Result<(), CommandError> {
    let document = document(&arguments.process)?;
    match arguments.format.format {
        Format::Json => print_value(&document, Format::Json),
        Format::Text => print(&page(&document, Paint::for_stdout())),
    }
    Ok(())
}

/// The status document of the running process.
pub(super) fn document(process: &ProcessArguments) -> Result<Value, CommandError> {
    let socket = socket_of(process)?;
    let asked = server::call(&socket, "/status", None);
    let (status, answer) = asked.map_err(|error| no_answer(&socket, &error))?;
    expect_done(status.as_u16(), &answer)?;
    Ok(answer)
}

/// The items of a list.
pub(super) fn items<'d>(document: &'d Value, key: &str) -> impl Iterator<Item = &'d Value> {
    document[key].as_array().into_iter().flatten()
}

/// The document as a page for people.
fn page(document: &Value, paint: Paint) -> String {
    let mut text = String::new();
    write_head(&mut text, document, paint);
    write_checks(&mut text, document, paint);
    write_shops(&mut text, document);
    write_rest(&mut text, document);
    text
}

fn write_head(text: &mut String, document: &Value, paint: Paint) {
    let state = plain(&document["state"]);
    let painted = match state.as_str() {
        "serving" | "ready" => paint.good(&state),
        "starting" | "syncing" | "restoring" | "draining" | "stopping" => paint.odd(&state),
        _ => paint.bad(&state),
    };
    let node = document["node"].as_str();
    let node = node.map_or(String::new(), |node| format!(", node {}", harmless(node)));
    let mut line = |what: &str, told: String| {
        let _ = writeln!(text, "{what:14} {told}"); // a String takes everything
    };
    line(
        "state",
        format!(
            "{painted} since {}, {}",
            plain(&document["since"]),
            if document["ready"] == true {
                "ready"
            } else {
                "not ready"
            }
        ),
    );
    line(
        "process",
        format!(
            "doorward {}, pid {}, started {}{node}",
            plain(&document["version"]),
            plain(&document["pid"]),
            plain(&document["started_at"])
        ),
    );
    let configuration = &document["configuration"];
    let reload = &configuration["last_reload"];
    let outcome = if reload["succeeded"] == true {
        format!("loaded {}", plain(&configuration["loaded_at"]))
    } else {
        let why = plain(&reload["error"]);
        paint.bad(&format!(
            "the reload of {} failed: {why}",
            plain(&reload["at"])
        ))
    };
    line(
        "configuration",
        format!("{}, {outcome}", plain(&configuration["hash"])),
    );
    line("log level", plain(&document["log_level"]));
    for one in items(document, "listeners") {
        line(
            "listens",
            format!("{} for {}", plain(&one["address"]), plain(&one["for"])),
        );
    }
    line(
        "traffic",
        format!(
            "{} connections, {} requests in flight",
            plain(&document["connections"]),
            plain(&document["requests_in_flight"])
        ),
    );
}

fn write_checks(text: &mut String, document: &Value, paint: Paint) {
    for one in items(document, "checks") {
        let told = format!("{}: {}", plain(&one["what"]), plain(&one["found"]));
        let told = match one["state"].as_str() {
            Some("bad") => paint.bad(&format!("[-] {told}")),
            Some("odd") => paint.odd(&format!("[!] {told}")),
            _ => continue,
        };
        let _ = writeln!(text, "{told}");
    }
}

fn write_shops(text: &mut String, document: &Value) {
    for shop in items(document, "shops") {
        let observed = if shop["observed"] == true {
            ", only observed"
        } else {
            ""
        };
        let _ = writeln!(text, "shop {}{observed}", plain(&shop["name"]));
        for place in items(shop, "places") {
            let vain = if place["protects_nothing"] == true {
                ", protects nothing"
            } else {
                ""
            };
            let (tokens, others) = (plain(&place["tokens"]), plain(&place["other_values"]));
            let place = plain(&place["place"]);
            let _ = writeln!(
                text,
                "  place   {place}: {tokens} tokens, {others} other values{vain}"
            );
        }
        for keys in items(shop, "keys") {
            let count = items(keys, "keys").count();
            let from = plain(&keys["from"]);
            let fetched = keys["fetched_at"].as_str();
            let fetched = fetched.map_or(String::new(), |at| format!(", fetched {at}"));
            let _ = writeln!(text, "  keys    {count} from {from}{fetched}");
        }
    }
    for upstream in items(document, "upstreams") {
        let owner = upstream["upstream"].as_str().or(upstream["shop"].as_str());
        let owner = harmless(owner.unwrap_or_default());
        for one in items(upstream, "servers") {
            let _ = writeln!(
                text,
                "upstream {owner}  {} {}, {} in flight, {} failures",
                plain(&one["server"]),
                plain(&one["state"]),
                plain(&one["in_flight"]),
                plain(&one["failures"])
            );
        }
    }
}

fn write_rest(text: &mut String, document: &Value) {
    for one in items(document, "certificates") {
        let _ = writeln!(
            text,
            "certificate {} ends {}, in {} days",
            plain(&one["certificate"]),
            plain(&one["ends"]),
            plain(&one["days_left"])
        );
    }
    let revocations = &document["revocations"];
    let _ = writeln!(
        text,
        "revocations    {} live ({} tokens, {} without end, {} cutoffs), {} bytes of memory",
        plain(&revocations["live"]),
        plain(&revocations["tokens"]),
        plain(&revocations["undated_tokens"]),
        plain(&revocations["cutoffs"]),
        plain(&revocations["bytes"])
    );
    let journal = &document["journal"];
    let writable = if journal["writable"] == true {
        "written"
    } else {
        "can't be written"
    };
    let _ = writeln!(
        text,
        "journal        {writable}, {} bytes, {} failures",
        plain(&journal["bytes"]),
        plain(&journal["failures"])
    );
    for peer in items(&document["cluster"], "peers") {
        let _ = writeln!(text, "peer {}", peer_line(peer));
    }
}

/// A peer in one line.
pub(in crate::cli) fn peer_line(peer: &Value) -> String {
    let connected = if peer["is_connected"] == true {
        "connected"
    } else {
        "not connected"
    };
    format!(
        "{}  {}  {connected}  {} ms behind  clock {} ms ahead",
        plain(&peer["node"]),
        plain(&peer["state"]),
        plain(&peer["silent_ms"]),
        plain(&peer["clock_ahead_ms"])
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_shows_what_is_wrong_and_survives_an_empty_document() {
        let document = json!({
            "state": "serving", "ready": true,
            "checks": [
                { "what": "process", "found": "serving", "state": "good" },
                { "what": "place of shop main", "found": "it seems to protect nothing", "state": "odd" },
            ],
            "shops": [{ "name": "main\u{7}", "places": [{ "place": "cookie t", "tokens": 0, "other_values": 200, "protects_nothing": true }] }],
        });
        let page = page(&document, Paint::off());
        assert!(
            page.contains("[!] place of shop main: it seems to protect nothing\n"),
            "{page}"
        );
        assert!(
            page.contains("shop main?\n") && page.contains("200 other values, protects nothing"),
            "{page}"
        );
        assert!(!page.contains("[-]") && !page.contains('\u{1b}'));
        assert!(super::page(&Value::Null, Paint::off()).contains("state"));
    }
}
