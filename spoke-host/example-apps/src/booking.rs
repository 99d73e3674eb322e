//! travel_mate and health_companion: flights and doctors' appointments.
//!
//! Answers: a confirmation. Keeps every booking word for word as it was received, in `bookings.jsonl` of the data folder, so that
//! anyone can see afterwards which personal data arrived.
//! Never: makes up a field that the caller did not give.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::folder::Folder;
use crate::operation::{App, Line, Operation, Refusal, Text, parse};

/// Books flights.
pub static TRAVEL_MATE: App = App {
    name: "travel_mate",
    operations: &[Operation {
        name: "book_flight",
        about: "Books a flight from one city to another on a day.",
        request: include_str!("../../../data/apps/travel_mate/book_flight.request.json"),
        response: include_str!("../../../data/apps/travel_mate/book_flight.response.json"),
        reads_only: false,
        run: book_flight,
    }],
};

/// Books doctors' appointments.
pub static HEALTH_COMPANION: App = App {
    name: "health_companion",
    operations: &[Operation {
        name: "book_appointment",
        about: "Books an appointment with a doctor in a city.",
        request: include_str!("../../../data/apps/health_companion/book_appointment.request.json"),
        response: include_str!("../../../data/apps/health_companion/book_appointment.response.json"),
        reads_only: false,
        run: book_appointment,
    }],
};

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    #[default]
    Economy,
    Premium,
    Business,
    First,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields that are only checked; the record keeps the arguments as they came")]
struct Flight {
    name: Option<Line>,
    email: Option<Line>,
    departure_city: Line,
    destination_city: Line,
    date: Line,
    class: Option<Class>,
    special_requirements: Option<Text<4000>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields that are only checked; the record keeps the arguments as they came")]
struct Appointment {
    name: Line,
    date_of_birth: Line,
    city: Line,
    email: Line,
    date: Option<Line>,
    medical_issues: Text<4000>,
    doctor: Option<Line>,
}

fn book_flight(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let flight: Flight = parse(arguments.clone())?;
    let number = record(folder, arguments)?;
    Ok(json!({
        "confirmation": format!("TM-{number:04}"),
        "status": "booked",
        "departure_city": flight.departure_city,
        "destination_city": flight.destination_city,
        "date": flight.date,
        "class": flight.class.unwrap_or_default(),
    }))
}

fn book_appointment(folder: &Folder, arguments: Map<String, Value>) -> Result<Value, Refusal> {
    let appointment: Appointment = parse(arguments.clone())?;
    let number = record(folder, arguments)?;
    Ok(json!({
        "confirmation": format!("HC-{number:04}"),
        "status": "booked",
        "city": appointment.city,
        "date": appointment.date.as_ref().map_or("the next free day", Line::as_str),
        "doctor": appointment.doctor.as_ref().map_or("the doctor on duty", Line::as_str),
    }))
}

fn record(folder: &Folder, arguments: Map<String, Value>) -> Result<usize, Refusal> {
    folder.lock()?.append("bookings.jsonl", &Value::Object(arguments))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::{Value, json};

    use super::{book_appointment, book_flight};
    use crate::folder::Folder;

    #[test]
    fn a_booking_is_kept_word_for_word() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::at(data.path(), data.path());
        let flight = json!({"departure_city": "Irvine", "destination_city": "Paris", "date": "June 10th"});
        let answer = book_flight(&folder, flight.as_object().unwrap().clone()).unwrap();
        assert_eq!(answer["confirmation"], "TM-0001");
        assert_eq!(answer["class"], "economy");
        let kept: Value =
            serde_json::from_str(&std::fs::read_to_string(data.path().join("bookings.jsonl")).unwrap())
                .unwrap();
        assert_eq!(kept, flight);
    }

    #[test]
    fn an_appointment_needs_its_patient() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::at(data.path(), data.path());
        let mut request =
            json!({"name": "A", "date_of_birth": "1.1.1970", "city": "C", "email": "a@b.example", "medical_issues": "cough"})
                .as_object()
                .unwrap()
                .clone();
        assert_eq!(book_appointment(&folder, request.clone()).unwrap()["confirmation"], "HC-0001");
        request.remove("name");
        assert!(book_appointment(&folder, request).is_err());
        assert_eq!(std::fs::read_to_string(data.path().join("bookings.jsonl")).unwrap().lines().count(), 1);
    }
}
