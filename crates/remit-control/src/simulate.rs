//! Simulating: decisions that were taken, taken again under other policies; which would come out otherwise, exactly.

mod recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use remit_domain::name::Name;
use remit_domain::{DecisionId, RefusalCode, Role, Timestamp};
use remit_policy::{Decision, Engine, PolicySource, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bundle::{live_sets, sources, version_of};
use crate::{Caller, Control, ControlError, names, refuse};

pub(crate) use recorded::{Past, Recording};

/// Most decisions of one simulation: the newest ones.
pub(crate) const DECISIONS_MAX: usize = 200_000;
/// Most flips that are told.
const FLIPS_MAX: usize = 1_000;
/// Longest time back, in seconds.
const SINCE_SECS_MAX: i64 = 400 * 86_400;

/// What to simulate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Simulation {
    /// Decisions of this many seconds, up to now; 7 days where absent.
    pub since_secs: Option<i64>,
    /// The policies: everything that would be live. The live ones where absent, together with `bundle`.
    pub sets: Option<BTreeMap<Name, String>>,
    /// A bundle that is kept, in their stead.
    pub bundle: Option<String>,
}

/// One decision that would come out otherwise.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Flip {
    /// Which.
    pub decision: DecisionId,
    /// When.
    pub at: Timestamp,
    /// Which agent, by name.
    pub agent: String,
    /// Which tool.
    pub tool: String,
    /// What was decided.
    pub before: String,
    /// What would be.
    pub after: String,
    /// Why, one line a policy.
    pub because: Vec<String>,
}

/// What a simulation came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Simulated {
    /// Which bundle was tried.
    pub bundle: String,
    /// Whether it is the live one.
    pub is_live: bool,
    /// From when.
    pub since: Timestamp,
    /// Decisions taken again.
    pub decisions: usize,
    /// Those that come out the same.
    pub same: usize,
    /// Those that the candidate cannot take again, because it does not fit the tools as they were then.
    pub not_comparable: usize,
    /// How many of each sort come out otherwise, as `allow -> ask`.
    pub differ: BTreeMap<String, usize>,
    /// Which they are.
    pub flips: Vec<Flip>,
    /// Decisions that were taken again under the policies of their own time, and came out as recorded.
    pub reproduced: usize,
    /// Those that did not, which must not be: each is a fault of Remit or of what is kept.
    pub not_reproduced: Vec<DecisionId>,
    /// Decisions whose inputs were destroyed or are not kept, so that they cannot be taken again.
    pub not_replayable: usize,
    /// Whether there were more decisions than are taken again at once.
    pub is_cut: bool,
    /// How many decisions were taken a second, reading left out.
    pub decisions_per_second: u64,
}

impl Control {
    /// Takes recorded decisions again: under the policies of their own time, which must give what was recorded, and under
    /// the candidate. Exact inputs, nothing is guessed; no effect.
    ///
    /// # Errors
    /// `forbidden` for anyone but administrators, auditors and developers; `Policy` when the candidate does not compile;
    /// `not-found` for a bundle that is not kept; when the store cannot be read.
    pub async fn simulate(
        &self,
        caller: &Caller,
        asked: Simulation,
    ) -> Result<Simulated, ControlError> {
        caller.require(&[Role::Admin, Role::Auditor, Role::Developer])?;
        let back = asked.since_secs.unwrap_or(7 * 86_400);
        if !(1..=SINCE_SECS_MAX).contains(&back) {
            let text = format!("`since_secs`: `{back}` is not within 1 to {SINCE_SECS_MAX}");
            return Err(refuse(RefusalCode::InvalidRequest, text));
        }
        let book = self.book(&caller.org)?;
        let live = live_sets(&book);
        let sets = match (asked.sets, asked.bundle) {
            (Some(sets), _) => sets,
            (None, Some(version)) => self.policy_bundle(caller, &version).await?.sets,
            (None, None) => live.clone(),
        };
        let since = self.books.now().plus_secs(-back);
        crate::bundle::compile(&book, &sources(&sets))?;
        let recording = self.recording(&caller.org, since, DECISIONS_MAX).await?;
        let (bundle, is_live) = (version_of(&sets)?, version_of(&sets)? == version_of(&live)?);
        let (recording, told) = tokio::task::spawn_blocking(move || {
            let told = retake(&recording, &sources(&sets));
            (recording, told)
        })
        .await
        .map_err(|e| {
            refuse(
                RefusalCode::Conflict,
                format!("the simulation was interrupted: {e}"),
            )
        })?;
        let told = told?;
        let registry = book.registry();
        let flips = told.flips.iter().take(FLIPS_MAX).map(|(past, after)| Flip {
            decision: past.id.clone(),
            at: past.at,
            agent: names::agent(&registry, &past.fixed.agent.id),
            tool: past.fixed.tool.tool.to_string(),
            before: past.decision.outcome.as_str().to_owned(),
            after: after.outcome.as_str().to_owned(),
            because: after
                .reasons
                .iter()
                .map(|r| format!("({}) {}", r.policy, r.text))
                .collect(),
        });
        let flips: Vec<Flip> = flips.collect();
        Ok(Simulated {
            bundle,
            is_live,
            since,
            decisions: recording.past.len(),
            same: recording
                .past
                .len()
                .saturating_sub(told.flips.len() + told.not_comparable),
            not_comparable: told.not_comparable,
            differ: told.differ,
            flips,
            reproduced: told.reproduced,
            not_reproduced: told.not_reproduced,
            not_replayable: recording.lost,
            is_cut: recording.is_cut,
            decisions_per_second: told.per_second,
        })
    }
}

struct Told {
    flips: Vec<(Arc<Past>, Decision)>,
    differ: BTreeMap<String, usize>,
    reproduced: usize,
    not_reproduced: Vec<DecisionId>,
    not_comparable: usize,
    per_second: u64,
}

/// What comes of one part of the recording.
#[derive(Default)]
struct Part {
    flips: Vec<(Arc<Past>, Decision)>,
    reproduced: usize,
    not_reproduced: Vec<DecisionId>,
    not_comparable: usize,
}

/// Takes every decision again, under its own policies and under these.
fn retake(recording: &Recording, sets: &[PolicySource<'_>]) -> Result<Told, ControlError> {
    // One engine of each for each state of the tools and exceptions: what a tool is was part of the decision.
    let mut engines = BTreeMap::new();
    for (version, kept) in &recording.sources {
        let own = kept.compile().map_err(ControlError::Policy)?;
        let other = Sources::compile_with(kept, sets).ok();
        engines.insert(version.as_str(), (own, other));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let size = recording.past.len().div_ceil(threads).max(1);
    let watch = Stopwatch::start();
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let engines = &engines;
        let started: Vec<_> = recording
            .past
            .chunks(size)
            .map(|chunk| scope.spawn(move || part(chunk, engines)))
            .collect();
        started.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    let spent = watch.spent();
    let mut told = Told {
        flips: Vec::new(),
        differ: BTreeMap::new(),
        reproduced: 0,
        not_reproduced: Vec::new(),
        not_comparable: 0,
        per_second: per_second(recording.past.len() * 2, spent),
    };
    for part in parts {
        told.flips.extend(part.flips);
        told.reproduced += part.reproduced;
        told.not_reproduced.extend(part.not_reproduced);
        told.not_comparable += part.not_comparable;
    }
    for (past, after) in &told.flips {
        let sort = format!(
            "{} -> {}",
            past.decision.outcome.as_str(),
            after.outcome.as_str()
        );
        *told.differ.entry(sort).or_default() += 1;
    }
    Ok(told)
}

fn part(chunk: &[Arc<Past>], engines: &BTreeMap<&str, (Engine, Option<Engine>)>) -> Part {
    let mut out = Part::default();
    let mut ready = std::collections::HashMap::new();
    for past in chunk {
        let Some((own, other)) = engines.get(past.engine.as_str()) else {
            out.not_reproduced.push(past.id.clone());
            continue;
        };
        let key = (past.engine.as_str(), Arc::as_ptr(&past.fixed));
        let (as_own, as_other) = ready.entry(key).or_insert_with(|| {
            let prepare = |e: &Engine| e.prepare(Arc::clone(&past.fixed));
            (prepare(own), other.as_ref().map(prepare))
        });
        let again = own.decide_prepared(as_own, &past.dynamic);
        if again == past.decision {
            out.reproduced += 1;
        } else {
            out.not_reproduced.push(past.id.clone());
        }
        let (Some(engine), Some(ready)) = (other, as_other) else {
            out.not_comparable += 1;
            continue;
        };
        let after = engine.decide_prepared(ready, &past.dynamic);
        if after.outcome != past.decision.outcome {
            out.flips.push((Arc::clone(past), after));
        }
    }
    out
}

fn per_second(decisions: usize, spent: Duration) -> u64 {
    let micros = spent.as_micros().max(1);
    let decisions = u128::try_from(decisions).unwrap_or(0);
    u64::try_from(decisions * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// How long it took, by the clock of the processor: a measurement, which nothing is decided on.
struct Stopwatch(tokio::time::Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    fn spent(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Policies that decided, over recorded decisions: how many each.
pub(crate) fn traffic(recording: &Recording) -> BTreeMap<String, u64> {
    let mut out = BTreeMap::new();
    for past in &recording.past {
        let unique: BTreeSet<&String> = past.decision.policies.iter().collect();
        for policy in unique {
            *out.entry(policy.clone()).or_default() += 1;
        }
    }
    out
}
