//! The nodes that this one admitted to the cluster: `data_dir/joined`.
//!
//! A node must know after a restart that there are others, even if its configuration does not name them, because it must
//! not serve alone. One `NAME ADDRESS` a line.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use parking_lot::Mutex;

use crate::revocation::NodeName;

/// The name of the file in the data folder.
const FILE: &str = "joined";

/// The file is read and written anew; two of this process must not do that at once.
static WRITING: Mutex<()> = Mutex::new(());

/// The nodes that this one admitted, and where they are.
///
/// # Errors
///
/// When the file can't be read, or a line of it is no node.
pub fn joined(data_dir: &Path) -> io::Result<Vec<(NodeName, SocketAddr)>> {
    let path = data_dir.join(FILE);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(named(error)),
    };
    let lines = text.lines().enumerate();
    let nodes = lines.map(|(index, line)| {
        parse(line).ok_or_else(|| {
            let why = format!(
                "line {} is not `NAME ADDRESS`: mend or delete it",
                index + 1
            );
            named(io::Error::new(io::ErrorKind::InvalidData, why))
        })
    });
    nodes.collect()
}

/// Remembers a node, durably. What was known under its name or address is forgotten.
///
/// # Errors
///
/// When the file can't be read or written; then it is as before.
pub(crate) fn remember(data_dir: &Path, node: &NodeName, address: SocketAddr) -> io::Result<()> {
    let _writing = WRITING.lock();
    let mut nodes: BTreeMap<_, _> = joined(data_dir)?.into_iter().collect();
    nodes.retain(|_, other| *other != address);
    nodes.insert(node.clone(), address);
    let mut aside = tempfile::Builder::new()
        .prefix(".joined-")
        .tempfile_in(data_dir)?;
    for (node, address) in nodes {
        writeln!(aside, "{node} {address}")?;
    }
    aside.as_file().sync_all()?;
    aside
        .persist(data_dir.join(FILE))
        .map_err(|failed| failed.error)?;
    File::open(data_dir)?.sync_all()
}

fn parse(line: &str) -> Option<(NodeName, SocketAddr)> {
    let (node, address) = line.split_once(' ')?;
    Some((NodeName::parse(node).ok()?, address.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::parse(name).unwrap()
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn who_joined_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path();
        assert_eq!(joined(data_dir).unwrap(), []);
        remember(data_dir, &node("c"), at("[2001:db8::3]:7946")).unwrap();
        remember(data_dir, &node("b"), at("10.0.0.2:7946")).unwrap();
        let written = fs::read_to_string(data_dir.join(FILE)).unwrap();
        assert_eq!(written, "b 10.0.0.2:7946\nc [2001:db8::3]:7946\n");
        let both = [
            (node("b"), at("10.0.0.2:7946")),
            (node("c"), at("[2001:db8::3]:7946")),
        ];
        assert_eq!(joined(data_dir).unwrap(), both);
        assert_eq!(
            fs::read_dir(data_dir).unwrap().count(),
            1,
            "nothing is left aside"
        );
    }

    #[test]
    fn a_name_is_at_one_address_and_an_address_has_one_name() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path();
        remember(data_dir, &node("b"), at("10.0.0.2:7946")).unwrap();
        remember(data_dir, &node("b"), at("10.0.0.3:7946")).unwrap();
        assert_eq!(
            joined(data_dir).unwrap(),
            [(node("b"), at("10.0.0.3:7946"))]
        );
        remember(data_dir, &node("c"), at("10.0.0.3:7946")).unwrap();
        assert_eq!(
            joined(data_dir).unwrap(),
            [(node("c"), at("10.0.0.3:7946"))]
        );
    }

    #[test]
    fn a_line_that_is_no_node_is_named_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "b 10.0.0.2:7946\nnobody\n",
            "b 10.0.0.2:7946\n\n",
            "b 10.0.0.2:7946\nb b\n",
        ] {
            fs::write(folder.path().join(FILE), text).unwrap();
            let error = joined(folder.path()).unwrap_err().to_string();
            assert!(error.contains("joined: line 2 is not"), "{error}");
            assert!(remember(folder.path(), &node("c"), at("10.0.0.3:7946")).is_err());
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), text);
        }
    }
}
