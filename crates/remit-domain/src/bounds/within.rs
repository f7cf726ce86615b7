//! Whether one bound is surely within another: for an early no, and for saying bounds without what they imply anyway.
//!
//! Safety never rests on it: at each call every bound is checked against the arguments themselves (invariant 4).

use serde_json::Value;

use super::{ArgPath, Bound, Bounds, Decimal, continues, same_scalar};

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

    /// The range where both hold, for two ranges of one kind; this bound for any other two.
    fn and(&self, other: &Self) -> Self {
        fn ends<T: Copy + Ord>(a: Option<T>, b: Option<T>, of: fn(T, T) -> T) -> Option<T> {
            a.zip(b).map(|(a, b)| of(a, b)).or(a).or(b)
        }
        match (self, other) {
            (
                Self::Integer { min, max },
                Self::Integer {
                    min: least,
                    max: most,
                },
            ) => Self::Integer {
                min: ends(*min, *least, i64::max),
                max: ends(*max, *most, i64::min),
            },
            (
                Self::Decimal { min, max },
                Self::Decimal {
                    min: least,
                    max: most,
                },
            ) => Self::Decimal {
                min: ends(*min, *least, Decimal::max),
                max: ends(*max, *most, Decimal::min),
            },
            _ => self.clone(),
        }
    }

    /// This range with the ends of another where it says nothing of its own.
    fn or_ends_of(&self, other: &Self) -> Self {
        match (self, other) {
            (
                Self::Integer { min, max },
                Self::Integer {
                    min: least,
                    max: most,
                },
            ) => Self::Integer {
                min: min.or(*least),
                max: max.or(*most),
            },
            (
                Self::Decimal { min, max },
                Self::Decimal {
                    min: least,
                    max: most,
                },
            ) => Self::Decimal {
                min: min.or(*least),
                max: max.or(*most),
            },
            _ => self.clone(),
        }
    }

    fn is_of_kind(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Integer { .. }, Self::Integer { .. })
                | (Self::Decimal { .. }, Self::Decimal { .. })
        )
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
    /// The arguments that these bounds name and leave freer than `other` does. What they do not name stays as `other` has it:
    /// an argument, or one end of a range.
    pub fn freer_than<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a ArgPath> {
        self.0.iter().filter_map(move |(path, own)| {
            let others = other.0.get(path).filter(|_| !own.is_empty())?;
            let kept = |bound: &Bound| own.iter().any(|own| own.or_ends_of(bound).is_within(bound));
            (!others.iter().all(kept)).then_some(path)
        })
    }

    /// The same bounds in fewer words: ranges of one kind as one, and without those that another bound of the argument implies.
    #[must_use]
    pub fn essential(&self) -> Self {
        let each = self.0.iter().map(|(path, bounds)| {
            let mut kept: Vec<Bound> = Vec::with_capacity(bounds.len());
            for bound in bounds {
                if let Some(have) = kept.iter_mut().find(|have| have.is_of_kind(bound)) {
                    *have = have.and(bound);
                } else {
                    kept.push(bound.clone());
                }
            }
            let implied = |at: usize, bound: &Bound| {
                kept.iter().enumerate().any(|(other_at, other)| {
                    let twice = bound.is_within(other);
                    other_at != at && other.is_within(bound) && (!twice || other_at < at)
                })
            };
            let each = kept.iter().enumerate();
            let needed = each.filter(|(at, bound)| !implied(*at, bound));
            let kept: Vec<Bound> = needed.map(|(_, bound)| bound.clone()).collect();
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
                // As arguments are decided: in their canonical form, where 2.0 is 2.
                (-6i64..7).prop_map(|n| match n % 2 {
                    0 => json!(n / 2),
                    _ => json!(n as f64 / 2.0),
                }),
                "[/a.]{0,5}".prop_map(|t| json!(t)),
            ]
        };
        prop_oneof![
            scalar(),
            proptest::collection::vec(scalar(), 0..4).prop_map(Value::Array)
        ]
    }

    #[test]
    fn an_end_that_is_not_named_stays_as_it_is() {
        let bounds = |json: Value| serde_json::from_value::<Bounds>(json).unwrap();
        let have = bounds(json!({ "amount": [{ "decimal": { "min": "0.01", "max": 500 } }] }));
        for (asked, freer) in [
            (json!({ "amount": [{ "decimal": { "max": 30 } }] }), false),
            (json!({ "amount": [{ "decimal": { "min": 1 } }] }), false),
            (json!({ "amount": [{ "decimal": { "min": 0 } }] }), true),
            (json!({ "amount": [{ "decimal": { "max": 501 } }] }), true),
            (json!({ "amount": [{ "one_of": [0] }] }), true),
            (json!({ "amount": [] }), false),
            (json!({ "order": [{ "one_of": ["A-1"] }] }), false),
        ] {
            assert_eq!(
                bounds(asked.clone()).freer_than(&have).count(),
                usize::from(freer),
                "{asked}"
            );
        }
    }

    proptest! {
        #[test]
        fn bounds_in_fewer_words_hold_for_the_same_arguments(
            all in proptest::collection::vec(any_bound(), 0..5),
            value in any_value(),
        ) {
            let bounds = Bounds([("x".parse::<ArgPath>().unwrap(), all)].into());
            let args = json!({ "x": value });
            let (long, short) = (bounds.breaches(&args), bounds.essential().breaches(&args));
            prop_assert_eq!(long.is_empty(), short.is_empty(), "{:?} {:?}", bounds, bounds.essential());
        }

        #[test]
        fn what_keeps_the_inner_bound_keeps_the_outer(a in any_bound(), b in any_bound(), value in any_value()) {
            if a.is_within(&b) && a.holds(&value) {
                prop_assert!(b.holds(&value), "{:?} {:?} {}", a, b, value);
            }
        }
    }
}
