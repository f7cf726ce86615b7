//! Whether one bound is surely within another: for an early no, and for saying bounds without what they imply anyway.
//!
//! Safety never rests on it: at each call every bound is checked against the arguments themselves (invariant 4).

use serde_json::Value;

use super::{ArgPath, Bound, Bounds, continues, same_scalar};

/// Ten-thousandths of a whole number.
const UNITS: i128 = 10_000;

impl Bound {
    /// Whether everything that keeps this bound surely keeps `other` too. A no may be for want of knowing.
    pub fn is_within(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        match (self, other) {
            (Self::OneOf(own), Self::OneOf(others)) => own
                .iter()
                .all(|m| others.iter().any(|other| same_scalar(m, other))),
            // An array is bounded element by element, but for its length.
            (Self::OneOf(_), Self::Length { .. }) => false,
            (Self::OneOf(own), other) => own.iter().all(|m| scalar(m) && other.holds(m)),
            (
                Self::Prefix { prefix, separator },
                Self::Prefix {
                    prefix: outer,
                    separator: at,
                },
            ) => separator == at && continues(prefix, outer, *at),
            (Self::Length { max }, Self::Length { max: most }) => max <= most,
            (Self::Decimal { .. }, Self::Integer { .. }) => false,
            (own, other) => match (own.range(), other.range()) {
                (Some((min, max)), Some((least, most))) => {
                    let above = least.is_none_or(|least| min.is_some_and(|min| min >= least));
                    let below = most.is_none_or(|most| max.is_some_and(|max| max <= most));
                    above && below
                }
                _ => false,
            },
        }
    }

    /// Both ends of a range, in ten-thousandths.
    fn range(&self) -> Option<(Option<i128>, Option<i128>)> {
        match self {
            Self::Integer { min, max } => {
                let units = |end: &Option<i64>| end.map(|n| i128::from(n) * UNITS);
                Some((units(min), units(max)))
            }
            Self::Decimal { min, max } => Some((
                min.map(|d| i128::from(d.units())),
                max.map(|d| i128::from(d.units())),
            )),
            _ => None,
        }
    }
}

fn scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

impl Bounds {
    /// The arguments that these bounds name and leave freer than `other` does. What they do not name stays as `other` has it.
    pub fn freer_than<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a ArgPath> {
        self.0.iter().filter_map(move |(path, own)| {
            let others = other.0.get(path).filter(|_| !own.is_empty())?;
            let kept = |bound: &Bound| own.iter().any(|own| own.is_within(bound));
            (!others.iter().all(kept)).then_some(path)
        })
    }

    /// The same bounds without those that another one of the same argument implies.
    #[must_use]
    pub fn essential(&self) -> Self {
        let each = self.0.iter().map(|(path, bounds)| {
            let mut kept: Vec<Bound> = Vec::with_capacity(bounds.len());
            for bound in bounds {
                if !kept.iter().any(|have| have.is_within(bound)) {
                    kept.retain(|have| !bound.is_within(have));
                    kept.push(bound.clone());
                }
            }
            (path.clone(), kept)
        });
        Self(each.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bound(json: Value) -> Bound {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_within_is_told_from_what_is_not() {
        let prefix = |p: &str| json!({ "prefix": { "prefix": p, "separator": "/" } });
        let max = |n: i64| json!({ "decimal": { "max": n } });
        let within = [
            (max(50), max(500)),
            (json!({ "integer": { "min": 1, "max": 50 } }), max(50)),
            (
                json!({ "one_of": ["EUR"] }),
                json!({ "one_of": ["EUR", "USD"] }),
            ),
            (json!({ "one_of": [5, 50.0] }), max(50)),
            (json!({ "one_of": ["/data/x"] }), prefix("/data")),
            (prefix("/data/x"), prefix("/data")),
            (
                json!({ "length": { "max": 3 } }),
                json!({ "length": { "max": 4 } }),
            ),
        ];
        let freer = [
            (max(501), max(500)),
            (json!({ "decimal": {} }), max(500)),
            (
                json!({ "decimal": { "max": 50 } }),
                json!({ "integer": { "max": 50 } }),
            ),
            (
                json!({ "one_of": ["EUR", "GBP"] }),
                json!({ "one_of": ["EUR", "USD"] }),
            ),
            (json!({ "one_of": [51] }), max(50)),
            (json!({ "one_of": [[5]] }), max(50)),
            (json!({ "one_of": ["/data/../etc"] }), prefix("/data")),
            (prefix("/data"), prefix("/data/x")),
            (prefix("/database"), prefix("/data")),
            (prefix("/data/../etc"), prefix("/data")),
            (
                json!({ "one_of": ["EUR"] }),
                json!({ "length": { "max": 3 } }),
            ),
            (
                json!({ "length": { "max": 3 } }),
                json!({ "one_of": ["EUR"] }),
            ),
        ];
        for (a, b) in within {
            assert!(bound(a.clone()).is_within(&bound(b.clone())), "{a} {b}");
        }
        for (a, b) in freer {
            assert!(!bound(a.clone()).is_within(&bound(b.clone())), "{a} {b}");
        }
    }

    #[test]
    fn bounds_are_told_without_what_others_imply() {
        let all: Bounds = serde_json::from_value(json!({
            "amount": [{ "decimal": { "max": 500 } }, { "decimal": { "min": 1 } }, { "decimal": { "min": 2, "max": 50 } }],
            "order": []
        }))
        .unwrap();
        let said = serde_json::to_value(all.essential()).unwrap();
        let expected =
            json!({ "amount": [{ "decimal": { "min": "2", "max": "50" } }], "order": [] });
        assert_eq!(said, expected);
    }

    fn any_bound() -> impl Strategy<Value = Bound> {
        let end = || proptest::option::of(-3i64..4);
        let text = || prop_oneof!["[/a.]{0,4}", Just("/a".to_owned())];
        let scalar = prop_oneof![
            (-3i64..4).prop_map(|n| json!(n)),
            text().prop_map(|t| json!(t))
        ];
        prop_oneof![
            (end(), end()).prop_map(|(min, max)| Bound::Integer { min, max }),
            (end(), end()).prop_map(|(min, max)| Bound::Decimal {
                min: min.map(|n| super::super::Decimal::from_units(n * 5_000)),
                max: max.map(|n| super::super::Decimal::from_units(n * 5_000)),
            }),
            proptest::collection::vec(scalar, 0..3).prop_map(Bound::OneOf),
            text().prop_map(|prefix| Bound::Prefix {
                prefix,
                separator: '/'
            }),
            (0u32..4).prop_map(|max| Bound::Length { max }),
        ]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar = || {
            prop_oneof![
                (-3i64..4).prop_map(|n| json!(n)),
                (-6i64..7).prop_map(|n| json!(n as f64 / 2.0)),
                "[/a.]{0,5}".prop_map(|t| json!(t)),
            ]
        };
        prop_oneof![
            scalar(),
            proptest::collection::vec(scalar(), 0..4).prop_map(Value::Array)
        ]
    }

    proptest! {
        #[test]
        fn what_keeps_the_inner_bound_keeps_the_outer(a in any_bound(), b in any_bound(), value in any_value()) {
            if a.is_within(&b) && a.holds(&value) {
                prop_assert!(b.holds(&value), "{:?} {:?} {}", a, b, value);
            }
        }
    }
}
