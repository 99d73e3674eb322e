//! metro_hail and quick_ride: what a ride costs.
//!
//! Answers: the fare between two points, by the number of letters in their names.
//! Never: keeps anything.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::folder::Folder;
use crate::operation::{App, Line, Operation, Refusal, parse};

/// 14 dollars and 1.80 a letter.
pub static METRO_HAIL: App = App {
    name: "metro_hail",
    operations: &[Operation {
        run: |_, arguments| estimate(arguments, 140, 18),
        request: include_str!("../../../data/apps/metro_hail/estimate_fare.request.json"),
        response: include_str!("../../../data/apps/metro_hail/estimate_fare.response.json"),
        ..ESTIMATE_FARE
    }],
};

/// 15 dollars and 2 a letter.
pub static QUICK_RIDE: App = App {
    name: "quick_ride",
    operations: &[Operation {
        run: |_, arguments| estimate(arguments, 150, 20),
        request: include_str!("../../../data/apps/quick_ride/estimate_fare.request.json"),
        response: include_str!("../../../data/apps/quick_ride/estimate_fare.response.json"),
        ..ESTIMATE_FARE
    }],
};

const ESTIMATE_FARE: Operation = Operation {
    name: "estimate_fare",
    about: "Estimates the fare from one point to another, in US dollars.",
    request: "",
    response: "",
    reads_only: true,
    run: |_: &Folder, _| Ok(Value::Null),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trip {
    start_point: Line,
    end_point: Line,
}

/// Counts in tenths of a dollar: whole numbers, so that 51.8 does not become 51.800000000000004.
fn estimate(arguments: Map<String, Value>, base: u32, per_letter: u32) -> Result<Value, Refusal> {
    let trip: Trip = parse(arguments)?;
    let letters = trip.start_point.as_str().chars().count() + trip.end_point.as_str().chars().count();
    let tenths = u32::try_from(letters).unwrap_or(u32::MAX).saturating_mul(per_letter).saturating_add(base);
    Ok(json!({ "fare": f64::from(tenths) / 10.0, "currency": "USD" }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::estimate;

    #[track_caller]
    fn check(base: u32, per_letter: u32, start: &str, end: &str, fare: f64) {
        let arguments = json!({"start_point": start, "end_point": end}).as_object().unwrap().clone();
        assert_eq!(estimate(arguments, base, per_letter).unwrap()["fare"], json!(fare));
    }

    #[test]
    fn main_street_to_elm_avenue_costs_what_the_reference_says() {
        check(140, 18, "Main Street", "Elm Avenue", 51.8);
        check(150, 20, "Main Street", "Elm Avenue", 57.0);
    }

    #[test]
    fn a_trip_without_an_end_or_with_more_is_refused() {
        let arguments = |value: serde_json::Value| value.as_object().unwrap().clone();
        for bad in [
            json!({"start_point": "a"}),
            json!({"start_point": "a", "end_point": ""}),
            json!({"start_point": "a", "end_point": "b", "tip": 1}),
            json!({"start_point": "a", "end_point": "b".repeat(201)}),
            json!({"start_point": "a\u{1b}[2J", "end_point": "b"}),
        ] {
            assert!(estimate(arguments(bad.clone()), 1, 1).is_err(), "{bad}");
        }
    }
}
