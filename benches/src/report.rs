//! The report: each figure with its target, and whether it was met.

use std::fmt::Write;

/// One figure.
struct Line {
    group: &'static str,
    what: String,
    value: String,
    target: String,
    met: Option<bool>,
}

/// Figures in the order they were measured.
pub(crate) struct Report(Vec<Line>);

impl Report {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// A figure without a target.
    pub(crate) fn note(
        &mut self,
        group: &'static str,
        what: impl Into<String>,
        value: impl Into<String>,
    ) {
        self.0.push(Line {
            group,
            what: what.into(),
            value: value.into(),
            target: String::new(),
            met: None,
        });
    }

    /// A figure that should be at most `target`.
    pub(crate) fn at_most(
        &mut self,
        group: &'static str,
        what: &str,
        value: f64,
        target: f64,
        unit: &str,
    ) {
        self.target(
            group,
            what,
            value,
            format!("≤ {} {unit}", plain(target)),
            value <= target,
            unit,
        );
    }

    /// A figure that should be at least `target`.
    pub(crate) fn at_least(
        &mut self,
        group: &'static str,
        what: &str,
        value: f64,
        target: f64,
        unit: &str,
    ) {
        self.target(
            group,
            what,
            value,
            format!("≥ {} {unit}", plain(target)),
            value >= target,
            unit,
        );
    }

    fn target(
        &mut self,
        group: &'static str,
        what: &str,
        value: f64,
        target: String,
        met: bool,
        unit: &str,
    ) {
        self.0.push(Line {
            group,
            what: what.to_owned(),
            value: format!("{value:.2} {unit}"),
            target,
            met: Some(met),
        });
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from(
            "# Results of `make bench`\n\nDriver, upstream and Remit together on one machine, over loopback; medians of interleaved rounds.\n",
        );
        let mut group = "";
        for line in &self.0 {
            if line.group != group {
                group = line.group;
                let _ = write!(
                    text,
                    "\n## {group}\n\n| measure | value | target | met |\n|---|---|---|---|\n"
                );
            }
            let met = match line.met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {met} |",
                line.what, line.value, line.target
            );
        }
        text
    }
}

/// A target as it was set: without the noise of binary fractions.
fn plain(target: f64) -> String {
    let text = format!("{target:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
