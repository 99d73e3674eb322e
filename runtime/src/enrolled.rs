//! Machines that were let in, and credentials that were taken back.
//!
//! Answers: which keys does this host have, and which must the broker refuse?
//! Never: holds a secret; forgets a revocation.
//! Carries: I-01.

use bus::id::HostId;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::state::{State, write_private};

/// Where it is kept, in the state folder.
const FILE: &str = "hosts.json";

/// All of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Enrolled {
    #[serde(default)]
    hosts: Vec<Enrolment>,
    #[serde(default)]
    revoked: Vec<Revocation>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Enrolment {
    host: HostId,
    /// The public part of its key.
    key: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Revocation {
    host: HostId,
    key: String,
    /// What was signed up to then is void, Unix seconds.
    until: u64,
}

impl Enrolled {
    /// As it is kept; nothing, if nobody was let in yet.
    ///
    /// # Errors
    /// If it is there and cannot be read: what was revoked must not come back for that.
    pub fn load(state: &State) -> Result<Self, Error> {
        let path = state.path(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Error::failed(format!("{} cannot be read", path.display())).because(error));
            }
        };
        serde_json::from_slice(&text).map_err(|error| {
            Error::failed(format!("{} is damaged", path.display()))
                .because(error)
                .hint("it says which credentials of hosts were taken back; mend it, or make new keys: remove `keys` too")
        })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::failed(format!("{FILE} cannot be written")).because(error))?;
        write_private(&state.path(FILE), &text)
    }

    /// A host was let in with this key.
    pub fn enrol(&mut self, host: HostId, key: String) {
        self.hosts.push(Enrolment { host, key });
    }

    /// Takes back all that was signed for a host up to `now`, and for `more` keys of it. Returns how many.
    pub fn revoke(&mut self, host: &HostId, more: impl IntoIterator<Item = String>, now: u64) -> usize {
        let known = self.hosts.extract_if(.., |enrolment| enrolment.host == *host);
        let keys: Vec<String> = known.map(|enrolment| enrolment.key).chain(more).collect();
        let mut new = 0_usize;
        for key in keys {
            if !self.revoked.iter().any(|revoked| revoked.key == key) {
                self.revoked.push(Revocation { host: host.clone(), key, until: now });
                new = new.saturating_add(1);
            }
        }
        new
    }

    /// The hosts that are let in.
    pub fn hosts(&self) -> impl Iterator<Item = &HostId> {
        self.hosts.iter().map(|enrolment| &enrolment.host)
    }

    /// What the broker must refuse: keys, and up to when.
    #[must_use]
    pub fn revoked(&self) -> Vec<(String, u64)> {
        self.revoked.iter().map(|revoked| (revoked.key.clone(), revoked.until)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostId {
        HostId::parse(name).unwrap()
    }

    #[test]
    fn every_key_of_a_host_is_taken_back_and_no_other_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        let mut enrolled = Enrolled::load(&state).unwrap();
        enrolled.enrol(host("rack"), "UA".into());
        enrolled.enrol(host("shelf"), "UB".into());
        enrolled.enrol(host("rack"), "UC".into());
        assert_eq!(enrolled.revoke(&host("rack"), ["UD".to_owned()], 7), 3);
        assert_eq!(enrolled.revoke(&host("rack"), ["UD".to_owned()], 9), 0);
        enrolled.save(&state).unwrap();
        let again = Enrolled::load(&state).unwrap();
        assert_eq!(again.revoked(), [("UA".into(), 7), ("UC".into(), 7), ("UD".into(), 7)]);
        assert_eq!(again.hosts().collect::<Vec<_>>(), [&host("shelf")]);
    }

    #[test]
    fn a_damaged_list_lets_nobody_back_in() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state")).unwrap();
        std::fs::write(state.path(FILE), "{").unwrap();
        assert!(Enrolled::load(&state).unwrap_err().line().contains("is damaged"));
    }
}
