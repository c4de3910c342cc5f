//! Join tokens: each lets a machine request a node's certificate, once and for ten minutes.
//!
//! Its holder can become a node, and can recognise the cluster, so that a man in the middle fails. The machine that
//! invites keeps no secret: `data_dir/invitations` has a file for each, named by the SHA-256 of the secret.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::authority::{Authority, CertificateDigest, digest_of, hex};
use crate::clock::UnixTime;
use crate::revocation::NodeName;

/// How long an invitation is valid.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(10);

/// What every invitation begins with; the number is the version of what follows.
const PREFIX: &str = "doorward1";
/// Secret, digest of the authority, and end.
const BYTES: usize = SECRET_BYTES + size_of::<CertificateDigest>() + size_of::<u64>();
const SECRET_BYTES: usize = 16;
/// The folder of the records, in the data folder.
const FOLDER: &str = "invitations";
/// What the names of records begin with while they are written.
const ASIDE: &str = ".";
/// The longest record: an end and a name.
const RECORD_BYTES_MAX: u64 = 128;

/// What an invitation says.
pub struct Invitation {
    /// The secret, which only the invited machine has.
    pub(crate) secret: Secret,
    /// The authority of the cluster.
    pub(crate) authority: CertificateDigest,
    /// Its end, on the clock of the machine that invites.
    pub until: UnixTime,
}

/// The secret of an invitation; `Debug` does not print it.
#[derive(Clone, Copy)]
pub(crate) struct Secret([u8; SECRET_BYTES]);

/// An invitation that this machine made, and that is not used yet.
pub(crate) struct StoredInvitation {
    folder: InvitationFolder,
    name: String,
    /// The node that may be replaced with it.
    replacing: Option<NodeName>,
}

impl Invitation {
    /// Makes one, and records it in the data folder, for the service to find.
    ///
    /// With `replacing`, the machine that joins replaces a node of that name that joined before.
    ///
    /// # Errors
    ///
    /// When the record can't be written.
    pub fn make(
        data_dir: &Path,
        authority: &Authority,
        replacing: Option<&NodeName>,
        now: UnixTime,
    ) -> io::Result<Self> {
        let mut secret = [0; SECRET_BYTES];
        rand::fill(&mut secret)
            .map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let invitation = Self {
            secret: Secret(secret),
            authority: digest_of(authority.certificate()),
            until: now.plus(VALID_FOR),
        };
        let replacing = replacing.map_or_else(String::new, |node| format!(" {node}"));
        let line = format!("{}{replacing}\n", invitation.until.seconds());
        InvitationFolder::record(data_dir, &hex(&invitation.secret.digest()), &line, now)?;
        Ok(invitation)
    }

    /// The join token that is handed over.
    pub fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(self.secret.0);
        bytes.extend(self.authority);
        bytes.extend(self.until.seconds().to_be_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a join token.
    ///
    /// # Errors
    ///
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "the whole word doorward1… that the inviting machine printed";
        let decoded = text
            .strip_prefix(PREFIX)
            .and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok())
            .ok_or(EXPECTED)?;
        let (secret, rest) = decoded.split_first_chunk().ok_or(EXPECTED)?;
        let (authority, rest) = rest.split_first_chunk().ok_or(EXPECTED)?;
        let until = rest.try_into().map_err(|_| EXPECTED)?;
        Ok(Self {
            secret: Secret(*secret),
            authority: *authority,
            until: UnixTime::from_seconds(u64::from_be_bytes(until)),
        })
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation(until: {})", self.until)
    }
}

impl Secret {
    /// As it is sent.
    pub(crate) fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What was sent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let decoded = URL_SAFE_NO_PAD.decode(text).ok()?;
        decoded.try_into().ok().map(Self)
    }

    fn digest(self) -> CertificateDigest {
        let mut bytes = CertificateDigest::default();
        bytes.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        bytes
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl StoredInvitation {
    /// The record of the invitation with this secret, if it is valid now.
    ///
    /// The time it takes does not depend on whether there is one: all are compared by their digests.
    pub(crate) fn find(data_dir: &Path, secret: Secret, now: UnixTime) -> io::Result<Option<Self>> {
        let wanted = hex(&secret.digest());
        let mut found = None;
        if let Some(folder) = InvitationFolder::open(data_dir)? {
            for (name, replacing) in folder.good(now)? {
                if verify_slices_are_equal(name.as_bytes(), wanted.as_bytes()).is_ok() {
                    found = Some((name, replacing));
                }
            }
            return Ok(found.map(|(name, replacing)| Self {
                folder,
                name,
                replacing,
            }));
        }
        Ok(None)
    }

    /// Whether it replaces a node of this name.
    pub(crate) fn replaces(&self, node: &NodeName) -> bool {
        self.replacing.as_ref() == Some(node)
    }

    /// Makes it unusable. Fails if it was used already.
    pub(crate) fn use_up(self) -> io::Result<()> {
        unlinkat(&self.folder.0, &self.name, AtFlags::empty())?;
        self.folder.0.sync_all() // else a power cut could bring it back
    }
}

/// The folder of the records.
///
/// The superuser may make an invitation, in a folder that the service can change. So no path is used in which the service
/// could have put a link.
struct InvitationFolder(File);

impl InvitationFolder {
    fn open(data_dir: &Path) -> io::Result<Option<Self>> {
        match Self::open_in(&File::open(data_dir)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn open_in(data_dir: &File) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(openat(data_dir, FOLDER, flags, Mode::empty())?.into()))
    }

    /// Writes a record that belongs to the owner of the data folder, because the service reads and deletes it.
    fn record(data_dir: &Path, name: &str, line: &str, now: UnixTime) -> io::Result<()> {
        let data_dir = File::open(data_dir)?;
        let service = data_dir.metadata()?;
        let made = mkdirat(&data_dir, FOLDER, Mode::RWXU);
        if !matches!(made, Ok(()) | Err(Errno::EXIST)) {
            return Ok(made?);
        }
        let folder = Self::open_in(&data_dir)?;
        if made.is_ok() {
            hand_over(&folder.0, &service)?;
        }
        folder.good(now)?; // which deletes the others
        // Written under another name first: the service deletes half a record as invalid.
        let aside = format!("{ASIDE}{name}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&folder.0, &aside, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        hand_over(&file, &service)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        Ok(renameat(&folder.0, &aside, &folder.0, name)?)
    }

    /// The records that are valid now, by their names, and the nodes that they replace. The others are deleted.
    fn good(&self, now: UnixTime) -> io::Result<Vec<(String, Option<NodeName>)>> {
        let mut records = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name.starts_with(ASIDE) {
                continue; // the folder itself, its parent, and what is being written
            }
            match self.read(name)? {
                // A record that is valid for longer was made while the clock was wrong.
                Some((until, replacing)) if now < until && until <= now.plus(VALID_FOR) => {
                    records.push((name.to_owned(), replacing));
                }
                Some(_) | None => match unlinkat(&self.0, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                },
            }
        }
        Ok(records)
    }

    /// The end of an invitation, and the node that it replaces; none, if the file is no record, or gone.
    fn read(&self, name: &str) -> io::Result<Option<(UnixTime, Option<NodeName>)>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(str::from_utf8(&bytes).ok().and_then(parse))
    }
}

fn parse(line: &str) -> Option<(UnixTime, Option<NodeName>)> {
    let line = line.strip_suffix('\n')?;
    let (until, node) = match line.split_once(' ') {
        Some((until, node)) => (until, Some(NodeName::parse(node).ok()?)),
        None => (line, None),
    };
    Some((UnixTime::from_seconds(until.parse().ok()?), node))
}

/// Gives a file to the owner of the data folder, unless that is this user.
fn hand_over(file: &File, service: &Metadata) -> io::Result<()> {
    if geteuid().as_raw() == service.uid() {
        return Ok(());
    }
    fchown(file, Some(service.uid()), Some(service.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    fn try_make(data_dir: &Path, replacing: Option<&NodeName>) -> io::Result<Invitation> {
        Invitation::make(data_dir, &Authority::found(NOW).unwrap(), replacing, NOW)
    }

    fn made(data_dir: &Path) -> Invitation {
        try_make(data_dir, None).unwrap()
    }

    fn is_good(data_dir: &Path, secret: Secret, now: UnixTime) -> bool {
        StoredInvitation::find(data_dir, secret, now)
            .unwrap()
            .is_some()
    }

    fn files(data_dir: &Path) -> usize {
        fs::read_dir(data_dir.join(FOLDER)).unwrap().count()
    }

    #[test]
    fn an_invitation_is_one_word_that_says_all_of_it() {
        let data_dir = tempfile::tempdir().unwrap();
        let invitation = made(data_dir.path());
        let word = invitation.text();
        assert!(word.starts_with("doorward1"), "{word}");
        assert!(
            word.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        let read = Invitation::parse(&word).unwrap();
        assert_eq!(read.secret.0, invitation.secret.0);
        assert_eq!(read.authority, invitation.authority);
        assert_eq!(read.until, NOW.plus(Duration::from_mins(10)));
        for end in 0..word.len() {
            assert!(Invitation::parse(&word[..end]).is_err(), "{end}");
        }
        for other in [format!("{word}A"), word.replace("doorward1", "doorward2")] {
            assert!(Invitation::parse(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn an_invitation_is_good_once_and_for_ten_minutes() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path();
        let (one, other) = (made(data_dir).secret, made(data_dir).secret);
        let last = NOW.plus(Duration::from_secs(599));
        assert!(is_good(data_dir, one, NOW) && is_good(data_dir, one, last));
        assert!(!is_good(data_dir, Secret([0; 16]), NOW));
        let record = || StoredInvitation::find(data_dir, one, NOW).unwrap().unwrap();
        let (first, second) = (record(), record());
        first.use_up().unwrap();
        assert!(second.use_up().is_err(), "used by two at once");
        assert!(!is_good(data_dir, one, NOW) && is_good(data_dir, other, NOW));
        let over = NOW.plus(VALID_FOR);
        assert!(!is_good(data_dir, other, over));
        assert_eq!(files(data_dir), 0, "what is over is deleted");
    }

    #[test]
    fn what_a_wrong_clock_made_is_no_invitation() {
        let folder = tempfile::tempdir().unwrap();
        let secret = made(folder.path()).secret;
        assert!(!is_good(
            folder.path(),
            secret,
            NOW.minus(Duration::from_secs(1))
        ));
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn the_record_keeps_no_secret_and_is_for_the_service_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path();
        let node = NodeName::parse("b").unwrap();
        let invitation = try_make(data_dir, Some(&node)).unwrap();
        let record = StoredInvitation::find(data_dir, invitation.secret, NOW)
            .unwrap()
            .unwrap();
        assert!(record.replaces(&node) && !record.replaces(&NodeName::parse("c").unwrap()));
        assert_eq!(record.name, hex(&invitation.secret.digest()));
        let path = data_dir.join(FOLDER).join(&record.name);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1790000600 b\n");
        let owner = fs::metadata(data_dir).unwrap().uid();
        for (path, mode) in [(data_dir.join(FOLDER), 0o700), (path, 0o600)] {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode);
            assert_eq!(metadata.uid(), owner);
        }
        assert_eq!(format!("{:?}", invitation.secret), "Secret(..)");
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_not_followed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("shadow"), "no record").unwrap();
        symlink(elsewhere.path(), folder.path().join(FOLDER)).unwrap();
        assert!(try_make(folder.path(), None).is_err());
        assert!(StoredInvitation::find(folder.path(), Secret([0; 16]), NOW).is_err());
        let left: Vec<_> = fs::read_dir(elsewhere.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn garbage_among_the_records_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let secret = made(folder.path()).secret;
        for (name, text) in [
            ("a", &b""[..]),
            ("b", b"1790000600"),
            ("c", b"\xff\n"),
            ("d", b"x y\n"),
        ] {
            fs::write(folder.path().join(FOLDER).join(name), text).unwrap();
        }
        assert!(is_good(folder.path(), secret, NOW));
        assert_eq!(files(folder.path()), 1);
    }
}
