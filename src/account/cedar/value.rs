//! Arguments of a call as Cedar's values. Nothing is left out, because a policy that asks whether something is there would
//! be got round by it: what Cedar has no value for is there, equals nothing and compares with nothing.

use cedar_policy::{EntityTypeName, RestrictedExpression};
use serde_json::{Number, Value};

use crate::types::policy::MAX_CEDAR_VALUES;

/// Digits behind the point that a decimal of Cedar's holds.
const DECIMALS: usize = 4;
/// Up to here a whole number that is written with a point or an exponent is read as what it says.
const EXACT: f64 = 1e14;

/// The arguments of a call; without any, an empty record. Nothing where they cannot be said, or are more than are looked at.
pub(super) fn arguments(of: &Value, json: &EntityTypeName) -> Option<RestrictedExpression> {
    match of {
        Value::Null => RestrictedExpression::new_record([]).ok(),
        other => {
            let mut left = MAX_CEDAR_VALUES;
            value(other, json, &mut left)
        }
    }
}

/// A value. It is built and never parsed: an object that looks like one of Cedar's own ways to write an entity is an object.
fn value(of: &Value, json: &EntityTypeName, left: &mut usize) -> Option<RestrictedExpression> {
    *left = left.checked_sub(1)?;
    Some(match of {
        Value::Null => RestrictedExpression::new_entity_uid(super::uid(json, "null")),
        Value::Bool(it) => RestrictedExpression::new_bool(*it),
        Value::String(text) => RestrictedExpression::new_string(text.clone()),
        Value::Number(it) => match number(it) {
            Some(Whole(it)) => RestrictedExpression::new_long(it),
            Some(Decimal(text)) => RestrictedExpression::new_decimal(text),
            None => RestrictedExpression::new_entity_uid(super::uid(json, &it.to_string())),
        },
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| value(item, json, left)).collect();
            RestrictedExpression::new_set(items?)
        }
        Value::Object(members) => {
            let member = |(name, member): (&String, &Value)| Some((name.clone(), value(member, json, left)?));
            let members: Option<Vec<_>> = members.iter().map(member).collect();
            RestrictedExpression::new_record(members?).ok()?
        }
    })
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Counted {
    Whole(i64),
    Decimal(String),
}
use Counted::{Decimal, Whole};

/// A number exactly; nothing for one that Cedar has no value for.
fn number(of: &Number) -> Option<Counted> {
    if let Some(whole) = of.as_i64() {
        return Some(Whole(whole));
    }
    let float = of.as_f64().filter(|_| !of.is_u64())?;
    if float.abs() >= EXACT {
        return None;
    }
    // The shortest text that means this very number.
    let text = float.to_string();
    match text.split_once('.') {
        None => text.parse().ok().map(Whole),
        Some((_, behind)) => (behind.len() <= DECIMALS).then_some(Decimal(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_nothing() {
        for (text, expected) in [
            ("0", Some(Whole(0))),
            ("-7", Some(Whole(-7))),
            ("9223372036854775807", Some(Whole(i64::MAX))),
            ("-9223372036854775808", Some(Whole(i64::MIN))),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("100.0", Some(Whole(100))),
            ("1e2", Some(Whole(100))),
            ("-0.0", Some(Whole(0))),
            ("99999999999999.0", Some(Whole(99_999_999_999_999))),
            ("9007199254740993.0", None),
            ("1e300", None),
            ("-1e300", None),
            ("100.5", Some(Decimal("100.5".to_owned()))),
            ("-0.0001", Some(Decimal("-0.0001".to_owned()))),
            ("0.00001", None),
            ("0.1", Some(Decimal("0.1".to_owned()))),
            ("1e-300", None),
            ("99999999999999.5", Some(Decimal("99999999999999.5".to_owned()))),
            ("922337203685477.5", None),
        ] {
            let of: Number = serde_json::from_str(text).unwrap();
            assert_eq!(number(&of), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_number_that_is_taken_means_the_same(float in proptest::num::f64::NORMAL) {
            let of = Number::from_f64(float).unwrap();
            let read = |text: &str| text.parse::<f64>().unwrap();
            match number(&of) {
                #[expect(clippy::float_cmp, clippy::cast_precision_loss, reason = "exactly the same is what is asked for")]
                Some(Whole(whole)) => assert_eq!(whole as f64, float),
                #[expect(clippy::float_cmp, reason = "exactly the same is what is asked for")]
                Some(Decimal(text)) => assert_eq!(read(&text), float),
                None => {}
            }
        }
    }
}
