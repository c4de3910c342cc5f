//! Nodes that are played, with their disks, links and clocks, in a time of their own: whatever happens, nothing that was
//! answered is lost.
//!
//! In every third world the nodes have a bus as well, or nothing else.
//!
//! A world is made of a number, and the same number makes the same world. `cargo test` plays the first few hundred; one
//! of them is played by `cargo test --lib -- simulation seed:17`, others than these by `make simulate`.

mod arguments;
mod bus_client;
mod bus_server;
mod chance;
mod ledger;
mod network;
mod plan;
mod process;
mod restarts;
mod rogue;
mod scenarios;
mod world;
