//! What `make fuzz` hunts for, in short: every property over its seeds, and over thousands of inputs made of them.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(
    unreachable_pub,
    reason = "the properties are a crate of their own to the fuzzer"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod properties;

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A part of a text, mostly a short one.
    fn part_of(&mut self, length: usize) -> std::ops::Range<usize> {
        let longest = if self.next().is_multiple_of(4) {
            length
        } else {
            12
        };
        let begin = self.below(length + 1);
        begin..length.min(begin + self.below(longest + 1))
    }
}

/// One of the seeds, after a few accidents.
fn input(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = chance.one_of(seeds).clone();
    for _ in 0..=chance.below(6) {
        let part = chance.part_of(input.len());
        let begin = part.start;
        match chance.below(6) {
            0 => input[part]
                .iter_mut()
                .for_each(|byte| *byte ^= 1 << (*byte % 8)),
            1 => drop(input.drain(part)),
            2 => drop(input.splice(begin..begin, input[part].to_vec())),
            3 => input.insert(begin, chance.byte()),
            4 => input.insert(begin, chance.byte() % 8), // some of these mean a token to `credential`
            _ => {
                let other = chance.one_of(seeds);
                let piece = other[chance.part_of(other.len())].to_vec();
                drop(input.splice(part, piece));
            }
        }
    }
    input
}

/// The inputs that are kept in fuzz/seeds: good ones, and those that once broke the promise.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn sample(property: fn(&[u8]), seeds: &[Vec<u8>], rounds: u64) {
    // The same inputs every time: `make fuzz` goes where nobody was.
    for seed in seeds {
        check(property, seed, "a seed");
    }
    for seed in 1..=rounds {
        check(
            property,
            &input(seeds, &mut Chance(seed)),
            &format!("Chance({seed})"),
        );
    }
}

/// Says which input it was: as a file in fuzz/seeds it is tried for ever.
fn check(property: fn(&[u8]), input: &[u8], origin: &str) {
    let held = catch_unwind(AssertUnwindSafe(|| property(input)));
    if let Err(broken) = held {
        eprintln!("from {origin}: b\"{}\"", input.escape_ascii());
        resume_unwind(broken);
    }
}

#[test]
fn no_dead_credential_is_admitted_and_no_living_one_is_taken_for_dead() {
    sample(properties::credential, &seeds("credential"), 5000);
}

#[test]
fn no_reading_of_a_path_leads_past_a_rule_standards_127() {
    sample(properties::path, &seeds("path"), 10_000);
}

#[test]
fn a_proxy_header_names_its_client_and_takes_no_byte_behind_it() {
    sample(properties::proxy_header, &seeds("proxy_header"), 20_000);
}

#[test]
fn what_is_executed_is_found_in_graphql_and_nothing_else() {
    sample(properties::graphql, &seeds("graphql"), 3000);
}

#[test]
fn a_configuration_loads_or_says_why_and_tells_no_secret() {
    let reference = include_str!("../conf/doorward.toml");
    let switched_on = reference.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with([' ', '-', ':']) => key,
        Some(_) | None => line,
    });
    let switched_on: Vec<_> = switched_on.filter(|line| !line.starts_with('#')).collect();
    let mut seeds = seeds("configuration");
    seeds.push(switched_on.join("\n").into_bytes());
    sample(properties::configuration, &seeds, 200);
}

/// The first seeds are made of the frames as they are now; those in fuzz/seeds are for `make fuzz`.
#[test]
fn whatever_a_peer_says_nothing_is_forgotten_and_nothing_invented_attacks_a13() {
    let (mut frames, mut talks) = properties::gossip_seeds();
    frames.extend(seeds("gossip_frame"));
    talks.extend(seeds("gossip_talk"));
    sample(properties::gossip_frame, &frames, 400);
    sample(properties::gossip_talk, &talks, 400);
}

#[test]
fn a_row_says_what_was_written_and_a_damaged_journal_is_not_believed() {
    sample(properties::journal_record, &seeds("journal_record"), 400);
}
