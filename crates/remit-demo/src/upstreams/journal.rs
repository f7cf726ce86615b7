//! What really happened at a server: the other side's account, to hold against the gateway's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Effects kept in full; older ones stay counted. A demo makes some tens.
pub const EFFECTS_KEPT_MAX: usize = 1_000;

/// One change that a call made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Number of the effect at this server, from 1.
    pub effect: u64,
    /// The tool that made it.
    pub tool: String,
    /// The object it was made to.
    pub object: String,
    /// How the object stood before.
    pub before: String,
    /// How it stands now.
    pub after: String,
}

/// Calls that arrived and effects that happened since the server started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EffectsLog {
    /// Calls that arrived, by tool, whatever came of them. Reading this log is not counted.
    pub calls: BTreeMap<String, u64>,
    /// Effects that happened, in all.
    pub effects_total: u64,
    /// The last of them, at most [`EFFECTS_KEPT_MAX`], oldest first.
    pub effects: Vec<Change>,
}

impl EffectsLog {
    /// How often `tool` was called, whatever came of it.
    pub fn calls_of(&self, tool: &str) -> u64 {
        self.calls.get(tool).copied().unwrap_or(0)
    }

    /// The effects of `tool`, oldest first.
    pub fn effects_of<'a>(&'a self, tool: &'a str) -> impl Iterator<Item = &'a Change> {
        self.effects
            .iter()
            .filter(move |change| change.tool == tool)
    }

    /// Whether anything was changed on `object`.
    pub fn touched(&self, object: &str) -> bool {
        self.effects.iter().any(|change| change.object == object)
    }
}

/// The log of one server, shared by its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<EffectsLog>>);

impl Journal {
    pub(crate) fn arrived(&self, tool: &str) {
        *self.log().calls.entry(tool.to_owned()).or_default() += 1;
    }

    pub(crate) fn read(&self) -> EffectsLog {
        self.log().clone()
    }

    fn changed(&self, tool: &str, object: &str, states: (String, String)) -> Change {
        let mut log = self.log();
        log.effects_total += 1;
        let (before, after) = states;
        let change = Change {
            effect: log.effects_total,
            tool: tool.to_owned(),
            object: object.to_owned(),
            before,
            after,
        };
        if log.effects.len() >= EFFECTS_KEPT_MAX {
            log.effects.remove(0);
        }
        log.effects.push(change.clone());
        change
    }

    fn log(&self) -> MutexGuard<'_, EffectsLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of one server, with its journal: no change goes unnoted.
#[derive(Debug)]
pub(crate) struct Desk<T> {
    state: Mutex<T>,
    journal: Journal,
}

impl<T> Desk<T> {
    pub(crate) fn new(state: T, journal: Journal) -> Self {
        Self {
            state: Mutex::new(state),
            journal,
        }
    }

    /// Reads the state.
    pub(crate) fn look<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.state())
    }

    /// Changes the state and notes the effect, unless `change` refuses. It gives how `object` stood and stands.
    pub(crate) fn act(
        &self,
        tool: &str,
        object: &str,
        change: impl FnOnce(&mut T) -> Result<(String, String), String>,
    ) -> Result<Change, String> {
        let mut state = self.state();
        let states = change(&mut state)?;
        Ok(self.journal.changed(tool, object, states))
    }

    fn state(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_change_is_not_an_effect() {
        let journal = Journal::default();
        let desk = Desk::new(1, journal.clone());
        assert!(desk.act("t", "o", |_| Err("no".to_owned())).is_err());
        assert_eq!(journal.read(), EffectsLog::default());
    }

    #[test]
    fn effects_stay_counted_when_old_ones_go() {
        let journal = Journal::default();
        let desk = Desk::new((), journal.clone());
        let kept = EFFECTS_KEPT_MAX as u64;
        for _ in 0..kept + 5 {
            desk.act("t", "o", |()| Ok((String::new(), String::new())))
                .unwrap();
        }
        let log = journal.read();
        assert_eq!(log.effects_total, kept + 5);
        assert_eq!(log.effects.len(), EFFECTS_KEPT_MAX);
        assert_eq!(log.effects[0].effect, 6);
    }
}
