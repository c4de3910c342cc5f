//! The user that the service runs as, and what that user may do with files.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A user of this machine, with its groups.
pub(super) struct ServiceUser {
    /// Its name, or its number if it has none.
    pub(super) name: String,
    /// The name of its own group, or the number.
    pub(super) group: String,
    uid: u32,
    gids: Vec<u32>,
}

/// Permissions, as the lowest three bits of a mode have them.
pub(super) const READ: u32 = 4;
const WRITE: u32 = 2;
pub(super) const ENTER: u32 = 1;
/// What the process does in its data folder.
pub(super) const ALL: u32 = READ | WRITE | ENTER;

impl ServiceUser {
    /// The user of this name or number; `None`: there is none.
    pub(super) fn named(name: &str) -> Option<Self> {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let entries = users.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _, uid, gid) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            Some((name, uid.parse::<u32>().ok()?, gid.parse::<u32>().ok()?))
        });
        let wanted: Option<u32> = name.parse().ok();
        let mut entries = entries.filter(|(known, uid, _)| *known == name || Some(*uid) == wanted);
        match (entries.next(), wanted) {
            (Some((name, uid, gid)), _) => Some(Self::with_groups(name, uid, gid)),
            (None, Some(uid)) => Some(Self {
                name: uid.to_string(),
                group: uid.to_string(),
                uid,
                gids: vec![uid],
            }),
            (None, None) => None,
        }
    }

    fn with_groups(name: &str, uid: u32, gid: u32) -> Self {
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let mut gids = vec![gid];
        let mut own = None;
        for line in groups.lines() {
            let fields: Vec<_> = line.split(':').collect();
            let [group, _, number, members] = fields.as_slice() else {
                continue;
            };
            let Ok(number) = number.parse::<u32>() else {
                continue;
            };
            if number == gid {
                own = Some((*group).to_owned());
            }
            if members.split(',').any(|member| member == name) {
                gids.push(number);
            }
        }
        Self {
            name: name.to_owned(),
            group: own.unwrap_or_else(|| gid.to_string()),
            uid,
            gids,
        }
    }

    /// The user that owns a folder, unless it is root's: systemd gives the data folder to the user of the service.
    pub(super) fn owner_of(folder: &Path) -> Option<Self> {
        let uid = fs::metadata(folder).ok()?.uid();
        (uid != 0).then(|| Self::named(&uid.to_string()))?
    }

    /// Whether it may do all of this with a file or folder, by its mode.
    pub(super) fn may(&self, metadata: &Metadata, wanted: u32) -> bool {
        let shift = if metadata.uid() == self.uid {
            6
        } else if self.gids.contains(&metadata.gid()) {
            3
        } else {
            0
        };
        self.uid == 0 || (metadata.mode() >> shift) & wanted == wanted
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_class_that_a_user_belongs_to_decides() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let metadata = |mode| {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            fs::metadata(&file).unwrap()
        };
        let (uid, gid) = (metadata(0o600).uid(), metadata(0o600).gid());
        let user = |uid, gids: &[u32]| ServiceUser {
            name: "x".to_owned(),
            group: "x".to_owned(),
            uid,
            gids: gids.to_vec(),
        };
        let other = uid + 1000;
        assert!(!user(other, &[gid + 1]).may(&metadata(0o660), READ));
        assert!(user(other, &[gid]).may(&metadata(0o640), READ));
        assert!(
            !user(other, &[gid]).may(&metadata(0o604), READ),
            "its group may not"
        );
        assert!(user(other, &[gid + 1]).may(&metadata(0o604), READ));
        assert!(!user(other, &[gid]).may(&metadata(0o650), ALL));
        assert!(user(0, &[0]).may(&metadata(0o000), ALL));
        assert!(
            ServiceUser::named("root").is_some_and(|root| root.uid == 0 && root.group == "root")
        );
        assert!(ServiceUser::named("no such user").is_none());
    }
}
